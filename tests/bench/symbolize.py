# SPDX-License-Identifier: Apache-2.0
"""Naming 10,000 addresses of a program with more than 300 MB of DWARF and inlined calls everywhere:
from the end of the sampling to the file closed, with the program's pages out of the page cache when
the recording starts ("cold"; pages that the target runs stay), and with them in it.

perf script on a recording of the same, and addr2line and llvm-symbolizer with the addresses of one
of the profiles, once each: they take long."""
import bigprogram

from bench import (RUNS, Folder, Profile, Table, check, drop_cache, end, end_to_closed, goal, have,
                   perf_argv, record_argv, run)

SECONDS, HZ = 2.5, 3000
MOST_SECONDS = 5  # where the machine is busy and there are too few addresses
ADDRESSES = 10000
PATIENCE = 12


def file_addresses(profile, path):
    """Of the profile's addresses in the program, those in the file."""
    out = []
    for line in check(["readelf", "-lW", path]).splitlines():
        fields = line.split()
        if fields[:1] == ["LOAD"] and "E" in fields[6:8]:
            shift = int(fields[2], 16) - int(fields[1], 16)
    for location in profile.locations:
        m = location.mapping
        if m and m.file.endswith(path.rsplit("/", 1)[1]):
            out.append(location.address - m.start + m.offset + shift)
    return sorted(set(out))


def by_tool(table, name, argv, folder, addresses, program):
    """addr2line and its like: addresses by file."""
    with open(folder.path("addresses"), "w+") as file:
        file.writelines(f"{address:#x}\n" for address in addresses)
        file.seek(0)
        done = run([arg.format(program=program) for arg in argv] +
                   [f"@{file.name}"] if name.startswith("llvm") else
                   ["sh", "-c", f"exec {' '.join(argv).format(program=program)} <{file.name}"],
                   timeout=PATIENCE, late_is_failure=False)
    table.add(name, done.seconds)
    if done.timed_out:
        print(f"{name} had not ended after {PATIENCE} s")


def peers(table, folder, target, addresses, program):
    if have("perf"):
        data = folder.path("perf.data")
        run(perf_argv("perf dwarf", target.pid, 1, HZ, data))
        done = run(["perf", "script", "-i", data], timeout=PATIENCE, late_is_failure=False)
        table.add("perf script, of 1 s", done.seconds)
        if done.timed_out:
            print(f"perf script had not ended after {PATIENCE} s")
    for name, argv in (("addr2line -i", ["addr2line", "-i", "-f", "-e", "{program}"]),
                       ("llvm-symbolizer", ["llvm-symbolizer", "--obj={program}", "--inlines"])):
        if have(argv[0]):
            by_tool(table, name, argv, folder, addresses, program)


def main():
    program = bigprogram.big_program()
    if not program or not have("strace"):
        end()
        return
    with Folder() as folder, bigprogram.Big(program) as target:
        table = Table(f"end of a recording at {HZ} Hz to file closed", "s", base="cprof, warm",
                      digits=3)
        counts, seconds = [], SECONDS
        for _ in range(RUNS):
            for name in "cprof, cold", "cprof, warm":
                if name.endswith("cold"):
                    drop_cache(program)
                out = folder.path("out.pb.gz")
                late, _ = end_to_closed(folder, record_argv(target.pid, seconds, HZ, out))
                table.add(name, late)
                profile = Profile(out)
                counts.append(len(profile.locations))
                if counts[-1] < ADDRESSES:
                    seconds = min(seconds + 1, MOST_SECONDS)
        addresses = file_addresses(profile, program)
        unnamed = sum(not location.lines for location in profile.locations)
        peers(table, folder, target, addresses[:ADDRESSES], program)
        table.print()
        print(f"addresses: {counts}; of the last {unnamed} without a name; "
              f"{sum(len(x.lines) for x in profile.locations)} functions with those inlined")
        if min(counts) < ADDRESSES:
            print(f"fewer than {ADDRESSES} addresses: the machine was busy")
        goal("s, cold", table.median("cprof, cold"), 1)
        goal("s, warm", table.median("cprof, warm"), 0.3)
    end()


if __name__ == "__main__":
    main()
