# SPDX-License-Identifier: Apache-2.0
"""cprof serve --heap: heap and allocs while a process runs, beside everything else that is asked."""
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harm import counts, states, wait_until
from heap import Estimate, agents, is_counted, wait_until_counted
from server import Served, Server
from support import main, need, victim, wait_for_text

TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"),
         ("inuse_space", "bytes")]
# Keeps so many blocks of 20000 bytes more, and allocates ten times that, for each line.
KEEPS = ("import sys\nkept = []\nprint('ready', flush=True)\nfor line in sys.stdin:\n"
         "  for _ in range(int(line)):\n    kept.append(bytearray(20000))\n"
         "    [bytearray(20000) for _ in range(9)]\n  print('done', flush=True)")
PYTHON = "/usr/bin/python3"


class HeapServed(Served):
    def keeper(self):
        return self.target(PYTHON, "-c", KEEPS, wait_for="ready", stdin=subprocess.PIPE)

    def line(self, target, text=""):
        target.process.stdin.write(f"{text}\n".encode())
        target.process.stdin.flush()
        return target.process.stdout.readline().decode().split()

    def serve_heap(self, target, *args, rate=None):
        server = self.serve(target, "--heap", *(["--heap-rate", rate] if rate else []), *args)
        wait_until_counted(target.pid)
        return server

    def heap(self, server, path="heap", status=200):
        answer = server.ask(path)
        self.assertEqual(answer.status, status, answer.text)
        return answer.profile()

    def comment(self, profile, word):
        found = [c for c in profile.comments if word in c]
        self.assertTrue(found, profile.comments)
        return found[0]

    def assert_clean(self, target):
        self.assertFalse(is_counted(target.pid))
        self.assertFalse(states(target.pid) & {"t", "T"})
        with open(f"/proc/{target.pid}/status") as file:
            self.assertIn("TracerPid:\t0\n", file.read())
        self.assertIsNone(target.process.poll())


