# SPDX-License-Identifier: Apache-2.0
"""Bad input: a clear sentence, the right exit code, and the target as it was."""
import ctypes.util
import errno
import os
import shutil
import subprocess
import time

from support import CPROF, Case, Profile, Target, main, need, victim, wait_for_text


class Usage(Case):
    def refused(self, *args, code=64, says=""):
        done = self.cprof("record", *args, expect=code)
        self.assertIn(says, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(os.listdir(self.folder), [], "left something behind")

    def test_numbers(self):
        for rate in "0", "100000", "-1", "x", "", "99999999999999999999", "1.5":
            self.refused("-p", "1", "-F", rate, says="from 1 to 10000")
        for time_ in "0", "0s":
            self.refused("-p", "1", "-d", time_, says="wants more than 0")
        for time_ in "10", "x", "5y", "-1s":
            self.refused("-p", "1", "-d", time_, says="with a unit")
        self.refused("-p", "1", "-d", "99999999999h", says="too long")
        for share in "-1", "101", "x", "", "5 %", "nan":
            self.refused("-p", "1", "--max-overhead", share, says="a percentage from 0 to 100")
        self.refused("-p", "1", "--max-pause", "0", says="wants more than 0")
        self.refused("-p", "1", "--tid", "1", "--children", says="threads of one process")
        self.refused("-p", "1", "--type", "memory", says="known: cpu, wall")
        for pid in "0", "-5", "abc", "99999999999", "":
            self.refused("-p", pid, says="wants a number")

    def test_what_to_profile(self):
        self.refused(says="one of -p PID")
        self.refused("-p", "1", "-n", "x", says="one of -p PID")
        self.refused("-p", "1", "--", "true", says="one of -p PID")
        self.refused("--bogus", says="record --help")
        self.refused("-p", "1", "--type", "goroutine", says="known: cpu")
        self.refused("-p", "1", "--unwinder", "x", says="known: fast, libunwind")
        self.refused("-p", "1", "--exit-status", says="--exit-status goes with")
        self.refused("--tid", "5", "--", "true", says="--tid goes with")

    def test_no_command(self):
        self.assertEqual(subprocess.run([CPROF], capture_output=True).returncode, 64)
        self.assertEqual(subprocess.run([CPROF, "x"], capture_output=True).returncode, 64)
        for ask in ["--help"], ["record", "--help"], ["--version"]:
            done = subprocess.run([CPROF, *ask], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("cprof", done.stdout)


class Targets(Case):
    def refused(self, *args, says, **options):
        done = self.cprof("record", *args, "-d", "1s", expect=2, **options)
        self.assertIn(says, done.stderr)
        self.assertEqual(os.listdir(self.folder), [], "left something behind")

    def test_no_such_process(self):
        process = subprocess.Popen(["true"])
        process.wait()
        self.refused("-p", process.pid, says="there is no process")
        self.refused("-n", "no-such-name", says="no process is named")

    def test_itself(self):
        done = subprocess.run(["sh", "-c", f'exec "{CPROF}" record -p $$'], capture_output=True,
                              text=True, cwd=self.folder)
        self.assertEqual(done.returncode, 2)
        self.assertIn("is this cprof", done.stderr)

    def test_several_of_a_name(self):
        name = f"n{os.getpid()}"
        program = self.path(name)
        shutil.copy(shutil.which("sleep"), program)
        with Target([program, "60"]) as a, Target([program, "60"]) as b:
            done = self.cprof("record", "-n", name, expect=2)
            self.assertIn(str(a.pid), done.stderr)
            self.assertIn(str(b.pid), done.stderr)
        with Target([program, "60"]):
            self.cprof("record", "-n", name, "-d", "50ms", "-o", self.path("o"), expect=0)

    def test_kernel_thread(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with open(f"/proc/{pid}/status") as file:
                if "\nKthread:\t1" in file.read() or pid == "2":
                    self.refused("-p", pid, says="kernel thread")
                    return
        self.skipTest("no kernel thread is visible")

    def test_zombie(self):
        process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.refused("-p", process.pid, says="has ended already")
        process.wait()

    def test_thread_id(self):
        with Target([victim("phases"), "user", "1", "60"]) as target:
            tids = []
            while len(tids) < 2:
                tids = sorted(map(int, os.listdir(f"/proc/{target.pid}/task")))
            self.refused("-p", tids[1], says=f"is a thread of process {target.pid}")
            self.refused("-p", target.pid, "--tid", "1", says="has no thread 1")

    def test_traced_already(self):
        need("strace")
        with Target(["sleep", "60"]) as target:
            strace = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(target.pid)])
            wait_for_text(f"/proc/{target.pid}/status", f"TracerPid:\t{strace.pid}\n")
            self.refused("-p", target.pid, says=f"traced already, by process {strace.pid}")
            strace.terminate()
            strace.wait()

    def test_two_cprofs(self):
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            # So often that it is met while it is the tracer, too.
            first = subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "30s", "-F",
                                      "10000", "--max-overhead=0", "-o", "/dev/null"],
                                     stderr=subprocess.DEVNULL)
            claim = f"@cprof/{target.pid}/"
            wait_for_text("/proc/net/unix", claim)
            self.refused("-p", target.pid, says=f"another cprof, process {first.pid}")
            for _ in range(20):
                self.refused("-p", target.pid, says="another cprof")
            first.terminate()
            self.assertEqual(first.wait(timeout=20), 0)

    def test_other_user(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        os.chmod(self.folder, 0o777)
        program = "/tmp/" + os.path.basename(self.folder) + "-cprof"
        shutil.copy(CPROF, program)
        self.addCleanup(os.unlink, program)
        with Target(["sleep", "60"]) as target:
            done = subprocess.run([program, "record", "-p", str(target.pid), "-d", "1s"],
                                  capture_output=True, text=True, user=65534, group=65534,
                                  extra_groups=[], cwd=self.folder)
            self.assertEqual(done.returncode, 2)
            self.assertIn("belongs to another user (uid 0)", done.stderr)
            self.assertEqual(target.state(), "S")

    def test_stopped_target_is_said_and_stays_stopped(self):
        with Target(["sleep", "60"]) as target:
            os.kill(target.pid, 19)
            while target.state() != "T":
                time.sleep(0.01)
            done = self.cprof("record", "-p", target.pid, "-d", "300ms", "-o", self.path("o"))
            self.assertIn("is stopped", done.stderr)
            self.assertEqual(target.state(), "T")

    def test_32_bit(self):
        source = self.path("a.s")
        with open(source, "w") as file:
            file.write(".globl _start\n_start:\n movl $29, %eax\n int $0x80\n jmp _start\n")
        built = subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-o", self.path("a"),
                                source], capture_output=True)
        if built.returncode:
            self.skipTest("gcc cannot link for 32 bits here")
        try:
            target = Target([self.path("a")])
        except OSError as error:
            # The file is good: the kernel has no IA32 emulation, or was started without.
            if error.errno != errno.ENOEXEC:
                raise
            self.skipTest("the kernel executes no 32-bit programs")
        with target:
            done = self.cprof("record", "-p", target.pid, expect=2)
            self.assertIn("32-bit", done.stderr)


