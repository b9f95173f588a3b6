# SPDX-License-Identifier: Apache-2.0
"""Heap profiles of running processes: against programs that know what they allocate, and of
programs of the distribution."""
import math
import os
import re
import signal
import subprocess
import time

from harm import states, wait_until
from heap import Estimate, agents, is_counted, wait_until_counted
from profile_pb import Profile
from support import CPROF, Case, Target, main, need, victim, wait_for_text

TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"),
         ("inuse_space", "bytes")]
JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"


class HeapCase(Case):
    def start(self, target, *args, kind="heap"):
        cprof = subprocess.Popen([CPROF, "record", "-v", "--type", kind, "-p", str(target.pid),
                                  "-d", "100s", "-o", self.path("h.pb.gz"), *map(str, args)],
                                 stderr=subprocess.PIPE, text=True)
        wait_until_counted(target.pid)
        return cprof

    def end(self, cprof, expect=0):
        cprof.send_signal(signal.SIGINT)
        said = cprof.communicate(timeout=60)[1]
        # Where cprof waits for a CPU, as on a busy machine, a few may find no place, and it says so.
        lost = re.search(r"(\d+) of (\d+) samples have no stack", said)
        if lost and expect == 0 and int(lost[1]) <= 0.01 * int(lost[2]):
            expect = 1
        self.assertEqual(cprof.returncode, expect, said)
        return Profile(self.path("h.pb.gz")), said

    def line(self, target):
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        return target.process.stdout.readline().decode().split()

    def allocate(self, name, rounds, rate=250000, env=None):
        """Records a victim's work; (profile, {site: (allocated, in use)}, what cprof said)."""
        with Target([victim(name), str(rounds)], wait_for="ready", stdin=subprocess.PIPE,
                    env=dict(os.environ, **(env or {}))) as target:
            cprof = self.start(target, "--heap-rate", rate)
            words = self.line(target)
            self.assertEqual(words[0], "counted")
            profile, said = self.end(cprof)
            self.assertFalse(is_counted(target.pid))
            self.assertEqual(self.line(target), ["freed"])
            target.process.stdin.close()
            self.assertEqual(target.process.wait(30), 0)
        truth = {words[i]: (int(words[i + 1]), int(words[i + 2]))
                 for i in range(1, len(words), 3)}
        return profile, truth, said

    def check(self, profile, truth, said, leaf=()):
        self.assertEqual(profile.sample_types, TYPES)
        off = []
        for site, values in truth.items():
            for column, value in zip((1, 3), values):
                estimate = Estimate(profile, site, column)
                if not value:
                    self.assertEqual(estimate.bytes, 0, site)
                elif estimate.samples > 50:
                    off.append(estimate.off(value))
                    # Of a hundred thousand such figures one is farther off by chance.
                    self.assertLess(abs(off[-1]), 4.5, (site, value, vars(estimate), said))
        self.assertGreater(len(off), 2, said)
        self.assertLess(math.sqrt(sum(x * x for x in off) / len(off)), 2.5, (off, said))
        leaves = {sample.names()[0] for sample in profile.samples}
        for name in leaf:
            self.assertTrue(any(name in found for found in leaves), (name, leaves))
        self.assertFalse([name for name in leaves if "agent" in name])
        self.assertEqual(profile.complete_share(), 1, said)