class Values(HeapServed):
    def test_known_sites(self):
        target = self.target(victim("allocs"), "8000", wait_for="ready", stdin=subprocess.PIPE)
        server = self.serve_heap(target, rate=250000)
        words = self.line(target)
        heap, allocs = self.heap(server), self.heap(server, "allocs")
        checked = 0
        for i in range(1, len(words), 3):
            for profile, column in (heap, 3), (allocs, 1):
                truth = int(words[i + (column == 1) + 2 * (column == 3)])
                estimate = Estimate(profile, words[i], column)
                if estimate.samples > 50:
                    checked += 1
                    self.assertLess(abs(estimate.off(truth)), 4.5, (words[i], column))
        self.assertGreater(checked, 5)
        for profile, default in (heap, "inuse_space"), (allocs, "alloc_space"):
            self.assertEqual(profile.sample_types, TYPES)
            self.assertEqual(profile.strings[profile.top[14][0]], default)
            self.assertEqual((profile.period_type, profile.period), (("space", "bytes"), 250000))
        self.assertEqual(self.line(target), ["freed"])
        heap = self.heap(server)
        self.assertEqual(sum(n for site, n in heap.cumulative(3).items() if "site_" in site), 0)
        # What was allocated is kept.
        self.assertEqual(heap.total(1), allocs.total(1))

    def test_grows(self):
        target = self.keeper()
        server = self.serve_heap(target)
        totals = []
        for _ in range(3):
            self.assertEqual(self.line(target, 1000), ["done"])
            totals.append(self.heap(server))
        for i, profile in enumerate(totals):
            self.assertAlmostEqual(profile.total(3) / (20e6 * (i + 1)), 1, delta=0.5)
            self.assertAlmostEqual(profile.total(1) / (200e6 * (i + 1)), 1, delta=0.2)
        self.assertEqual(len({self.comment(p, "counted since") for p in totals}), 1)
        self.assertIn("PyByteArray_Resize", self.pprof("-top", server.url + "heap"))
        self.assertIn("Type: alloc_space", self.pprof("-top", server.url + "allocs"))
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assert_clean(target)
        self.assertEqual(len(agents(target.pid)), 1)

    def test_delta(self):
        """Of allocations those of the time; in use is what is, also from before."""
        target = self.keeper()
        server = self.serve_heap(target)
        self.assertEqual(self.line(target, 2000), ["done"])
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            started = time.time()
            answer = pool.submit(server.ask, "heap?seconds=2")
            time.sleep(0.7)
            self.assertEqual(self.line(target, 1000), ["done"])
            answer = answer.result()
        profile = answer.profile()
        self.assertEqual(answer.headers["content-disposition"], 'attachment; filename="heap-delta"')
        self.assertAlmostEqual(profile.total(1) / 200e6, 1, delta=0.2)
        self.assertAlmostEqual(profile.total(3) / 60e6, 1, delta=0.35)
        self.assertAlmostEqual(profile.duration_nanos / 1e9, 2, delta=0.8)
        self.assertAlmostEqual(profile.time_nanos[0] / 1e9, started + 2, delta=1)
        # Of a time in which nothing happens.
        profile = self.heap(server, "allocs?seconds=1")
        self.assertLess(profile.total(1), 5e6)
        self.assertAlmostEqual(profile.total(3) / 60e6, 1, delta=0.35)
        answer = server.ask("heap?seconds=1&past=1")
        self.assertEqual((answer.status, "past=1" in answer.text), (400, True))

    def test_text(self):
        """As Go's, and pprof makes the same of it as of the file."""
        target = self.keeper()
        server = self.serve_heap(target)
        self.assertEqual(self.line(target, 3000), ["done"])
        text, profile = server.ask("heap?debug=1&gc=1").text, self.heap(server)
        head, *lines = text.splitlines()
        self.assertRegex(head, r"^heap profile: \d+: \d+ \[\d+: \d+\] @ heap/1048576$")
        rows = [line for line in lines if re.match(r"\d", line)]
        self.assertEqual(len(rows), len(profile.samples))
        for row in rows:
            self.assertRegex(row, r"^\d+: \d+ \[\d+: \d+\] @( 0x[0-9a-f]+)+$")
        sums = [sum(int(n) for n in column) for column in
                zip(*(re.match(r"(\d+): (\d+) \[(\d+): (\d+)\]", row).groups() for row in rows))]
        self.assertEqual(sums, [int(n) for n in re.findall(r"\d+", head)[:4]])
        self.assertRegex(text, r"\n#\t0x[0-9a-f]+\tPyByteArray_Resize")
        path = self.path("text")
        with open(path, "w") as file:
            file.write(text)
        for kind, column in ("alloc_space", 1), ("inuse_space", 3):
            raw = self.pprof("-raw", "-sample_index=" + kind, path)
            values = [list(map(int, m.split()))[column] for m in
                      re.findall(r"^((?: +\d+){4}):", raw, re.M)]
            self.assertAlmostEqual(sum(values) / profile.total(column), 1, delta=0.01, msg=kind)

    def test_execve(self):
        script = ("import os, sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
                  f"os.execv('{PYTHON}', ['python3', '-c', {KEEPS!r}])")
        target = self.target(PYTHON, "-c", script, wait_for="ready", stdin=subprocess.PIPE)
        server = self.serve_heap(target)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(server.ask, "heap") for _ in range(4)]
            self.assertEqual(self.line(target), ["ready"])
            asked += [pool.submit(server.ask, "heap") for _ in range(20)]
            self.assertEqual({answer.result().status for answer in asked}, {200})
        wait_until_counted(target.pid)
        self.assertEqual(self.line(target, 1000), ["done"])
        profile = self.heap(server)
        self.assertAlmostEqual(profile.total(3) / 20e6, 1, delta=0.5)
        self.comment(profile, "became another program 1 times")
        self.assertEqual(server.end(signal.SIGINT), 0)
        self.assert_clean(target)

    def test_redis(self):
        need("redis-server", "redis-cli")
        socket = self.path("redis")
        target = self.target("redis-server", "--port", "0", "--save", "", "--unixsocket", socket,
                             wait_for="eady to accept")
        server = self.serve_heap(target)
        fill = "\n".join(f"SET key{i} {'x' * 4000}" for i in range(10000)) + "\n"
        subprocess.run(["redis-cli", "-s", socket], input=fill, text=True, check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        profile = self.heap(server)
        self.assertAlmostEqual(profile.total(3) / 41e6, 1, delta=0.45)
        self.assertGreater(profile.complete_share(), 0.95)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assert_clean(target)


class Together(HeapServed):
    def test_other_types(self):
        """A sampler and the agent's thread, on a target with 16 threads that allocate, and clients
        for each: nobody takes something from the other, and the target sees nothing of it."""
        target = self.target(victim("churn"), "fork", "dlopen", wait_for="alive",
                             stdin=subprocess.PIPE)
        server = self.serve_heap(target, "-F", "500", rate=100000)
        start, before = time.monotonic(), target.cpu_ticks()
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            asked = {path: pool.submit(server.ask, path) for path in
                     ("profile?seconds=2", "wall?seconds=2", "heap?seconds=2", "allocs?seconds=1",
                      "goroutine", "mutex?seconds=1", "threads?seconds=1", "heap", "heap?debug=1")}
            answers = {path: answer.result() for path, answer in asked.items()}
        used = (target.cpu_ticks() - before) / os.sysconf("SC_CLK_TCK") * 1e9
        # Names are waited for after the two seconds, and the target goes on meanwhile.
        used *= 2 / (time.monotonic() - start)
        for path, answer in answers.items():
            self.assertEqual(answer.status, 200, (path, answer.text))
        self.assertGreater(answers["profile?seconds=2"].profile().total(1), 0.3 * used)
        self.assertGreater(answers["heap?seconds=2"].profile().total(1), 1e6)
        # All threads stay traced for as long as this takes; then the agent goes out all the same.
        self.assertEqual(server.ask("threadcreate?seconds=1").status, 200)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assert_clean(target)
        target.process.stdin.close()
        said = target.process.stdout.read().decode().splitlines()[-1]
        self.assertEqual(target.process.wait(30), 0)
        for name in "wrong", "interrupted", "early", "child":
            self.assertEqual(counts(said)[name], 0, said)

    def test_ends_while_threads_are_traced(self):
        target = self.target(victim("churn"), wait_for="alive", stdin=subprocess.PIPE)
        server = self.serve_heap(target, "--continuous", "--type", "threadcreate,cpu")
        time.sleep(0.5)
        self.assertGreater(self.heap(server).total(1), 0)
        self.assertEqual(server.end(signal.SIGINT), 0)
        self.assert_clean(target)

    def test_json(self):
        """For the page: in use, or allocated."""
        target = self.keeper()
        server = self.serve_heap(target)
        self.line(target, 1000)
        sums = {}
        for name in "heap", "allocs":
            page = json.loads(server.ask(name + "?format=json").text)
            self.assertEqual(page["unit"], "bytes")
            sums[name] = page["total"]
        self.assertAlmostEqual(sums["heap"] / 20e6, 1, delta=0.5)
        self.assertAlmostEqual(sums["allocs"] / 200e6, 1, delta=0.2)

    def test_two_clients(self):
        target = self.keeper()
        server = self.serve_heap(target)
        self.line(target, 1000)
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            profiles = list(pool.map(lambda _: self.heap(server), range(40)))
        self.assertEqual(len({p.total(1) for p in profiles}), 1)

    def test_killed(self):
        """The next one takes over what a killed one has left."""
        target = self.keeper()
        server = self.serve_heap(target)
        server.process.kill()
        server.process.wait()
        self.assertEqual(self.line(target, 100), ["done"])
        self.assertTrue(is_counted(target.pid))
        server = self.serve_heap(target)
        wait_until(lambda: server.ask("heap").status == 200)
        self.assertEqual(self.line(target, 1000), ["done"])
        self.assertAlmostEqual(self.heap(server).total(3) / 20e6, 1, delta=0.5)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assert_clean(target)

    def test_command(self):
        with Server("--heap", "--", "env", "A=1", PYTHON, "-c",
                    "import time\ntime.sleep(1)\nkept = [bytearray(10000) for _ in range(5000)]\n"
                    "time.sleep(100)") as server:
            wait_until(lambda: self.heap(server).total(3) > 30e6)
            pid = int(re.search(r"process (\d+)", server.said[-1])[1])
            self.assertTrue(is_counted(pid))
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(30), 0)
            self.assertFalse(is_counted(pid))
            os.kill(pid, signal.SIGKILL)


