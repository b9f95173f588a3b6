# SPDX-License-Identifier: Apache-2.0
"""A target that measures itself in slices (tests/victims/meter.c), profiled for a while and left
alone for a while by turns."""
import os
import time

from bench import TOOLS, Folder, Running, perf_argv, record_argv, run, victim, wait_until

SETTLE = 0.15  # seconds after the start of a profiler until it samples
SLICE = 0.05


class Meter:
    """The running target; its lines go to a file, which is read afterwards."""

    def __init__(self, *args):
        self.folder = Folder()
        self.path = self.folder.path("slices")
        self.out = open(self.path, "w+b")
        self.running = Running([victim("meter"), *args], stdout=self.out)
        self.pid = self.running.pid
        wait_until("the meter", lambda: os.fstat(self.running.err.fileno()).st_size > 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.running.process.kill()
        self.running.process.wait()
        self.out.close()
        self.folder.cleanup()

    def during(self, window):
        """The slices that lie in a window of seconds, as lists of numbers."""
        with open(self.path) as file:
            lines = [[float(x) for x in line.split()] for line in file if line.endswith("\n")]
        return [line for line in lines
                if window[0] <= line[0] / 1e9 and line[0] / 1e9 + SLICE <= window[1]]

    def alone(self, seconds):
        start = time.monotonic()
        time.sleep(seconds)
        return start, start + seconds

    def profiled(self, peer, seconds, hz, settle=SETTLE):
        """Runs a profiler over the target. The window in which it sampled, and what it printed."""
        out = self.folder.path("recording")
        start = time.monotonic() + settle
        if peer == "cprof":
            done = run(record_argv(self.pid, seconds, hz, out))
        elif peer == "bare stop":
            done = run([TOOLS + "/bare_stop", self.pid, int(seconds * hz), hz])
        else:
            done = run(perf_argv(peer, self.pid, seconds, hz, out))
        return (start, start + seconds - settle - SETTLE), done
