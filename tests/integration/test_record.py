# SPDX-License-Identifier: Apache-2.0
"""The main job on known targets: stacks, accounting, life cycle."""
import os
import re
import shutil
import signal
import subprocess
import time

from support import CPROF, Case, Profile, Target, main, victim


class Chains(Case):
    """One known chain of calls, built in all the ways that compilers have."""

    def check(self, program, kind, chain, depth="100"):
        with Target([victim(program), kind, depth], wait_for="ready") as target:
            profile, said = self.record_busy(target)
        # At 200 per second of the time that a busy machine let it have.
        self.assertGreater(profile.total(0), profile.total(1) / 1e9 * 200 / 2, said)
        self.assertEqual(profile.complete_share(), 1.0, said)
        for sample in profile.samples:
            if not sample.values[0]:
                continue
            names = sample.names()
            self.assertEqual(names[:len(chain)], chain, (program, kind))
            self.assertIn("main", names)

    PLAIN = ["spin", "chain_c", "chain_b", "chain_a", "main"]

    def test_every_build(self):
        for program in sorted(os.listdir(os.environ["VICTIMS"])):
            if re.fullmatch(r"chain-[a-z0-9-]+", program):
                with self.subTest(program):
                    self.check(program, "plain", self.PLAIN)

    def test_signal_handler(self):
        with Target([victim("chain-gcc-o2"), "signal"], wait_for="ready") as target:
            profile, _ = self.record_busy(target)
        for sample in profile.samples:
            if sample.values[0]:
                names = sample.names()
                self.assertEqual(names[:5], self.PLAIN[:4] + ["on_signal"])
                self.assertIn("in_handler", names)
                self.assertIn("main", names)

    def test_realigned_stack(self):
        for program in "chain-gcc-o0", "chain-gcc-o2", "chain-clang-o2":
            self.check(program, "realign", self.PLAIN[:4] + ["realign", "main"])

    def test_alloca(self):
        self.check("chain-gcc-o2", "alloca", self.PLAIN[:4] + ["with_alloca", "main"], "20000")

    def test_deep(self):
        self.check("chain-gcc-o2", "deep", self.PLAIN[:4] + ["deep"] * 1001 + ["main"], "1000")

    def test_stack_larger_than_the_bound_is_marked(self):
        with Target([victim("chain-gcc-o2"), "alloca", "2400000"], wait_for="ready") as target:
            profile, said = self.record_busy(target)
        self.assertEqual(profile.complete_share(), 0)
        self.assertIn("100.0% cut", said)
        self.assertEqual(profile.samples[0].names()[-1], "[stack cut]")

    def test_libunwind_engine_sees_the_same(self):
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            profile, _ = self.record_busy(target, "--unwinder=libunwind")
        for sample in profile.samples:
            if sample.values[0]:
                self.assertEqual(sample.names()[:5], self.PLAIN)


class Symbols(Case):
    """Names that are not in the file's own .symtab."""

    def strip(self):
        program, full = self.path("stripped"), self.path("full")
        subprocess.run(["objcopy", "--only-keep-debug", victim("chain-gcc-nodebug"), full],
                       check=True)
        subprocess.run(["strip", "-o", program, victim("chain-gcc-nodebug")], check=True)
        return program, full

    def names(self, program):
        with Target([program, "plain"], wait_for="ready") as target:
            profile, said = self.record_busy(target)
        self.assertEqual(profile.complete_share(), 1.0, said)
        return profile.cumulative(), said

    def test_stripped_says_so(self):
        program, _ = self.strip()
        names, said = self.names(program)
        self.assertNotIn("chain_a", names)
        self.assertRegex(said, r"no names \d+ of \d+ addresses in " + program)

    def test_gnu_debugdata(self):
        program, full = self.strip()
        subprocess.run(["xz", full], check=True)
        subprocess.run(["objcopy", f"--add-section=.gnu_debugdata={full}.xz", program],
                       check=True)
        self.assertIn("chain_a", self.names(program)[0])

    def test_debuglink(self):
        program, full = self.strip()
        subprocess.run(["objcopy", f"--add-gnu-debuglink={full}", program], check=True)
        self.assertIn("chain_a", self.names(program)[0])


    def test_named_while_recording(self):
        with Target([victim("chain-gcc-static"), "plain"], wait_for="ready") as target:
            _, said = self.record(target.pid, "-v", seconds="1s")
        took = re.search(r"without a name, in \S+ after ([\d.]+)(us|ms|s) of CPU time", said)
        self.assertIsNotNone(took, said)
        # To read a symbol table alone takes more; a thread that only waits takes less.
        self.assertGreater(float(took[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[took[2]], 500, said)

    def test_the_file_goes_with_its_process(self):
        program, out = self.path("gone"), self.path("o.pb.gz")
        shutil.copy(victim("chain-gcc-o2"), program)
        with Target([program, "plain"], wait_for="ready") as target:
            with subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "30s", "-o", out],
                                  stderr=subprocess.PIPE) as cprof:
                target.wait_until_sampled(cprof.pid)
                os.unlink(program)
                target.process.kill()
                cprof.communicate(timeout=20)
                self.assertEqual(cprof.returncode, 0)
        self.assertIn("chain_a", Profile(out).cumulative())


