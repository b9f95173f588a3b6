# SPDX-License-Identifier: Apache-2.0
"""Custom profiles: of calls that are wrapped in running processes, and of probes in programs."""
import os
import re
import signal
import socket
import struct
import subprocess
import time

from harm import counts, wait_until
from heap import agents, is_counted, wait_until_counted
from profile_pb import Profile
from support import CPROF, Case, Target, main, need, victim, wait_for_text

PAGE = os.sysconf("SC_PAGESIZE")


def plain(name):
    """Of a mangled name the function's own."""
    mangled = re.match(r"_ZL?(\d+)(.*)", name)
    return mangled[2][:int(mangled[1])] if mangled else name


def stacks(profile, value=0):
    """{names, leaf first, joined: value}"""
    found = {}
    for sample in profile.samples:
        names = " ".join(map(plain, sample.names()))
        found[names] = found.get(names, 0) + sample.values[value]
    return found


def of(profile, name, value=0):
    """What the stacks have that go through a function."""
    return sum(sample.values[value] for sample in profile.samples
               if any(name in found for found in sample.names()))


class Elf:
    """Where a program has its import table and the cells of its probes; addresses of the process."""

    def __init__(self, path, pid):
        with open(path, "rb") as file:
            self.bytes = file.read()
        with open(f"/proc/{pid}/maps") as maps:
            first = next(line for line in maps if line.rstrip().endswith(path))
        self.base = int(first.split("-")[0], 16) if self.read("<H", 16)[0] == 3 else 0
        self.pid = pid

    def read(self, form, at):
        return struct.unpack_from(form, self.bytes, at)

    def notes(self):
        at, = self.read("<Q", 32)
        for i in range(self.read("<H", 56)[0]):
            kind, _, offset, svma, _, size, _, align = self.read("<IIQQQQQQ", at + 56 * i)
            while kind == 4 and align == 4 and size >= 12:
                n_name, n_desc, _ = self.read("<III", offset)
                desc = 12 + (n_name + 3) // 4 * 4
                if self.bytes[offset + 12:offset + 17] == b"cprof":
                    yield (self.base + svma + desc + self.read("<q", offset + desc)[0],
                           self.bytes[offset + desc + 12:].split(b"\0")[0].decode())
                step = desc + (n_desc + 3) // 4 * 4
                offset, svma, size = offset + step, svma + step, size - step

    def words(self, addresses):
        with open(f"/proc/{self.pid}/mem", "rb") as memory:
            found = []
            for address in addresses:
                memory.seek(address)
                found.append(struct.unpack("<Q", memory.read(8))[0])
        return found

    def cells(self, name=None):
        return self.words(cell for cell, of_name in self.notes() if name in (None, of_name))

    def wrapped(self):
        """How many words of .got and .got.plt lead to an agent."""
        return sum(any(start <= word < start + (64 << 10) for start in agents(self.pid))
                   for word in self.slots())

    def slots(self):
        at, = self.read("<Q", 40)
        step, n, names = self.read("<HHH", 58)
        names, = self.read("<Q", at + names * step + 24)
        found = []
        for i in range(n):
            name, _, _, svma, _, size = self.read("<IIQQQQ", at + i * step)
            if self.bytes[names + name:].split(b"\0", 1)[0] in (b".got", b".got.plt"):
                found += self.words(range(self.base + svma, self.base + svma + size, 8))
        return found


class CustomCase(Case):
    def start(self, pid, *args):
        cprof = subprocess.Popen([CPROF, "record", "-v", "-p", str(pid), "-d", "100s", "-o",
                                  self.path("c.pb.gz"), *map(str, args)],
                                 stderr=subprocess.PIPE, text=True)
        wait_until_counted(pid)
        return cprof

    def end(self, cprof, *types, expect=0):
        """Its profiles by type; what it said."""
        cprof.send_signal(signal.SIGINT)
        self.said = cprof.communicate(timeout=60)[1]
        self.assertEqual(cprof.returncode, expect, self.said)
        if len(types) < 2:
            return Profile(self.path("c.pb.gz"))
        return {kind: Profile(self.path(f"c.{kind}.pb.gz")) for kind in types}

    def line(self, target):
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        return target.process.stdout.readline().decode().strip()


