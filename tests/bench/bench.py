# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: programs run with their CPU time, peers that may be missing, tables.

A benchmark fails when a program breaks, never because of a figure. By hand:

	CPROF_BUILD=build-test python3 tests/bench/pause.py

BENCH_RUNS: how often each thing is measured (5)."""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

BUILD = os.path.abspath(os.environ.get("CPROF_BUILD", "build-test"))
CPROF = os.environ.setdefault("CPROF", os.path.join(BUILD, "cmd/cprof"))
VICTIMS = os.environ.setdefault("VICTIMS", os.path.join(BUILD, "tests/victims"))
TOOLS = os.path.join(BUILD, "tests/bench")
RUNS = int(os.environ.get("BENCH_RUNS", "5"))

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from profile_pb import Profile, fields, ints  # noqa: E402,F401 (for the benchmarks)
from support import Target, victim  # noqa: E402,F401

missing = []
PERF = {"perf fp": ["--call-graph", "fp"], "perf dwarf": ["--call-graph", "dwarf,16384"]}


def have(program):
    """Is the peer installed? If not it is named under the table."""
    found = shutil.which(program) is not None
    if not found and program not in missing:
        missing.append(program)
    return found


@dataclass
class Done:
    stdout: str
    stderr: str
    seconds: float
    cpu: float  # user and system seconds, of its children, too
    timed_out: bool


class Running:
    """A program under way, its output in files so that nobody has to read it meanwhile."""

    def __init__(self, argv, stdout=None, **options):
        self.argv = [str(arg) for arg in argv]
        self.out = stdout or tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        self.start = time.monotonic()
        self.process = subprocess.Popen(self.argv, stdout=self.out, stderr=self.err,
                                        stdin=subprocess.DEVNULL, **options)
        self.pid = self.process.pid

    def poll(self):
        """Its (status, usage) once it has ended, else None."""
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        return (status, usage) if pid else None

    def wait(self, timeout=60, expect=(0,), late_is_failure=True):
        """Waits, and kills it when it takes too long."""
        timed_out, ended = False, None
        while not ended:
            timed_out = time.monotonic() - self.start > timeout
            if timed_out:
                self.process.kill()
                _, status, usage = os.wait4(self.pid, 0)
                ended = status, usage
            else:
                ended = self.poll()
                time.sleep(0 if ended else 0.002)
        return self.finish(ended, timed_out, expect, late_is_failure)

    def finish(self, ended, timed_out=False, expect=(0,), late_is_failure=True):
        seconds = time.monotonic() - self.start
        status, usage = ended
        self.process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in self.out, self.err:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        if timed_out and late_is_failure or \
           not timed_out and expect and self.process.returncode not in expect:
            sys.exit(f"{' '.join(self.argv)}: " +
                     ("took too long" if timed_out else f"exit {self.process.returncode}") +
                     f"\n{texts[1]}")
        return Done(*texts, seconds, usage.ru_utime + usage.ru_stime, timed_out)


def run(argv, **options):
    how = {k: options.pop(k) for k in ("timeout", "expect", "late_is_failure") if k in options}
    return Running(argv, **options).wait(**how)


def check(argv, **options):
    """Runs a tool that has to work; its standard output."""
    done = subprocess.run(argv, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout


def record_argv(pid, seconds, hz, out="/dev/null", *more):
    return [CPROF, "record", "-p", pid, "-d", f"{int(seconds * 1000)}ms", "-F", hz, "-o", out,
            "--max-overhead=0", *more]


def perf_argv(peer, pid, seconds, hz, out):
    return ["perf", "record", "-q", "-e", "cpu-clock", "-F", hz, *PERF[peer], "-p", pid, "-o", out,
            "--", "sleep", seconds]


def nanoseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ns|us|ms|s)", text).groups()
    return float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]


class Table:
    """Rows of values; each value is one run. `base` names the row that ratios refer to."""

    def __init__(self, title, unit, base=None, digits=2):
        self.title, self.unit, self.base, self.digits = title, unit, base, digits
        self.rows = {}

    def add(self, name, value):
        self.rows.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.rows[name]) if name in self.rows else None

    def print(self):
        width = max([24, *(len(name) for name in self.rows)])
        print(f"\n{self.title}, {self.unit}")
        print(f"{'':{width}} {'min':>10} {'median':>10} {'max':>10} {'ratio':>8} {'runs':>5}")
        base = self.median(self.base)
        for name, values in self.rows.items():
            middle = self.median(name)
            figures = " ".join(f"{x:10.{self.digits}f}" for x in (min(values), middle, max(values)))
            ratio = f"{middle / base:8.2f}" if base else f"{'-':>8}"
            print(f"{name:{width}} {figures} {ratio} {len(values):5}")
        sys.stdout.flush()


def goal(text, value, bound, at_least=False):
    """Says whether a figure is where it should be."""
    if value is None:
        print(f"goal {text}: not measured")
        return
    ok = value >= bound if at_least else value <= bound
    print(f"goal {text} {'>=' if at_least else '<='} {bound:g}: "
          f"{'reached' if ok else 'NOT reached'} ({value:.4g})", flush=True)


def end():
    """Last line of a benchmark."""
    for name in missing:
        print(f"missing: {name}")


def wait_until(what, condition, timeout=30):
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.005)


def status_kib(pid, *keys):
    """Sum of fields of /proc/PID/status; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return sum(int(fields[key].split()[0]) for key in keys)
    except (OSError, KeyError):
        return 0


def cpu_seconds(pid):
    """CPU time of the living threads of a process, to the nanosecond."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def steady_share(argv, begin, finish, timeout=60):
    """CPU that a recorder uses between two instants after its start, in percent of a core."""
    running = Running(argv)
    time.sleep(begin)
    start, used = time.monotonic(), cpu_seconds(running.pid)
    time.sleep(finish - begin)
    used, seconds = cpu_seconds(running.pid) - used, time.monotonic() - start
    return 100 * used / seconds, running.wait(timeout)


def drop_cache(*paths):
    """Their pages leave the page cache, but for those that a process has mapped."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class Folder(tempfile.TemporaryDirectory):
    def __init__(self):
        super().__init__(prefix="cprof-bench-")

    def path(self, name):
        return os.path.join(self.name, name)

    def __enter__(self):
        return self


def traced_argv(folder, calls, argv):
    """The command under strace, with only these calls stopped for (seccomp), into strace.txt.
    None without strace."""
    if not have("strace"):
        return None
    return ["strace", "-f", "--seccomp-bpf", "-ttt", "-e", f"trace={calls}",
            "-o", folder.path("strace.txt"), *argv]


def traced_times(folder, call):
    """When a call was begun, of all threads, in order."""
    with open(folder.path("strace.txt")) as file:
        return [float(m[1]) for m in
                (re.match(rf"\d+ +([\d.]+) {call}", line) for line in file) if m]


def end_to_closed(folder, argv, timeout=60):
    """Records under strace. Seconds from the end of sampling (the tracer thread ends) to that of
    the process; and what it printed."""
    traced = traced_argv(folder, "execve,exit,exit_group", argv)
    if not traced:
        return None, run(argv, timeout=timeout)
    done = run(traced, timeout=timeout)
    return traced_times(folder, r"exit_group\(")[-1] - traced_times(folder, r"exit\(")[0], done
