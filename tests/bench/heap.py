# SPDX-License-Identifier: Apache-2.0
"""What a pair of malloc and free costs while the agent counts, less what it costs without; and how
long threads stand still to bring the agent in and out. A victim measures the CPU time of its own
pairs, in turn without the agent and with it."""
import os
import re
import signal
import statistics
import subprocess
import time

from bench import CPROF, RUNS, VICTIMS, Folder, Table, end, goal

UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}


def pairs(target, n=10):
    """ns per pair from now on: the least of what it prints, which others on the machine disturbed
    least."""
    start = time.monotonic()
    found = []
    while len(found) < n:
        since, ns = map(float, target.stdout.readline().split())
        if since > start:
            found.append(ns)
    return min(found)


def main():
    with Folder() as folder:
        cost = Table("CPU time of a pair of malloc(48) and free", "ns", base="without, 1 threads")
        still = Table("threads stand still", "ms")
        for threads in 1, 16:
            added = []
            target = subprocess.Popen([os.path.join(VICTIMS, "pairs"), str(threads)],
                                      stdout=subprocess.PIPE, text=True)
            try:
                for _ in range(RUNS):
                    without = pairs(target)
                    cprof = subprocess.Popen([CPROF, "record", "--type", "heap", "-p",
                                              str(target.pid), "-d", "100s", "-o",
                                              folder.path("h.pb.gz")], stderr=subprocess.PIPE,
                                             text=True)
                    time.sleep(0.5)
                    counted = pairs(target)
                    cprof.send_signal(signal.SIGINT)
                    said = cprof.communicate()[1]
                    cost.add(f"without, {threads} threads", without)
                    cost.add(f"counted, {threads} threads", counted)
                    added.append(counted - without)
                    times = re.findall(r"([\d.]+)(ns|us|ms|s)\b",
                                       re.search(r"pause .*", said)[0])
                    for what, (n, unit) in zip(("bring in", "restore", "unmap"), times):
                        still.add(f"{what}, {threads} threads", float(n) * UNITS[unit])
            finally:
                target.kill()
                target.wait()
            goal(f"ns added to a pair, {threads} threads", statistics.median(added), 10)
        cost.print()
        still.print()
        goal("ms to bring the agent in, 1 thread", still.median("bring in, 1 threads"), 2)
        goal("ms to restore, 1 thread", still.median("restore, 1 threads"), 2)
    end()


if __name__ == "__main__":
    main()
