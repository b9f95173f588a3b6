# SPDX-License-Identifier: Apache-2.0
"""Wall-clock profiles: blocked threads are read without a stop, completely and rightly."""
import os
import re
import subprocess
import time

from profile_pb import Profile
from support import CPROF, Case, Target, main, need, victim, wait_for_text

FLAVOURS = ["gcc-o0", "gcc-o2", "gcc-fp", "clang-o0", "clang-fp", "stripped"]
COMPARE_BLOCKED = os.environ["COMPARE_BLOCKED"]
CALLS = {"poll", "pause", "clock_nanosleep", "read", "futex"}


def compare(pid):
    done = subprocess.run([COMPARE_BLOCKED, str(pid)], capture_output=True, text=True)
    return {k: int(n) for k, n in re.findall(r"(\w+) (\d+)", done.stdout.splitlines()[-1])}, done


class Wall(Case):
    def test_blocked_threads_are_not_stopped(self):
        for flavour in FLAVOURS:
            with self.subTest(flavour), Target([victim(f"blocked-{flavour}"), "20"],
                                               wait_for="ready") as target:
                profile, said = self.record(target.pid, "--type=wall", "-v")
                self.assertIn("blocked  100.0% complete", said)
                self.assertRegex(said, r"threads  1 of 21 stopped")
                # Every thread counts for the whole time.
                by_thread = profile.by_label("tid", 1)
                self.assertEqual(len(by_thread), 21)
                for tid, ns in by_thread.items():
                    self.assertAlmostEqual(ns / profile.duration_nanos, 1, delta=0.05, msg=tid)
                sleeping = {k: n for k, n in profile.by_label("syscall", 1).items()
                            if k in CALLS}
                self.assertEqual(set(sleeping), CALLS)
                states = profile.by_label("state", 1)
                self.assertAlmostEqual(states["sleeping"] / profile.duration_nanos, 20, delta=0.5)
                # The one that computes, as far as its stops came before the end.
                self.assertGreater((states["running"] + states.get("runnable", 0)) /
                                   profile.duration_nanos, 0.6)
                if flavour != "stripped":
                    self.assertAlmostEqual(profile.cumulative()["some_frame"] / profile.duration_nanos,
                                           20, delta=0.5)

    def test_a_thousand_blocked_threads(self):
        with Target([victim("blocked-gcc-fp"), "1000"], wait_for="ready") as target:
            for kind in "cpu", "wall":
                profile, said = self.record(target.pid, f"--type={kind}", "-v")
                self.assertRegex(said, r"threads  1 of 1001 stopped", kind)
                self.assertRegex(said, rf"\d+ stops of {target.pid} ", kind)

    def test_deep_stacks_that_fill_the_queue(self):
        # 200 stacks of 400 KiB are five times the ring.
        with Target([victim("blocked-gcc-fp"), "200", "deep"], wait_for="ready") as target:
            profile, said = self.record(target.pid, "--type=wall", "-v", seconds="3s")
        self.assertNotIn("dropped", said)
        by_thread = profile.by_label("tid", 1)
        self.assertEqual(len(by_thread), 201)
        for tid, ns in by_thread.items():
            self.assertAlmostEqual(ns / profile.duration_nanos, 1, delta=0.05, msg=tid)
        sleeping = profile.by_label("state", 1)["sleeping"] / profile.duration_nanos
        self.assertAlmostEqual(sleeping, 200, delta=4)
        # What was cut is read again, to its end.
        self.assertGreater(profile.cumulative()["run"] / profile.duration_nanos, 150, said)

    def test_what_is_read_is_what_a_stop_would_show(self):
        for flavour in FLAVOURS:
            with self.subTest(flavour), Target([victim(f"blocked-{flavour}"), "20"],
                                               wait_for="ready") as target:
                counts, done = compare(target.pid)
                self.assertEqual(counts["threads"], 20, done.stdout)
                self.assertEqual(counts["complete"], 20, done.stdout)
                self.assertEqual(counts["wrong"], 0, done.stdout)
                self.assertGreaterEqual(counts["found"], 0 if flavour == "gcc-o2" else 12,
                                        done.stdout)

    def test_programs_of_the_distribution(self):
        need("redis-server", "python3", "tail")
        waits = ("import threading, time, select, socket, queue\n"
                 "for call in (lambda: time.sleep(100), lambda: select.select([], [], [], 100),\n"
                 "             lambda: queue.Queue().get(), lambda: threading.Event().wait(),\n"
                 "             lambda: socket.socketpair()[0].recv(1)):\n"
                 "    threading.Thread(target=call, daemon=True).start()\n"
                 "print('ready', flush=True)\n"
                 "time.sleep(100)")
        for argv, ready in ((["redis-server", "--port", "0", "--save", "", "--unixsocket",
                              self.path("s")], "eady to accept"),
                            (["python3", "-c", waits], "ready"),
                            (["tail", "-f", "-n", "1", __file__], "main()")):
            with Target(argv, wait_for=ready) as target:
                wait_for_text(f"/proc/{target.pid}/stat", ") S ")
                counts, done = compare(target.pid)
                self.assertGreater(counts["threads"], 0, argv)
                self.assertEqual(counts["wrong"], 0, done.stdout)
                self.assertGreaterEqual(counts["complete"], 0.95 * counts["threads"], done.stdout)

    def schedstat(self, pid):
        """The kernel's count for its first thread: time on a CPU, time waiting for one; and now."""
        with open(f"/proc/{pid}/task/{pid}/schedstat") as file:
            return [int(word) for word in file.read().split()[:2]] + [time.monotonic_ns()]

    def test_waits_much_shorter_than_a_tick(self):
        """Thousands of waits a second for somebody on the same CPUs: shares are the kernel's."""
        need("redis-server", "redis-benchmark")
        server = ["redis-server", "--port", "0", "--save", "", "--unixsocket", self.path("s")]
        client = ["redis-benchmark", "-s", self.path("s"), "-q", "-l", "-c", "1", "-t", "get"]
        with Target(server, wait_for="eady to accept") as target:
            with Target(client, stderr=subprocess.DEVNULL) as other:
                target.wait_until_busy(20)
                cprof = subprocess.Popen([CPROF, "record", "-q", "-p", str(target.pid), "-d", "3s",
                                          "-o", "o", "--type=wall,block"], cwd=self.folder)
                # While it records: before, it takes CPU time for itself.
                while len(os.listdir(f"/proc/{cprof.pid}/task")) < 4:
                    time.sleep(0.01)
                before = self.schedstat(target.pid)
                time.sleep(2.7)
                run, delay, elapsed = (b - a for a, b in zip(before, self.schedstat(target.pid)))
                self.assertEqual(cprof.wait(60), 0)
                self.assertIsNone(other.process.poll())
        wall, block = Profile(self.path("o.wall")), Profile(self.path("o.block"))
        mine = {}
        for sample in wall.samples:
            if sample.labels.get("tid") == str(target.pid):
                state = sample.labels.get("state", "not sampled")
                mine[state] = mine.get(state, 0) + sample.values[1] / wall.duration_nanos
        said = f"{mine}, of {run / elapsed:.3f} and {delay / elapsed:.3f}"
        self.assertGreater(run / elapsed, 0.05)
        self.assertAlmostEqual(sum(mine.values()), 1, delta=0.02, msg=said)
        # What it was owed when the recording ended has no stack, and no state: a slow tracer meets it
        # on a CPU seldom. The kernel's count is of a part of the recording.
        unseen = mine.get("not sampled", 0)
        awake = mine["running"] + mine.get("runnable", 0) + unseen
        self.assertAlmostEqual(awake, (run + delay) / elapsed, delta=0.07, msg=said)
        self.assertLess(mine["running"], run / elapsed + 0.05, said)
        self.assertLess(mine.get("runnable", 0), delay / elapsed + 0.05, said)
        self.assertAlmostEqual(mine["sleeping"], 1 - (run + delay) / elapsed, delta=0.07, msg=said)
        waits = sum(s.values[0] for s in block.samples if s.labels.get("tid") == str(target.pid))
        self.assertGreater(waits, 2000)
        delays = sum(s.values[1] for s in block.samples if s.labels.get("tid") == str(target.pid))
        self.assertAlmostEqual(delays / block.duration_nanos, 1 - (run + delay) / elapsed,
                               delta=0.07, msg=said)

    def test_a_leader_that_has_ended(self):
        with Target([victim("blocked-gcc-o2"), "5", "leave"], wait_for="ready") as target:
            wait_for_text(f"/proc/{target.pid}/stat", ") Z ")
            for kind in "cpu", "wall":
                profile, said = self.record(target.pid, f"--type={kind}")
                self.assertIn("compute", profile.cumulative(), said)
                # On a machine with others it has not a CPU for itself.
                whole = profile.total(1) if kind == "cpu" else profile.duration_nanos
                self.assertAlmostEqual(profile.cumulative()["compute"] / whole, 1, delta=0.15)
            self.assertIn("some_frame", profile.cumulative(), said)


if __name__ == "__main__":
    main()
