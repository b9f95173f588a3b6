# SPDX-License-Identifier: Apache-2.0
"""The test suites of other projects, alone and under `cprof record --children` at 1000 Hz.

	suites.py CPROF [go|python]

Those of the Go standard library and of CPython lean on signals, timers, sockets, threads and
subprocesses. Each is run alone and twice under cprof, and the result of every single test is
compared. One that does not give the same result alone and under cprof is run again both ways, three
times, so that it shows which tests depend on the machine. Needs the packages golang-go (for the
tests in its sources) and libpython3-testsuite.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

CPROF = sys.argv[1]
RATE = ["--children", "--max-overhead=0", "-F", "1000", "--exit-status"]
GO = {"os/signal": [], "os/exec": [], "time": [], "sync": [], "context": [], "syscall": [],
      "net": [], "os": []}
PYTHON = ["test_select", "test_selectors", "test_poll", "test_epoll", "test_signal",
          "test_threadsignals", "test_thread", "test_threading", "test_socket",
          "test_socketserver", "test_subprocess", "test_time", "test_os", "test_posix",
          "test_wait3", "test_wait4", "test_fork1", "test_popen", "test_eintr", "test_queue",
          "test_sched", "test_pty", "test_fcntl", "test_ioctl", "test_timeout", "test_pipes"]


def run(argv, folder, profiled, timeout=900):
    if profiled:
        out = os.path.join(tempfile.gettempdir(), f"cprof-suites-{os.getpid()}.pb.gz")
        argv = [CPROF, "record", *RATE, "-o", out, "--", *argv]
    done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout)
    if profiled and os.path.exists(out):
        os.unlink(out)
    return done.stdout.decode(errors="replace")


def go_results(text):
    return {name: word for word, name in
            re.findall(r"^\s*--- (PASS|FAIL|SKIP): (\S+)", text, re.M)}


def python_results(text):
    """Of `-m test -v`: the word may come lines after the name, when the test prints."""
    results = {}
    name = None
    for line in text.splitlines():
        start = re.match(r"(test\w* \([\w.]+\))", line)
        if start:
            name = start[1]
        end = re.search(r"(?:\.\.\. |^)(?:[\d.]+s )?(ok|FAIL|ERROR|skipped)\b", line)
        if name and end:
            results[name] = end[1]
            name = None
    return results


def compare(title, argv_of, parse, folder):
    """argv_of(names) runs these tests only; None: all."""
    alone = parse(run(argv_of(None), folder, False))
    differing = set()
    for _ in range(2):
        text = run(argv_of(None), folder, True)
        under = parse(text)
        differing |= {n for n in alone.keys() | under.keys() if alone.get(n) != under.get(n)}
        said = re.findall(r"^(?:samples|pause|calls) .*", text, re.M)
    words = sorted(alone.values())
    print(f"{title:12} {len(alone)} tests:", *(f"{words.count(w)} {w}" for w in sorted(set(words))),
          f"; {len(differing)} differ;", *said[:2], flush=True)
    bad = 0
    for name in sorted(differing):
        again = [[parse(run(argv_of([name]), folder, p)).get(name) for _ in range(3)]
                 for p in (False, True)]
        print(f"  {name}: alone {again[0]}, under cprof {again[1]}", flush=True)
        bad += set(again[0]) != set(again[1])
    return bad


def main():
    which = sys.argv[2:] or ["go", "python"]
    bad = 0
    if "go" in which and shutil.which("go"):
        root = subprocess.run(["go", "env", "GOROOT"], capture_output=True,
                              text=True).stdout.strip()
        with tempfile.TemporaryDirectory() as folder:
            for package in GO:
                test = os.path.join(folder, package.replace("/", "_"))
                subprocess.run(["go", "test", "-c", "-o", test, package], check=True,
                               env=dict(os.environ, GOFLAGS="-mod=mod"), cwd=root + "/src")

                def argv_of(names, test=test):
                    only = "|".join(sorted({n.split("/")[0] for n in names})) if names else "."
                    return [test, "-test.v", "-test.short", f"-test.run=^({only})$"
                            if names else "-test.run=."]
                bad += compare(package, argv_of, go_results, os.path.join(root, "src", package))
    if "python" in which:
        python = "/usr/bin/python3"

        def argv_of(names):
            if not names:
                return [python, "-m", "test", "-v", "--timeout=200", *PYTHON]
            files = sorted({re.search(r"test\.(test_\w+)", n)[1] for n in names})
            match = [x for n in names for x in ("-m", n.split(" ")[0])]
            return [python, "-m", "test", "-v", *match, *files]
        bad += compare("CPython", argv_of, python_results, tempfile.gettempdir())
    print("no test depends on cprof" if not bad else f"{bad} tests depend on cprof")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
