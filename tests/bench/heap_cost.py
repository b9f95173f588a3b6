# SPDX-License-Identifier: Apache-2.0
"""What a pair of malloc and free costs while the agent counts, less what it costs without; and how
long threads stand still to bring the agent in and out. A victim measures the CPU time of its own
pairs, in turn without the agent and with it."""
import os
import re
import shutil
import signal
import statistics
import subprocess
import time

from bench import CPROF, RUNS, VICTIMS, Folder, Table, check, end, goal

MODULES = 300
UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}


def next_line(target):
    """Of the victim; heaptrack has words of its own first."""
    while True:
        line = target.stdout.readline()
        if not line or line[0].isdigit():
            return line


def pairs(target, n=10):
    """ns per pair from now on: the least of what it prints, which others on the machine disturbed
    least."""
    start = time.monotonic()
    found = []
    while len(found) < n:
        since, ns = map(float, next_line(target).split())
        if since > start:
            found.append(ns)
    return min(found)


class Counting:
    """cprof counts the heap of a process."""

    def __init__(self, pid, out):
        self.process = subprocess.Popen([CPROF, "record", "--type", "heap", "-p", str(pid), "-d",
                                         "100s", "-o", out], stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)

    def end(self, table, whose):
        """Adds how long threads stood still."""
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate()[1]
        times = re.findall(r"([\d.]+)(ns|us|ms|s)\b", re.search(r"pause .*", said)[0])
        for what, (n, unit) in zip(("all, bring in", "one, map", "all, restore", "one, unmap"),
                                   times):
            table.add(f"{what}, {whose}", float(n) * UNITS[unit])


def measure_pairs(threads, out, cost, still):
    target = subprocess.Popen([os.path.join(VICTIMS, "pairs"), str(threads)],
                              stdout=subprocess.PIPE, text=True)
    added = []
    try:
        for _ in range(RUNS):
            without = pairs(target)
            counting = Counting(target.pid, out)
            counted = pairs(target)
            counting.end(still, f"{threads} threads")
            cost.add(f"without, {threads} threads", without)
            cost.add(f"counted, {threads} threads", counted)
            added.append(counted - without)
    finally:
        target.kill()
        target.wait()
    return statistics.median(added)


def measure_modules(folder, still):
    """An interpreter that computes, with 300 copies of a library."""
    library = check(["sh", "-c", "ldconfig -p | sed -n 's/.*libz.so.1 .*x86-64.* => //p'"])
    paths = [folder.path(f"lib{i}.so") for i in range(MODULES)]
    for path in paths:
        shutil.copy(library.strip().splitlines()[0], path)
    source = ("import ctypes, sys\nkept = [ctypes.CDLL(path) for path in sys.argv[1:]]\n"
              "print('ready', flush=True)\nwhile True: [str(i) for i in range(1000)]")
    target = subprocess.Popen(["python3", "-c", source, *paths], stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        for _ in range(RUNS):
            Counting(target.pid, folder.path("h.pb.gz")).end(still, f"{MODULES} modules")
    finally:
        target.kill()
        target.wait()


def main():
    cost = Table("CPU time of a pair of malloc(48) and free", "ns", base="without, 1 threads")
    still = Table("threads stand still", "ms")
    with Folder() as folder:
        for threads in 1, 16:
            added = measure_pairs(threads, folder.path("h.pb.gz"), cost, still)
            goal(f"ns added to a pair, {threads} threads", added, 10)
        measure_modules(folder, still)
    cost.print()
    still.print()
    for name in still.rows:
        goal(f"ms, {name}", still.median(name), 2)
    end()


if __name__ == "__main__":
    main()
