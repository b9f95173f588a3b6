# SPDX-License-Identifier: Apache-2.0
"""The most memory that the profiler has beyond mapped files: RssAnon + RssShmem of
/proc/PID/status, looked at every few milliseconds while it records and writes."""
import time

import bigprogram

from bench import (RUNS, Folder, Running, Table, end, goal, have, perf_argv, record_argv, run,
                   status_kib)
from programs import Compiler

SECONDS, HZ = 1.5, 1000
PATIENCE = 8


def peak_mb(argv, timeout=60, late_is_failure=True):
    """Of a command; it may be ended when it takes too long."""
    running = Running(argv)
    peak, ended = 0, None
    while not ended:
        peak = max(peak, status_kib(running.pid, "RssAnon", "RssShmem"))
        if time.monotonic() - running.start > timeout:
            running.wait(timeout=0, late_is_failure=late_is_failure)
            print(f"{' '.join(argv[:2])} had not ended after {timeout} s")
            return peak / 1024
        ended = running.poll()
        time.sleep(0.003)
    running.finish(ended)
    return peak / 1024


def measure(name, target, folder, bound):
    table = Table(f"peak memory beyond mapped files, {name}", "MiB", base="cprof", digits=1)
    out = folder.path("out.pb.gz")
    for _ in range(RUNS):
        table.add("cprof", peak_mb(record_argv(target.pid, SECONDS, HZ, out)))
    if have("perf"):
        data = folder.path("perf.data")
        run(perf_argv("perf dwarf", target.pid, SECONDS, HZ, data))
        table.add("perf script", peak_mb(["perf", "script", "-i", data], PATIENCE, False))
    table.print()
    goal(f"{name}: MiB", table.median("cprof"), bound)


def main():
    with Folder() as folder:
        if have("clang++"):
            with Compiler(folder, "clang") as target:
                measure("clang (stripped, libLLVM and libclang-cpp)", target, folder, 40)
        program = bigprogram.big_program()
        if program:
            with bigprogram.Big(program) as target:
                measure("300 MB of DWARF", target, folder, 150)
    end()


if __name__ == "__main__":
    main()
