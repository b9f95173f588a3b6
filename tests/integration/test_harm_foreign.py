# SPDX-License-Identifier: Apache-2.0
"""Others that have a hand on the target: tracers, a second cprof, cprof itself, seccomp, a frozen
cgroup, set-user-ID programs. HARM_ROUNDS: the long form."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from harm import Recorder, counts, states, tasks, wait_until
from support import CPROF, Case, Profile, Target, main, need, victim

ROUNDS = int(os.environ.get("HARM_ROUNDS", "16"))
NOBODY = dict(user=65534, group=65534, extra_groups=[])


class Tracers(Case):
    def refused(self, pid):
        done = self.cprof("record", "-p", pid, "-d", "1s", "-o", self.path("o"), expect=2)
        self.assertIn("traced", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_strace(self):
        need("strace")
        with Target(["python3", "-c", "import time\nwhile True: time.sleep(0.001)"]) as target:
            log = tempfile.TemporaryFile()
            strace = subprocess.Popen(["strace", "-f", "-p", str(target.pid)], stderr=log)
            wait_until(lambda: tasks(target.pid)[target.pid][1] == strace.pid)
            for _ in range(5):
                self.refused(target.pid)
                before = os.fstat(log.fileno()).st_size
                wait_until(lambda: os.fstat(log.fileno()).st_size > before + 1000)
            self.assertEqual(tasks(target.pid)[target.pid][1], strace.pid)
            strace.terminate()
            strace.wait()
            log.seek(0)
            self.assertNotIn(b"EINTR", log.read())
            log.close()

    def test_gdb(self):
        need("gdb")
        with Target([victim("phases"), "user", "2", "60"]) as target:
            gdb = subprocess.Popen(["gdb", "-q", "-nx", "-p", str(target.pid)], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
            wait_until(lambda: states(target.pid) == {"t"})
            self.refused(target.pid)
            self.assertEqual(states(target.pid), {"t"})
            out = gdb.communicate("info threads\nbt\ndetach\nquit\n", timeout=60)[0]
            self.assertIn("phases", out)
            self.assertIn("detached", out)
            self.assertEqual(gdb.returncode, 0)
            wait_until(lambda: not states(target.pid) & {"T", "t"})

    def test_a_second_cprof(self):
        with Target([victim("phases"), "user", "2", "60"]) as target:
            with Recorder(target.pid, out=self.path("p")) as first:
                for _ in range(5):
                    done = self.cprof("record", "-p", target.pid, "-d", "1s", "-o", "/dev/null",
                                      expect=2)
                    self.assertRegex(done.stderr, "another cprof|traced already")
                first.end()
            self.assertGreater(Profile(self.path("p")).total(0), 0)
            self.record(target.pid, seconds="100ms")

    def test_cprof_on_cprof(self):
        with Target([victim("phases"), "user", "4", "60"]) as target:
            with Recorder(target.pid, out=self.path("first")) as first:
                with Recorder(first.pid, out=self.path("second")) as second:
                    with Recorder(second.pid, "--type=wall") as third:
                        start = target.cpu_ticks()
                        wait_until(lambda: target.cpu_ticks() > start + 100)
                        # 1: a consumer that is stopped itself may drop samples.
                        third.end(expect=(0, 1))
                    second.end(expect=(0, 1))
                first.end(expect=(0, 1))
            self.assertFalse(states(target.pid) & {"T", "t"})
        self.assertGreater(Profile(self.path("first")).total(0), 100)
        names = Profile(self.path("second")).cumulative()
        self.assertTrue({name for name in names if "sampler" in name or "tracee" in name}, names)

    def test_two_cprofs_on_each_other(self):
        """Each may stop the thread that would release the other's. The watchdog sees to it."""
        with Target([victim("phases"), "user", "4", "60"]) as target:
            with Recorder(target.pid) as first, Recorder(first.pid) as second:
                done = self.cprof("record", "-p", second.pid, "-d", "1s", "-F", "1000", "-o",
                                  "/dev/null", expect=None)
                self.assertIn(done.returncode, (0, 1))
                for recorder in second, first:
                    recorder.process.terminate()
                    recorder.process.communicate(timeout=30)
                    self.assertIn(recorder.process.returncode, (0, 1))
            self.assertFalse(states(target.pid) & {"T", "t"})
            self.assertEqual({tracer for _, tracer in tasks(target.pid).values()}, {0})


class Seccomp(Case):
    def test_strict(self):
        for args in (["--type=cpu"], ["--type=wall"]):
            profile, done = self.run_command([victim("strict"), "2"], "-v", "--max-overhead=0",
                                             "--exit-status", *args, hz=1000, expect=None)
            if done.returncode == 77:
                self.skipTest("no SECCOMP_MODE_STRICT here")
            self.assertEqual(done.returncode, 0, done.stderr)
            found = counts(done.stdout)
            print(args, found, re.findall("(?m)^(?:stops|calls) .*", done.stderr), file=sys.stderr)
            self.assertGreater(found["answers"], 100)
            self.assertEqual(found["wrong"], 0)
            self.assertIn("live_strictly", profile.cumulative())

    def test_filter(self):
        profile, done = self.run_command([victim("filtered"), "3"], "-v", "--max-overhead=0",
                                         "--exit-status", hz=5000)
        waits, early = map(int, re.search(r"waits (\d+) early (\d+)", done.stdout).groups())
        self.assertGreater(waits, 100)
        self.assertEqual(early, 0)
        # Waits were met on their edge, or this shows nothing.
        self.assertGreater(int(re.search(r"calls +(\d+) restarted", done.stderr)[1]), 0)


