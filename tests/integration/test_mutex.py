# SPDX-License-Identifier: Apache-2.0
"""Waiting for locks, charged to who holds them."""
from profile_pb import Profile
from support import Case, Target, main, need, victim

HOLDS = {"holds_asleep": "table_lock", "holds_computing": "table_lock",
         "holds_nested": "nested_lock", "holds_inheriting": "inheriting_lock",
         "holds_tree": "tree_lock"}
KINDS = ["normal", "recursive", "errorcheck", "robust", "pi", "robust-pi"]


class Holders(Case):
    """Beside what the waiters measured of themselves."""

    def truth(self, lines):
        return {name: (int(waits), int(ns)) for name, waits, ns in
                (line.split() for line in lines if line.startswith("holds_"))}

    def check(self, profile, truth, said):
        self.assertEqual(profile.sample_types,
                         [("contentions", "count"), ("delay", "nanoseconds")])
        self.assertEqual((profile.period_type, profile.period), (("contentions", "count"), 1))
        waits, delays = profile.cumulative(0), profile.cumulative(1)
        whole = sum(ns for _, ns in truth.values())
        self.assertEqual(set(truth), set(HOLDS) | {"holds_shortly"})
        self.assertAlmostEqual(profile.total(1) / whole, 1, delta=0.05, msg=said)
        # Where a lock had been released, and who was woken for it had to wait for a CPU.
        free = delays.get("[lock released]", 0)
        right = free
        for name in HOLDS:
            right += min(delays[name], truth[name][1])
            # By 20 rounds and their first and last ticks.
            self.assertLess(delays[name], 1.12 * truth[name][1], (name, said))
            # Who got it handed by the kernel, and waits for a CPU with it, holds it up as well.
            self.assertGreater(delays[name] + free, 0.75 * truth[name][1], (name, said))
            # One at least for each; more where another waiter was faster, and those at the gate.
            self.assertGreater(waits[name] / truth[name][0], 0.9, msg=(name, said))
            self.assertLess(waits[name] / truth[name][0], 5, msg=(name, said))
        self.assertGreater(right, 0.92 * sum(truth[name][1] for name in HOLDS), said)
        for sample in profile.samples:
            names = set(sample.names()) & set(HOLDS)
            # They hold that one for a moment, too.
            if names and sample.labels["lock"] != "gate_lock":
                self.assertEqual(sample.labels["lock"], HOLDS[names.pop()])
                self.assertIn(sample.labels["waiters"], {"1", "2", "3"})
        by_waiters = profile.by_label("waiters", 1)
        self.assertGreater(by_waiters["3"], 0.9 * profile.total(1))
        # On the heap, and so without a name.
        shortly = [s for s in profile.samples if "holds_shortly" in s.names()
                   and s.labels["lock"] != "gate_lock"]
        self.assertTrue(shortly)
        self.assertTrue(all(s.labels["lock"].startswith("0x") for s in shortly))

    def test_who_holds_it(self):
        for flavour in "holders", "holders-clang":
            with self.subTest(flavour):
                profile, done = self.run_command([victim(flavour), "6"], "--type=mutex", hz=200)
                self.check(profile, self.truth(done.stdout.splitlines()), done.stderr)

    def test_beside_other_types(self):
        out = self.path("out.pb.gz")
        done = self.cprof("record", "-F", 200, "-o", out, "--type=cpu,wall,block,mutex", "--",
                          victim("holders"), "4")
        truth = self.truth(done.stdout.splitlines())
        mutex = Profile(self.path("out.mutex.pb.gz"))
        self.check(mutex, truth, done.stderr)
        self.assertEqual({key for s in mutex.samples for key in s.labels}
                         - {"thread", "tid", "lock", "waiters"}, set())
        # Those who wait are in the block profile, with the same time.
        block = Profile(self.path("out.block.pb.gz"))
        waiting = sum(s.values[1] for s in block.samples
                      if "waiter" in s.names() and "pthread_cond_wait" not in
                      "".join(s.names()))
        self.assertAlmostEqual(waiting / mutex.total(1), 1, delta=0.05)
        computing = Profile(self.path("out.cpu.pb.gz"))
        self.assertGreater(computing.cumulative()["holds_computing"], 0)
        self.assertFalse(any("lock" in s.labels for s in computing.samples))

    def test_in_another_pid_namespace(self):
        need("unshare")
        command = ["unshare", "-p", "-f", "--mount-proc", "--kill-child", victim("holders"), "60"]
        with Target(command, wait_for="ready") as target:
            with open(f"/proc/{target.pid}/task/{target.pid}/children") as file:
                pid = int(file.read().split()[0])
            profile, said = self.record(pid, "--type=mutex", seconds="2s")
        self.assertGreater(profile.cumulative(1)["holds_asleep"], 1e8, said)
        self.assertLess(profile.cumulative(1).get("[unknown holder]", 0), 0.05 * profile.total(1))


