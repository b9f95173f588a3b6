# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can check: ranks of includes, size of files, names, where CPU
knowledge lives, and that --help, man pages and the option tables say the same."""
import re
import subprocess
import sys
from pathlib import Path

top = Path(sys.argv[1])
cprof = sys.argv[2]
wrong = []

RANKS = {"base": 0, "arch": 1, "profile": 1, "snapshot": 3, "process": 2, "pprof": 2, "report": 2,
         "agent": 1, "module": 3, "tracee": 3, "inject": 4, "unwind": 4, "symbol": 4, "push": 5, "source": 5,
         "session": 6, "serve": 7}
CEILING = 600
ARCH_MACRO = re.compile(r"__(x86_64|aarch64|i386|arm|riscv)\w*__|asm/unistd")


def check_includes(path, text):
    room = path.parent.name
    for match in re.finditer(r'#include "([a-z0-9_]+)/([a-z0-9_]+)\.h"', text):
        other, header = match.groups()
        if other not in RANKS:
            wrong.append(f"{path}: no room {other}")
        elif other != room and room in RANKS and RANKS[other] >= RANKS[room]:
            wrong.append(f"{path}: {room} (rank {RANKS[room]}) includes {other} (rank "
                         f"{RANKS[other]})")
        if header.endswith("_priv") and other != room:
            wrong.append(f"{path}: includes the private header of {other}")


sources = sorted(p for d in ("lib", "cmd", "tests") for p in (top / d).rglob("*.[ch]"))
if len(sources) < 50:
    sys.exit(f"only {len(sources)} sources found under {top}: wrong folder?")
names = {}
for path in sources:
    text = path.read_text()
    lines = text.count("\n")
    if lines > CEILING:
        wrong.append(f"{path}: {lines} lines, more than {CEILING}")
    if "SPDX-License-Identifier" not in text.splitlines()[0]:
        wrong.append(f"{path}: no licence line")
    if re.search(r"\b(TODO|FIXME|XXX)\b", text):
        wrong.append(f"{path}: unfinished")
    relative = path.relative_to(top)
    if relative.parts[0] == "lib":
        check_includes(path, text)
        if relative.parts[1] != "arch" and ARCH_MACRO.search(text):
            wrong.append(f"{path}: CPU knowledge outside lib/arch")
        if re.search(r"\b(printf|fprintf|puts|perror|exit|abort)\(", text):
            wrong.append(f"{path}: a library prints or exits")
    if relative.parts[0] in ("lib", "cmd"):
        if path.name in names:
            wrong.append(f"{path}: same name as {names[path.name]}")
        names[path.name] = path

# Every long option of a subcommand is in its man page, and the other way round.
for page in sorted((top / "man").glob("cprof-*.1")):
    command = page.stem.split("-", 1)[1]
    text = subprocess.run([cprof, command, "--help"], capture_output=True, text=True).stdout
    listed = text.split("Options:")[-1]
    in_help = set(re.findall(r"^\s+(?:-\w, )?--([a-z-]+)", listed, re.M))
    options = page.read_text().split(".Sh THE PROFILE")[0]
    in_page = {m.replace("\\", "") for m in
               re.findall(r"Fl \\?-((?:[a-z]|\\?-)+)", options)}
    for name in sorted(in_help ^ in_page):
        where = "--help" if name in in_help else "the man page"
        wrong.append(f"cprof {command}: --{name} is in {where} only")
    if not in_help:
        wrong.append(f"cprof {command} --help lists no options")

print("\n".join(wrong) or f"{len(sources)} sources, nothing wrong")
sys.exit(bool(wrong))
