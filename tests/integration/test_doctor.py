# SPDX-License-Identifier: Apache-2.0
"""cprof doctor on real processes: each line is compared with what another source says."""
import os
import re
import shutil
import signal
import subprocess
import time

from support import CPROF, Case, Target, main, need, victim, wait_for_text


def wait_for_state(pid, letters):
    while True:
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rsplit(")", 1)[1].split()[0] in letters:
                return
        time.sleep(0.01)


def wait_for_exe(pid, name):
    while os.path.basename(os.readlink(f"/proc/{pid}/exe")) != name:
        time.sleep(0.01)


class DoctorCase(Case):
    def doctor(self, pid, *args, expect, **options):
        """Runs it; returns {label: [lines]}, those without a label with the one above."""
        done = self.cprof("doctor", "-p", pid, *args, expect=expect, **options)
        found = {}
        label = None
        for line in done.stdout.splitlines():
            label = line[:8].strip() or label
            found.setdefault(label, []).append(line[9:])
        self.said = done.stdout
        return found

    def module(self, found, path):
        lines = [line for line in found["module"] if line.startswith(path + ": ")]
        self.assertEqual(len(lines), 1, self.said)
        return lines[0]

    def untouched(self, pid):
        with open(f"/proc/{pid}/status") as file:
            self.assertIn("TracerPid:\t0\n", file.read())