class Probes(CustomCase):
    """Stacks begin where Go's do: the example of (*Profile).Add, run for new_client."""
    TYPES = ("skip0", "skip1", "skip2", "skip99", "bytes", "inline", "template", "inlined",
             "skipped", "last", "elsewhere")

    def check(self, name):
        with Target([victim(name)], wait_for="ready", stdin=subprocess.PIPE) as target:
            elf = Elf(victim(name), target.pid)
            self.assertFalse(any(elf.cells()))
            cprof = self.start(target.pid, "--type", ",".join(self.TYPES))
            self.assertTrue(all(elf.cells("inline")))
            # What nobody asked for is left alone.
            self.assertFalse(any(elf.cells("never")))
            self.assertEqual(self.line(target), "done")
            found = self.end(cprof, *self.TYPES)
            self.assertFalse(any(elf.cells()))
            self.assertFalse(is_counted(target.pid))
            self.assertEqual(self.line(target), "done")
        for kind, profile in found.items():
            self.assertEqual(profile.sample_types, [(kind, "count")])
            self.assertEqual((profile.period_type, profile.period), ((kind, "count"), 1))
            found[kind] = {}
            for names, value in stacks(profile).items():
                found[kind][re.sub(r" work main .*", "", names)] = value
        self.assertEqual(found["skip0"], {"new_client run": 20})
        self.assertEqual(found["skip1"], {"run": 30})
        self.assertEqual(set(found["skip2"].values()), {30})
        self.assertTrue(next(iter(found["skip2"])).startswith("work main"))
        self.assertEqual(found["skip99"], {"_start": 30})
        self.assertEqual(found["bytes"], {"account": 42})
        self.assertEqual(found["inline"], {"add_inline": 5, "add_inline add_elsewhere": 1})
        self.assertEqual(found["template"], {"add_template": 10, "add_template add_elsewhere": 1})
        self.assertEqual(found["inlined"], {"add_by_inlined with_inlined": 5})
        self.assertEqual(found["skipped"], {"with_inlined": 5})
        self.assertEqual(found["last"], {"last_call": 1})
        self.assertEqual(found["elsewhere"], {"add_elsewhere": 1})

    def test_builds(self):
        for name in ("gcc-o0", "gcc-o2", "gcc-o3-gc", "gcc-lto", "clang-o0", "clang-o2", "static"):
            with self.subTest(name):
                self.check("probes-" + name)

    def test_keys_that_are_wrong(self):
        with Target([victim("probes-gcc-o2")], wait_for="ready", stdin=subprocess.PIPE) as target:
            cprof = self.start(target.pid, "--type", "skip0")
            self.line(target)
            comments = " ".join(self.end(cprof).comments)
        self.assertIn("31 entries were added", comments)
        self.assertIn("1 keys were added again", comments)
        self.assertIn("1 keys were removed that were not there", comments)

    def test_a_library_that_is_loaded_later(self):
        with Target([victim("probes-gcc-o2"), victim("probes.so")], wait_for="ready",
                    stdin=subprocess.PIPE) as target:
            cprof = self.start(target.pid, "--type", "elsewhere,inline")
            self.assertEqual(self.line(target), "loaded")
            elf = Elf(victim("probes.so"), target.pid)
            wait_until(lambda: all(elf.cells("elsewhere")))
            self.assertEqual(self.line(target), "done")
            found = self.end(cprof, "elsewhere", "inline")
            self.assertFalse(any(elf.cells()))
        self.assertEqual(of(found["elsewhere"], "add_here"), 1)
        self.assertEqual(of(found["inline"], "add_here"), 1)
        self.assertEqual(of(found["elsewhere"], "add_elsewhere"), 1)

    def test_names_that_there_are(self):
        with Target([victim("probes-clang-o2")], wait_for="ready", stdin=subprocess.PIPE) as target:
            done = self.cprof("record", "--type", "skip", "-p", target.pid, expect=64)
            self.assertIn("known: cpu", done.stderr)
            self.assertIn("skip0", done.stderr)
            self.assertIn("elsewhere", done.stderr)
        with Target(["/usr/bin/sleep", "100"]) as target:
            done = self.cprof("record", "--type", "payment", "-p", target.pid, expect=64)
            self.assertIn("no probes", done.stderr)

    def test_example(self):
        with Target([os.environ["PAYMENT"], "60"]) as target:
            wait_until(lambda: target.state() == "S")
            cprof = self.start(target.pid, "--type", "payment,turnover")
            time.sleep(0.5)
            found = self.end(cprof, "payment", "turnover")
        self.assertLessEqual(found["payment"].total(0), 64 + 2)
        self.assertGreater(of(found["payment"], "order"), 30)
        # skip=1: without who makes the entry.
        self.assertEqual(of(found["payment"], "payment_begin"), 0)
        self.assertEqual(of(found["turnover"], "order"), found["turnover"].total(0))


