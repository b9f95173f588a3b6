# SPDX-License-Identifier: Apache-2.0
"""cprof top in plain lines: shares of programs that measure themselves, real programs, its end."""
import os
import pty
import re
import signal
import subprocess
import time

from heap import is_counted
from support import CPROF, Case, Target, main, need, victim, wait_for_text
from test_real import free_port
from top_screen import tables


class Top(Case):
    def top(self, *args, expect=0, **options):
        done = self.cprof("top", *args, expect=expect, **options)
        return tables(done.stdout), done

    def own_times(self, text):
        """What the victim phases says that it used, by phase, in seconds; without the sum that the
        kernel counted for the process."""
        own = {words[0]: int(words[1]) / 1e9 for words in map(str.split, text.split("\n"))
               if len(words) == 2 and words[1].isdigit()}
        del own["process"]
        self.assertGreater(len(own), 2)
        return own

    def spinner(self, *args):
        """A process that computes in one function, and prints now and then."""
        target = Target([victim("chain-gcc-o2"), *args], wait_for="")
        self.addCleanup(target.__exit__)
        return target

    def assert_alive(self, target):
        """It is neither stopped nor traced, and goes on."""
        target.wait_until_busy()
        self.assertIn(target.state(), "RS")
        with open(f"/proc/{target.pid}/status") as file:
            self.assertIn("TracerPid:\t0\n", file.read())


