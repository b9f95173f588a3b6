# SPDX-License-Identifier: Apache-2.0
"""The program with more than 300 MB of DWARF, inlined calls everywhere, and two threads that go
through all of its 840 functions at random. Made once, under the build folder."""
import os
import shutil
import sys
import time

from bench import TOOLS, Target, check, have

HERE = os.path.dirname(os.path.abspath(__file__))
DWARF_BYTES = 300_000_000
PARTS = 105  # each some 3.2 MB of DWARF


def dwarf_bytes(path):
    total = 0
    for line in check(["readelf", "-SW", path]).splitlines():
        fields = line.replace("[ ", "[").split()
        if len(fields) > 5 and fields[1].startswith(".debug_"):
            total += int(fields[5], 16)
    return total


def make_big(folder):
    with open(os.path.join(HERE, "bigprogram.cc")) as file:
        check(["g++", "-std=c++17", "-O2", "-g", "-x", "c++", "-", "-c", "-o", folder + "/part.o"],
              input=file.read())
    with open(folder + "/part.o", "rb") as file:
        part = file.read()
    objects, calls = [], []
    for number in range(PARTS):
        name = f"Tag{number:03}"
        objects.append(f"{folder}/{name}.o")
        calls.append(name + "_add")
        # Names of equal length: strings, symbols and section groups need nothing else.
        with open(objects[-1], "wb") as file:
            file.write(part.replace(b"Tag000", name.encode()))
    source = "".join(f"void {call}(void);\n" for call in calls) + f"""
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
typedef uint64_t (*function)(uint64_t, int);
static function functions[65536];
static unsigned n;
void add_function(function f) {{ functions[n++] = f; }}
uint64_t call_next(uint64_t x, int depth)
{{
	return functions[(x >> 32) % n](x * 6364136223846793005ULL + 1, depth);
}}
static void *run(void *arg)
{{
	for (uint64_t x = (uint64_t)arg;;)
		x = call_next(x, 12) + x * 3;
}}
int main(void)
{{
	pthread_t thread;
	{' '.join(call + '();' for call in calls)}
	printf("ready, %u functions\\n", n);
	fflush(stdout);
	pthread_create(&thread, NULL, run, (void *)7);
	run((void *)3);
}}
"""
    check(["gcc", "-O2", "-g", "-x", "c", "-", "-c", "-o", folder + "/main.o"], input=source)
    gold = ["-fuse-ld=gold"] if shutil.which("ld.gold") else []
    check(["g++", *gold, "-pthread", "-o", folder + "/big", folder + "/main.o", *objects])


def big_program():
    """The path of the program with much DWARF, made at the first use; None without g++."""
    folder = os.path.join(TOOLS, "bigprogram")
    path = os.path.join(TOOLS, "bigprogram-linked")
    sources = [os.path.join(HERE, name) for name in ("bigprogram.cc", "bigprogram.py")]
    if not have("g++"):
        return None
    if not os.path.exists(path) or os.path.getmtime(path) < max(map(os.path.getmtime, sources)):
        start = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        make_big(folder)
        os.replace(folder + "/big", path)
        shutil.rmtree(folder)
        print(f"made the program with much DWARF in {time.monotonic() - start:.0f} s")
    size = dwarf_bytes(path)
    if size < DWARF_BYTES:
        sys.exit(f"it has only {size} bytes of DWARF")
    print(f"program with {size / 1e6:.0f} MB of DWARF")
    return path


class Big(Target):
    """The program at work."""

    def __init__(self, path):
        super().__init__([path], wait_for="ready")
