# SPDX-License-Identifier: Apache-2.0
"""Several types from one recording, and what waits for what."""
import os
import re
import time

from support import Case, Profile, Target, main, victim

WAITS = ["wait_sleep", "wait_poll", "wait_pipe", "wait_mutex", "wait_condition"]
VALUES = {
    "cpu": [("samples", "count"), ("cpu", "nanoseconds")],
    "wall": [("samples", "count"), ("wall", "nanoseconds")],
    "block": [("contentions", "count"), ("delay", "nanoseconds")],
    "threads": [("threads", "count")],
}
LABELS = {
    "cpu": {"thread", "tid", "mode"},
    "wall": {"thread", "tid", "mode", "state", "syscall", "wait"},
    "block": {"thread", "tid", "state", "syscall", "wait"},
}


class Types(Case):
    def record_types(self, types, argv, *args, hz=200):
        """Records a command; its profiles by type, and its output as lists of words."""
        out = self.path("out.pb.gz")
        done = self.cprof("record", "-F", hz, "-o", out, f"--type={types}", *args, "--", *argv)
        names = types.split(",")
        paths = {n: self.path(f"out.{n}.pb.gz") if len(names) > 1 else out for n in names}
        self.assertEqual(sorted(os.listdir(self.folder)),
                         sorted(os.path.basename(p) for p in paths.values()))
        for path in paths.values():
            self.assertIn(f" {path}\n", done.stderr)
        return ({n: Profile(p) for n, p in paths.items()},
                [line.split() for line in done.stdout.splitlines()], done.stderr)


class Several(Types):
    def test_each_file_is_of_its_type(self):
        profiles, _, _ = self.record_types("wall,block,cpu", [victim("phases"), "kernel", "2", "1"])
        for name, profile in profiles.items():
            self.assertEqual(profile.sample_types, VALUES[name])
            self.assertEqual(profile.period_type, VALUES[name][name != "block"])
            self.assertEqual(profile.period, 1 if name == "block" else 5000000)
            self.assertEqual({key for s in profile.samples for key in s.labels}, LABELS[name])
            self.assertTrue(any("out.pb.gz" in text for text in profile.comments))
            self.assertTrue(all(any(s.values) for s in profile.samples), name)
            pairs = [(tuple(l.id for l in s.locations), tuple(sorted(s.labels.items())))
                     for s in profile.samples]
            self.assertEqual(len(pairs), len(set(pairs)), name)
            used = {loc.id for s in profile.samples for loc in s.locations}
            self.assertEqual(used, set(profile.by_id), name)
        self.assertEqual(profiles["cpu"].duration_nanos, profiles["wall"].duration_nanos)
        self.assertEqual(profiles["cpu"].mappings[0].file, profiles["wall"].mappings[0].file)

    def test_cpu_is_what_the_kernel_charged(self):
        """As in a recording of CPU time alone; the program's own count is the truth."""
        for types, hz in ("cpu", 200), ("cpu,wall", 200), ("block,cpu", 200), ("cpu,wall", 3):
            # At so low a rate most of it comes after the last sample.
            profiles, said, _ = self.record_types(types, [victim("phases"), "user", "2", "1.5"],
                                                  hz=hz)
            with self.subTest(types=types, hz=hz):
                self.phases(profiles["cpu"], said)
            for path in os.listdir(self.folder):
                os.unlink(self.path(path))

    def test_cpu_of_threads_that_wait_and_run(self):
        # Stops that find the thread blocked count for elapsed time only.
        profiles, _, _ = self.record_types("cpu,wall", [victim("shares"), "1"])
        works = profiles["cpu"].cumulative()["compute"]
        self.assertAlmostEqual(works / profiles["cpu"].total(1), 1, delta=0.1)
        # Half of the time, on a CPU or waiting for one.
        runs = profiles["wall"].cumulative()["compute"]
        self.assertAlmostEqual(runs / profiles["wall"].duration_nanos, 0.5, delta=0.12)

    def test_names_of_files(self):
        command = ["--", "sleep", "0.05"]
        for given, made in {"a.pb": "a.cpu.pb", "b": "b.cpu", "c.d.pb.gz": "c.d.cpu.pb.gz",
                            ".hidden": ".hidden.cpu", "x.y/f": "x.y/f.cpu"}.items():
            os.makedirs(self.path("x.y"), exist_ok=True)
            self.cprof("record", "--type=cpu,wall", "-o", given, *command)
            self.assertTrue(os.path.exists(self.path(made)), given)
            self.assertFalse(os.path.exists(self.path(given)), given)

    def test_default_names_have_one_number(self):
        for _ in range(2):
            self.cprof("record", "--type=wall", "--", "sleep", "0.05")
        self.cprof("record", "--type=cpu", "--type=wall", "--", "sleep", "0.05")
        self.assertEqual(sorted(os.listdir(self.folder)), [
            "cprof.sleep.samples.cpu.003.pb.gz", "cprof.sleep.samples.wall.001.pb.gz",
            "cprof.sleep.samples.wall.002.pb.gz", "cprof.sleep.samples.wall.003.pb.gz"])

    def test_what_is_refused(self):
        def refused(*args, status=64):
            done = self.cprof("record", *args, "--", "true", expect=status)
            self.assertEqual(os.listdir(self.folder), [])
            return done.stderr
        self.assertIn("no profile type 'goroutine'; known: cpu, wall, block, mutex, threadcreate, ",
                      refused("--type=cpu,goroutine"))
        self.assertIn("cannot be combined", refused("--type=threads,cpu"))
        self.assertIn("no profile type ''", refused("--type=cpu,"))
        self.assertIn("stdout", refused("--type=cpu,wall", "-o", "-", status=2))
        self.assertIn("directory", refused("--type=cpu,wall", "-o", ".", status=2))
        self.assertIn("several files", refused("--type=cpu,wall", "-o", "/dev/null", status=2))


