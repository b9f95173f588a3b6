# SPDX-License-Identifier: Apache-2.0
"""Wall-clock profiles: blocked threads are read without a stop, completely and rightly."""
import os
import re
import subprocess

from support import Case, Target, main, need, victim, wait_for_text

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
                self.assertAlmostEqual((states["running"] + states.get("runnable", 0)) /
                                       profile.duration_nanos, 1, delta=0.1)
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
        self.assertGreater(profile.cumulative()["run"] / profile.duration_nanos, 190, said)

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
