# SPDX-License-Identifier: Apache-2.0
"""Writes what the last `meson test --benchmark` printed into README.md, with machine and date.

	record_table.py BUILD"""
import datetime
import json
import os
import platform
import sys

MARK = "## The last run\n"


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), platform.machine())
    with open("/etc/os-release") as file:
        name = next(line.split("=", 1)[1].strip().strip('"') for line in file
                    if line.startswith("PRETTY_NAME"))
    release = ".".join(platform.release().split(".")[:2])
    return f"{model}, {os.cpu_count()} CPUs, Linux {release}, {name}"


def main():
    build = sys.argv[1]
    readme = os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")
    with open(os.path.join(build, "meson-logs/testlog.json")) as file:
        tests = [json.loads(line) for line in file]
    if not any(test["name"].endswith("pause") for test in tests):
        sys.exit("the last run of meson test was not one of the benchmarks")
    with open(os.path.join(build, "meson-info/intro-buildoptions.json")) as file:
        kind = next(o["value"] for o in json.load(file) if o["name"] == "buildtype")
    with open(readme) as file:
        text = file.read().split(MARK)[0]
    text += (f"{MARK}\n{datetime.date.today()}; {machine()}; buildtype {kind}; "
             f"{sum(t['duration'] for t in tests):.0f} s in all.\n")
    for test in tests:
        name = test["name"].split(" / ")[-1]
        lines = test.get("stdout", "").strip()
        text += f"\n### {name}: {test['result']}, {test['duration']:.0f} s\n\n```\n{lines}\n```\n"
    with open(readme, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()
