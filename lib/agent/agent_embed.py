# SPDX-License-Identifier: Apache-2.0
"""Builds the agent into a flat image, and writes that as a C array; beside it as an ELF file with
the symbols and unwind tables of the same code. Fails unless the image is the same wherever it is
mapped: relative references among its own symbols only, nothing undefined, nothing writable.

usage: agent_embed.py OUTPUT.c INCLUDE LINKER_SCRIPT SOURCES… -- COMPILER…"""
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-ffreestanding",
         "-fno-builtin", "-fPIE", "-fvisibility=hidden", "-fno-stack-protector",
         "-fno-jump-tables", "-fomit-frame-pointer", "-fasynchronous-unwind-tables",
         "-mgeneral-regs-only", "-U_FORTIFY_SOURCE", "-g0"]
# What is mapped into a target.
MAPPED = {"", ".table", ".text", ".data"}
# R_X86_64_NONE, PC32 and PLT32 (psABI, table 4.10).
RELATIVE = {0, 2, 4}
WORDS = ["agent_stubs", "agent_alloc_arg0", "agent_alloc_arg1", "agent_alloc_arg2",
         "agent_alloc_args01", "agent_realloc_arg1", "agent_realloc_args12", "agent_free_arg0",
         "agent_custom", "agent_back"]


class Elf:
    def __init__(self, path):
        self.bytes = path.read_bytes()
        at, = struct.unpack_from("<Q", self.bytes, 40)
        size, n, names = struct.unpack_from("<HHH", self.bytes, 58)
        # name type flags addr offset size link info align entsize
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, at + i * size)
                         for i in range(n)]
        self.names = self.content(self.sections[names])

    def table(self, kind, form):
        for section in self.sections:
            if section[1] == kind:
                yield section, list(struct.iter_unpack(form, self.content(section)))

    def content(self, section):
        return self.bytes[section[4]:section[4] + section[5]]

    def name(self, section):
        return self.names[section[0]:self.names.index(b"\0", section[0])].decode()

    def symbols(self):
        for section, rows in self.table(2, "<IBBHQQ"):
            names = self.content(self.sections[section[6]])
            for row in rows[1:]:
                yield names[row[0]:names.index(b"\0", row[0])].decode(), row

    def check(self):
        for _, rows in self.table(4, "<QQq"):
            for _, what, _ in rows:
                if what & 0xffffffff not in RELATIVE:
                    sys.exit(f"agent_embed: a relocation of type {what & 0xffffffff}")
        for name, row in self.symbols():
            if row[3] == 0:
                sys.exit(f"agent_embed: {name} is not defined")
        for section in self.sections:
            # SHF_WRITE and SHF_ALLOC, or zeroes that are no part of the file
            if section[5] and section[2] & 3 == 3 or section[1] == 8 and section[5]:
                sys.exit("agent_embed: a section that is written to")


def build(folder, include, script, sources, compiler):
    parts = []
    for source in sources:
        parts.append(folder / (source.stem + ".o"))
        subprocess.run([*compiler, *FLAGS, "-I", include, "-c", source, "-o", parts[-1]],
                       check=True)
    whole, image = folder / "whole.o", folder / "agent"
    subprocess.run([*compiler, "-nostdlib", "-r", "-o", whole, *parts], check=True)
    Elf(whole).check()
    subprocess.run([*compiler, "-nostdlib", "-static", "-Wl,--build-id=sha1",
                    "-Wl,--eh-frame-hdr", "-Wl,-T," + str(script), "-o", image, whole], check=True)
    return Elf(image)


split = sys.argv.index("--")
output, include, script, *sources = map(Path, sys.argv[1:split])
with tempfile.TemporaryDirectory() as folder:
    elf = build(Path(folder), include, script, sources, sys.argv[split + 1:])
image = bytearray()
for section in sorted(elf.sections, key=lambda section: section[3]):
    if section[2] & 2 and elf.name(section) in MAPPED and section[5]:
        image += bytes(section[3] - len(image)) + elf.content(section)
places = {name: row[4] for name, row in elf.symbols()}
# ET_DYN: wherever it is mapped.
file = bytearray(elf.bytes)
struct.pack_into("<H", file, 16, 3)


def numbers(data):
    return "\n".join("\t" + ", ".join(map(str, data[at:at + 20])) + ","
                     for at in range(0, len(data), 20))


words = "\n".join(f"\t.{name[6:]} = {places[name]}," for name in WORDS)
output.write_text(f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Made by {Path(sys.argv[0]).name}. */
#include "agent/agent.h"

const uint8_t agent_image[] = {{
{numbers(image)}
}};
const size_t agent_image_size = sizeof(agent_image);
const uint8_t agent_elf[] = {{
{numbers(file)}
}};
const size_t agent_elf_size = sizeof(agent_elf);
const struct agent_places agent_places = {{
{words}
}};
""", encoding="utf-8")
