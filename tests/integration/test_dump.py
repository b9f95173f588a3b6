# SPDX-License-Identifier: Apache-2.0
"""cprof dump: what threads wait for, who holds their locks, deadlocks, and that nobody who waits is
disturbed."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from profile_pb import Profile
from support import CPROF, Case, Target, main, need, victim, wait_for_text
from test_torture import OTHER_ERRNO, read_table


class DumpCase(Case):
    def dump(self, pid, *args, expect=0):
        """As JSON, checked for what must hold of every dump."""
        done = self.cprof("dump", "-p", pid, "--json", *args, expect=expect)
        found = json.loads(done.stdout)
        self.said = done.stderr
        self.assertEqual(found["pid"], pid)
        self.assertEqual(found["complete"], expect in (0, 3), done.stderr)
        for thread in found["threads"]:
            self.assertEqual("stack" in thread, "no_stack" not in thread)
            if "stack" in thread:
                self.assertIn(thread["tid"], found["stacks"][thread["stack"]]["threads"])
        for stack in found["stacks"]:
            self.assertEqual(stack["count"], len(stack["threads"]))
            self.assertGreater(stack["count"], 0)
        return found

    def functions(self, found, thread):
        return [f.get("function") for f in found["stacks"][thread["stack"]]["frames"]]

    def by_name(self, found, name):
        threads = [t for t in found["threads"] if t["name"] == name]
        self.assertEqual(len(threads), 1, name)
        return threads[0]

    def start(self, *args, program="locks", **options):
        """Starts a victim that prints "ready"; (target, the words behind it)."""
        path = victim(program) if "/" not in program else program
        if not os.path.exists(path):
            self.skipTest(f"{program} was not built")
        target = Target([path, *args], cwd=self.folder, **options)
        self.addCleanup(target.__exit__)
        line = target.process.stdout.readline().decode().split()
        if not line and target.process.wait() == 77:
            self.skipTest("userfaultfd is not allowed")
        self.assertEqual(line[0], "ready")
        return target, line[1:]


def turns(pid):
    """How often each thread was put on a CPU, and left it by itself or not."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
            slices = file.read().split()[2]
        with open(f"/proc/{pid}/task/{tid}/status") as file:
            found[tid] = (slices, *re.findall(r"ctxt_switches:\t(\d+)", file.read()))
    return found