class Refused(HeapServed):
    def test_not_asked_for(self):
        target = self.keeper()
        server = self.serve(target)
        for path in "heap", "allocs", "heap?debug=1", "allocs?seconds=1", f"{target.pid}/heap":
            answer = server.ask(path)
            self.assertEqual(answer.status, 501, path)
            self.assertIn("--heap", answer.text)
            self.assertEqual(answer.headers["x-go-pprof"], "1")
        self.assertNotIn("heap", server.ask("").text)
        self.assertFalse(agents(target.pid))

    def test_static(self):
        """It goes on being served, and says why there is none; of several, those that have one."""
        static = self.target(victim("allocs-static"), "1", wait_for="ready", stdin=subprocess.PIPE)
        keeper = self.keeper()
        server = self.serve(static, "--heap")
        answer = server.ask("heap")
        self.assertEqual(answer.status, 501)
        self.assertIn("statically", answer.text)
        self.assertEqual(server.ask("threads").status, 200)
        wait_until(lambda: 'cprof_heap_agents 0\n' in server.ask("/metrics").text)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertIn("no heap profiles", "".join(server.said))
        server = Server("--heap", "-p", static.pid, "-p", keeper.pid)
        self.addCleanup(server.__exit__)
        wait_until_counted(keeper.pid)
        self.assertEqual(self.line(keeper, 1000), ["done"])
        for path in "heap", f"{keeper.pid}/heap", f"/{keeper.pid}/debug/pprof/heap":
            self.assertAlmostEqual(self.heap(server, path).total(3) / 20e6, 1, delta=0.5)
        self.assertEqual(server.ask(f"{static.pid}/heap").status, 501)

    def test_seccomp(self):
        target = self.target(victim("filtered"), "5", wait_for=None)
        wait_for_text(f"/proc/{target.pid}/status", "Seccomp:\t2")
        server = self.serve(target, "--heap")
        self.assertIn("seccomp", server.ask("heap").text)
        self.assertFalse(agents(target.pid))

    def test_options(self):
        done = self.cprof("serve", "--heap-rate", 7, "-p", 1, expect=64)
        self.assertIn("--heap only", done.stderr)
        done = self.cprof("serve", "--heap", "--heap-rate", "x", "-p", 1, expect=64)
        self.assertIn("--heap-rate wants", done.stderr)


