# SPDX-License-Identifier: Apache-2.0
"""Who makes threads; and what becomes of a target whose threads all stay traced."""
import os
import random
import re
import signal
import subprocess
import time

from harm import Recorder, counts, states, tasks, wait_until
from profile_pb import Profile
from support import Case, Target, main, need, victim

ROUNDS = 200


class Create(Case):
    def check(self, profile, said, pairs, one):
        self.assertEqual(profile.sample_types, [("threadcreate", "count")])
        self.assertEqual((profile.period_type, profile.period), (("threadcreate", "count"), 1))
        found = profile.cumulative(0)
        # Every one of them; a maker that has just begun may have a stack that is not known yet, as
        # has a program that is still in its dynamic linker.
        self.assertLessEqual(pairs + one, profile.total(0), said)
        self.assertLessEqual(profile.total(0), pairs + one + 2, said)
        broken = found.get("[stack broken]", 0)
        self.assertLessEqual(found["make_pairs"], pairs, said)
        self.assertLessEqual(found["make_one"], one, said)
        self.assertGreaterEqual(found["make_pairs"] + found["make_one"] + broken, pairs + one, said)
        self.assertLess(broken, 0.15 * (pairs + one), said)

    def test_a_running_process(self):
        with Target([victim("makers"), str(ROUNDS)], wait_for="ready",
                    stdin=subprocess.PIPE) as target:
            out = self.path("out.pb.gz")
            with Recorder(target.pid, "--type=threadcreate", out=out) as cprof:
                wait_until(lambda: all(tracer for _, tracer in tasks(target.pid).values()))
                said = target.process.communicate(b"\n", timeout=60)[0].decode()
                text = cprof.end(signal=0)
        found = counts(said)
        self.assertEqual(found["interrupted"], 0)
        self.check(Profile(out), text, found["make_pairs"], found["make_one"])

    def test_a_command_from_its_beginning(self):
        for name in "makers", "makers-musl":
            with self.subTest(name):
                profile, done = self.run_command([victim(name), str(ROUNDS)],
                                                 "--type=threadcreate", stdin=subprocess.DEVNULL)
                found = counts(done.stdout)
                self.assertEqual(profile.total(0),
                                 found["make_pairs"] + found["make_one"] + 2, done.stderr)
                # musl has no unwind tables to speak of.
                if name == "makers":
                    self.check(profile, done.stderr, found["make_pairs"], found["make_one"])
                    self.assertEqual(set(profile.by_label("thread", 0)), {"makers"})

    def test_beside_other_types(self):
        out = self.path("out.pb.gz")
        done = self.cprof("record", "-F", 500, "-o", out, "--type=cpu,wall,block,mutex,threadcreate",
                          "--", victim("makers"), 5 * ROUNDS, stdin=subprocess.DEVNULL)
        found = counts(done.stdout)
        self.assertEqual(Profile(self.path("out.threadcreate.pb.gz")).total(0),
                         found["make_pairs"] + found["make_one"] + 2, done.stderr)
        self.assertGreater(Profile(self.path("out.cpu.pb.gz")).total(1), 0)

    def test_pprof_reads_it(self):
        # For some time: the libraries of a program are looked at when it has begun.
        self.run_command([victim("makers"), str(10 * ROUNDS)], "--type=threadcreate",
                         stdin=subprocess.DEVNULL)
        top = self.pprof("-top", "-cum", self.path("out.pb.gz"))
        self.assertIn("Type: threadcreate", top)
        self.assertIn("make_pairs", top)

    def test_programs_of_the_distribution(self):
        need("redis-server", "xz")
        profile, done = self.run_command(
            ["python3", "-c", "import concurrent.futures as f\n"
             "with f.ThreadPoolExecutor(5) as p: print(sum(p.map(lambda x: x, range(1000))))"],
            "--type=threadcreate")
        self.assertEqual(done.stdout, "499500\n")
        # As many as it found to be too few, at the most five.
        self.assertIn(profile.total(0), range(1, 6), done.stderr)
        with open("/dev/zero", "rb") as zero:
            profile, done = self.run_command(
                ["sh", "-c", "exec xz -T3 -0 -c --block-size=64KiB < /dev/zero | "
                 "head -c 200000 | wc -c"], "--type=threadcreate", "--children", stdin=zero)
        self.assertEqual(done.stdout, "200000\n")
        self.assertLessEqual(profile.total(0), 3)
        with Target(["redis-server", "--port", "0", "--save", "", "--unixsocket", self.path("s")],
                    wait_for="eady to accept") as target:
            profile, said = self.record(target.pid, "--type=threadcreate", seconds="300ms")
            self.assertEqual(profile.total(0), 0, said)