class Presets(CustomCase):
    def check(self, name):
        kinds = "fd", "mmap", "thread", "dlopen"
        with Target([victim(name)], wait_for="ready", stdin=subprocess.PIPE) as target:
            elf = Elf(victim(name), target.pid)
            cprof = self.start(target.pid, "--type", ",".join(kinds))
            self.assertGreaterEqual(elf.wrapped(), 20)
            self.assertEqual(self.line(target), "done")
            found = self.end(cprof, *kinds)
            self.assertEqual(elf.wrapped(), 0)
            self.assertFalse(is_counted(target.pid))
            self.assertEqual(self.line(target), "done")
        return found

    def test_known_live_sets(self):
        for name in "presets", "presets-clang-lazy":
            with self.subTest(name):
                found = self.check(name)
                fd = found["fd"]
                for function, n in (("leak_files", 5), ("leak_pairs", 3), ("leak_copies", 4),
                                    ("leak_others", 3), ("close_unseen", 0), ("in_children", 0)):
                    self.assertEqual(of(fd, function), n, (function, stacks(fd), self.said))
                self.assertEqual(fd.total(0), 15, stacks(fd))
                self.assertTrue(any("1 descriptors are left out" in c for c in fd.comments),
                                fd.comments)
                mmap = found["mmap"]
                self.assertEqual(mmap.sample_types, [("mmap", "count"), ("mmap_space", "bytes")])
                self.assertEqual((of(mmap, "map", 0), of(mmap, "map", 1)), (5, 20 * PAGE))
                self.assertEqual(of(found["thread"], "make_threads"), 3)
                self.assertEqual(of(found["dlopen"], "load"), 2)

    def test_musl(self):
        need("musl-gcc")
        found = self.check("presets-musl")
        self.assertEqual(found["fd"].total(0), 15, stacks(found["fd"]))
        self.assertEqual(found["mmap"].total(1), 20 * PAGE)
        # libz is not for musl.
        self.assertEqual(found["dlopen"].total(0), 0)

    def test_calls_that_are_delicate(self):
        """Exceptions, cancellation, arguments on the stack, results in several registers."""
        for name in "calls", "calls-clang":
            with Target([victim(name)], wait_for="alive", stdin=subprocess.PIPE,
                        stderr=subprocess.PIPE) as target:
                for _ in range(3):
                    cprof = self.start(
                        target.pid, "--type", "fd,thread,sort,print,div,float",
                        "--custom", "sort: add=qsort", "--custom", "print: add=snprintf:ret:int",
                        "--custom", "div: add=ldiv", "--custom", "float: add=strtod, add=strtold")
                    seen = int(target.process.stdout.readline().split()[1])
                    wait_until(lambda: int(target.process.stdout.readline().split()[1]) > seen + 20)
                    found = self.end(cprof, "fd", "print")
                    self.assertGreater(of(found["print"], "arguments"), 0)
                target.process.stdin.write(b"\n")
                target.process.stdin.close()
                said = target.process.stdout.read().decode().splitlines()[-1]
                self.assertEqual(target.process.wait(30), 0)
                self.assertEqual(counts(said)["wrong"], 0, (said, target.process.stderr.read()))
                target.process.stderr.close()

    def test_beside_other_types_and_of_a_command(self):
        script = ("import os, time\nkept = [os.open('/dev/null', 0) for i in range(50)]\n"
                  "time.sleep(1)\nmore = [os.open('/dev/null', 0) for i in range(50)]\n"
                  "end = time.time() + 1\nwhile time.time() < end: pass\n")
        out = self.path("c.pb.gz")
        done = self.cprof("record", "--type", "cpu,fd,heap", "-o", out, "-d", "2s", "--",
                          "/usr/bin/python3", "-c", script)
        self.assertIn("added in", done.stderr)
        # Of the first ones those since the agent is there.
        self.assertGreaterEqual(Profile(self.path("c.fd.pb.gz")).total(0), 50)
        self.assertGreater(Profile(self.path("c.cpu.pb.gz")).total(1), 1e8)