class Outputs(Case):
    def test_unwritable(self):
        done = self.cprof("record", "-o", "/no/such/folder/x", "--", "true", expect=2)
        self.assertIn("Choose another place with -o", done.stderr)
        done = self.cprof("record", "-o", self.folder, "--", "true", expect=2)
        self.assertIn("is a directory", done.stderr)

    def test_full_disk_saves_elsewhere(self):
        done = self.cprof("record", "-o", "/dev/full", "--", "true", expect=1,
                          env=dict(os.environ, TMPDIR=self.folder))
        self.assertIn("No space left", done.stderr)
        rescued = [n for n in os.listdir(self.folder) if n.startswith("cprof-rescued-")]
        self.assertEqual(len(rescued), 1)
        Profile(self.path(rescued[0]))

    def test_default_name_is_the_next_number(self):
        for number in "001", "002":
            self.cprof("record", "--", "true")
            self.assertTrue(os.path.exists(self.path(f"cprof.true.samples.cpu.{number}.pb.gz")))

    def test_stdout(self):
        done = subprocess.run([CPROF, "record", "-o", "-", "--", "true"], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("o"), "wb") as file:
            file.write(done.stdout)
        Profile(self.path("o"))

    def test_terminal_is_refused(self):
        leader, follower = os.openpty()
        done = subprocess.run([CPROF, "record", "-o", "-", "--", "true"], stdout=follower,
                              stderr=subprocess.PIPE, text=True)
        os.close(leader)
        os.close(follower)
        self.assertEqual(done.returncode, 2)
        self.assertIn("terminal", done.stderr)

    def test_progress_on_a_terminal_only(self):
        leader, follower = os.openpty()
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            argv = [CPROF, "record", "-p", str(target.pid), "-d", "1s", "-o", self.path("o")]
            subprocess.run(argv, stderr=follower, check=True)
            seen = os.read(leader, 65536).decode()
            done = subprocess.run(argv, stderr=subprocess.PIPE, text=True, check=True)
        os.close(leader)
        os.close(follower)
        self.assertRegex(seen, r"\r\x1b\[K0\.\ds of 1s  \d+ samples  1 threads")
        self.assertNotIn("\r", done.stderr)
        self.assertIn("go tool pprof -http=: " + self.path("o"), done.stderr)

    def test_quiet_says_nothing(self):
        done = self.cprof("record", "-q", "-o", self.path("o"), "--", "true")
        self.assertEqual(done.stderr, "")

    def test_old_file_stays_until_the_new_one_is_whole(self):
        with open(self.path("o"), "w") as file:
            file.write("old")
        with Target(["sleep", "60"]) as target:
            cprof = subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "30s", "-o",
                                      self.path("o")], stderr=subprocess.DEVNULL)
            claim = f"@cprof/{target.pid}/"
            wait_for_text("/proc/net/unix", claim)
            with open(self.path("o")) as file:
                self.assertEqual(file.read(), "old")
            cprof.terminate()
            self.assertEqual(cprof.wait(timeout=20), 0)
        Profile(self.path("o"))
        self.assertEqual(os.listdir(self.folder), ["o"])


