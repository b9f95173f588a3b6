# SPDX-License-Identifier: Apache-2.0
"""The target is not harmed: kills of cprof, execve from any thread, signals, waits. Short forms."""
import ctypes
import os
import random
import re
import signal
import subprocess
import sys
import time

from support import CPROF, Case, Profile, Target, main, victim, wait_for_text

libc = ctypes.CDLL(None, use_errno=True)
SIGRTMIN = libc.__libc_current_sigrtmin()


def states(pid):
    out = set()
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat") as file:
            out.add(file.read().rsplit(")", 1)[1].split()[0])
    return out


class Harm(Case):
    def test_sigkill_of_cprof_leaves_nothing_stopped(self):
        with Target([victim("phases"), "user", "16", "60"]) as target:
            for _ in range(int(os.environ.get("KILLS", "40"))):
                cprof = subprocess.Popen([CPROF, "record", "-q", "-p", str(target.pid), "-F",
                                          "1000", "-o", "/dev/null"], stderr=subprocess.PIPE)
                wait_for_text("/proc/net/unix", f"@cprof/{target.pid}/")
                time.sleep(random.uniform(0, 0.05))
                cprof.kill()
                cprof.communicate()
                self.assertFalse(states(target.pid) & {"T", "t"})
            with open(f"/proc/{target.pid}/status") as file:
                self.assertIn("TracerPid:\t0\n", file.read())
            self.assertIsNone(target.process.poll())

    def test_execve_from_a_thread_in_a_loop(self):
        for argv in ([], ["--unwinder=libunwind"]):
            done = self.cprof("record", "-F", "2000", "-v", "-o", self.path("o"), *argv,
                              "--exit-status", "--", victim("execloop"), "60", expect=None,
                              timeout=60)
            self.assertIn("done", done.stdout, done.stderr)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreater(int(re.search(r"(\d+) execve", done.stderr)[1]), 20)

    def test_waits_under_a_seccomp_filter(self):
        profile, done = self.run_command([victim("filtered"), "3"], "-v", "--max-overhead=0",
                                         "--exit-status", hz=5000)
        waits, early = map(int, re.search(r"waits (\d+) early (\d+)", done.stdout).groups())
        self.assertGreater(waits, 100)
        self.assertEqual(early, 0)
        # Waits were met on their edge, or this shows nothing.
        self.assertGreater(int(re.search(r"calls +(\d+) restarted", done.stderr)[1]), 0)

    def test_thread_storm(self):
        # A thread that ends between the choice and the stop is nobody's fault: exit 0.
        profile, done = self.run_command([victim("storm"), "2", "100"], "-v", hz=2000)
        self.assertGreater(int(re.search(r"started (\d+)", done.stdout)[1]), 1000)
        self.assertGreater(int(re.search(r"(\d+) ended meanwhile", done.stderr)[1]), 0)
        self.assertGreater(profile.total(1), 0)

    def test_signals_and_waits(self):
        with Target([victim("signals")], wait_for="ready", stdin=subprocess.PIPE) as target:
            cprof = subprocess.Popen([CPROF, "record", "-v", "-p", str(target.pid), "-F", "1000",
                                      "-d", "60s", "-o", "/dev/null"], stderr=subprocess.PIPE,
                                     text=True)
            wait_for_text("/proc/net/unix", f"@cprof/{target.pid}/")
            end, sent = time.monotonic() + 3, 0
            while time.monotonic() < end:
                # sigqueue(3): EAGAIN when the queue is full, which is not a loss.
                if libc.sigqueue(target.pid, SIGRTMIN, ctypes.c_void_p(sent)) == 0:
                    sent += 1
            cprof.terminate()
            said = cprof.communicate()[1]
            self.assertEqual(cprof.returncode, 0, said)
            target.process.stdin.write(b"\n")
            target.process.stdin.close()
            counts = dict(re.findall(r"(\w+) (\d+)", target.process.stdout.read().decode()))
        print(counts, re.findall("(?:calls|stops) .*", said), file=sys.stderr)
        self.assertGreater(sent, 1000)
        self.assertEqual(int(counts["signals"]), sent)
        self.assertEqual(int(counts["disorder"]), 0)
        self.assertEqual(int(counts["eintr"]), 0, said)
        self.assertEqual(int(counts["early"]), 0, said)
        self.assertGreater(int(counts["waits"]), 100)

    def test_watchdog_lets_go_of_a_stack_that_cannot_be_read(self):
        with Target([victim("lazystack")], wait_for="") as target:
            if target.process.poll() == 77:
                self.skipTest("userfaultfd is not allowed here")
            done = self.cprof("record", "-p", target.pid, "-d", "20s", "-o", self.path("o"),
                              expect=1, timeout=30)
            self.assertIn("made no progress", done.stderr)
            # The kernel let go of it with the end of cprof.
            self.assertEqual(target.state(), "R")
            with open(f"/proc/{target.pid}/status") as file:
                self.assertIn("TracerPid:\t0\n", file.read())
        Profile(self.path("o"))

    def test_job_control_is_kept(self):
        with Target([victim("phases"), "user", "4", "60"]) as target:
            cprof = subprocess.Popen([CPROF, "record", "-q", "-p", str(target.pid), "-F", "1000",
                                      "-d", "60s", "-o", "/dev/null"], stderr=subprocess.PIPE)
            wait_for_text("/proc/net/unix", f"@cprof/{target.pid}/")
            for _ in range(20):
                os.kill(target.pid, signal.SIGSTOP)
                pid, status = os.waitpid(target.pid, os.WUNTRACED)
                self.assertTrue(os.WIFSTOPPED(status))
                time.sleep(0.02)
                self.assertEqual(states(target.pid), {"T"})
                os.kill(target.pid, signal.SIGCONT)
                pid, status = os.waitpid(target.pid, os.WCONTINUED)
                self.assertTrue(os.WIFCONTINUED(status))
                time.sleep(0.02)
                # "t" is a sample being taken.
                self.assertNotIn("T", states(target.pid))
            cprof.terminate()
            cprof.communicate()
            self.assertEqual(cprof.returncode, 0)


if __name__ == "__main__":
    main()