class Real(CustomCase):
    def connect(self, port, n):
        sockets = []
        for _ in range(n):
            sockets.append(socket.create_connection(("127.0.0.1", port)))
            self.addCleanup(sockets[-1].close)
        return sockets

    def port_of(self, pid):
        """The port that a process listens on."""
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file][1:]
        listening = {f"socket:[{row[9]}]": row[1] for row in rows if row[3] == "0A"}
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                address = listening.get(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except FileNotFoundError:
                continue
            if address:
                return int(address.split(":")[1], 16)
        return None

    def leak(self, target, expected):
        """40 clients connect and stay; 15 go again."""
        wait_until(lambda: self.port_of(target.pid))
        cprof = self.start(target.pid, "--type", "fd")
        before = len(os.listdir(f"/proc/{target.pid}/fd"))
        sockets = self.connect(self.port_of(target.pid), 40)
        wait_until(lambda: len(os.listdir(f"/proc/{target.pid}/fd")) >= before + 40)
        for one in sockets[:15]:
            one.close()
        wait_until(lambda: len(os.listdir(f"/proc/{target.pid}/fd")) <= before + 25)
        profile = self.end(cprof)
        self.assertEqual(of(profile, "accept"), 25, (stacks(profile), self.said))
        self.assertEqual(profile.total(0), 25, stacks(profile))
        self.assertGreater(profile.complete_share(), 0.95)
        if expected:
            self.assertEqual(of(profile, expected), 25, stacks(profile))
        top = self.pprof("-top", self.path("c.pb.gz"))
        self.assertIn("Type: fd", top)

    def test_python_server(self):
        script = ("import socketserver, sys\nclass Stay(socketserver.BaseRequestHandler):\n"
                  "  def handle(self):\n    self.request.recv(1)\n"
                  "with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Stay) as s:\n"
                  "  s.daemon_threads = True\n  s.serve_forever()\n")
        with Target(["/usr/bin/python3", "-c", script]) as target:
            self.leak(target, "")

    def free_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def test_a_call_that_lasts(self):
        """A thread waits in accept when cprof goes, and comes back to nobody, or to another one."""
        script = ("import socket\ns = socket.create_server(('127.0.0.1', 0))\nkept = []\n"
                  "while True:\n  kept.append(s.accept())\n  print(len(kept), flush=True)\n")
        with Target(["/usr/bin/python3", "-c", script]) as target:
            wait_until(lambda: self.port_of(target.pid))
            port = self.port_of(target.pid)
            cprof = self.start(target.pid, "--type", "fd")
            self.connect(port, 3)
            wait_until(lambda: target.process.stdout.readline() == b"3\n")
            # The first one had begun before.
            self.assertEqual(of(self.end(cprof), "accept"), 2)
            self.assertFalse(is_counted(target.pid))
            self.connect(port, 1)
            self.assertEqual(target.process.stdout.readline(), b"4\n")
            cprof = self.start(target.pid, "--type", "fd,heap")
            self.connect(port, 1)
            self.assertEqual(target.process.stdout.readline(), b"5\n")
            self.end(cprof, "fd", "heap")
            # The wait that began with this one ends with the next, at the same addresses.
            cprof = self.start(target.pid, "--type", "fd,heap")
            self.connect(port, 3)
            wait_until(lambda: target.process.stdout.readline() == b"8\n")
            found = self.end(cprof, "fd", "heap")["fd"]
            self.assertEqual(of(found, "accept"), 2, stacks(found))

    def test_redis(self):
        need("redis-server")
        with Target(["redis-server", "--port", str(self.free_port()), "--save", "", "--bind",
                     "127.0.0.1"], wait_for="eady to accept") as target:
            self.leak(target, "acceptTcpHandler")

    def test_memcached(self):
        need("memcached")
        with Target(["memcached", "-l", "127.0.0.1", "-p", str(self.free_port()), "-U", "0",
                     *(["-u", "root"] if os.geteuid() == 0 else [])]) as target:
            self.leak(target, "")

    def test_sqlite(self):
        """A function of a library that is declared: connections, and what they have open."""
        need("sqlite3")
        with Target(["sqlite3"], stdin=subprocess.PIPE) as target:
            def ask(text):
                target.process.stdin.write(text.encode() + b"select 'ok';\n")
                target.process.stdin.flush()
                self.assertEqual(target.process.stdout.readline(), b"ok\n")
            ask("")
            cprof = self.start(target.pid, "--type", "fd,statement", "--custom",
                               "statement: add=sqlite3_prepare_v2:*arg3, "
                               "remove=sqlite3_finalize:arg0")
            for i in range(6):
                ask(f"attach '{self.path(f'{i}.db')}' as d{i}; create table d{i}.t(a);")
            ask("detach d0; detach d1;")
            found = self.end(cprof, "fd", "statement")
            target.process.stdin.close()
            self.assertEqual(target.process.wait(30), 0)
        self.assertEqual(found["fd"].total(0), 4, stacks(found["fd"]))
        # The last one may not be finalized yet when its row is printed.
        self.assertLessEqual(found["statement"].total(0), 1)
        self.assertTrue(any("entries were added" in c and " 0 " not in c
                            for c in found["statement"].comments), self.said)

    def test_refusals(self):
        with Target(["/usr/bin/sleep", "100"]) as target:
            wait_until(lambda: target.state() == "S")
            for text, words in (("x", "at 'x'"), ("x: add=f:ret9", "at 'add=f:ret9'"),
                                ("x: foo=f", "expected add=FUNC, remove=FUNC or size=argN"),
                                ("x: add=setjmp", "returns once"), ("cpu: add=open", "another type"),
                                ("x: remove=close", "an add= word")):
                done = self.cprof("record", "-p", target.pid, "--custom", text, expect=64)
                self.assertIn(words, done.stderr)
            done = self.cprof("record", "-p", target.pid, "--type", "heap,x", "--custom",
                              "x: add=malloc, remove=free", expect=64)
            self.assertIn("malloc is one of --type heap already", done.stderr)
            done = self.cprof("record", "-p", target.pid, *(
                word for i in range(5) for word in ("--custom", f"x{i}: add=nanosleep:arg0")),
                expect=64)
            self.assertIn("more than 4 uses of nanosleep", done.stderr)
            done = self.cprof("record", "-p", target.pid, "--custom", "x: add=nanosleeep", expect=2)
            self.assertIn("'nanosleeep'", done.stderr)
            self.assertIn("/sleep imports nanosleep\n", done.stderr)
            done = self.cprof("record", "-p", target.pid, "--type", "dlopen", expect=2)
            self.assertIn("'dlopen'", done.stderr)
            self.assertFalse(agents(target.pid))
        with Target([victim("filtered"), "3"]) as target:
            wait_for_text(f"/proc/{target.pid}/status", "Seccomp:\t2")
            self.assertIn("seccomp", self.cprof("record", "--type", "fd", "-p", target.pid,
                                                expect=2).stderr)

    def test_killed(self):
        """The target goes on; the next cprof, of something else, takes out what is there."""
        with Target([victim("presets")], wait_for="ready", stdin=subprocess.PIPE) as target:
            elf = Elf(victim("presets"), target.pid)
            cprof = self.start(target.pid, "--type", "fd,thread")
            self.assertEqual(self.line(target), "done")
            cprof.kill()
            cprof.communicate()
            self.assertEqual(self.line(target), "done")
            self.assertGreaterEqual(elf.wrapped(), 15)
            done = self.cprof("record", "--type", "heap", "-d", "200ms", "-p", target.pid)
            self.assertIn("a killed cprof had left", done.stderr)
            self.assertEqual(elf.wrapped(), 0)
            self.assertEqual(len(agents(target.pid)), 1)
            # With other numbers of profiles the same stubs do other things.
            cprof = self.start(target.pid, "--type", "mmap,fd")
            self.assertEqual(self.line(target), "done")
            found = self.end(cprof, "mmap", "fd")
            self.assertEqual(found["fd"].total(0), 15, stacks(found["fd"]))
        with Target([victim("probes-gcc-o2")], wait_for="ready", stdin=subprocess.PIPE) as target:
            elf = Elf(victim("probes-gcc-o2"), target.pid)
            cprof = self.start(target.pid, "--type", "skip0,inline")
            cprof.kill()
            cprof.communicate()
            self.assertEqual(self.line(target), "done")
            self.assertTrue(any(elf.cells()))
            self.cprof("doctor", "--cleanup", "-p", target.pid)
            self.assertFalse(any(elf.cells()))
            self.assertFalse(is_counted(target.pid))
            cprof = self.start(target.pid, "--type", "last")
            wait_until(lambda: any(elf.cells("last")))
            self.assertEqual(self.line(target), "done")
            self.assertEqual(self.end(cprof).total(0), 1)
            self.assertFalse(any(elf.cells()))


if __name__ == "__main__":
    main()
