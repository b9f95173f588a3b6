# SPDX-License-Identifier: Apache-2.0
"""Instructions per frame and per sample, counted by callgrind on replayed snapshots (replay.c),
held against instructions.txt: a slowdown fails on the day it lands, on any machine, however busy.

	test_instructions.py REPLAY COMPILER BUILDTYPE SANITIZER [--record]

Counts are of one compiler and one kind of build: another one skips. --record writes the counts of
today into instructions.txt (`ninja -C build-test record-instructions`)."""
import os
import re
import shutil
import subprocess
import sys

REPLAY, COMPILER, BUILDTYPE, SANITIZER = sys.argv[1:5]
RECORD = "--record" in sys.argv[5:]
BOUNDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.txt")
SLACK = 0.05
# How often a snapshot of that depth is replayed, at least; and how much more often to tell the
# replays from the start.
TIMES = {30: 1000, 300: 100}
MORE = 4
HEAD = """\
# Instructions on replayed snapshots, recorded with the compiler of the first line:
# ninja -C build-test record-instructions
"""


# Only inside of these: the consumer has a thread beside it, which gets as far as it gets.
COUNTED = {"unwind": "unwinder_run", "consume": "consumer_take"}


def count(kind, depth, times):
    """Instructions of one run, and the frames of its stack."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                           f"--toggle-collect={COUNTED[kind]}", REPLAY, kind, str(depth),
                           str(times)], capture_output=True, text=True, timeout=100)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not collected:
        sys.exit(f"replay {kind} {depth}: exit {done.returncode}\n{done.stderr}")
    return int(collected[1]), int(done.stdout)


def measure():
    """Whole instructions, by name."""
    counts = {}
    for kind in "unwind", "consume":
        for depth, times in TIMES.items():
            few, frames = count(kind, depth, times)
            many, _ = count(kind, depth, times * (1 + MORE))
            if frames < depth:
                sys.exit(f"replay {kind} {depth}: only {frames} frames")
            per_sample = (many - few) / (times * MORE)
            counts[f"{kind}, {depth} calls, per sample"] = round(per_sample)
            counts[f"{kind}, {depth} calls, per frame"] = round(per_sample / frames, 1)
    return counts


def read_bounds():
    with open(BOUNDS) as file:
        lines = [line.strip() for line in file if line.strip() and line[0] != "#"]
    return lines[0], {name: float(value) for name, value in
                      (line.rsplit(": ", 1) for line in lines[1:])}


def main():
    if not shutil.which("valgrind"):
        print("valgrind is not installed")
        return 77
    if BUILDTYPE != "debugoptimized" or SANITIZER != "none":
        print(f"counts are of builds of type debugoptimized, not of {BUILDTYPE} with {SANITIZER}")
        return 77
    if RECORD:
        with open(BOUNDS, "w") as file:
            file.write(HEAD + COMPILER + "\n")
            file.writelines(f"{name}: {n}\n" for name, n in measure().items())
        print(f"wrote {BOUNDS}")
        return 0
    compiler, bounds = read_bounds()
    if compiler != COMPILER:
        print(f"the counts recorded are of {compiler}, this is {COMPILER}")
        return 77
    counts, failed = measure(), False
    if counts.keys() != bounds.keys():
        sys.exit(f"{BOUNDS} has other counts than {list(counts)}: record it anew")
    for name, n in counts.items():
        change = n / bounds[name] - 1
        says = ""
        if change > SLACK:
            failed, says = True, "  SLOWER than the bound allows"
        elif change < -SLACK:
            says = "  faster: record the new bound (record-instructions)"
        print(f"{name:32} {n:9} of {bounds[name]:9g}  {100 * change:+6.1f} %{says}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
