# SPDX-License-Identifier: Apache-2.0
"""From the start of the profiler to its first sample, of a process with as much .eh_frame as there
is at hand. Seen from outside: strace (by seccomp, stopping for two calls only) tells when cprof was
executed and when it let go of the first thread it had stopped. The same for eu-stack, from its
start to its end: one sample is all it takes."""
from bench import RUNS, Folder, Table, end, goal, have, record_argv, run, traced_argv, traced_times
from programs import Compiler


def first_sample(folder, pid, hz):
    argv = traced_argv(folder, "execve,ptrace", record_argv(pid, 0.06, hz, "/dev/null", "-q"))
    run(argv)
    return 1e3 * (traced_times(folder, r"ptrace\(PTRACE_DETACH")[0] -
                  traced_times(folder, r"execve\(")[0])


def main():
    with Folder() as folder:
        which = "clang" if have("clang++") else "cc1plus"
        with Compiler(folder, which) as target:
            table = Table(f"start to first sample, {which}", "ms", base="cprof, 100 Hz")
            for _ in range(RUNS):
                if have("strace"):
                    for hz in 100, 1000:
                        table.add(f"cprof, {hz} Hz", first_sample(folder, target.pid, hz))
                if have("eu-stack"):
                    table.add("eu-stack, whole command",
                              1e3 * run(["eu-stack", "-p", target.pid], expect=None).seconds)
            table.print()
            goal("ms to the first sample", table.median("cprof, 100 Hz"), 20)
    end()


if __name__ == "__main__":
    main()