class Heap(HeapCase):
    def test_c(self):
        for name in "allocs", "allocs-hardened", "allocs-lazy":
            with self.subTest(name):
                self.check(*self.allocate(name, 8000), leaf=["malloc", "calloc", "realloc"])

    def test_cxx(self):
        for name in "allocs-cxx", "allocs-cxx-clang":
            with self.subTest(name):
                profile, truth, said = self.allocate(name, 24000)
                self.check(profile, truth, said, leaf=["malloc"])
                self.assertIn("_Znwm", profile.cumulative(1))

    def test_jemalloc(self):
        if not os.path.exists(JEMALLOC):
            self.skipTest("no libjemalloc.so.2")
        self.check(*self.allocate("allocs", 8000, env={"LD_PRELOAD": JEMALLOC}))
        profile, truth, said = self.allocate("allocs-cxx", 24000, env={"LD_PRELOAD": JEMALLOC})
        # Its operator new does not call malloc.
        self.check(profile, truth, said, leaf=["_Zn"])

    def test_musl(self):
        need("musl-gcc")
        profile, truth, said = self.allocate("allocs-musl", 8000)
        # Without unwind tables in the library the leaf alone tells who allocated.
        self.assertGreater(profile.total(1), 0.8 * sum(a for a, _ in truth.values()), said)

    def test_every_allocation(self):
        """At rate 1 nothing is estimated."""
        with Target([victim("allocs"), "5"], wait_for="ready", stdin=subprocess.PIPE) as target:
            cprof = self.start(target, "--heap-rate", 1)
            words = self.line(target)
            profile, said = self.end(cprof)
        for i in range(1, len(words), 3):
            for column, value in ((1, words[i + 1]), (3, words[i + 2])):
                self.assertEqual(profile.cumulative(column)[words[i]], int(value), said)
        self.assertEqual(profile.period, 1)

    def test_all_is_freed(self):
        for name in "allocs", "allocs-cxx":
            with Target([victim(name), "2000"], wait_for="ready", stdin=subprocess.PIPE) as target:
                cprof = self.start(target, "--heap-rate", 200000)
                self.line(target)
                self.assertEqual(self.line(target), ["freed"])
                profile, said = self.end(cprof)
                in_use = {site: n for site, n in profile.cumulative(3).items() if "site_" in site}
                self.assertEqual(sum(in_use.values()), 0, said)
                self.assertGreater(profile.total(1), 1e6)

    def test_what_it_says(self):
        with Target([victim("allocs"), "2000"], wait_for="ready", stdin=subprocess.PIPE) as target:
            cprof = self.start(target, kind="allocs")
            self.line(target)
            profile, said = self.end(cprof)
            self.assertEqual((profile.period_type, profile.period), (("space", "bytes"), 524288))
            self.assertEqual(profile.strings[profile.top[14][0]], "alloc_space")
            self.assertTrue(any("counted since 20" in c for c in profile.comments))
            self.assertIn("import slots", said)
            top = self.pprof("-top", self.path("h.pb.gz"))
            self.assertIn("Type: alloc_space", top)
            cprof = self.start(target)
            self.assertEqual(self.line(target), ["freed"])
            profile, said = self.end(cprof)
            self.assertEqual(profile.strings[profile.top[14][0]], "inuse_space")
            self.assertEqual(len(agents(target.pid)), 1)

    def test_the_target_ends(self):
        with Target([victim("allocs"), "3000"], wait_for="ready", stdin=subprocess.PIPE) as target:
            cprof = self.start(target)
            self.line(target)
            time.sleep(1.2)
            target.process.kill()
            said = cprof.communicate(timeout=60)[1]
            self.assertEqual(cprof.returncode, 0, said)
            self.assertIn("the target ended", said)
            self.assertGreater(Profile(self.path("h.pb.gz")).total(3), 0)

    def maps(self, pid):
        with open(f"/proc/{pid}/maps") as file:
            return file.read()

    def refused(self, argv, *words, **options):
        with Target(argv, stdin=subprocess.PIPE, **options) as target:
            wait_until(lambda: target.state() == "S")
            before = self.maps(target.pid)
            done = self.cprof("record", "--type", "heap", "-p", target.pid, "-d", "1s", expect=2)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertEqual(self.maps(target.pid), before)
            self.assertIsNone(target.process.poll())

    def test_refusals(self):
        self.refused([victim("allocs-static"), "1"], "statically", "dynamically")
        for words, said in ((("threads,heap", "-p", 1), "--type threads"),
                            (("heap,cpu", "--children", "-p", 1), "--children"),
                            (("heap,threadcreate", "--", "true"), "-p PID")):
            done = self.cprof("record", "--type", *words, expect=64)
            self.assertIn(said, done.stderr)
        done = self.cprof("record", "--heap-rate", "7", "-p", 1, expect=64)
        self.assertIn("--type heap", done.stderr)
        for rate in "0", "-1", "x":
            done = self.cprof("record", "--type", "heap", f"--heap-rate={rate}", "-p", 1, expect=64)
            self.assertIn("--heap-rate wants", done.stderr)

    def test_seccomp(self):
        with Target([victim("filtered"), "3"]) as target:
            wait_for_text(f"/proc/{target.pid}/status", "Seccomp:\t2")
            done = self.cprof("record", "--type", "heap", "-p", target.pid, "-d", "1s", expect=2)
            self.assertIn("seccomp", done.stderr)
            self.assertFalse(agents(target.pid))

    def test_sanitizer(self):
        profile, truth, said = self.allocate("allocs-asan", 300)
        self.assertGreater(profile.total(1), 0.5 * sum(a for a, _ in truth.values()), said)


