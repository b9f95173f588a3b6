# SPDX-License-Identifier: Apache-2.0
"""Several types from one recording, and what waits for what."""
import os

from support import Case, Profile, Target, main, victim

WAITS = ["wait_sleep", "wait_poll", "wait_pipe", "wait_mutex", "wait_condition"]
VALUES = {
    "cpu": [("samples", "count"), ("cpu", "nanoseconds")],
    "wall": [("samples", "count"), ("wall", "nanoseconds")],
}
LABELS = {
    "cpu": {"thread", "tid", "mode"},
    "wall": {"thread", "tid", "mode", "state", "syscall"},
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
        profiles, _, _ = self.record_types("wall,cpu", [victim("phases"), "kernel", "2", "1"])
        for name, profile in profiles.items():
            self.assertEqual(profile.sample_types, VALUES[name])
            self.assertEqual(profile.period_type, VALUES[name][1])
            self.assertEqual(profile.period, 5000000)
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
        for types in "cpu", "cpu,wall":
            profiles, said, _ = self.record_types(types, [victim("phases"), "user", "2", "1.5"])
            own = sum(int(words[1]) for words in said)
            total = profiles["cpu"].total(1)
            self.assertGreater(total, own * 0.999, types)
            self.assertLess(total, own * 1.02 + 10e6, types)
            for path in os.listdir(self.folder):
                os.unlink(self.path(path))

    def test_cpu_of_threads_that_wait_and_run(self):
        # Stops that find the thread blocked count for elapsed time only.
        profiles, _, _ = self.record_types("cpu,wall", [victim("waits"), "1"])
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
        self.assertIn("no profile type 'heap'; known: cpu, wall",
                      refused("--type=cpu,heap"))
        self.assertIn("no profile type ''", refused("--type=cpu,"))
        self.assertIn("stdout", refused("--type=cpu,wall", "-o", "-", status=2))
        self.assertIn("directory", refused("--type=cpu,wall", "-o", ".", status=2))
        self.assertIn("several files", refused("--type=cpu,wall", "-o", "/dev/null", status=2))


if __name__ == "__main__":
    main()