class Shares(Top):
    def test_cpu(self):
        """Beside what the program measures itself."""
        found, done = self.top("-F", "1000", "--max-overhead=0", "--rows=0", "--",
                               victim("phases"), "user", "1", "4")
        own = self.own_times(done.stdout)
        self.assertIn(len(found), (4, 5))
        last, total = found[-1], sum(own.values())
        for name, seconds in own.items():
            row = last.row(name)
            self.assertIsNotNone(row, f"{name}: {done.stdout}")
            self.assertAlmostEqual(row.total_seconds, seconds, delta=0.05 * total)
            self.assertAlmostEqual(row.total_since, 100 * seconds / total, delta=5)
        # Percentages of an interval are of that interval.
        for table in found[:-1]:
            self.assertAlmostEqual(sum(r.self_last for r in table.rows), 100, delta=3)
            self.assertAlmostEqual(sum(r.self_since for r in table.rows), 100, delta=3)
            self.assertAlmostEqual(table.last_seconds, 1, delta=0.5)

    def test_an_interval_is_a_difference(self):
        """What was before it does not count: two phases of a process, one after the other."""
        code = ("import time, zlib, hashlib, sys\n"
                "data = bytes(range(256)) * 4096\n"
                "print('ready', flush=True)\n"
                "end = time.monotonic() + 3\n"
                "while time.monotonic() < end: zlib.crc32(data)\n"
                "while True: hashlib.sha256(data).digest()\n")
        with Target(["python3", "-c", code], wait_for="ready") as target:
            found, _ = self.top("-p", target.pid, "-n", "6", "--rows=0")
        self.assertEqual(len(found), 6)

        def share(table, column):
            return sum(getattr(r, column) for r in table.rows if "libz" in r.text)

        # libz works in the first table and not in the last one, but does so since the start.
        self.assertGreater(share(found[1], "self_last"), 80)
        self.assertLess(share(found[-1], "self_last"), 10)
        self.assertGreater(share(found[-1], "self_since"), 25)
        self.assertLess(share(found[-1], "self_since"), 75)

    def test_wall(self):
        """Threads that wait count while they wait, and not only when they have waited."""
        with Target([victim("shares"), "30", "2"], wait_for="ready") as target:
            found, _ = self.top("-p", target.pid, "--type=wall", "-n", "3", "--rows=0")
            self.assert_alive(target)
        last = found[-1]
        self.assertEqual(last.type, "wall")
        self.assertEqual(last.threads, 10)
        for table in found[1:]:
            self.assertAlmostEqual(table.row("parked").total_last, 20, delta=3)
        self.assertAlmostEqual(last.row("parked").total_seconds, 2 * last.seconds, delta=0.5)
        for name in "wait_sleep", "wait_poll", "wait_pipe", "wait_condition":
            self.assertGreater(last.row(name).total_since, 5, name)
        # Of ten threads; less than a hundred each when ticks are missed.
        self.assertGreater(last.rate, 200)

    def test_types(self):
        """Several at once; the first that is named is shown."""
        with Target([victim("shares"), "30"], wait_for="ready") as target:
            for types, shown in ("wall,cpu", "wall"), ("block,cpu,wall", "block"), ("cpu", "cpu"):
                found, _ = self.top("-p", target.pid, "--type", types, "-n", "2")
                self.assertEqual(found[-1].type, shown)
                self.assertTrue(found[-1].rows, types)

    def test_heap(self):
        """In use, and allocated in the last interval; the process is as before afterwards."""
        script = ("import time\nkept = [bytearray(20000)]\nwhile True:\n  time.sleep(0.01)\n"
                  "  if len(kept) < 2000: kept += [bytearray(20000) for _ in range(6)]\n"
                  "  else: [bytearray(20000) for _ in range(20)]")
        with Target(["/usr/bin/python3", "-c", script]) as target:
            time.sleep(0.3)
            done = self.cprof("top", "--type", "heap,cpu", "-p", target.pid, "-n", "5",
                              "--sort", "total-since")
            self.assertFalse(is_counted(target.pid))
            self.assert_alive(target)
        in_use = [float(n) for n in re.findall(r"in use ([\d.]+)MB", done.stdout)]
        rates = [int(n) for n in re.findall(r"allocations (\d+)/s", done.stdout)]
        self.assertEqual((len(in_use), done.stdout.count("type heap")), (5, 5))
        self.assertAlmostEqual(in_use[-1], 2000 * 20000 / 2**20, delta=15, msg=done.stdout)
        self.assertLess(in_use[0], in_use[-1])
        # What is of an interval is of that alone.
        self.assertAlmostEqual(sum(rates) / int(re.findall(r"(\d+) in all", done.stdout)[-1]), 1,
                               delta=0.4, msg=done.stdout)
        self.assertRegex(done.stdout, r"\d\d\.\dMB  PyByteArray_Resize  python3")

    def test_heap_of_who_has_none(self):
        with Target([victim("allocs-static"), "1"], stdin=subprocess.PIPE) as target:
            done = self.cprof("top", "--type", "heap", "-p", target.pid, expect=2)
            self.assertIn("statically", done.stderr)

    def test_threads(self):
        code = ("import threading, time\n"
                "open('/proc/self/comm', 'w').write('\\x1b[31mred')\n"
                "for _ in range(3): threading.Thread(target=time.sleep, args=(60,)).start()\n"
                "print('ready', flush=True)\n")
        with Target(["python3", "-c", code], wait_for="ready") as target:
            found, done = self.top("-p", target.pid, "--type=wall", "-n", "2", "--by-thread",
                                   "--rows=0", "--sort=thread")
            tids = os.listdir(f"/proc/{target.pid}/task")
        self.assertNotIn("\x1b", done.stdout)
        self.assertIn("?[31mred", done.stdout)
        seen = [re.match(r"\S+ (\d+)  ", row.text)[1] for row in found[-1].rows]
        self.assertEqual(set(seen), set(tids))
        self.assertEqual(seen, sorted(seen))

    def test_names_that_command_a_terminal(self):
        need("objcopy")
        program = self.path("evil\x1b[32mgreen")
        subprocess.run(["objcopy", "--redefine-sym", "spin=spin\x1b[31mred\x07\xc2\x9b",
                        victim("chain-gcc-nodebug"), program], check=True)
        with Target([program, "plain"], wait_for="ready") as target:
            for count in 2, 6, 30:
                found, done = self.top("-p", target.pid, "-n", count)
                if "spin" in done.stdout:
                    break
        self.assertIn("spin?[31mred?", done.stdout)
        self.assertIn("  evil?[32mgreen", done.stdout)
        self.assertNotRegex(done.stdout, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_one_thread(self):
        with Target([victim("shares"), "30"], wait_for="ready") as target:
            tid = max(map(int, os.listdir(f"/proc/{target.pid}/task")))
            found, _ = self.top("-p", target.pid, "--tid", tid, "-n", "2", "--by-thread")
        self.assertTrue(found[-1].rows)
        for row in found[-1].rows:
            self.assertIn(f" {tid} ", row.text + " ")

    def test_sort(self):
        with Target([victim("phases"), "user", "2", "60"], wait_for=None) as target:
            for key, value in (("self", lambda r: -r.self_last), ("total", lambda r: -r.total_last),
                               ("self-since", lambda r: -r.self_seconds),
                               ("total-since", lambda r: -r.total_seconds),
                               ("name", lambda r: r.text.split()[0])):
                for count in 2, 10, 50:
                    found, _ = self.top("-p", target.pid, "-n", count, "--interval=300ms",
                                        "--sort", key)
                    values = [value(row) for row in found[-1].rows]
                    if len(values) > 4:
                        break
                self.assertGreater(len(values), 4)
                self.assertEqual(values, sorted(values), key)


class Programs(Top):
    def check(self, target, *names, args=()):
        """All of the names come up while it runs, and it is not harmed."""
        # Names are looked up beside the target with a low priority: on a busy machine they come
        # late.
        for count in 3, 6, 30:
            found, done = self.top("-p", target.pid, "-n", count, "--rows=0", *args)
            self.assertEqual(len(found), count)
            last = found[-1]
            if all(any(re.search(name, row.text) for row in last.rows) for name in names):
                break
        self.assertEqual(last.pid, target.pid)
        self.assertEqual(last.lost, 0)
        self.assertGreater(last.samples, 5)
        self.assertLess(last.samples, 100 * (last.seconds + 1) * max(1, last.threads))
        for name in names:
            self.assertTrue(any(re.search(name, row.text) for row in last.rows),
                            f"{name}: {done.stdout}")
        self.assert_alive(target)
        return last

    def test_python(self):
        need("python3")
        code = "print('ready', flush=True)\nwhile True: sorted(str(i) for i in range(10000))"
        with Target(["python3", "-c", code], wait_for="ready") as target:
            last = self.check(target, "_PyEval_EvalFrameDefault", "python")
        self.assertLess(last.cpu, 120)
        self.assertGreater(last.cpu, 1)

    def test_xz(self):
        need("xz")
        with Target(["xz", "-9", "-c", "/dev/urandom"], wait_for=None) as target:
            drain = subprocess.Popen(["cat"], stdin=target.process.stdout,
                                     stdout=subprocess.DEVNULL)
            self.addCleanup(drain.wait)
            self.addCleanup(drain.kill)
            self.check(target, "liblzma")

    def test_redis(self):
        need("redis-server", "redis-benchmark")
        port = str(free_port())
        with Target(["redis-server", "--port", port, "--save", ""], wait_for="eady to accept",
                    cwd=self.folder) as target:
            with Target(["redis-benchmark", "-p", port, "-n", "100000000", "-q"]):
                target.wait_until_busy(20)
                self.check(target, "redis", r"\[kernel\] write")

    def test_sqlite(self):
        need("sqlite3")
        query = ("with recursive n(i) as (select 1 union all select i + 1 from n) "
                 "select count(*) from n where i % 7 = 3;")
        with Target(["sqlite3", ":memory:", query]) as target:
            target.wait_until_busy()
            self.check(target, "libsqlite3")

    def test_children(self):
        with Target(["sh", "-c", "python3 -c 'while True: sum(range(1000))'; :"]) as target:
            time.sleep(0.5)
            children = f"/proc/{target.pid}/task/{target.pid}/children"
            wait_for_text(children, " ")
            with open(children) as file:
                child = int(file.read())
            self.addCleanup(lambda: os.kill(child, signal.SIGKILL))
            found, _ = self.top("-p", target.pid, "--children", "-n", "3", "--rows=0")
        self.assertTrue(any("python" in row.text for row in found[-1].rows))
        self.assertGreater(found[-1].cpu, 1)


class Ends(Top):
    def test_duration(self):
        target = self.spinner()
        start = time.monotonic()
        found, _ = self.top("-p", target.pid, "-d", "1500ms", "--interval=500ms")
        self.assertLess(time.monotonic() - start, 10)
        self.assertIn(len(found), (3, 4))
        self.assertAlmostEqual(found[-1].seconds, 1.5, delta=0.3)
        self.assert_alive(target)

    def test_the_target_ends(self):
        """What was seen since the last table is shown, and whole."""
        found, done = self.top("--interval=60s", "--rows=0", "--", victim("phases"), "user", "1", "1")
        self.assertEqual(len(found), 1)
        own = sum(self.own_times(done.stdout).values())
        self.assertAlmostEqual(sum(r.self_seconds for r in found[0].rows), own, delta=0.1 * own)

    def test_signals(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT:
            target = self.spinner()
            process = subprocess.Popen([CPROF, "top", "-p", str(target.pid), "--interval=200ms"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            process.stdout.readline()
            process.send_signal(number)
            out, said = process.communicate(timeout=20)
            self.assertEqual((process.returncode, said), (0, ""), number)
            self.assert_alive(target)

    def test_the_reader_goes_away(self):
        target = self.spinner()
        process = subprocess.Popen([CPROF, "top", "-p", str(target.pid), "--interval=100ms"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertEqual(process.stderr.read(), "")
        process.stderr.close()
        self.assert_alive(target)

    def test_a_full_disk(self):
        target = self.spinner()
        with open("/dev/full", "w") as full:
            done = subprocess.run([CPROF, "top", "-p", str(target.pid), "--interval=100ms"],
                                  stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertIn("No space left", done.stderr)


class BadInput(Top):
    def test_sentences(self):
        pid = os.getpid()
        for args, code, text in (
                ([], 64, "say what to profile: one of -p PID, --name NAME and -- COMMAND"),
                (["-p", "x"], 64, "wants a number from 1"),
                (["-p", pid, "--type=foo"], 64, "there is no profile type 'foo'; known: cpu, wall"),
                (["-p", pid, "--type=threads"], 64, "one instant"),
                (["-p", pid, "--sort=foo"], 64, "there is no sort key 'foo'; known: self, total"),
                (["-p", pid, "-n", "0"], 64, "wants a number from 1 on, not '0'"),
                (["-p", pid, "--rows=-1"], 64, "wants a number from 0 on"),
                (["-p", pid, "--interval=1"], 64, "wants a duration with a unit"),
                (["-p", pid, "--interval=1ms"], 64, "50ms or more"),
                (["-p", pid, "-d", "0s"], 64, "more than 0"),
                (["-p", pid, "--tid", "1", "--children"], 64, "does not go with --children"),
                (["--tid", "1", "--", "true"], 64, "--tid goes with -p or --name only"),
                (["-p", "4194304"], 2, "there is no process"),
                (["--name", "no-such-name-here"], 2, "no process is named"),
                (["-p", pid, "--tid", "4194304"], 2, "has no thread 4194304"),
                (["--", "/no/such/program"], 2, "cannot start")):
            found, done = self.top(*args, expect=code)
            self.assertIn(text, done.stderr, args)
            self.assertEqual(found, [])

    def test_a_terminal_that_cannot(self):
        """Lines, and a note."""
        target = self.spinner()
        for term, why in ("dumb", "cannot move its cursor"), (None, "TERM is not set"), \
                ("no-such-terminal", "is not known here"):
            env = {k: v for k, v in os.environ.items() if k != "TERM"}
            if term:
                env["TERM"] = term
            outer, inner = pty.openpty()
            process = subprocess.Popen([CPROF, "top", "-p", str(target.pid), "-n", "1",
                                        "--interval=200ms"], stdin=inner, stdout=inner,
                                       stderr=subprocess.PIPE, env=env, text=True)
            os.close(inner)
            text = b""
            try:
                while piece := os.read(outer, 65536):
                    text += piece
            except OSError:
                pass
            os.close(outer)
            said = process.communicate(timeout=20)[1]
            self.assertEqual(process.returncode, 0, said)
            self.assertIn(why, said)
            self.assertNotIn(b"\x1b", text)
            self.assertEqual(len(tables(text.decode().replace("\r", ""))), 1)


if __name__ == "__main__":
    main()