class Combined(HeapCase):
    def profiles(self, *types):
        return {kind: Profile(self.path(f"c.{kind}.pb.gz")) for kind in types}

    def test_beside_others(self):
        """Neither the sampler nor the counting takes something from the other."""
        script = ("while True:\n  x = [bytearray(3000) for _ in range(300)]\n"
                  "  sum(i * i for i in range(3000))")
        with Target(["/usr/bin/python3", "-c", script]) as target:
            time.sleep(0.3)
            done = self.cprof("record", "--type", "cpu,wall,heap,allocs", "-F", 1000, "-p",
                              target.pid, "-d", "2s", "-o", self.path("c.pb.gz"), "-v")
            self.assertFalse(is_counted(target.pid))
            self.assertFalse(states(target.pid) & {"t", "T"})
            self.assertIsNone(target.process.poll())
        self.assertNotIn("could not be stopped", done.stderr)
        p = self.profiles("cpu", "wall", "heap", "allocs")
        used, sampled = map(float, re.search(r"cpu +([\d.]+) s: ([\d.]+) s on", done.stderr).groups())
        self.assertGreater(sampled / used, 0.85, done.stderr)
        self.assertAlmostEqual(p["cpu"].total(1) / 1e9 / used, 1, delta=0.02, msg=done.stderr)
        self.assertAlmostEqual(p["wall"].total(1) / 2e9, 1, delta=0.2, msg=done.stderr)
        self.assertGreater(p["allocs"].total(1), 10e6)
        self.assertEqual(p["allocs"].total(1), p["heap"].total(1))
        for kind, default in ("heap", "inuse_space"), ("allocs", "alloc_space"):
            self.assertEqual(p[kind].strings[p[kind].top[14][0]], default)

    def check_stacks(self, target):
        """They are complete, and many are in the agent: returns those."""
        done = self.cprof("record", "--type", "cpu,wall,heap", "--heap-rate", 2 << 20, "-F", 1000,
                          "-p", target.pid, "-d", "2s", "-o", self.path("c.pb.gz"), "-v")
        p = self.profiles("cpu", "wall", "heap")
        for kind in "cpu", "wall":
            self.assertGreaterEqual(p[kind].complete_share(), 0.99, done.stderr)
        inside = [s for s in p["cpu"].samples
                  if any(name.startswith("[cprof agent] ") for name in s.names())]
        share = sum(s.values[0] for s in inside) / p["cpu"].total(0)
        self.assertGreater(share, 0.05, done.stderr)
        self.assertEqual({loc.mapping.file for s in inside for loc in s.locations
                          if any("agent_" in line.system_name for line in loc.lines)},
                         {"[cprof agent]"})
        # What the agent notes begins at who called.
        self.assertGreater(len(p["heap"].samples), 0)
        self.assertFalse([s.names() for s in p["heap"].samples
                          if any("agent" in name for name in s.names())])
        return inside

    def test_stacks_through_the_agent(self):
        with Target([victim("pairs"), "4"], wait_for=".") as target:
            inside = self.check_stacks(target)
        names = {name for sample in inside for name in sample.names()}
        for part in "stubs", "alloc_arg0", "free_arg0", "slow", "put_sample", "copy":
            self.assertIn(f"[cprof agent] agent_{part}", names)
        # No other caller, and nothing between it and the agent.
        for sample in inside:
            callers = [name for name in sample.names() if "[" not in name]
            self.assertEqual(callers[0], "work", sample.names())
        script = "print('ready', flush=True)\nwhile True: [bytearray(600) for _ in range(1000)]"
        with Target(["/usr/bin/python3", "-c", script], wait_for="ready") as target:
            self.check_stacks(target)

    def test_with_threadcreate(self):
        """All threads are traced meanwhile; the agent goes in before, and out behind it."""
        with Target([victim("churn")], wait_for="alive", stdin=subprocess.PIPE) as target:
            done = self.cprof("record", "--type", "threadcreate,heap", "-p", target.pid, "-d", "1s",
                              "-o", self.path("c.pb.gz"))
            self.assertFalse(is_counted(target.pid), done.stderr)
            target.process.stdin.close()
            self.assertEqual(target.process.wait(30), 0)
        self.assertGreater(self.profiles("heap")["heap"].total(1), 0)

    def test_command(self):
        """From when its libraries are loaded; an execve on the way is followed."""
        # At the end of Python itself everything would be freed.
        script = ("import os, time; time.sleep(0.7)\nkept = [bytearray(10000) for _ in range(5000)]\n"
                  "time.sleep(1.3); os._exit(7)")
        for types in "heap", "heap,cpu":
            done = self.cprof("record", "--exit-status", "--type", types, "-o",
                              self.path("c.pb.gz" if "," in types else "c.heap.pb.gz"), "--", "env",
                              "A=1", "/usr/bin/python3", "-c", script,
                              expect=7)
            profile = self.profiles("heap")["heap"]
            self.assertAlmostEqual(profile.total(3) / 50e6, 1, delta=0.4, msg=done.stderr)
            self.assertTrue(any("counted since" in c for c in profile.comments))

    def test_a_command_that_cannot_have_it(self):
        done = self.cprof("record", "--type", "heap,cpu", "-o", self.path("c.pb.gz"), "--",
                          victim("allocs-static"), "30000", expect=1, stdin=subprocess.DEVNULL)
        self.assertIn("statically", done.stderr)
        self.assertEqual(os.listdir(self.path("")), ["c.cpu.pb.gz"])

    def test_lost_stacks(self):
        """Totals are right although the stacks of most samples are lost: while cprof is stopped
        nobody fetches them."""
        with Target([victim("allocs"), "3000"], wait_for="ready", stdin=subprocess.PIPE) as target:
            cprof = self.start(target, "--heap-rate", 20000)
            cprof.send_signal(signal.SIGSTOP)
            words = self.line(target)
            cprof.send_signal(signal.SIGCONT)
            profile, said = self.end(cprof, expect=1)
        self.assertIn("have no stack", said)
        lost = profile.cumulative(1)["[stack lost]"]
        for column in 0, 1:
            truth = sum(int(n) for n in words[2 + column::3])
            self.assertAlmostEqual(profile.total(1 + 2 * column) / truth, 1, delta=0.1, msg=said)
        self.assertGreater(lost / profile.total(1), 0.5)


