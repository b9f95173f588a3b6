# SPDX-License-Identifier: Apache-2.0
"""Unwinding per frame, on the same stacks of the same stopped threads as libdwfl and
libunwind-ptrace; and the first look at 10,000 pcs of a large library, as libdwfl's."""
import glob
import re

from bench import RUNS, TOOLS, Folder, Table, Target, end, goal, have, run, victim
from programs import Compiler, Python

STOPS = 100
PCS = 10000
LARGE = ["/usr/lib/llvm-*/lib/libclang-cpp.so.*", "/usr/lib/*/libLLVM-*.so.1",
         "/usr/lib/*/librustc_driver-*.so"]


def warm(name, pid):
    table = Table(f"warm unwinding, {name}", "ns per frame", base="cprof", digits=0)
    for _ in range(RUNS):
        done = run([TOOLS + "/compare_unwind", pid, STOPS, 0])
        for judge, ns in re.findall(r"^(\S+) +(\d+) ns per frame", done.stdout, re.M):
            table.add(judge, float(ns))
    table.print()
    goal(f"{name}: ns per frame", table.median("cprof"), 40)
    goal(f"{name}: times faster than libdwfl", table.median("libdwfl") / table.median("cprof"), 10,
         at_least=True)
    goal(f"{name}: times faster than libunwind-ptrace",
         table.median("libunwind") / table.median("cprof"), 40, at_least=True)


def cold():
    files = [file for pattern in LARGE for file in sorted(glob.glob(pattern))]
    if not files:
        print("no large library found: libclang-cpp, libLLVM or librustc_driver")
        return
    for file in files[:2]:
        table = Table(f"first look at {PCS} pcs of {file.rsplit('/', 1)[1]}", "ns each",
                      base="cprof", digits=0)
        rules = {}
        for _ in range(RUNS):
            for who in "cprof", "libdwfl":
                ns, rules[who] = run([TOOLS + "/cold_unwind", who, file, PCS]).stdout.split()
                table.add(who, float(ns))
        table.print()
        print(", ".join(f"{who} found rules for {n}" for who, n in rules.items()))
        goal("first look: ns each", table.median("cprof"), 2000)


def main():
    with Target([victim("chain-gcc-o2"), "deep", "300"], wait_for="ready") as target:
        warm("chain of 300", target.pid)
    with Python() as target:
        warm("python3", target.pid)
    with Folder() as folder:
        if have("g++"):
            with Compiler(folder, "cc1plus") as target:
                warm("cc1plus", target.pid)
        if have("clang++"):
            with Compiler(folder, "clang") as target:
                warm("clang++", target.pid)
    cold()
    end()


if __name__ == "__main__":
    main()