class Waits(DumpCase):
    def setUp(self):
        super().setUp()
        self.target, (self.port,) = self.start(program="waits")

    def test_each_kind(self):
        found = self.dump(self.target.pid)
        threads = {t["name"]: t for t in found["threads"]}
        for thread in found["threads"]:
            self.assertFalse(thread["stopped"], thread)
            self.assertTrue(found["stacks"][thread["stack"]]["complete"], thread)
        pipe = os.readlink(f"/proc/{self.target.pid}/fd/3")
        port = rf"127\.0\.0\.1:{self.port}"
        for name, call, kind, text in (
                ("pipe", "read", "pipe", rf"fd 3 \({re.escape(pipe)}\)"),
                ("poll", "poll", "poll",
                 rf"2 descriptors: fd 3 \(.*\), fd \d+ \(tcp .* to {port}, established\)"),
                ("select", "pselect6", "poll", r"1 descriptor: fd 3 \(pipe"),
                ("epoll", "epoll_wait", "poll", r"1 descriptor of epoll fd \d+: fd 3 \(pipe"),
                ("accept", "accept", "socket", rf"fd \d+ \(tcp {port}, listening\)"),
                ("tcp", "recvfrom", "socket", rf"\(tcp 127\.0\.0\.1:\d+ to {port}, established\)"),
                ("unix", "recvfrom", "socket", r"\(unix stream\)"),
                ("udp", "recvfrom", "socket", r"\(udp 127\.0\.0\.1:\d+\)"),
                ("eventfd", "read", "event", r"\(eventfd\)"),
                ("timerfd", "read", "event", r"\(timerfd\)"),
                ("signalfd", "read", "event", r"\(signalfd\)"),
                ("inotify", "read", "event", r"\(inotify\)"),
                ("flock", "flock", "file", re.escape(self.path("locked"))),
                ("fifo", "openat", "file", r"^fifo$"),
                ("child", "wait4", "child", r"^child process \d+$"),
                ("sleep", "clock_nanosleep", "sleep", None),
                ("signal", "rt_sigtimedwait", "signal", "a signal"),
                ("message", "msgrcv", "ipc", r"^message queue \d+$"),
                ("semaphore", "semtimedop", "ipc", r"^semaphore set \d+$"),
                ("mqueue", "mq_timedreceive", "file", r"cprof-waits-"),
                ("pause", "pause", "signal", "a signal")):
            with self.subTest(name):
                thread = threads[name]
                self.assertEqual(thread["state"], "S")
                self.assertEqual(thread["syscall"], call)
                self.assertEqual(thread["wait"]["kind"], kind)
                self.assertEqual(thread["wait"]["timed"], name in ("poll", "sleep"))
                self.assertIn(f"wait_{name}", self.functions(found, thread))
                if text:
                    self.assertRegex(thread["wait"]["text"], text)
                    self.assertIn(thread["wait"]["text"], thread["text"])
        child = threads["child"]["wait"]["child"]
        with open(f"/proc/{child}/status") as file:
            self.assertIn(f"PPid:\t{self.target.pid}\n", file.read())

    def test_blocked_threads_are_not_touched(self):
        # 34 is pause, where the main thread goes when all others wait.
        wait_for_text(f"/proc/{self.target.pid}/syscall", "34 ")
        before = turns(self.target.pid)
        for args in ([], ["--json"], ["--deadlock"], ["--no-fold"]):
            self.cprof("dump", "-p", self.target.pid, *args)
        self.assertEqual(turns(self.target.pid), before)

    def test_a_stop_and_its_restart(self):
        """After SIGCONT, sleeps go on in restart_syscall(2): it is named by what it goes on with."""
        os.kill(self.target.pid, signal.SIGSTOP)
        for tid in os.listdir(f"/proc/{self.target.pid}/task"):
            wait_for_text(f"/proc/{self.target.pid}/task/{tid}/stat", ") T ")
        found = self.dump(self.target.pid)
        self.assertEqual({t["state"] for t in found["threads"]}, {"T"})
        self.assertEqual(self.target.state(), "T")
        os.kill(self.target.pid, signal.SIGCONT)
        sleeper = self.by_name(found, "sleep")["tid"]
        # 219 is restart_syscall.
        wait_for_text(f"/proc/{self.target.pid}/task/{sleeper}/syscall", "219 ")
        thread = self.by_name(self.dump(self.target.pid), "sleep")
        self.assertEqual(thread["syscall"], "clock_nanosleep")
        self.assertEqual(thread["wait"]["kind"], "sleep")

    def test_one_thread(self):
        tid = self.by_name(self.dump(self.target.pid), "epoll")["tid"]
        found = self.dump(self.target.pid, "--tid", tid)
        self.assertEqual([t["tid"] for t in found["threads"]], [tid])
        done = self.cprof("dump", "-p", self.target.pid, "--tid", os.getpid(), expect=2)
        self.assertIn("has no thread", done.stderr)