class Real(HeapCase):
    def test_python(self):
        script = ("import sys\nkept = []\nprint('ready', flush=True)\nsys.stdin.readline()\n"
                  "for i in range(3000):\n  kept.append(bytearray(20000))\n"
                  "  [bytearray(5000) for _ in range(40)]\n"
                  "print('done', len(kept), flush=True)\nsys.stdin.readline()\n"
                  "print(sum(map(len, kept)))")
        with Target(["/usr/bin/python3", "-c", script], wait_for="ready",
                    stdin=subprocess.PIPE) as target:
            cprof = self.start(target)
            self.assertEqual(self.line(target), ["done", "3000"])
            profile, said = self.end(cprof)
            self.assertEqual(self.line(target), ["60000000"])
            self.assertEqual(target.process.wait(30), 0)
        kept = sum(n for name, n in profile.cumulative(3).items() if name == "PyObject_Malloc" or
                   name.startswith("PyByteArray_")) or profile.total(3)
        self.assertAlmostEqual(kept / 60e6, 1, delta=0.4, msg=said)
        self.assertGreater(profile.complete_share(), 0.95, said)

    def test_a_library_that_is_loaded_later(self):
        script = ("import sys, time\nprint('ready', flush=True)\nsys.stdin.readline()\n"
                  "import sqlite3\ntime.sleep(1.2)\nc = sqlite3.connect(':memory:')\n"
                  "c.execute('create table t(a)')\n"
                  "for i in range(300): c.execute('insert into t select randomblob(50000)')\n"
                  "print('done', flush=True)\nsys.stdin.readline()")
        with Target(["/usr/bin/python3", "-c", script], wait_for="ready",
                    stdin=subprocess.PIPE) as target:
            cprof = self.start(target)
            self.assertEqual(self.line(target), ["done"])
            profile, said = self.end(cprof)
            target.process.stdin.close()
            self.assertEqual(target.process.wait(30), 0)
        in_library = sum(sample.values[3] for sample in profile.samples
                         if len(sample.locations) > 1 and
                         "libsqlite3" in sample.locations[1].mapping.file)
        self.assertAlmostEqual(in_library / 15e6, 1, delta=0.6, msg=said)

    def test_redis(self):
        need("redis-server", "redis-cli")
        socket = self.path("redis")
        with Target(["redis-server", "--port", "0", "--save", "", "--unixsocket", socket],
                    wait_for="eady to accept") as target:
            cprof = self.start(target)
            # Not debug populate: what a client does.
            fill = "\n".join(f"SET key{i} {'x' * 4000}" for i in range(10000)) + "\n"
            subprocess.run(["redis-cli", "-s", socket], input=fill, text=True, check=True,
                           stdout=subprocess.DEVNULL, timeout=60)
            profile, said = self.end(cprof)
            alive = subprocess.run(["redis-cli", "-s", socket, "DBSIZE"], text=True, check=True,
                                   capture_output=True, timeout=60).stdout
            self.assertEqual(alive.strip(), "10000")
        self.assertAlmostEqual(profile.total(3) / 41e6, 1, delta=0.45, msg=said)
        self.assertGreater(profile.complete_share(), 0.95, said)

    def test_sqlite(self):
        need("sqlite3")
        with Target(["sqlite3", ":memory:"], stdin=subprocess.PIPE) as target:
            target.process.stdin.write(b"select 'ready';\n")
            target.process.stdin.flush()
            self.assertEqual(target.process.stdout.readline(), b"ready\n")
            cprof = self.start(target)
            target.process.stdin.write(
                b"create table t(a); with recursive c(i) as (select 1 union all select i + 1 from c "
                b"where i < 20000) insert into t select randomblob(1000) from c; "
                b"select count(*) from t;\n")
            target.process.stdin.flush()
            self.assertEqual(target.process.stdout.readline(), b"20000\n")
            profile, said = self.end(cprof)
            target.process.stdin.close()
            self.assertEqual(target.process.wait(30), 0)
        self.assertGreater(profile.total(3), 10e6, said)
        self.assertLess(profile.total(3), 50e6, said)


if __name__ == "__main__":
    main()