class Block(Types):
    def check(self, profile, said, where=""):
        """Against what the program itself measured."""
        truth = {name: (int(calls), int(ns)) for name, calls, ns in
                 (words for words in said if words[0] in WAITS)}
        self.assertEqual(set(truth), set(WAITS))
        delays, waits = profile.cumulative(1), profile.cumulative(0)
        whole, found = sum(ns for _, ns in truth.values()), sum(delays[n] for n in WAITS)
        # The program's own time goes on until it has a CPU again, which on a busy machine takes.
        self.assertLess(found / whole, 1.03, msg=where)
        self.assertGreater(found / whole, 0.9, msg=where)
        for name, (calls, ns) in truth.items():
            self.assertAlmostEqual(delays[name] / found, ns / whole, delta=0.02, msg=(name, where))
            self.assertAlmostEqual(waits[name] / calls, 1, delta=0.05, msg=(name, where))

    def test_delays_and_contentions(self):
        profiles, said, err = self.record_types("block", [victim("shares"), "4"], "-v", hz=100)
        profile = profiles["block"]
        self.check(profile, said)
        self.assertRegex(err, r"stops +0:")
        # The dynamic loader may be met where it has no frame yet.
        self.assertRegex(err, r"blocked +(100|99)\.\d% complete")
        self.assertEqual(profile.sample_types, VALUES["block"])
        self.assertEqual(profile.period_type, ("contentions", "count"))
        self.assertEqual(profile.period, 1)
        self.assertEqual({key for s in profile.samples for key in s.labels
                          if s.names()[0] != "[not sampled]"}, LABELS["block"])
        # It computes half of the time.
        worker = sum(s.values[1] for s in profile.samples if "worker" in s.names())
        self.assertAlmostEqual(worker / profile.duration_nanos, 0.5, delta=0.1)

    def test_with_stops_beside_it(self):
        """The waits that stops make are not the program's."""
        profiles, said, err = self.record_types("cpu,wall,block", [victim("shares"), "4"], hz=300)
        self.check(profiles["block"], said, err)
        waiting = profiles["wall"].by_label("state", 1)
        delay = profiles["block"].by_label("state", 1)
        for state in "sleeping", "disk":
            self.assertAlmostEqual(delay[state] / 1e9, waiting[state] / 1e9, delta=0.01)
        self.assertEqual(profiles["block"].duration_nanos, profiles["cpu"].duration_nanos)

    def test_who_wakes_between_look_and_stop(self):
        """What it waited belongs to where it waited, not to where it was stopped."""
        profiles, _, _ = self.record_types("cpu,wall,block", [victim("phases"), "user", "2", "2"],
                                           hz=1000)
        for name in "wall", "block":
            asleep = [s for s in profiles[name].samples if s.labels.get("state") == "sleeping"]
            self.assertGreater(sum(s.values[0] for s in asleep), 100)
            awake = [s.names() for s in asleep if "syscall" not in s.labels]
            self.assertEqual(awake, [])

    def test_running_threads_do_not_wait(self):
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            self.cprof("record", "-p", target.pid, "-d", "1s", "-F", 1000, "-o", "o",
                       "--type=cpu,block")
        self.assertGreater(Profile(self.path("o.cpu")).total(0), 100)
        self.assertLess(Profile(self.path("o.block")).total(0), 5)

    def test_parked_threads(self):
        with Target([victim("shares"), "60", "7"], wait_for="ready") as target:
            hidden, said = self.record(target.pid, "--type=block")
            text = "8 threads were parked for the whole recording and are left out"
            self.assertTrue(any(text in c for c in hidden.comments), hidden.comments)
            self.assertIn("8 threads waited in one place all the time", said)
            self.assertNotIn("parked", hidden.cumulative())
            self.assertGreater(hidden.cumulative()["wait_poll"], 0)
            self.assertFalse(any("parked" in s.labels for s in hidden.samples))

            kept, _ = self.record(target.pid, "--type=block", "--parked")
            parked = [s for s in kept.samples if "parked" in s.labels]
            self.assertEqual(len({s.labels["tid"] for s in parked}), 8)
            self.assertEqual({s.labels["parked"] for s in parked}, {"yes"})
            for sample in parked:
                self.assertEqual(sample.values[0], 0)
                self.assertAlmostEqual(sample.values[1] / kept.duration_nanos, 1, delta=0.05)
            top = self.pprof("-top", "-tagignore=parked=yes", self.path("out.pb.gz"))
            self.assertNotIn(" parked", top.split("Showing")[1])
            self.assertIn("wait_poll", self.pprof("-top", "-cum", self.path("out.pb.gz")))

    def test_parked_threads_count_as_elapsed_time(self):
        with Target([victim("shares"), "60", "3"], wait_for="ready") as target:
            self.cprof("record", "-p", target.pid, "-d", "500ms", "-o", "o", "--type=wall,block")
        wall, block = Profile(self.path("o.wall")), Profile(self.path("o.block"))
        self.assertAlmostEqual(wall.cumulative()["parked"] / wall.duration_nanos, 3, delta=0.15)
        self.assertNotIn("parked", block.cumulative())
        self.assertFalse(any("parked" in s.labels for s in wall.samples))

    def test_of_one_thread(self):
        with Target([victim("shares"), "60"], wait_for="ready") as target:
            tid = max(map(int, os.listdir(f"/proc/{target.pid}/task")))
            profile, _ = self.record(target.pid, "--type=block", "--tid", tid)
        self.assertEqual({s.labels["tid"] for s in profile.samples}, {str(tid)})
        self.assertIn("worker", profile.cumulative())

    def test_parked_goes_with_block(self):
        done = self.cprof("record", "--parked", "--", "true", expect=64)
        self.assertIn("--parked goes with --type block", done.stderr)


