# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: the binary under test, targets, temporary folders."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from profile_pb import Profile

CPROF = os.environ["CPROF"]
VICTIMS = os.environ["VICTIMS"]


def victim(name):
    return os.path.join(VICTIMS, name)


def need(*programs):
    """Skips the test unless all programs are there."""
    for program in programs:
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} is not installed")


def wait_for_text(path, text):
    """Until a file of /proc holds the text."""
    while True:
        with open(path) as file:
            if text in file.read():
                return
        time.sleep(0.01)


class Target:
    """A process to profile, ended on exit. wait_for: what a line says that it
    prints when it is ready; "": any line, or none before it ends."""

    def __init__(self, argv, wait_for=None, **options):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, **options)
        self.pid = self.process.pid
        if wait_for is not None:
            for line in self.process.stdout:
                if wait_for in line.decode():
                    return
            if wait_for:
                raise AssertionError(f"{argv} ended before it was ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if self.process.stdin:
            self.process.stdin.close()

    def cpu_ticks(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def wait_until_sampled(self, cprof):
        """Until the recorder runs its tracer, its namer and its consumer, and the target, which
        computes, had CPU time for some thirty ticks at 100 Hz since."""
        while len(os.listdir(f"/proc/{cprof}/task")) < 4:
            time.sleep(0.01)
        start = self.cpu_ticks()
        while self.cpu_ticks() < start + 30:
            time.sleep(0.01)

    def wait_until_busy(self, ticks=5):
        """Until it has used that much CPU time more."""
        start = self.cpu_ticks()
        while self.cpu_ticks() < start + ticks:
            time.sleep(0.01)

    def state(self):
        with open(f"/proc/{self.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cprof-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def cpu_times(self, pid):
        """CPU time of each thread."""
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
                yield int(file.read().split()[0])

    def cprof(self, *args, expect=0, **options):
        """Runs the binary under test; returns its CompletedProcess."""
        options.setdefault("cwd", self.folder)
        options.setdefault("timeout", 120)
        done = subprocess.run([CPROF, *map(str, args)], capture_output=True, text=True, **options)
        if expect is not None:
            self.assertEqual(done.returncode, expect, f"{args}: {done.stderr}")
        return done

    def record(self, pid, *args, seconds="1s", hz=200, expect=0):
        """Records a process; returns (profile, what cprof said)."""
        out = self.path("out.pb.gz")
        done = self.cprof("record", "-p", pid, "-d", seconds, "-F", hz, "-o", out, *args,
                          expect=expect)
        return Profile(out), done.stderr

    def record_busy(self, target, *args, hz=200):
        """The same for a target that computes, until it has had CPU time for many samples, however
        long a busy machine makes that."""
        out = self.path("out.pb.gz")
        cprof = subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "100s", "-F",
                                  str(hz), "-o", out, *args], stderr=subprocess.PIPE, text=True)
        target.wait_until_sampled(cprof.pid)
        cprof.send_signal(signal.SIGINT)
        said = cprof.communicate(timeout=60)[1]
        self.assertEqual(cprof.returncode, 0, said)
        return Profile(out), said

    def run_command(self, argv, *args, hz=200, expect=0, **options):
        out = self.path("out.pb.gz")
        done = self.cprof("record", "-F", hz, "-o", out, *args, "--", *argv, expect=expect,
                          **options)
        return Profile(out), done

    def phases(self, profile, words):
        """What the victim `phases` measured of each of its phases, {name: nanoseconds}. The profile
        holds what the kernel charged it, which is more than the phases: threads that begin and end,
        and the clock that it reads between them. What only one of the two has: the time before its
        execve, and after it asked."""
        measured = {name: int(time) for name, time in words}
        process = measured.pop("process")
        self.assertAlmostEqual(profile.total(1), process, delta=0.01 * process + 10e6)
        return measured

    def pprof(self, *args):
        """Runs the real go tool pprof; its standard output."""
        need("go")
        env = dict(os.environ, HOME=self.folder, PPROF_TMPDIR=self.folder, GOFLAGS="-mod=mod",
                   GOCACHE=self.path("gocache"))
        done = subprocess.run(["go", "tool", "pprof", *args], capture_output=True, text=True,
                              env=env, cwd=self.folder, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


def main():
    """Runs the tests of the calling file; 77 when all were skipped."""
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun == 0:
        sys.exit("no test ran")
    sys.exit(77 if len(result.skipped) == result.testsRun else 0)
