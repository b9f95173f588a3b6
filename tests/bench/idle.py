# SPDX-License-Identifier: Apache-2.0
"""CPU time of the profiler at 100 Hz beside 1,000 and 10,000 idle threads and two busy ones, while
it samples: the start, where it looks at every thread, is left out."""
from bench import RUNS, Table, end, goal, record_argv, steady_share
from slices import Meter

# Seconds of a recording, and between which its CPU time counts, by the number of threads.
TIMES = {1000: (2.3, 1.0, 2.2), 10000: (4, 2.4, 3.9)}
GOALS = {("cpu", 1000): 1, ("cpu", 10000): 6, ("wall", 1000): 6, ("wall", 10000): 15,
         ("mutex", 1000): 6, ("mutex", 10000): 15}


def share(pid, kind, idle):
    seconds, begin, finish = TIMES[idle]
    argv = record_argv(pid, seconds, 100, "/dev/null", "--type", kind)
    return steady_share(argv, begin, finish)[0]


def main():
    table = Table("CPU at 100 Hz beside idle threads", "% of a core")
    for idle in TIMES:
        with Meter("work", "200", "2", "27", str(idle)) as meter:
            for _ in range(RUNS):
                for kind in "cpu", "wall", "mutex":
                    table.add(f"{kind}, {idle} threads", share(meter.pid, kind, idle))
    table.print()
    for (kind, idle), bound in GOALS.items():
        goal(f"{kind}, {idle} threads: % of a core", table.median(f"{kind}, {idle} threads"), bound)
    end()


if __name__ == "__main__":
    main()
