# SPDX-License-Identifier: Apache-2.0
"""A target is not harmed by heap profiles: cprof comes and goes, or is killed at any moment, while
16 threads allocate, check what they have, wait in timed calls, fork and load libraries."""
import os
import random
import signal
import subprocess
import time

from harm import counts, states, tasks, wait_until
from heap import agents, is_counted, wait_until_counted
from support import CPROF, Case, Target, main, victim

CYCLES = int(os.environ.get("HARM_ROUNDS", 25))
KILLS = int(os.environ.get("KILLS", 40))


class Harm(Case):
    TYPES = "heap"
    WORDS = ()

    def recorder(self, pid, *args):
        return subprocess.Popen([CPROF, "record", "-q", "--type", self.TYPES, "-p", str(pid), "-o",
                                 self.path("h.pb.gz"), *map(str, args)], stderr=subprocess.PIPE,
                                text=True)

    def churn(self, *words):
        return Target([victim("churn"), *words, *self.WORDS], wait_for="alive", stdin=subprocess.PIPE)

    def finish(self, target, seen=("wrong", "interrupted", "early", "child")):
        """It has seen nothing of it, and ends well."""
        self.assertFalse(states(target.pid) & {"T", "t"})
        self.assertFalse([tid for tid, (_, tracer) in tasks(target.pid).items() if tracer])
        target.process.stdin.close()
        said = target.process.stdout.read().decode().splitlines()[-1]
        self.assertEqual(target.process.wait(30), 0)
        found = counts(said)
        for name in seen:
            self.assertEqual(found[name], 0, said)
        self.assertGreater(found["rounds"], 100)

    def rounds(self, target):
        """How far it is: it goes on."""
        def read():
            return int(target.process.stdout.readline().split()[1])
        first = read()
        wait_until(lambda: read() > first + 20)

    def record(self, pid, *args):
        cprof = self.recorder(pid, *args)
        said = cprof.communicate(timeout=60)[1]
        # 1: with a small rate samples are lost, which is said.
        self.assertIn(cprof.returncode, (0, 1), said)
        return said

    def test_in_and_out(self):
        with self.churn("fork", "exec", "dlopen") as target:
            for i in range(CYCLES):
                self.record(target.pid, "-d", "20ms", "--heap-rate",
                            random.choice((3000, 100000, 524288)))
                for _ in range(20):
                    os.kill(target.pid, signal.SIGUSR1)
            self.assertEqual(len(agents(target.pid)), 1)
            self.rounds(target)
            self.finish(target)

    def test_killed(self):
        """Where it is killed is left to chance, mostly while it brings the agent in or out."""
        with self.churn("fork", "exec", "dlopen") as target:
            for i in range(KILLS):
                cprof = self.recorder(target.pid, "-d", "30ms", "--heap-rate", 100000)
                if i % 3 == 0:
                    time.sleep(random.uniform(0, 0.15))
                else:
                    # As soon as there is something of it.
                    try:
                        wait_until(lambda: is_counted(target.pid) or cprof.poll() is not None, 5)
                    except AssertionError:
                        pass
                    time.sleep(random.choice((0, random.uniform(0, 0.003),
                                              random.uniform(0.028, 0.045))))
                cprof.kill()
                cprof.communicate()
                self.assertIsNone(target.process.poll(), i)
            self.rounds(target)
            # The next one takes out what is there.
            self.record(target.pid, "-d", "100ms")
            self.assertLessEqual(len(agents(target.pid)), 3)
            self.finish(target)

    def test_goes_on_after_a_kill(self):
        """At full speed, with nobody to take what it writes."""
        with self.churn("fork") as target:
            cprof = self.recorder(target.pid, "-d", "100s", "--heap-rate", 10000)
            wait_until_counted(target.pid)
            cprof.kill()
            cprof.communicate()
            for _ in range(3):
                self.rounds(target)
            self.assertTrue(is_counted(target.pid))
            said = self.record(target.pid, "-d", "100ms")
            self.assertEqual(said, "")
            self.finish(target)

    def test_cleanup(self):
        with self.churn("fork") as target:
            done = self.cprof("doctor", "--cleanup", "-p", target.pid)
            self.assertIn("nothing to take out", done.stdout)
            cprof = self.recorder(target.pid, "-d", "100s")
            wait_until_counted(target.pid)
            done = self.cprof("doctor", "--cleanup", "-p", target.pid, expect=2)
            self.assertIn("already", done.stderr)
            cprof.kill()
            cprof.communicate()
            done = subprocess.run([CPROF, "doctor", "-p", str(target.pid)], capture_output=True,
                                  text=True)
            self.assertIn("left by a cprof that was killed", done.stdout)
            self.assertTrue(is_counted(target.pid))
            done = self.cprof("doctor", "--cleanup", "-p", target.pid)
            self.assertIn("as before", done.stdout)
            self.assertFalse(is_counted(target.pid))
            done = subprocess.run([CPROF, "doctor", "-p", str(target.pid)], capture_output=True,
                                  text=True)
            self.assertIn("not in use", done.stdout)
            self.finish(target)

    def test_waiting_calls(self):
        """All threads wait: one of them has to be used."""
        with Target([victim("torture"), "2"]) as target:
            wait_until(lambda: len(tasks(target.pid)) > 8)
            for _ in range(3):
                self.record(target.pid, "-d", "50ms")
            said = target.process.stdout.read().decode()
            self.assertEqual(target.process.wait(60), 0, said)

    def test_two_at_once(self):
        with self.churn() as target:
            first = self.recorder(target.pid, "-d", "100s")
            wait_until_counted(target.pid)
            second = self.recorder(target.pid, "-d", "1s")
            said = second.communicate(timeout=60)[1]
            self.assertEqual(second.returncode, 2)
            self.assertIn("already", said)
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=60)
            self.assertEqual(first.returncode, 0)
            self.finish(target)

    def test_job_control(self):
        """What is stopped by SIGSTOP stays so."""
        with self.churn() as target:
            cprof = self.recorder(target.pid, "-d", "100s")
            wait_until_counted(target.pid)
            os.kill(target.pid, signal.SIGSTOP)
            wait_until(lambda: states(target.pid) == {"T"})
            cprof.send_signal(signal.SIGINT)
            cprof.communicate(timeout=60)
            self.assertEqual(states(target.pid), {"T"})
            os.kill(target.pid, signal.SIGCONT)
            self.rounds(target)
            self.record(target.pid, "-d", "50ms")
            # SIGCONT ends an epoll_wait, whoever traces or not.
            self.finish(target, ("wrong", "early", "child"))


if __name__ == "__main__":
    main()
