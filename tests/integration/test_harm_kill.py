# SPDX-License-Identifier: Apache-2.0
"""cprof is ended at random instants; the target never stands still and misses no signal.

KILLS: how many of them, in all; the long form. Two of three kills meet a recorder at work, the
others one that begins.
"""
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

from harm import Recorder, children, counts, states, tasks, wait_until
from support import CPROF, Case, Profile, Target, main, need, victim

KILLS = int(os.environ.get("KILLS", "40"))
WAYS = (["--type=cpu"], ["--type=wall"], ["--children"], ["--type=wall", "--children"])


class Kill(Case):
    def check_untouched(self, target):
        for pid in [target.pid, *children(target.pid)]:
            for tid, (state, tracer) in tasks(pid).items():
                self.assertNotIn(state, "Tt", f"thread {tid} of {pid} stands still")
                self.assertEqual(tracer, 0, f"thread {tid} of {pid} is traced")
        self.assertIsNone(target.process.poll())

    def end_crew(self, target):
        """Its counts, checked but for EINTR, once all that it began has ended."""
        out = target.process.communicate(b"\n", timeout=60)[0].decode()
        self.assertEqual(target.process.returncode, 0)
        found = counts(out)
        print(found, file=sys.stderr)
        for kind in "queued", "directed", "plain", "waited":
            self.assertGreater(found[f"{kind}_sent"], 100)
            self.assertEqual(found[f"{kind}_sent"], found[f"{kind}_received"], out)
        for name in "disorder", "strange", "early", "wrong":
            self.assertEqual(found[name], 0, out)
        self.assertGreater(found["waits"], 100)
        return found

    def test_sigkill(self):
        leaked = kills = 0
        for way in WAYS:
            with Target([victim("crew")], wait_for="ready", stdin=subprocess.PIPE) as target:
                for i in range(KILLS // len(WAYS)):
                    cprof = Recorder(target.pid, *way, ready=i % 3 > 0)
                    time.sleep(random.uniform(0, 0.05))
                    cprof.process.kill()
                    cprof.process.communicate()
                    self.assertEqual(cprof.process.returncode, -signal.SIGKILL)
                    self.check_untouched(target)
                    kills += 1
                leaked += self.end_crew(target)["eintr"]
        print(f"{kills} kills, EINTR leaked: {leaked}", file=sys.stderr)
        # Of a thread that a stop woke from a wait, and that nobody was left to repair.
        self.assertLessEqual(leaked, 2 + kills // 50)

    def test_sigkill_while_a_signal_is_being_delivered(self):
        """A page that never comes holds cprof in the middle of a stop, which is often that of a
        signal; it is killed there."""
        kills = 0
        with Target([victim("lazystack"), "signals"], wait_for="") as target:
            if target.process.poll() == 77:
                self.skipTest("userfaultfd is not allowed here")
            for _ in range(min(400, max(50, KILLS // 4))):
                cprof = Recorder(target.pid)
                wait_until(lambda: "D" in states(cprof.pid) and states(target.pid) == {"t"})
                cprof.process.kill()
                cprof.process.communicate()
                self.check_untouched(target)
                kills += 1
            target.process.kill()
            lost = target.process.stdout.read().count(b"lost")
        print(f"{kills} kills in a stop, signals lost: {lost}", file=sys.stderr)
        self.assertEqual(lost, 0)

    def test_ended_by_a_signal(self):
        """With 0 and a valid profile, at any instant from when it has the target."""
        with Target([victim("crew")], wait_for="ready", stdin=subprocess.PIPE) as target:
            for i in range(max(6, KILLS // 20)):
                number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[i % 3]
                out = self.path("o.pb.gz")
                cprof = Recorder(target.pid, *WAYS[i % len(WAYS)], out=out)
                time.sleep(random.uniform(0, 0.05))
                cprof.end(signal=number)
                self.check_untouched(target)
                Profile(out)
                os.unlink(out)
            self.assertEqual(self.end_crew(target)["eintr"], 0)


class Trouble(Case):
    """cprof cannot go on; it says so and the target runs."""

    def setUp(self):
        super().setUp()
        self.rescued = self.path("tmp")
        os.mkdir(self.rescued)
        self.env = dict(os.environ, TMPDIR=self.rescued)
        self.target = self.enterContext(Target([victim("phases"), "user", "4", "120"]))

    def check(self, code, said, codes):
        self.assertIn(code, codes, said)
        self.assertRegex(said, r"(?m)^cprof: .*\S")
        self.assertFalse({state for state, _ in tasks(self.target.pid).values()} & set("Tt"))
        self.assertEqual({tracer for _, tracer in tasks(self.target.pid).values()}, {0})

    def test_nobody_reads_stdout(self):
        read, write = os.pipe()
        cprof = Recorder(self.target.pid, out="-", stdout=write, env=self.env)
        os.close(write)
        os.close(read)
        said = cprof.end(expect=(1,))
        self.check(1, said, {1})
        self.assertIn("Broken pipe", said)
        Profile(re.search(r"saved as (\S+) instead", said)[1])

    def test_full_disk(self):
        done = self.cprof("record", "-p", self.target.pid, "-d", "1s", "-o", "/dev/full",
                          expect=1, env=self.env)
        self.assertIn("No space left", done.stderr)
        Profile(re.search(r"saved as (\S+) instead", done.stderr)[1])
        self.check(1, done.stderr, {1})

    def run_on_full_disk(self, rescue):
        """In a mount namespace with a file system of 64 KiB that is full."""
        script = ("mount -t tmpfs -o size=64k none $1 && head -c 65536 /dev/zero > $1/fill; "
                  "shift; exec \"$@\"")
        folder = self.path("small")
        os.mkdir(folder)
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", folder, CPROF, "record", "-p",
             str(self.target.pid), "-d", "300ms", "-F", "1000", "-o", f"{folder}/p.pb.gz"],
            capture_output=True, text=True, timeout=60,
            env=dict(self.env, TMPDIR=self.rescued if rescue else folder))
        if "unshare" in done.stderr or "mount:" in done.stderr:
            self.skipTest(done.stderr)
        self.assertIn("No space left", done.stderr)
        return done

    def test_full_file_system(self):
        need("unshare", "mount")
        done = self.run_on_full_disk(rescue=True)
        self.check(done.returncode, done.stderr, {1})
        Profile(re.search(r"saved as (\S+) instead", done.stderr)[1])

    def test_full_file_system_and_no_other(self):
        need("unshare", "mount")
        done = self.run_on_full_disk(rescue=False)
        self.check(done.returncode, done.stderr, {2})
        self.assertIn("The recording is lost", done.stderr)

    def test_out_of_memory(self):
        """RLIMIT_AS from far too small to nearly enough."""
        with open(CPROF, "rb") as file:
            if b"__asan_init" in file.read():
                self.skipTest("AddressSanitizer needs terabytes of address space")
        codes = {}
        enough = 512 << 20
        for size in [mib << 20 for mib in (*range(4, 64, 1 if KILLS > 40 else 7), 100)] + [enough]:
            done = self.cprof(
                "record", "-p", self.target.pid, "-d", "100ms", "-F", "1000", "-o",
                self.path("o"), expect=None, env=self.env,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)))
            codes[size >> 20] = done.returncode
            if done.returncode == 0:
                Profile(self.path("o"))
            elif done.returncode == 127:  # not even the dynamic linker
                self.assertIn("error while loading", done.stderr)
            else:
                self.check(done.returncode, done.stderr, {1, 2})
        print(f"MiB: exit code {codes}", file=sys.stderr)
        self.assertEqual(codes[enough >> 20], 0)
        self.assertTrue(set(codes.values()) & {1, 2})
        self.assertEqual(set(os.listdir(self.folder)) - {"o", "tmp"}, set())

    def test_few_descriptors(self):
        codes = {}
        for most in (*range(3, 64, 1 if KILLS > 40 else 9), 1024):
            done = self.cprof(
                "record", "-p", self.target.pid, "-d", "100ms", "-F", "1000", "-o",
                self.path("o"), expect=None, env=self.env,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
            codes[most] = done.returncode
            if done.returncode == 127:
                self.assertIn("error while loading", done.stderr)
            elif done.returncode:
                self.check(done.returncode, done.stderr, {1, 2})
            else:
                Profile(self.path("o"))
        print(f"descriptors: exit code {codes}", file=sys.stderr)
        self.assertEqual(codes[1024], 0)

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


if __name__ == "__main__":
    main()