class Files(Case):
    """Mapped files that are corrupt cost their own symbols, nothing else."""

    def profile_with_library(self, damage):
        """Runs the victim with a copy of libc that is damaged on disk after it was mapped."""
        libc = ctypes.util.find_library("c")
        path = subprocess.run(["ldd", victim("phases")], capture_output=True, text=True).stdout
        path = [w for w in path.split() if w.endswith(libc) and w.startswith("/")][0]
        shutil.copy(path, self.path(libc))
        with Target([victim("phases"), "user", "1", "60"],
                    env=dict(os.environ, LD_LIBRARY_PATH=self.folder)) as target:
            wait_for_text(f"/proc/{target.pid}/maps", "[heap]")
            damage(self.path(libc))
            profile, said = self.record(target.pid, seconds="500ms", expect=None)
        self.assertGreater(profile.total(0), 20, said)
        # The program's own functions are there all the same.
        self.assertIn("phase_hash", profile.cumulative())
        return profile, said

    def test_replaced_by_rename(self):
        def damage(path):
            shutil.copy(path, path + ".new")
            os.rename(path + ".new", path)
        profile, said = self.profile_with_library(damage)
        self.assertEqual(profile.complete_share(), 1.0, said)

    def test_deleted(self):
        profile, said = self.profile_with_library(os.unlink)
        self.assertEqual(profile.complete_share(), 1.0, said)
        self.assertFalse([m.file for m in profile.mappings if "(deleted)" in m.file and
                          os.path.exists(m.file)])


if __name__ == "__main__":
    main()