class Harm(Case):
    def untouched(self, pid):
        wait_until(lambda: all(tracer == 0 for _, tracer in tasks(pid).values()))
        self.assertFalse(states(pid) & {"T", "t"})

    def recorder(self, target):
        cprof = Recorder(target.pid, "--type=threadcreate", out=self.path("harm.pb.gz"))
        wait_until(lambda: all(tracer == cprof.pid or tracer in tasks(cprof.pid)
                               for _, tracer in tasks(target.pid).values()))
        return cprof

    def test_signals(self):
        """Queued, directed, waited for: each arrives once, in order."""
        with Target([victim("crew")], wait_for="ready", stdin=subprocess.PIPE) as target:
            with self.recorder(target) as cprof:
                time.sleep(1)
                out = target.process.communicate(b"\n", timeout=60)[0].decode()
                said = cprof.end(signal=0)
        self.assertEqual(target.process.returncode, 0)
        found = counts(out)
        for kind in "queued", "directed", "plain", "waited":
            self.assertGreater(found[f"{kind}_sent"], 100)
            self.assertEqual(found[f"{kind}_sent"], found[f"{kind}_received"], out)
        for name in "disorder", "strange", "eintr", "early", "wrong":
            self.assertEqual(found[name], 0, out)
        self.assertGreater(int(re.search(r"(\d+) signals", said)[1]), 400, said)

    def is_delivered(self, pid):
        with open(f"/proc/{pid}/status") as file:
            text = file.read()
        return "ShdPnd:\t0000000000000000" in text and "State:\tt" not in text

    def test_signals_that_nobody_handles(self):
        """They wake a traced thread, which must not see it. One after the other: where the first
        thread stands still for one, the next one wakes another thread, see cprof-record(1)."""
        with Target([victim("makers"), "10"], wait_for="ready", stdin=subprocess.PIPE) as target:
            with self.recorder(target) as cprof:
                for _ in range(200):
                    os.kill(target.pid, signal.SIGWINCH)
                    wait_until(lambda: self.is_delivered(target.pid))
                out = target.process.communicate(b"\n", timeout=60)[0].decode()
                said = cprof.end(signal=0)
        self.assertEqual(counts(out)["interrupted"], 0, out)
        self.assertGreaterEqual(int(re.search(r"(\d+) signals", said)[1]), 200, said)

    def test_job_control(self):
        with Target([victim("phases"), "user", "4", "600"], process_group=0) as target:
            with self.recorder(target) as cprof:
                for stop in (signal.SIGSTOP, signal.SIGTSTP) * 4:
                    os.kill(target.pid, stop)
                    _, status = os.waitpid(target.pid, os.WUNTRACED)
                    self.assertTrue(os.WIFSTOPPED(status) and os.WSTOPSIG(status) == stop)
                    before = target.cpu_ticks()
                    time.sleep(0.05)
                    self.assertLessEqual(target.cpu_ticks() - before, 1, "it goes on")
                    os.kill(target.pid, signal.SIGCONT)
                    _, status = os.waitpid(target.pid, os.WCONTINUED)
                    self.assertTrue(os.WIFCONTINUED(status))
                    target.wait_until_busy(2)
                os.kill(target.pid, signal.SIGSTOP)
                os.waitpid(target.pid, os.WUNTRACED)
                cprof.end()
            # It was stopped, and is.
            self.assertEqual(states(target.pid), {"T"})
            os.kill(target.pid, signal.SIGCONT)
            target.wait_until_busy(2)
            self.untouched(target.pid)

    def test_killed_in_the_middle(self):
        for program in ["storm", "60", "0"], ["crew"], ["phases", "user", "4", "60"]:
            with Target([victim(program[0]), *program[1:]], stdin=subprocess.PIPE) as target:
                for _ in range(10):
                    cprof = Recorder(target.pid, "--type=threadcreate", ready=False,
                                     out=self.path("o"))
                    time.sleep(random.uniform(0, 0.1))
                    cprof.process.kill()
                    cprof.process.communicate()
                    self.untouched(target.pid)
                    self.assertIsNone(target.process.poll())

    def test_a_storm_of_threads(self):
        profile, done = self.run_command([victim("storm"), "2", "0"], "--type=threadcreate", "-v")
        started = int(re.search(r"started (\d+)", done.stdout)[1])
        self.assertGreater(started, 500)
        # Dropped ones are said; the others are all there.
        self.assertGreaterEqual(profile.total(0), 0.9 * started, done.stderr)
        self.assertLessEqual(profile.total(0), started + 64, done.stderr)

    def test_execve(self):
        for who in "leader", "other", "alternate":
            done = self.cprof("record", "--type=threadcreate", "-o", self.path("o"),
                              "--exit-status", "--", victim("execloop"), 20, who)
            self.assertIn("done", done.stdout, done.stderr)

    def test_crashes(self):
        with Target([victim("makers"), "10"], wait_for="ready", stdin=subprocess.PIPE) as target:
            with self.recorder(target):
                target.process.send_signal(signal.SIGSEGV)
                self.assertEqual(target.process.wait(30), -signal.SIGSEGV)
        with Target([victim("makers"), "10"], wait_for="ready", stdin=subprocess.PIPE) as target:
            with self.recorder(target):
                target.process.kill()
                self.assertEqual(target.process.wait(30), -signal.SIGKILL)

    def test_it_lets_go(self):
        with Target([victim("makers"), "10"], wait_for="ready", stdin=subprocess.PIPE) as target:
            self.record(target.pid, "--type=threadcreate", seconds="200ms")
            self.untouched(target.pid)
            out = target.process.communicate(b"\n", timeout=60)[0].decode()
        self.assertEqual(counts(out)["interrupted"], 0)


if __name__ == "__main__":
    main()