class Programs(DoctorCase):
    def sections(self, path):
        done = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True)
        return set(re.findall(r"^\s*\[\s*\d+\] (\S+)", done.stdout, re.M))

    def agrees_with_readelf(self, found, path):
        line, sections = self.module(found, path), self.sections(path)
        self.assertEqual(".eh_frame" in sections, ".eh_frame" in line, line)
        self.assertEqual(".symtab" in sections, "names from .symtab" in line, line)
        self.assertEqual(".debug_info" in sections, "DWARF inside" in line, line)

    def test_victim(self):
        need("readelf")
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            found = self.doctor(target.pid, expect=0)
            self.assertEqual(found["attach"], ["yes"])
            self.assertEqual(found["verdict"], ["cprof record would work"])
            self.agrees_with_readelf(found, os.path.realpath(victim("chain-gcc-o2")))
            self.assertRegex(found["threads"][0], r"^1: 1 runnable \(R\)$")
            self.assertRegex(found["threads"][1], r"^1 of them used [\d.]+ms")
            self.assertRegex(found["cost"][0], 
                             r"^at -F 100 some [1-9]\d* stops per second|the CPUs are too busy")
            self.assertNotIn("held", found)
            self.untouched(target.pid)

    def test_symbols_taken_away(self):
        need("strip", "readelf")
        program = self.path("stripped")
        subprocess.run(["strip", "-o", program, victim("chain-gcc-o2")], check=True)
        with Target([program, "plain"], wait_for="ready") as target:
            found = self.doctor(target.pid, expect=1)
            self.agrees_with_readelf(found, program)
            self.assertIn("install its debug symbols", found["limits"][0])

    def test_debug_files(self):
        """The same names from .gnu_debugdata and from a file beside, told apart."""
        need("objcopy", "strip", "xz")
        source, full = victim("chain-gcc-o2"), self.path("full.debug")
        link, packed = self.path("link"), self.path("packed")
        subprocess.run(["objcopy", "--only-keep-debug", source, full], check=True)
        subprocess.run(["strip", "-o", link, source], check=True)
        shutil.copy(link, packed)
        subprocess.run(["objcopy", f"--add-gnu-debuglink={full}", link], check=True)
        subprocess.run(["xz", "-k", full], check=True)
        subprocess.run(["objcopy", f"--add-section=.gnu_debugdata={full}.xz", packed], check=True)
        with Target([link, "plain"], wait_for="ready") as target:
            found = self.doctor(target.pid, expect=0)
            line = self.module(found, link)
            self.assertIn("names from its debug file", line)
            self.assertIn("DWARF from its debug file", line)
            self.assertIn(f"debug file: {full}", found["module"])
        os.unlink(full)
        with Target([packed, "plain"], wait_for="ready") as target:
            found = self.doctor(target.pid, expect=0)
            self.assertIn("names from .gnu_debugdata", self.module(found, packed))
            self.assertIn("no DWARF", self.module(found, packed))

    def test_unwind_tables_taken_away(self):
        need("objcopy", "readelf")
        program = self.path("bare")
        subprocess.run(["gcc", "-static", "-nostdlib", "-fno-asynchronous-unwind-tables",
                        "-Wl,--build-id=none", "-e", "main", "-o", program, "-x", "c", "-"],
                       input="void main(void) { for (;;); }", text=True, check=True,
                       stderr=subprocess.DEVNULL)
        with Target([program]) as target:
            wait_for_exe(target.pid, "bare")
            found = self.doctor(target.pid, expect=1)
            self.agrees_with_readelf(found, program)
            self.assertIn("no unwind tables", self.module(found, program))
            self.assertIn("has no unwind tables", "".join(found["limits"]))

    def test_libc_version(self):
        with Target(["python3", "-c", "import time; print('ready', flush=True); time.sleep(60)"], wait_for="ready") as target:
            found = self.doctor(target.pid, expect=None)
            name, version = os.confstr("CS_GNU_LIBC_VERSION").split()
            self.assertEqual(found["libc"][0], f"{name} {version}")
            self.assertIn("glibc malloc, in ", found["malloc"][0])

    def test_redis(self):
        need("redis-server", "readelf")
        argv = ["redis-server", "--port", "0", "--unixsocket", self.path("socket"), "--save", "",
                "--dir", self.folder]
        with Target(argv, wait_for="eady to accept") as target:
            found = self.doctor(target.pid, expect=None)
            with open(f"/proc/{target.pid}/maps") as file:
                jemalloc = "libjemalloc" in file.read()
            self.assertEqual("jemalloc" in found["malloc"][0], jemalloc, self.said)
            if jemalloc:
                self.assertIn("in the place of libc's", found["malloc"][0])
                self.assertEqual(len(found["malloc"]), 1)
            self.assertRegex(found["threads"][0], r"^[4-9]: ")
            for path in ("redis-check-rdb", "redis-server"):
                full = os.path.realpath(shutil.which(path))
                if f"{full}: " in self.said:
                    self.agrees_with_readelf(found, full)

    def test_static(self):
        program = self.path("static")
        built = subprocess.run(["gcc", "-static", "-o", program, "-x", "c", "-"], text=True,
                               input="int main(void) { for (;;); }", capture_output=True)
        if built.returncode:
            self.skipTest("gcc cannot link statically here")
        with Target([program]) as target:
            wait_for_exe(target.pid, "static")
            found = self.doctor(target.pid, expect=0)
            self.assertRegex(found["libc"][0], r"^glibc.*linked statically")

    def test_musl(self):
        need("musl-gcc")
        program = self.path("musl")
        subprocess.run(["musl-gcc", "-static", "-o", program, "-x", "c", "-"], text=True,
                       input="int main(void) { for (;;); }", check=True)
        with Target([program]) as target:
            wait_for_exe(target.pid, "musl")
            found = self.doctor(target.pid, expect=None)
            self.assertEqual(found["libc"][0], "musl, linked statically")

    def test_go(self):
        need("go")
        with open(self.path("a.go"), "w") as file:
            file.write('package main\nfunc main() { println("ready"); for {} }\n')
        env = dict(os.environ, HOME=self.folder, GOCACHE=self.path("cache"), CGO_ENABLED="0",
                   GOFLAGS="-mod=mod")
        subprocess.run(["go", "build", "-o", "a", "a.go"], cwd=self.folder, env=env, check=True)
        version = subprocess.run(["go", "version", self.path("a")], capture_output=True, text=True,
                                 env=env).stdout.split()[-1]
        with Target([self.path("a")], stderr=subprocess.DEVNULL) as target:
            wait_for_exe(target.pid, "a")
            found = self.doctor(target.pid, expect=0)
            self.assertIn(f"built by {version}", found["libc"][0])
            self.assertIn("Go runtime", found["malloc"][0])
            self.assertIn(".debug_frame", self.module(found, self.path("a")))

    def test_jit(self):
        script = ("import ctypes, mmap, time\n"
                  "m = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,"
                  " mmap.PROT_READ | mmap.PROT_EXEC)\n"
                  "print('ready', flush=True)\ntime.sleep(60)")
        with Target(["python3", "-c", script], wait_for="ready") as target:
            perf_map = f"/tmp/perf-{target.pid}.map"
            with open(perf_map, "w") as file:
                file.write("1000 10 foo\n")
            self.addCleanup(os.unlink, perf_map)
            found = self.doctor(target.pid, expect=1)
            self.assertEqual(found["jit"][0], "1 executable mapping without a file, 1024 KiB")
            self.assertIn(f"{perf_map}: 12 bytes", found["jit"][1])

    def test_agent(self):
        """What a heap profile has left in the process is told as that, and as nothing else."""
        with Target([victim("churn")], wait_for="alive", stdin=subprocess.PIPE) as target:
            self.cprof("record", "--type", "heap", "-p", target.pid, "-d", "100ms", "-o",
                       self.path("h.pb.gz"))
            found = self.doctor(target.pid, expect=0)
        self.assertEqual(found["agent"], ["code of an earlier heap profile is mapped, and not in use"])
        self.assertEqual(found["jit"], ["none: all executable memory but the agent's has a file"])
        self.assertFalse([line for line in found["module"] if "agent" in line])