class Accounting(Case):
    def test_sum_is_what_the_kernel_charged(self):
        profile, done = self.run_command([victim("phases"), "user", "2", "1.5"], hz=100)
        self.phases(profile, map(str.split, done.stdout.splitlines()))

    def test_labels_and_kernel_leaf(self):
        profile, _ = self.run_command([victim("phases"), "kernel", "2", "1"])
        modes = {s.labels.get("mode") for s in profile.samples if s.values[0]}
        self.assertEqual(modes, {"user", "kernel"})
        for sample in profile.samples:
            if not sample.values[0]:
                continue
            self.assertEqual(sample.labels["thread"], "phases")
            self.assertTrue(sample.labels["tid"].isdigit())
            leaf = sample.names()[0]
            self.assertEqual(leaf.startswith("[kernel] "), sample.labels["mode"] == "kernel")
        self.assertIn("[kernel] write", profile.cumulative())

    def test_idle_process_gives_an_empty_valid_profile(self):
        with Target(["sleep", "60"]) as target:
            profile, said = self.record(target.pid, seconds="300ms")
        self.assertEqual(profile.total(0), 0)
        self.assertEqual(profile.sample_types, [("samples", "count"), ("cpu", "nanoseconds")])
        self.assertIn("used no CPU time", said)

    def test_tid_restricts(self):
        with Target([victim("phases"), "user", "2", "60"]) as target:
            tids = []
            while len(tids) < 3:
                tids = sorted(map(int, os.listdir(f"/proc/{target.pid}/task")))
            profile, _ = self.record(target.pid, "--tid", tids[1], seconds="500ms")
        self.assertEqual({s.labels["tid"] for s in profile.samples}, {str(tids[1])})


class Life(Case):
    def test_command_exit_status_and_output(self):
        out = self.path("o.pb.gz")
        done = self.cprof("record", "-o", out, "--exit-status", "--", "sh", "-c",
                          "echo hello; exit 7", expect=7)
        self.assertEqual(done.stdout, "hello\n")
        done = self.cprof("record", "-o", out, "--exit-status", "--", "sh", "-c", "kill -9 $$",
                          expect=137)
        self.cprof("record", "-o", out, "--", "sh", "-c", "exit 7", expect=0)
        Profile(out)

    def test_command_not_found_touches_nothing(self):
        done = self.cprof("record", "-o", self.path("o.pb.gz"), "--", "no-such-program", expect=2)
        self.assertIn("no-such-program", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_target_killed_meanwhile(self):
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            out = self.path("o.pb.gz")
            with subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "30s", "-v", "-o",
                                   out], stderr=subprocess.PIPE) as cprof:
                target.wait_until_sampled(cprof.pid)
                target.process.kill()
                cprof.communicate(timeout=20)
                self.assertEqual(cprof.returncode, 0)
        self.assertGreater(Profile(out).total(0), 0)

    def test_sigint_and_sigterm_write_what_there_is(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
                out = self.path("o.pb.gz")
                with subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "30s", "-o",
                                       out], stderr=subprocess.PIPE) as cprof:
                    target.wait_until_sampled(cprof.pid)
                    cprof.send_signal(number)
                    cprof.communicate(timeout=20)
                    self.assertEqual(cprof.returncode, 0)
                self.assertEqual(target.state(), "R")
            self.assertGreater(Profile(out).total(0), 0)
            self.assertLess(Profile(out).duration_nanos, 20e9)

    def test_execve_goes_on_with_the_new_image(self):
        program = victim("chain-gcc-o0")
        script = f"i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exec {program} plain"
        with Target(["sh", "-c", script]) as target:
            profile, said = self.record(target.pid, "-v", seconds="3s")
        self.assertIn("1 execve", said)
        names = profile.cumulative()
        self.assertIn("chain_a", names)
        self.assertTrue(any(m.file.endswith("/dash") or m.file.endswith("/sh")
                            for m in profile.mappings))

    def test_threads_born_later(self):
        with Target([victim("phases"), "user", "8", "2"]) as target:
            profile, _ = self.record(target.pid, seconds="1500ms")
        tids = {s.labels["tid"] for s in profile.samples if s.values[0]}
        self.assertGreaterEqual(len(tids), 6)


if __name__ == "__main__":
    main()
