# SPDX-License-Identifier: Apache-2.0
"""What the tests of cprof top share: its tables as data, and a real terminal (tmux) to show them."""
import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass

from support import CPROF


@dataclass
class Row:
    self_last: float
    total_last: float
    self_since: float
    total_since: float
    self_seconds: float
    total_seconds: float
    text: str  # thread, if shown; function; module, file


class Table:
    """One table of plain lines, or of a screen that is wide enough for all numbers."""

    NUMBERS = re.compile(r"\s*([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)s\s+([\d.]+)s\s(.*)")

    def __init__(self, lines):
        self.lines = lines
        head = re.search(r"cprof top: (.*) \(pid (\d+)\)  type (\w+)  ([\d.]+)s", lines[0])
        self.name, self.pid, self.type = head[1], int(head[2]), head[3]
        self.seconds = float(head[4])
        figures = re.search(r"CPU ([\d.]+%|-)  samples (\d+)/s, (\d+) in all  threads (\d+)  "
                            r"lost (\d+)", lines[1])
        self.cpu = None if figures[1] == "-" else float(figures[1][:-1])
        self.rate, self.samples, self.threads, self.lost = (int(figures[i]) for i in range(2, 6))
        self.last_seconds = float(re.match(r"last ([\d.]+)s", lines[2])[1])
        self.rows = []
        for line in lines[4:]:
            match = self.NUMBERS.match(line)
            if match:
                self.rows.append(Row(*map(float, match.groups()[:6]), match[7].strip()))

    def row(self, name):
        found = [r for r in self.rows if name in re.split(r"\s{2,}", r.text)]
        return found[0] if found else None


def tables(text):
    """All tables in what cprof top printed in plain lines."""
    parts = re.split(r"(?m)^(?=cprof top: )", text)
    return [Table(part.split("\n")) for part in parts if part.startswith("cprof top: ")]


class Screen:
    """A terminal of its own, with a server of its own, that ends with it."""

    def __init__(self, folder, size=(120, 24)):
        self.folder = folder
        self.socket = os.path.join(folder, "tmux")
        self.size = size

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *map(str, args)],
                              capture_output=True, text=True, timeout=30)

    def start(self, command, **env):
        """Runs a shell command in the window, in a folder of its own."""
        words = [f"{key}={value}" for key, value in env.items()]
        done = self.tmux("new-session", "-d", "-x", self.size[0], "-y", self.size[1],
                         "-c", self.folder, "env", "LC_ALL=C.UTF-8", *words, "sh", "-c", command)
        assert done.returncode == 0, done.stderr

    def top(self, *args, **env):
        """Runs cprof top; files in the folder tell the state of the terminal before and after it,
        its pid and its exit status."""
        words = " ".join(shlex.quote(str(arg)) for arg in (CPROF, "top", *args))
        self.start("trap : INT QUIT; stty -g >before; sh -c 'echo $$ >pid; exec " + words.replace("'", "'\\''") +
                   "' 2>stderr; echo $? >status; stty -g >after; mv status done; exec sleep 300",
                   **env)

    def read(self, name):
        """A file of the folder, once it is there."""
        path = os.path.join(self.folder, name)
        self.until(lambda: os.path.exists(path) and os.path.getsize(path), f"file {name}")
        with open(path) as file:
            return file.read().strip()

    def capture(self, *args):
        return self.tmux("capture-pane", "-p", *args).stdout

    def bar(self):
        """Which lines are in reverse video from their first character on; titles are, too."""
        reverse, found = False, []
        for number, line in enumerate(self.capture("-e").split("\n")):
            at_start = True
            for codes, text in re.findall(r"(?:\x1b\[([\d;]*)m)|([^\x1b]+)", line):
                if not text:
                    for code in codes.split(";"):
                        reverse = code == "7" or (reverse and code not in ("", "0", "27"))
                elif at_start:
                    at_start = False
                    if reverse:
                        found.append(number)
        return found

    def lines(self):
        return self.capture().rstrip("\n").split("\n")

    def table(self):
        return Table(self.lines())

    def keys(self, *keys):
        for key in keys:
            self.tmux("send-keys", key)

    def flag(self, name):
        return self.tmux("display-message", "-p", f"#{{{name}}}").stdout.strip()

    def until(self, condition, what, seconds=float(os.environ.get("SCREEN_SECONDS", "30"))):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come; the screen:\n{self.capture()}")
            time.sleep(0.05)

    def wait(self, pattern):
        """Until the screen shows it; returns the match."""
        self.until(lambda: re.search(pattern, self.capture(), re.M), repr(pattern))
        return re.search(pattern, self.capture(), re.M)

    def wait_for_rows(self):
        """Until there is a table with rows that have names."""
        self.wait(r"^ +[\d.]+ +[\d.]+ .* [a-z_]{3,}")

    def resize(self, width, height):
        self.tmux("resize-window", "-x", width, "-y", height)

    def close(self):
        self.tmux("kill-server")
