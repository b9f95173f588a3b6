# SPDX-License-Identifier: Apache-2.0
"""Pause per stop beside a bare interrupt-wait-detach in the same run, for stacks of 10, 100 and 1000
frames; and beside libunwind-ptrace in the stop. usage: pause.py CPROF VICTIMS BARE_STOP"""
import re
import subprocess
import sys

cprof, victims, bare = sys.argv[1:4]


def nanoseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ns|us|ms|s)", text).groups()
    return float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]


def recorded(pid, *more):
    done = subprocess.run([cprof, "record", "-p", str(pid), "-d", "4s", "-F", "500", "-o",
                           "/dev/null", *more], capture_output=True, text=True, check=True)
    p50, p99 = re.search(r"pause +p50 (\S+), p99 (\S+),", done.stderr).groups()
    return nanoseconds(p50), nanoseconds(p99)


def bare_stops(pid):
    done = subprocess.run([bare, str(pid), "2000"], capture_output=True, text=True, check=True)
    return tuple(float(x) for x in done.stdout.split())


print("%6s %-22s %9s %9s %7s %7s" % ("depth", "", "p50 us", "p99 us", "ratio", "ratio"))
for depth in 10, 100, 1000:
    target = subprocess.Popen([victims + "/chain-gcc-o2", "deep", str(depth)],
                              stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        base = bare_stops(target.pid)
        rows = [("bare stop", base), ("cprof", recorded(target.pid)),
                ("bare stop again", bare_stops(target.pid)),
                ("libunwind in the stop", recorded(target.pid, "--unwinder=libunwind"))]
        for name, (p50, p99) in rows:
            print("%6d %-22s %9.1f %9.1f %7.2f %7.2f" % (depth, name, p50 / 1e3, p99 / 1e3,
                                                        p50 / base[0], p99 / base[1]))
    finally:
        target.kill()
        target.wait()