class Locks(DumpCase):
    def owners(self, kind, found, address, holder, waiters, lock="mutex"):
        for thread in [t for t in found["threads"] if t["name"] in waiters]:
            self.assertEqual(thread["lock"]["kind"], lock, kind)
            self.assertEqual(thread["lock"]["address"], address, kind)
            self.assertEqual(thread["lock"]["owner"], int(holder), kind)
            self.assertIn(f'held by thread {holder} "holder"', thread["text"])
            waiters = [w for w in waiters if w != thread["name"]]
        self.assertEqual(waiters, [], kind)
        self.assertEqual(found["deadlocks"], [])

    def test_mutexes(self):
        for program in "locks", "locks-clang-fp", "locks-musl":
            for kind in "normal", "recursive", "errorcheck", "robust", "pi", "robust-pi":
                with self.subTest(f"{program} {kind}"):
                    target, (address, holder) = self.start("mutex", kind, program=program)
                    found = self.dump(target.pid, "--deadlock")
                    thread = self.by_name(found, "waiter-0")
                    if program == "locks-musl" and kind == "normal":
                        # Such a mutex keeps no owner; and musl has no unwind tables.
                        self.assertNotIn("lock", thread)
                        continue
                    self.owners(kind, found, address, holder, ["waiter-0", "waiter-1"])
                    self.assertEqual(thread["lock"]["name"], "first_lock")
                    self.assertEqual(thread["lock"]["recursive"], kind == "recursive")
                    self.assertEqual(thread["lock"]["robust"], "robust" in kind)
                    self.assertEqual(thread["lock"]["priority_inheriting"], "pi" in kind)

    def test_a_libc_without_symbols(self):
        """Names come from .dynsym and the linkage table then; half of the functions have none."""
        need("objcopy")
        bare = self.path("bare")
        os.mkdir(bare)
        with open("/proc/self/maps") as file:
            libc = re.search(r" (/\S+/libc\.so\.6)$", file.read(), re.M)
        if not libc:
            self.skipTest("python has no libc.so.6 of its own")
        subprocess.run(["objcopy", "-R", ".note.gnu.build-id", "-R", ".gnu_debuglink", libc[1],
                        f"{bare}/libc.so.6"], check=True)
        env = dict(os.environ, LD_LIBRARY_PATH=bare)
        for kind in "normal", "robust", "pi":
            target, (address, holder) = self.start("mutex", kind, env=env)
            found = self.dump(target.pid)
            self.assertNotIn("__lll_lock_wait", json.dumps(found))
            self.owners(kind, found, address, holder, ["waiter-0", "waiter-1"])
        target, (address, holder) = self.start("writer", env=env)
        self.owners("write", self.dump(target.pid), address, holder, ["writer-1"], lock="write")

    def test_read_write_locks(self):
        target, (address, holder) = self.start("writer")
        found = self.dump(target.pid)
        self.owners("read", found, address, holder, ["reader-0"], lock="read")
        self.owners("write", found, address, holder, ["writer-1"], lock="write")
        target, (address, _) = self.start("reader")
        lock = self.by_name(self.dump(target.pid), "writer-1")["lock"]
        self.assertEqual((lock["kind"], lock["address"], lock["readers"]), ("write", address, 2))
        self.assertNotIn("owner", lock)

    def test_condition_variables(self):
        """Who waits for one waits for no lock, until it takes the mutex again."""
        target, _ = self.start("cond")
        for thread in self.dump(target.pid)["threads"]:
            self.assertNotIn("lock", thread)
        target, (address, holder) = self.start("relock")
        self.owners("relock", self.dump(target.pid), address, holder, ["cond-0", "cond-1"])

    def test_join(self):
        target, _ = self.start("join")
        found = self.dump(target.pid)
        lock = self.by_name(found, "joiner-1")["lock"]
        self.assertEqual(lock["kind"], "thread")
        self.assertEqual(lock["owner"], self.by_name(found, "waiter-0")["tid"])

    def test_another_pid_namespace(self):
        need("unshare")
        command = ["unshare", "-p", "-f", "--mount-proc", "--kill-child", victim("locks"), "ring",
                   "3"]
        with Target(command, wait_for="ready") as target:
            with open(f"/proc/{target.pid}/task/{target.pid}/children") as file:
                pid = int(file.read().split()[0])
            found = self.dump(pid, "--deadlock", expect=3)
        self.assertEqual(len(found["deadlocks"][0]["threads"]), 3)
        self.assertLessEqual(set(found["deadlocks"][0]["threads"]),
                             {t["tid"] for t in found["threads"]})


