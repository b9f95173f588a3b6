# SPDX-License-Identifier: Apache-2.0
"""The profiler's own CPU time at 100 Hz, two busy threads 30 frames deep, while it samples: its
start and its end are left out. perf has to run perf script afterwards, which is charged to the
length of the recording."""
from bench import (RUNS, Folder, Table, end, goal, have, perf_argv, record_argv, run, steady_share)
from slices import Meter

SECONDS, BEGIN, FINISH = 3, 0.6, 2.8


def main():
    with Folder() as folder, Meter("work", "200", "2", "27") as meter:
        data = folder.path("perf.data")
        table = Table("CPU at 100 Hz, two threads, 30 frames", "% of a core", base="cprof")
        for _ in range(RUNS):
            table.add("cprof",
                      steady_share(record_argv(meter.pid, SECONDS, 100), BEGIN, FINISH)[0])
            if have("perf"):
                argv = perf_argv("perf dwarf", meter.pid, SECONDS, 100, data)
                table.add("perf record dwarf", steady_share(argv, BEGIN, FINISH)[0])
                script = run(["perf", "script", "--no-inline", "-i", data])
                table.add("perf script of it", 100 * script.cpu / SECONDS)
        table.print()
        goal("% of a core", table.median("cprof"), 0.6)
    end()


if __name__ == "__main__":
    main()
