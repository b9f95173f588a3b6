# SPDX-License-Identifier: Apache-2.0
"""Recording a C++ compiler at work (g++'s cc1plus as the distribution ships it: stripped, deep
stacks): from the end of the sampling, when the tracer thread ends, until the file is closed and the
process over. perf has to run perf script for the same."""
import re

from bench import (RUNS, Folder, Profile, Table, end, end_to_closed, goal, have, perf_argv,
                   record_argv, run)
from programs import Compiler

SECONDS, HZ = 1.5, 1000
PATIENCE = 15  # seconds for perf script


def perf_script(folder, pid):
    """Seconds, or None with the time-out printed."""
    data = folder.path("perf.data")
    run(perf_argv("perf dwarf", pid, SECONDS, HZ, data))
    done = run(["perf", "script", "-i", data], timeout=PATIENCE, late_is_failure=False)
    if done.timed_out:
        print(f"perf script had not ended after {PATIENCE} s")
    return done.seconds


def main():
    if not have("g++") or not have("strace"):
        end()
        return
    with Folder() as folder, Compiler(folder, "cc1plus") as target:
        table = Table(f"end of {SECONDS} s at {HZ} Hz of cc1plus to file closed", "s",
                      base="cprof", digits=3)
        sizes = []
        for _ in range(RUNS):
            out = folder.path("out.pb.gz")
            late, done = end_to_closed(folder, record_argv(target.pid, SECONDS, HZ, out))
            table.add("cprof", late)
            depths = [len(sample.locations) for sample in Profile(out).samples]
            sizes.append((re.search(r"samples +(\d+)", done.stderr)[1],
                          len(Profile(out).locations), sum(depths) // len(depths)))
        if have("perf"):
            table.add("perf script", perf_script(folder, target.pid))
        table.print()
        print("samples, addresses, frames per stack:", *sizes)
        goal("s from end to closed", table.median("cprof"), 0.2)
    end()


if __name__ == "__main__":
    main()
