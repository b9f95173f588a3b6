# SPDX-License-Identifier: Apache-2.0
"""How long a running thread stands still per sample, beside a bare interrupt-wait-detach in the
same run: stacks of 10, 100 and 1000 frames and a compiler's, quiet and with four busy processes
beside. Both count from the last look that found the thread running. Also libunwind in the stop, and
how long eu-stack and gdb take, which hold the target meanwhile."""
import re
import statistics
import sys

from bench import (RUNS, TOOLS, Folder, Running, Table, Target, end, goal, have, nanoseconds,
                   record_argv, run, victim)
from programs import Compiler

STOPS, HZ = 250, 500


def recorded(pid, *more):
    done = run(record_argv(pid, 0.5, HZ, "/dev/null", *more))
    p50, p99 = re.search(r"pause +p50 (\S+), p99 (\S+),", done.stderr).groups()
    return nanoseconds(p50), nanoseconds(p99)


def bare_stops(pid):
    done = run([TOOLS + "/bare_stop", pid, STOPS, HZ])
    return tuple(float(x) for x in done.stdout.split())


def measure(name, pid, peers):
    """Alternates bare stops and recordings. Ratios are of neighbours."""
    tables = [Table(f"pause, {name}, {q}", "us", base="bare stop", digits=1)
              for q in ("p50", "p99")]
    ratios = [[], []]
    for _ in range(RUNS):
        bare, ours = bare_stops(pid), recorded(pid)
        for i, table in enumerate(tables):
            table.add("bare stop", bare[i] / 1e3)
            table.add("cprof", ours[i] / 1e3)
            table.add("bare stop, since asked", bare[2 + i] / 1e3)
            ratios[i].append(ours[i] / bare[i])
    if peers:
        held = recorded(pid, "--unwinder=libunwind")
        for i, table in enumerate(tables):
            table.add("libunwind in the stop", held[i] / 1e3)
        for peer, argv in (("eu-stack", ["eu-stack", "-p", pid]),
                           ("gdb", ["gdb", "-q", "-batch", "-p", pid, "-ex", "bt"])):
            if have(peer):
                tables[0].add(f"{peer}, whole command",
                              run(argv, expect=None).seconds * 1e6)
    for table in tables:
        table.print()
    goal(f"{name}: p50 / bare p50", statistics.median(ratios[0]), 1.25)
    goal(f"{name}: p99 / bare p99", statistics.median(ratios[1]), 2)


def busy(n):
    return [Running([sys.executable, "-c", "while True: pass"]) for _ in range(n)]


def loaded(name, pid):
    beside = busy(4)
    try:
        measure(name + ", loaded", pid, False)
    finally:
        for process in beside:
            process.process.kill()
            process.process.wait()


def main():
    for depth in 10, 100, 1000:
        with Target([victim("chain-gcc-o2"), "deep", str(depth)], wait_for="ready") as target:
            measure(f"{depth} frames", target.pid, True)
            if depth == 100:
                loaded(f"{depth} frames", target.pid)
    if have("g++"):
        with Folder() as folder, Compiler(folder, "cc1plus") as target:
            measure("cc1plus", target.pid, True)
            loaded("cc1plus", target.pid)
    end()


if __name__ == "__main__":
    main()