class Kinds(Case):
    def held(self, *mode, program="locks"):
        """The profile of half a second; with the words of "ready"."""
        with Target([victim(program), *mode], wait_for="ready") as target:
            profile, said = self.record(target.pid, "--type=mutex", "-v", seconds="500ms", hz=100)
            comm = {}
            for sample in profile.samples:
                tid = sample.labels.get("tid")
                if tid:
                    with open(f"/proc/{target.pid}/task/{tid}/comm") as file:
                        comm[tid] = file.read().strip()
        return profile, set(comm.values()), said

    def test_mutexes(self):
        for program, kinds in {"locks": KINDS, "locks-clang-fp": KINDS,
                               "locks-musl": ["recursive", "errorcheck", "robust", "pi"]}.items():
            for kind in kinds:
                with self.subTest(program=program, kind=kind):
                    profile, holders, said = self.held("mutex", kind, program=program)
                    self.assertEqual(holders, {"holder"}, said)
                    # Two wait, from before the recording on.
                    self.assertAlmostEqual(profile.total(1) / profile.duration_nanos, 2,
                                           delta=0.15, msg=said)
                    self.assertEqual(set(profile.by_label("lock", 1)), {"first_lock"})
                    self.assertEqual(set(profile.by_label("waiters", 1)), {"2"})
                    self.assertEqual(profile.by_label("thread", 1), {"holder": profile.total(1)})

    def test_read_write_locks(self):
        profile, holders, said = self.held("writer")
        self.assertEqual(holders, {"holder"}, said)
        self.assertEqual(set(profile.by_label("lock", 1)), {"shared_lock"})
        # Readers leave no name behind.
        profile, holders, said = self.held("reader")
        self.assertEqual(holders, set(), said)
        self.assertEqual(set(profile.cumulative(1)), {"[unknown holder]"})
        self.assertEqual(set(profile.by_label("lock", 1)), {"shared_lock"})
        self.assertAlmostEqual(profile.total(1) / profile.duration_nanos, 1, delta=0.1)
        self.assertIn("100.0% with an unknown holder", said)

    def test_what_is_no_lock(self):
        profile, _, said = self.held("cond")
        self.assertEqual(profile.samples, [], said)
        # The one that is joined waits for a lock, the other one for a thread.
        profile, _, said = self.held("join")
        self.assertEqual(set(profile.by_label("waiters", 1)), {"1"}, said)
        self.assertAlmostEqual(profile.total(1) / profile.duration_nanos, 1, delta=0.1)

    def test_a_condition_that_wants_its_mutex_again(self):
        profile, holders, said = self.held("relock")
        self.assertEqual(holders, {"holder"}, said)

    def test_a_deadlock_holds_itself_up(self):
        profile, holders, said = self.held("ring", "3")
        self.assertEqual(len(profile.by_label("tid", 1)), 3, said)
        self.assertEqual(set(profile.by_label("waiters", 1)), {"1"})

    def test_nobody_is_stopped_who_is_blocked(self):
        _, _, said = self.held("mutex", "normal")
        self.assertRegex(said, r"stops +0:")


class Programs(Case):
    """Of the distribution, with locks that are fought for."""

    def test_python(self):
        # The interpreter's lock is a condition; its own locks are semaphores: no mutex waits.
        source = ("import threading, time, hashlib\nlock = threading.Lock()\n"
                  "def work():\n while True:\n  with lock: time.sleep(0.005)\n"
                  "for i in range(3): threading.Thread(target=work, daemon=True).start()\n"
                  "print('ready', flush=True); time.sleep(100)")
        with Target(["python3", "-c", source], wait_for="ready") as target:
            profile, said = self.record(target.pid, "--type=mutex")
        self.assertLess(profile.total(1), 0.05 * profile.duration_nanos, said)

    def test_sqlite(self):
        """One connection of several threads, which it lets in one at a time."""
        source = ("import sqlite3, threading\n"
                  "db = sqlite3.connect(':memory:', check_same_thread=False)\n"
                  "def work():\n while True: db.execute('with recursive c(x) as (select 1 union all '"
                  "'select x+1 from c limit 100000) select max(x) from c').fetchall()\n"
                  "for i in range(3): threading.Thread(target=work, daemon=True).start()\n"
                  "print('ready', flush=True); threading.Event().wait()")
        with Target(["/usr/bin/python3", "-c", source], wait_for="ready") as target:
            profile, said = self.record(target.pid, "--type=mutex", seconds="2s")
        # Two of three wait at any time; who works is in the engine.
        self.assertGreater(profile.total(1) / profile.duration_nanos, 1.2, said)
        self.assertGreater(profile.cumulative(1)["sqlite3_step"], 0.8 * profile.total(1), said)
        self.assertLess(profile.cumulative(1).get("[unknown holder]", 0), 0.1 * profile.total(1))


if __name__ == "__main__":
    main()