class Held(DoctorCase):
    def test_stopped_and_resumed(self):
        with Target([victim("phases"), "user", "2", "60"]) as target:
            wait_for_text(f"/proc/{target.pid}/status", "Threads:\t3")
            os.kill(target.pid, signal.SIGSTOP)
            # Each thread stops when it runs next.
            for tid in os.listdir(f"/proc/{target.pid}/task"):
                wait_for_state(tid, "T")
            found = self.doctor(target.pid, expect=1)
            self.assertRegex(found["held"][0], r"^3 threads stopped by a signal \(T\)")
            self.assertEqual(target.state(), "T", "touched without --resume")
            found = self.doctor(target.pid, "--resume", expect=0)
            self.assertIn("sending SIGCONT", found["resume"][0])
            self.assertIn("goes on: none of its 3", found["resume"][1])
            self.assertNotEqual(target.state(), "T")

    def test_nothing_to_resume(self):
        handler = "trap 'echo CONT' CONT; echo ready; while :; do :; done"
        with Target(["bash", "-c", handler], wait_for="ready") as target:
            found = self.doctor(target.pid, "--resume", expect=None)
            self.assertEqual(found["resume"], ["nothing is stopped: nothing was done"])
            os.set_blocking(target.process.stdout.fileno(), False)
            self.assertIsNone(target.process.stdout.read(), "SIGCONT was sent")

    def test_traced(self):
        need("strace")
        with Target(["sleep", "60"]) as target:
            strace = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(target.pid)])
            wait_for_text(f"/proc/{target.pid}/status", f"TracerPid:\t{strace.pid}\n")
            found = self.doctor(target.pid, "--resume", expect=2)
            strace.terminate()
            strace.wait()
        self.assertIn(f"traced already, by process {strace.pid}", found["attach"][0])
        self.assertIn(f"is traced by strace, process {strace.pid}", found["held"][0])

    def test_tracing_stop(self):
        need("gdb")
        with Target(["sleep", "60"]) as target:
            gdb = subprocess.Popen(["gdb", "-q", "-nx", "-p", str(target.pid)],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            wait_for_state(target.pid, "t")
            found = self.doctor(target.pid, "--resume", expect=2)
            self.assertEqual(target.state(), "t")
            self.assertIsNone(gdb.poll())
            gdb.stdin.close()
            gdb.wait()
            self.assertIn(f"tracing stop (t) by gdb, process {gdb.pid}", found["held"][0])
            self.assertIn(f"not by cprof: gdb, process {gdb.pid}", found["resume"][0])
            self.assertEqual(len(found["resume"]), 1)

    def test_sampled_by_another(self):
        with Target([victim("chain-gcc-o2"), "plain"], wait_for="ready") as target:
            record = subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "30s", "-o",
                                       "/dev/null"], stderr=subprocess.DEVNULL)
            wait_for_text("/proc/net/unix", f"@cprof/{target.pid}/")
            # Asking neither takes the claim nor uses it up.
            for _ in range(5):
                found = self.doctor(target.pid, expect=2)
                # Or, at the instant of a sample, traced by it.
                self.assertRegex(found["attach"][0], "by another cprof|is traced already")
            record.terminate()
            self.assertEqual(record.wait(timeout=20), 0)
            self.doctor(target.pid, expect=0)