class Deadlocks(DumpCase):
    def ring(self, n, *kind, program="locks"):
        target, _ = self.start("ring", str(n), *kind, program=program)
        found = self.dump(target.pid, "--deadlock", expect=3)
        self.assertEqual(len(found["deadlocks"]), 1)
        ring = found["deadlocks"][0]["threads"]
        names = {t["tid"]: t["name"] for t in found["threads"]}
        self.assertEqual(sorted(names[t] for t in ring), [f"ring-{i}" for i in range(n)])
        # Each waits for the next one's mutex.
        for i, tid in enumerate(ring):
            thread = next(t for t in found["threads"] if t["tid"] == tid)
            self.assertEqual(thread["lock"]["owner"], ring[(i + 1) % n])
            self.assertEqual(thread["deadlock"], 0)
        self.assertNotIn("deadlock", self.by_name(found, "holder"))
        return target

    def test_two(self):
        target = self.ring(2)
        said = self.cprof("dump", "--deadlock", "-p", target.pid, expect=3).stdout
        self.assertRegex(said, r'deadlock of 2 threads: \d+ "ring-\d", \d+ "ring-\d"')
        # Both stacks.
        self.assertEqual(said.count("take_both"), 2)
        self.assertRegex(said, r"\(ring_locks\+0x28\)")
        self.assertNotIn("__libc_pause", said)
        # Without --deadlock it is mentioned, and no failure.
        said = self.cprof("dump", "-p", target.pid, expect=0).stdout
        self.assertIn("deadlock of 2 threads", said)

    def test_five(self):
        self.ring(5)

    def test_kinds(self):
        self.ring(3, "robust")
        self.ring(2, "recursive", program="locks-musl")
        self.ring(2, program="locks-clang-fp")

    def test_itself(self):
        target, _ = self.start("self")
        wait_for_text(f"/proc/{target.pid}/syscall", "202 ")
        found = self.dump(target.pid, "--deadlock", expect=3)
        self.assertEqual(found["deadlocks"][0]["threads"], [target.pid])
        self.assertIn("which it holds itself", found["threads"][0]["text"])

    def test_what_the_kernel_refuses(self):
        """The last one to close a ring of priority-inheriting mutexes gets EDEADLK, and glibc lets
        it wait for ever somewhere else."""
        target, _ = self.start("ring", "3", "pi")
        said = self.cprof("dump", "--deadlock", "-p", target.pid, expect=3).stdout
        self.assertIn("waits for ever", said)

    def test_a_time_out(self):
        target, _ = self.start("timed")
        said = self.cprof("dump", "--deadlock", "-p", target.pid, expect=0).stdout
        self.assertIn("ring with a time-out of 2 threads", said)
        self.assertIn("no deadlock found", said)

    def test_merely_slow(self):
        target, (address, holder) = self.start("slow")
        found = self.dump(target.pid, "--deadlock", expect=0)
        self.assertEqual(found["deadlocks"], [])
        thread = self.by_name(found, "holder")
        self.assertTrue(thread["stopped"])
        self.assertEqual(thread["state"], "R")
        self.assertIn("run_slow", self.functions(found, thread))
        self.assertEqual(self.by_name(found, "waiter-0")["lock"]["owner"], int(holder))
        said = self.cprof("dump", "--deadlock", "-p", target.pid).stdout
        self.assertIn("no deadlock found", said)
        self.assertIn("its owner: running (R)", said)