class Threads(Types):
    def snapshot(self, pid, *args, expect=0):
        out = self.path("out.pb.gz")
        done = self.cprof("record", "-p", pid, "-o", out, "--type=threads", "-v", *args,
                          expect=expect)
        return Profile(out), done.stderr

    def once_each(self, profile, pid):
        self.assertEqual(profile.sample_types, VALUES["threads"])
        self.assertEqual((profile.period_type, profile.period), (("threads", "count"), 1))
        self.assertEqual(profile.by_label("tid", 0),
                         {tid: 1 for tid in os.listdir(f"/proc/{pid}/task")})
        self.assertEqual({s.labels["thread"] for s in profile.samples}, {"shares"})

    def have_waited(self, pid):
        """Has each thread got as far as to its first wait?"""
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/status") as file:
                if "\nvoluntary_ctxt_switches:\t0\n" in file.read():
                    return False
        return True

    def test_each_thread_once(self):
        with Target([victim("shares"), "60", "20"], wait_for="ready") as target:
            while not self.have_waited(target.pid):
                time.sleep(0.01)
            profile, said = self.snapshot(target.pid)
            self.once_each(profile, target.pid)
        found = profile.cumulative(0)
        self.assertEqual(found["parked"], 20)
        self.assertEqual(found["main"], 1)
        for name in "feeder", "worker":
            self.assertEqual(found[name], 1, said)
        self.assertEqual(found["waiter"], len(WAITS))
        # The one that computes half of the time, and whoever happened to run.
        self.assertLessEqual(int(re.search(r"stops +(\d+):", said)[1]), 4)
        self.assertLess(profile.duration_nanos, 1e9)

    def test_a_thousand(self):
        with Target([victim("blocked-gcc-fp"), "1000"], wait_for="ready") as target:
            profile, said = self.snapshot(target.pid)
        self.assertEqual(len(profile.by_label("tid", 0)), 1001)
        self.assertEqual(profile.total(0), 1001)
        self.assertEqual(profile.cumulative(0)["some_frame"], 1000)
        self.assertRegex(said, r"stops +[12]:")
        self.assertLess(profile.duration_nanos, 2e9)
        # Nobody stands still while others are read, which takes 10 ms and more.
        pause = re.search(r"pause .* max ([\d.]+)(us|ms)", said)
        self.assertLess(float(pause[1]) * {"us": 1, "ms": 1000}[pause[2]], 4000, said)

    def test_more_that_run_than_there_are_cpus(self):
        with Target([victim("phases"), "user", "16", "60"]) as target:
            # Until each of them works.
            while sum(used > 5e6 for used in self.cpu_times(target.pid)) < 16:
                time.sleep(0.01)
            profile, said = self.snapshot(target.pid, "-d", "30s")
        self.assertEqual(profile.total(0), 17, said)
        self.assertEqual(len(profile.by_label("tid", 0)), 17)
        self.assertEqual(profile.cumulative(0)["work"], 16)
        self.assertLess(profile.duration_nanos, 20e9)

    def test_what_was_not_read_is_said(self):
        with Target([victim("shares"), "60", "5"], wait_for="ready") as target:
            profile, said = self.snapshot(target.pid, "-d", "1ns", expect=1)
            self.once_each(profile, target.pid)
        self.assertEqual({tuple(s.names()) for s in profile.samples}, {("[stack not read]",)})
        self.assertIn("the stacks of 13 threads could not be read", said)


class PprofReads(Types):
    def test_all_files(self):
        self.record_types("cpu,wall,block", [victim("shares"), "1"])
        with Target([victim("shares"), "60"], wait_for="ready") as target:
            self.cprof("record", "-p", target.pid, "-o", "out.threads.pb.gz", "--type=threads")
        for name, values in VALUES.items():
            path = self.path(f"out.{name}.pb.gz")
            raw = self.pprof("-raw", path)
            self.assertIn(" ".join("/".join(v) for v in values), raw)
            top = self.pprof("-top", "-cum", path)
            self.assertIn(f"Type: {values[-1][0]}", top)
            self.assertIn("compute" if name == "cpu" else "wait_sleep", top)
            report = self.cprof("report", path).stdout
            self.assertIn(f"Type: {values[-1][0]}", report)


if __name__ == "__main__":
    main()