class Permissions(DoctorCase):
    def test_other_user(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        program = "/tmp/" + os.path.basename(self.folder) + "-cprof"
        shutil.copy(CPROF, program)
        self.addCleanup(os.unlink, program)
        with Target(["sleep", "60"]) as target:
            wait_for_exe(target.pid, os.path.basename(os.path.realpath(shutil.which("sleep"))))
            done = subprocess.run([program, "doctor", "-p", str(target.pid)], capture_output=True,
                                  text=True, user=65534, group=65534, extra_groups=[], cwd="/")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("attach   no: process", done.stdout)
        self.assertIn("belongs to another user (uid 0)", done.stdout)
        self.assertIn("ours: uid 65534, without CAP_SYS_PTRACE", done.stdout)
        self.assertIn("modules  cannot be read: Permission denied", done.stdout)
        self.assertEqual(done.stderr, "")

    def test_undumpable(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        script = ("import ctypes, time\nassert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0\n"
                  "print('ready', flush=True)\ntime.sleep(60)")
        program = "/tmp/" + os.path.basename(self.folder) + "-cprof"
        shutil.copy(CPROF, program)
        self.addCleanup(os.unlink, program)
        for dumpable in True, False:
            text = script if not dumpable else script.replace("(4, 0", "(4, 1")
            with Target(["/usr/bin/python3", "-c", text], wait_for="ready", user=65534) as target:
                found = self.doctor(target.pid, expect=None)
                self.assertIn(f"dumpable {'yes' if dumpable else 'no'};", found["rights"][1])
                done = subprocess.run([program, "doctor", "-p", str(target.pid)], text=True,
                                      capture_output=True, user=65534, cwd="/")
                self.assertEqual(done.returncode == 2, not dumpable, done.stdout)
                self.assertEqual("has protected itself" in done.stdout, not dumpable)

    def test_namespaces(self):
        need("unshare")
        if os.geteuid() != 0:
            self.skipTest("needs root to make namespaces")
        # Not in a chroot, for instance, whose root is no mount point.
        if subprocess.run(["unshare", "--pid", "--mount", "--fork", "true"],
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("cannot make namespaces here")
        with Target(["unshare", "--pid", "--mount", "--fork", "--kill-child", "sleep", "60"]) as t:
            children = ""
            while not children:
                with open(f"/proc/{t.pid}/task/{t.pid}/children") as file:
                    children = file.read()
            pid = int(children)
            wait_for_text(f"/proc/{pid}/comm", "sleep")
            found = self.doctor(pid, expect=None)
        self.assertEqual(found["attach"], ["yes"])
        self.assertIn("pid 1 in its own namespace", found["process"][0])
        self.assertIn("pid another, mount another, user as ours", found["spaces"][0])
        self.assertTrue([m for m in found["module"] if "libc.so.6: " in m and "functions" in m])

    def test_seccomp(self):
        script = ("import ctypes, time\nc = ctypes.CDLL(None)\nassert c.prctl(38, 1, 0, 0, 0) == 0\n"
                  "class F(ctypes.Structure):\n _fields_ = [('n', ctypes.c_ushort),"
                  " ('f', ctypes.c_void_p)]\n"
                  "b = ctypes.create_string_buffer(bytes.fromhex('060000000000ff7f'))\n"
                  "assert c.prctl(22, 2, ctypes.byref(F(1, ctypes.addressof(b)))) == 0\n"
                  "print('ready', flush=True)\ntime.sleep(60)")
        with Target(["python3", "-c", script], wait_for="ready") as target:
            found = self.doctor(target.pid, expect=None)
            self.assertIn("seccomp 1 filter (no obstacle", found["rights"][1])


class Refusals(DoctorCase):
    def test_usage(self):
        for args in (), ("-p", "1", "-n", "x"), ("-p", "0"), ("-p", "x"), ("--bogus",), ("1",):
            done = self.cprof("doctor", *args, expect=64)
            self.assertEqual(done.stdout, "")

    def test_no_process(self):
        process = subprocess.Popen(["true"])
        process.wait()
        done = self.cprof("doctor", "-p", process.pid, expect=2)
        self.assertIn("there is no process", done.stderr)
        self.assertEqual(done.stdout, "")
        self.cprof("doctor", "-n", "no-such-name", expect=2)

    def test_kernel_thread(self):
        with open("/proc/2/comm") as file:
            if file.read() != "kthreadd\n":
                self.skipTest("pid 2 is no kernel thread")
        found = self.doctor(2, expect=2)
        self.assertIn("kernel thread", found["attach"][0])
        self.assertNotIn("module", found)

    def test_zombie(self):
        process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        found = self.doctor(process.pid, expect=2)
        self.assertIn("has ended already", found["attach"][0])
        process.wait()

    def test_names_cannot_write_to_the_terminal(self):
        program = self.path("a\x1b[31mb")
        shutil.copy(shutil.which("sleep"), program)
        with Target([program, "60"]) as target:
            wait_for_exe(target.pid, os.path.basename(program))
            self.doctor(target.pid, expect=None)
            self.assertNotIn("\x1b", self.said)
            self.assertIn("a?[31mb", self.said)


if __name__ == "__main__":
    main()