class Output(DumpCase):
    def test_folding(self):
        target, _ = self.start("many", "200", program="waits")
        folded = self.dump(target.pid)
        self.assertEqual(len(folded["threads"]), 201)
        self.assertEqual(sorted(s["count"] for s in folded["stacks"]), [1, 200])
        flat = self.dump(target.pid, "--no-fold")
        self.assertEqual(len(flat["stacks"]), 201)
        self.assertEqual({s["count"] for s in flat["stacks"]}, {1})
        said = self.cprof("dump", "-p", target.pid).stdout
        self.assertIn("200 threads with the same stack:\n", said)
        self.assertRegex(said, r'"lazy" and 184 more: sleeping \(S\) in pause')
        self.assertEqual(said.count("run_pause"), 1)
        said = self.cprof("dump", "-p", target.pid, "--no-fold").stdout
        self.assertEqual(said.count("run_pause"), 200)
        self.assertEqual(len(re.findall(r"^thread \d+ ", said, re.M)), 201)

    def test_inlined_calls_and_lines(self):
        target, _ = self.start("ring", "2")
        found = self.dump(target.pid)
        frames = found["stacks"][self.by_name(found, "holder")["stack"]]["frames"]
        at = [f["function"] for f in frames].index("hold")
        with open(os.path.join(os.path.dirname(__file__), "../victims/locks.c")) as file:
            source = file.read().splitlines()
        for frame, function, inlined, text in (
                (frames[at], "hold", True, "pause();"),
                (frames[at + 1], "run_ring", False, "hold(&ring_locks[0]);")):
            self.assertEqual((frame["function"], frame["inlined"]), (function, inlined))
            self.assertTrue(frame["file"].endswith("victims/locks.c"))
            self.assertIn(text, source[frame["line"] - 1])
            self.assertEqual(frame["pc"], frames[at]["pc"])
            self.assertTrue(frame["module"].endswith("/locks"))
        said = self.cprof("dump", "-p", target.pid).stdout
        self.assertRegex(said, r"  #1  0x\w+ hold at \S+locks\.c:\d+ \(inlined\)\n"
                               r" +run_ring at \S+locks\.c:\d+\n  #2")
        flat = self.dump(target.pid, "--no-inlines")
        frames = flat["stacks"][self.by_name(flat, "holder")["stack"]]["frames"]
        self.assertNotIn("hold", [f["function"] for f in frames])
        self.assertFalse(any(f["inlined"] for f in frames))

    def test_running_threads(self):
        with Target([victim("phases"), "user", "8", "60"]) as target:
            wait_for_text(f"/proc/{target.pid}/status", "Threads:\t9")
            # Each of them, not some: what has not begun to compute may be blocked.
            while sum(ns > 5e6 for ns in self.cpu_times(target.pid)) < 8:
                time.sleep(0.01)
            found = self.dump(target.pid)
            stopped = [t for t in found["threads"] if t["stopped"]]
            # One phase sleeps now and then.
            asleep = [t for t in found["threads"] if not t["stopped"]
                      and "phase_bursts" in self.functions(found, t)]
            self.assertEqual(len(stopped) + len(asleep), 8)
            self.assertGreater(len(stopped), 4)
            for thread in stopped:
                self.assertTrue(found["stacks"][thread["stack"]]["complete"])
            with open(f"/proc/{target.pid}/status") as file:
                self.assertIn("TracerPid:\t0\n", file.read())

    def test_beside_a_recording(self):
        """One that samples the process has its threads for moments only."""
        with Target([victim("phases"), "user", "2", "60"]) as target:
            out = self.path("out.pb.gz")
            with subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-F", "1000", "-o", out],
                                  stderr=subprocess.DEVNULL) as recorder:
                target.wait_until_sampled(recorder.pid)
                for _ in range(5):
                    self.dump(target.pid)
                recorder.send_signal(signal.SIGINT)
                # 1: a thread was ours when it wanted it.
                self.assertIn(recorder.wait(), (0, 1))
            self.assertGreater(Profile(out).total(0), 0)

    def test_names_cannot_write_to_the_terminal(self):
        program = self.path("a\x1b[31mb")
        shutil.copy(victim("locks"), program)
        target, _ = self.start("ring", "2", program=program)
        for args in [], ["--json"], ["--deadlock"]:
            said = self.cprof("dump", "-p", target.pid, *args, expect=None).stdout
            self.assertNotIn("\x1b", said)
            self.assertNotIn("\\u001b", said)
            self.assertEqual("a?[31mb" in said, args != ["--deadlock"])

    def test_killed_meanwhile(self):
        target, _ = self.start("lazy", program="waits")
        dump = subprocess.Popen([CPROF, "dump", "-p", str(target.pid), "--json"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # Its reader waits for the page that never comes.
        while not any(self.waits_for_page(dump.pid, t) for t in
                      os.listdir(f"/proc/{dump.pid}/task")):
            self.assertIsNone(dump.poll())
            time.sleep(0.01)
        target.process.kill()
        out, said = dump.communicate(timeout=60)
        self.assertEqual(dump.returncode, 1, said)
        self.assertIn("has ended meanwhile", said)
        found = json.loads(out)
        self.assertTrue(found["ended"])
        self.assertFalse(found["complete"])
        self.assertIn("wait_pipe", self.functions(found, self.by_name(found, "pipe")))

    def test_blocking_calls_do_not_notice(self):
        """90 kinds of blocking calls go on beside one dump after the other, as test_torture has it
        for recordings."""
        with Target([victim("torture"), "600"], wait_for="ready") as target:
            stops = 0
            for _ in range(30):
                stops += sum(t["stopped"] for t in self.dump(target.pid)["threads"])
            target.process.terminate()
            out = target.process.communicate(timeout=60)[0].decode()
        self.assertGreater(stops, 0)
        table = read_table(out)
        self.assertGreater(len(table), 90)
        for name, row in table.items():
            self.assertEqual((row["eintr"], row["early"]), (0, 0), f"{name}: {row}")
            if name not in OTHER_ERRNO:
                self.assertEqual(row["wrong"], 0, f"{name}: {row}")

    def test_held_by_a_debugger(self):
        """What stands still can be read whoever holds it."""
        need("gdb")
        target, _ = self.start("ring", "2")
        done = subprocess.run(["gdb", "-nx", "-batch", "-p", str(target.pid), "-ex",
                               f"shell {CPROF} dump --deadlock --json -p {target.pid} >held; "
                               "echo code $?"], cwd=self.folder, capture_output=True, text=True)
        self.assertIn("code 3\n", done.stdout, done.stderr)
        with open(self.path("held")) as file:
            found = json.load(file)
        self.assertEqual({t["state"] for t in found["threads"]}, {"t"})
        self.assertEqual(len(found["deadlocks"]), 1)

    def waits_for_page(self, pid, tid):
        try:
            with open(f"/proc/{pid}/task/{tid}/wchan") as file:
                return file.read() == "handle_userfault"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def test_memory_that_never_comes(self):
        target, _ = self.start("lazy", program="waits")
        start = time.monotonic()
        found = self.dump(target.pid, expect=1)
        self.assertLess(time.monotonic() - start, 20)
        self.assertIn("did not come", self.said)
        self.assertIn("did not come", self.by_name(found, "lazy")["no_stack"])
        self.assertIn("wait_pipe", self.functions(found, self.by_name(found, "pipe")))

    def test_no_such_target(self):
        done = self.cprof("dump", "-p", 4194304, expect=2)
        self.assertIn("there is no process", done.stderr)
        self.assertEqual(done.stdout, "")
        self.cprof("dump", expect=64)
        self.cprof("dump", "-p", "x", expect=64)
        self.cprof("dump", "-p", os.getpid(), "--tid", os.getpid(), "--deadlock", expect=64)
        process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertIn("has ended already",
                      self.cprof("dump", "-p", process.pid, expect=2).stderr)
        process.wait()


if __name__ == "__main__":
    main()
