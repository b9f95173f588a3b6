# SPDX-License-Identifier: Apache-2.0
"""What the tests of harm share: looking at a target from outside, a recorder at work."""
import os
import re
import subprocess
import time

from support import CPROF, wait_for_text


def tasks(pid):
    """{tid: (state, tracer)} of its threads."""
    out = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/status") as file:
                text = file.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        out[int(tid)] = (re.search(r"State:\t(\S)", text)[1],
                         int(re.search(r"TracerPid:\t(\d+)", text)[1]))
    return out


def states(pid):
    return {state for state, _ in tasks(pid).values()}


def counts(text):
    return {name: int(n) for name, n in re.findall(r"(\w+) (-?\d+)", text)}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def wait_until(what, seconds=20):
    """Until what() is true; its result."""
    end = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.002)


class Recorder:
    """cprof record on a process, in the background, ended on exit."""

    def __init__(self, pid, *args, hz=1000, seconds="600s", out="/dev/null", ready=True, **options):
        options.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen([CPROF, "record", "-v", "-p", str(pid), "-F", str(hz), "-d",
                                         seconds, "--max-overhead=0", "-o", out, *args], text=True,
                                        **options)
        self.pid = self.process.pid
        if ready:
            wait_for_text("/proc/net/unix", f"@cprof/{pid}/")
            wait_until(lambda: len(os.listdir(f"/proc/{self.pid}/task")) >= 4)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=60)

    def end(self, expect=(0,), signal=None):
        """Ends it; what it said. signal: by this one; 0: it ends by itself."""
        if signal is None:
            self.process.terminate()
        elif signal:
            self.process.send_signal(signal)
        said = self.process.communicate(timeout=60)[1]
        if self.process.returncode not in expect:
            raise AssertionError(f"cprof: {self.process.returncode}, not {expect}: {said}")
        return said