class Frozen(Case):
    def freeze(self, folder, freeze, thaw, is_frozen):
        os.mkdir(folder)
        try:
            for way in (["--type=cpu"], ["--type=wall"]):
                with Target([victim("phases"), "user", "4", "600"]) as target:
                    with open(f"{folder}/cgroup.procs", "w") as file:
                        file.write(str(target.pid))
                    with Recorder(target.pid, *way) as cprof:
                        for i in range(max(5, ROUNDS // 6)):
                            freeze()
                            wait_until(is_frozen)
                            ticks = target.cpu_ticks()
                            if i == 1:
                                cprof.end()  # while it is frozen
                                self.assertTrue(is_frozen())
                                self.assertEqual(target.cpu_ticks(), ticks)
                                cprof = Recorder(target.pid, *way)
                            thaw()
                            wait_until(lambda: target.cpu_ticks() > ticks + 2)
                        cprof.end()
                    self.assertFalse(states(target.pid) & {"T", "t"})
        finally:
            thaw()
            wait_until(lambda: self.remove(folder))

    def remove(self, folder):
        """Until those killed in it have ended."""
        try:
            os.rmdir(folder)
        except OSError:
            return False
        return True

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)

    def read(self, path):
        with open(path) as file:
            return file.read()

    def mounted(self, kind, option):
        for line in self.read("/proc/mounts").splitlines():
            fields = line.split()
            if fields[2] == kind and option in fields[3].split(","):
                if os.access(fields[1], os.W_OK):
                    return f"{fields[1]}/cprof-test-{os.getpid()}"
        self.skipTest(f"no {kind} that we may write to")

    def test_cgroup_2(self):
        folder = self.mounted("cgroup2", "rw")
        self.freeze(folder, lambda: self.write(f"{folder}/cgroup.freeze", "1"),
                    lambda: self.write(f"{folder}/cgroup.freeze", "0"),
                    lambda: "frozen 1" in self.read(f"{folder}/cgroup.events"))

    def test_freezer(self):
        folder = self.mounted("cgroup", "freezer")
        self.freeze(folder, lambda: self.write(f"{folder}/freezer.state", "FROZEN"),
                    lambda: self.write(f"{folder}/freezer.state", "THAWED"),
                    lambda: self.read(f"{folder}/freezer.state") == "FROZEN\n")


class SetUser(Case):
    """A program that is set-user-ID root, executed by a target of another user."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        os.chmod(self.folder, 0o755)
        self.plain, self.helper = self.path("plain"), self.path("helper")
        for path, mode in ((self.plain, 0o755), (self.helper, 0o4755),
                           (self.path("cprof"), 0o755)):
            shutil.copy(CPROF if path.endswith("cprof") else victim("rootly"), path)
            os.chmod(path, mode)
        if os.statvfs(self.folder).f_flag & os.ST_NOSUID:
            self.skipTest(f"{self.folder} is nosuid")

    def run_helper(self, mode, times, *args, **who):
        """(executed, of them root)"""
        with Target([self.plain, mode, str(times), self.helper], wait_for="ready",
                    stdin=subprocess.PIPE, **NOBODY) as target:
            cprof = subprocess.Popen([self.path("cprof"), "record", "-p", str(target.pid), "-F",
                                      "1000", "--max-overhead=0", "-o", "/dev/null", *args],
                                     stderr=subprocess.PIPE, text=True, cwd="/", **who)
            wait_until(lambda: len(os.listdir(f"/proc/{cprof.pid}/task")) >= 4)
            found = counts(target.process.communicate(b"\n", timeout=120)[0].decode())
            said = cprof.communicate(timeout=60)[1]
            self.assertIn(cprof.returncode, (0, 1), said)
            self.assertIn("samples", said)
        print(mode, args, "cprof by", "nobody" if who else "root", found, file=sys.stderr)
        return found["executed"], found["root"], said

    def test_children(self):
        for who in {}, NOBODY:
            for args in ([], ["--children"], ["--children", "--type=wall"]):
                executed, root, said = self.run_helper("run", ROUNDS, *args, **who)
                self.assertEqual(executed, ROUNDS)
                self.assertEqual(root, ROUNDS)
                self.assertNotIn("ended early", said)

    def test_the_target_itself(self):
        executed, root, _ = self.run_helper("chain", 2 * ROUNDS)
        self.assertEqual((executed, root), (ROUNDS, ROUNDS))
        # A cprof without CAP_SYS_PTRACE may meet a thread in execve, before it is decided: this
        # cannot be seen from outside. See cprof-record(1).
        executed, root, _ = self.run_helper("chain", 2 * ROUNDS, **NOBODY)
        self.assertEqual(executed, ROUNDS)
        self.assertGreater(root, 0.7 * ROUNDS)


if __name__ == "__main__":
    main()
