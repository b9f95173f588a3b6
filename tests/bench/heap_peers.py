# SPDX-License-Identifier: Apache-2.0
"""What a pair of malloc and free costs under heap profilers, beside the same allocator alone. A
victim measures the CPU time of its own pairs; cprof is attached to it while it runs, the others are
there from its start."""
import os
import signal
import subprocess
import time

from bench import CPROF, RUNS, VICTIMS, Folder, Table, end, goal, have, missing
from heap_cost import pairs

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
TCMALLOC, JEMALLOC, MIMALLOC = (os.path.join(LIBRARIES, name) for name in
                                ("libtcmalloc.so.4", "libjemalloc.so.2", "libmimalloc.so.2"))
RATE = 512 * 1024


def measure(folder, before=(), preload=None, with_cprof=False, **variables):
    """ns of a pair, or None: the library is not installed."""
    if preload and not os.path.exists(preload):
        if os.path.basename(preload) not in missing:
            missing.append(os.path.basename(preload))
        return None
    env = dict(os.environ, **variables, **({"LD_PRELOAD": preload} if preload else {}))
    target = subprocess.Popen([*before, os.path.join(VICTIMS, "pairs"), "1"], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, start_new_session=True)
    cprof = None
    try:
        if with_cprof:
            target.stdout.readline()
            cprof = subprocess.Popen([CPROF, "record", "-q", "--type", "heap", "-p",
                                      str(target.pid), "-d", "100s", "-o",
                                      folder.path("h.pb.gz")])
        time.sleep(0.5)
        found = pairs(target)
        if cprof:
            cprof.send_signal(signal.SIGINT)
            cprof.wait()
        return found
    finally:
        os.killpg(target.pid, signal.SIGKILL)
        target.stdout.close()
        target.wait()


def peers(folder):
    """(allocator, profiler, how it is measured)."""
    yield "glibc", "alone", {}
    yield "glibc", "cprof", {"with_cprof": True}
    if have("heaptrack"):
        yield "glibc", "heaptrack", {"before": ["heaptrack", "-o", folder.path("track")]}
    yield "tcmalloc", "alone", {"preload": TCMALLOC}
    yield "tcmalloc", "cprof", {"preload": TCMALLOC, "with_cprof": True}
    yield "tcmalloc", "its sampling", {"preload": TCMALLOC,
                                       "TCMALLOC_SAMPLE_PARAMETER": str(RATE)}
    yield "tcmalloc", "HEAPPROFILE", {"preload": TCMALLOC, "HEAPPROFILE": folder.path("prof"),
                                      "HEAP_PROFILE_ALLOCATION_INTERVAL": str(1 << 50),
                                      "HEAP_PROFILE_INUSE_INTERVAL": str(1 << 50)}
    yield "jemalloc", "alone", {"preload": JEMALLOC}
    yield "jemalloc", "cprof", {"preload": JEMALLOC, "with_cprof": True}
    yield "jemalloc", "its sampling", {"preload": JEMALLOC,
                                       "MALLOC_CONF": "prof:true,lg_prof_sample:19"}
    yield "mimalloc", "alone", {"preload": MIMALLOC}
    yield "mimalloc", "cprof", {"preload": MIMALLOC, "with_cprof": True}


def main():
    with Folder() as folder:
        table = Table("CPU time of a pair of malloc(48) and free", "ns")
        added = Table("added to it", "ns")
        for _ in range(RUNS):
            alone = {}
            for allocator, profiler, how in peers(folder):
                ns = measure(folder, **how)
                if ns is None:
                    continue
                table.add(f"{allocator}, {profiler}", ns)
                if profiler == "alone":
                    alone[allocator] = ns
                elif allocator in alone:
                    added.add(f"{allocator}, {profiler}", ns - alone[allocator])
        table.print()
        added.print()
        for name in added.rows:
            if name.endswith("cprof"):
                goal(f"ns added, {name}", added.median(name), 10)
    end()


if __name__ == "__main__":
    main()