class Several(HeapServed):
    def test_by_name(self):
        """Each counts from when it is found; together they are told apart by their label."""
        name = "keeps" + str(os.getpid() % 10000)
        shutil.copy(PYTHON, self.path(name))

        def start():
            return self.target(self.path(name), "-c", KEEPS, wait_for="ready",
                               stdin=subprocess.PIPE)
        first = start()
        server = Server("--heap", "-n", name)
        self.addCleanup(server.__exit__)
        wait_until_counted(first.pid)
        second = start()
        wait_until_counted(second.pid)
        self.assertEqual(self.line(first, 1000), ["done"])
        self.assertEqual(self.line(second, 3000), ["done"])
        profile = self.heap(server)
        for target, kept in (first, 20e6), (second, 60e6):
            own = sum(s.values[3] for s in profile.samples if s.labels["pid"] == str(target.pid))
            self.assertAlmostEqual(own / kept, 1, delta=0.5)
            self.assertAlmostEqual(self.heap(server, f"{target.pid}/heap").total(3) / kept, 1,
                                   delta=0.5)
        self.assertIn("PyByteArray_Resize", self.pprof("-top", server.url + "heap"))
        index = server.ask("").text
        self.assertRegex(index, r"<td>[1-9]\d*</td><td><a href='heap\?debug=1'>")
        self.assertIn("Counted since", index)
        metrics = server.ask("/metrics").text
        self.assertIn(f'cprof_heap_agents{{pid="{first.pid}",process="{name}"}} 1\n', metrics)
        self.assertRegex(metrics, r'cprof_heap_samples_total\{pid="\d+",process="\w+"\} [1-9]')
        second.process.kill()
        second.process.wait()
        wait_until(lambda: server.ask(f"{second.pid}/heap").status == 404)
        self.assertEqual(self.heap(server).total(3) > 10e6, True)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assert_clean(first)


if __name__ == "__main__":
    main()
