# SPDX-License-Identifier: Apache-2.0
"""cprof serve for several processes: each under its number, all together at the plain paths, those
of a name that come later, and how it ends."""
import collections
import concurrent.futures
import json
import os
import re
import shutil
import signal
import time

from server import Served, Server
from support import main, need, victim, wait_for_text

PYTHON = "print('ready', flush=True)\nwhile True: sorted(str(i) for i in range(1000))"


class Many(Served):
    def serve_all(self, *targets, args=()):
        pids = [x for t in targets for x in ("-p", t.pid)]
        server = Server(*pids, *args)
        self.addCleanup(server.__exit__)
        return server

    def serve_name(self, name, *args):
        server = Server("-n", name, *args)
        self.addCleanup(server.__exit__)
        return server

    def named(self, name):
        """Starts a victim that nothing else here is called like."""
        path = self.path(name)
        if not os.path.exists(path):
            shutil.copy(victim("chain-gcc-o2"), path)
        return self.target(path)

    def pids(self, server):
        return {int(t["labels"]["pid"]) for t in json.loads(server.ask("/targets").text)}

    def wait_for_pids(self, server, *pids, seconds=20):
        limit = time.monotonic() + seconds
        while self.pids(server) != set(pids):
            self.assertLess(time.monotonic(), limit, (self.pids(server), pids))
            time.sleep(0.05)

    def wait_for_clients(self, server, n):
        """Until the CPU time of so many processes is asked for."""
        limit = time.monotonic() + 20
        while server.ask("/metrics").text.count(',type="cpu"} 1\n') != n:
            self.assertLess(time.monotonic(), limit)
            time.sleep(0.05)

    def assert_free(self, *targets):
        for target in targets:
            wait_for_text(f"/proc/{target.pid}/status", "TracerPid:\t0\n")

    def by_pid(self, profile, column=1):
        sums = collections.Counter()
        for sample in profile.samples:
            sums[int(sample.labels["pid"])] += sample.values[column]
        return sums


class Together(Many):
    def three(self):
        from test_real import free_port
        need("redis-server", "python3", "sqlite3")
        redis = self.target("redis-server", "--port", str(free_port()), "--save", "",
                            wait_for="eady to accept", cwd=self.folder)
        python = self.target("python3", "-c", PYTHON, wait_for="ready")
        sqlite = self.target("sqlite3", ":memory:", "select 'ready'; with recursive c(x) as (select "
                             "1 union all select x+1 from c) select max(x) from c;",
                             wait_for=None)
        sqlite.wait_until_busy()
        return redis, python, sqlite

    def test_each_and_all(self):
        """What the kernel charged each, in a profile of its own and in that of all, taken at once."""
        targets = self.three()
        server = self.serve_all(*targets)
        self.assertEqual(self.pids(server), {t.pid for t in targets})
        used = {t.pid: t.cpu_ticks() for t in targets}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = [pool.submit(server.ask, f"{path}profile?seconds=2")
                     for path in ["", *(f"{t.pid}/" for t in targets)]]
            all_of_them, *each = [a.result() for a in asked]
        used = {t.pid: (t.cpu_ticks() - used[t.pid]) / 100 for t in targets}
        together = all_of_them.profile()
        self.assertEqual(together.sample_types, [("samples", "count"), ("cpu", "nanoseconds")])
        self.assertEqual((together.period_type, together.period),
                         (("cpu", "nanoseconds"), 10000000))
        self.assertAlmostEqual(together.duration_nanos / 1e9, 2, delta=0.7)
        sums = self.by_pid(together)
        names = {s.labels["pid"]: s.labels["process"] for s in together.samples}
        self.assertEqual(names[str(targets[1].pid)], "python3")
        self.assertEqual(names[str(targets[2].pid)], "sqlite3")
        self.assertEqual([m for m in range(1, len(together.mappings) + 1)],
                         [m.id for m in together.mappings])
        print("CPU time by /proc, together, alone:", used, dict(sums))
        for target, answer in zip(targets, each):
            alone = answer.profile()
            self.assertEqual([s for s in alone.samples if "pid" in s.labels], [])
            tids = set(os.listdir(f"/proc/{target.pid}/task"))
            self.assertLessEqual({s.labels["tid"] for s in alone.samples if "tid" in s.labels},
                                 tids)
            self.assertEqual(alone.mappings[0].file, os.readlink(f"/proc/{target.pid}/exe"))
            for total in alone.total(1), sums[target.pid]:
                self.assertAlmostEqual(total / 1e9, used[target.pid], delta=0.3)
        self.assertIn("_PyEval_EvalFrameDefault", together.cumulative())
        self.assertGreater(sums[targets[1].pid] + sums[targets[2].pid], 2e8)
        self.assert_free(*targets)

    def test_other_profiles(self):
        """wall, threads, debug, JSON; what cannot be of several says whom to ask."""
        targets = [self.target(victim("holders"), wait_for="ready"),
                   self.target("sleep", "60", wait_for=None)]
        server = self.serve_all(*targets)
        threads = {t.pid: len(os.listdir(f"/proc/{t.pid}/task")) for t in targets}
        wall = server.ask("wall?seconds=1").profile()
        for pid, sum_ns in self.by_pid(wall).items():
            self.assertAlmostEqual(sum_ns / wall.duration_nanos / threads[pid], 1, delta=0.3)
        self.assertEqual(self.by_pid(server.ask("threads").profile(), 0), threads)
        self.assertEqual(server.ask(f"{targets[1].pid}/threads").profile().total(0), 1)
        self.assertGreater(server.ask("mutex?seconds=1").profile().total(1), 1e8)
        self.assertEqual(set(self.by_pid(server.ask("mutex").profile())), {targets[0].pid})
        n = sum(threads.values())
        text = server.ask("goroutine?debug=1").text
        self.assertIn(f"goroutine profile: total {n}\n", text)
        self.assertIn(f'"process":"sleep", "pid":"{targets[1].pid}"', text)
        text = server.ask("goroutine?debug=2").text
        self.assertEqual(len(re.findall(r"^thread \d+ ", text, re.M)), n)
        self.assertEqual(len(re.findall(r"^process \d+ ", text, re.M)), 2)
        page = json.loads(server.ask("threads?format=json").text)
        self.assertEqual(len(page["processes"]), 2)
        for name in "cmdline", "symbol":
            answer = server.ask(name)
            self.assertEqual((answer.status, answer.headers["x-go-pprof"]), (400, "1"))
            for target in targets:
                self.assertIn(str(target.pid), answer.text)
        self.assertEqual(server.ask(f"{targets[1].pid}/cmdline").body, b"sleep\x0060")
        self.assertIn("num_symbols: 1", server.ask(f"{targets[1].pid}/symbol").text)

    def test_paths(self):
        targets = [self.target(), self.target("sleep", "60", wait_for=None)]
        server = self.serve_all(*targets)
        index = server.ask("").text
        for target in targets:
            self.assertIn(f"<a href='{target.pid}/'>{target.pid}</a>", index)
            own = server.ask(f"{target.pid}/")
            self.assertIn(f"<title>/debug/pprof/{target.pid}/</title>", own.text)
            moved = server.ask(f"{target.pid}?x=1")
            self.assertEqual((moved.status, moved.headers["location"]),
                             (301, f"/debug/pprof/{target.pid}/?x=1"))
            answer = server.ask(f"{target.pid}/nope")
            self.assertEqual((answer.status, answer.text), (404, "Unknown profile\n"))
        for path in "1/", "1/profile", "99999999999999999999/heap", "0/", "1":
            answer = server.ask(path)
            self.assertEqual((answer.status, answer.headers["x-go-pprof"]), (404, "1"), path)
            self.assertIn(f"process {path.split('/')[0]} is not served here", answer.text)
        for path in f"{targets[0].pid}x/", f"x{targets[0].pid}/", f"{targets[0].pid}/1/profile":
            self.assertEqual(server.ask(path).text, "Unknown profile\n", path)

    def test_one_stays_as_it_was(self):
        """Labels are those of several only; its number is a path, too."""
        target = self.target()
        server = self.serve(target)
        profile = server.ask("profile?seconds=1").profile()
        self.assertEqual([s for s in profile.samples if "pid" in s.labels], [])
        self.assertNotIn(str(target.pid), server.ask("").text)
        self.assertNotIn("pid=", server.ask("/metrics").text)
        self.assertEqual(server.ask("cmdline").body, server.ask(f"{target.pid}/cmdline").body)

    def test_many_clients(self):
        """Of three processes, and of all; each gets its own."""
        targets = [self.target(), self.target(), self.target("sleep", "60", wait_for=None)]
        server = self.serve_all(*targets)
        paths = [f"{p}{name}?seconds=2" for p in ["", *(f"{t.pid}/" for t in targets)]
                 for name in ("profile", "wall", "block", "threads")]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(server.ask, paths))
        for path, answer in zip(paths, answers):
            self.assertEqual(answer.status, 200, path)
            profile = answer.profile()
            if "profile" in path and str(targets[2].pid) not in path:
                self.assertGreater(profile.total(1), 1e7, path)
            if "wall" in path:
                pids = {s.labels.get("pid") for s in profile.samples}
                self.assertEqual(pids, {str(t.pid) for t in targets} if path[0] == "w" else {None})
        self.assert_free(*targets)


class Discovery(Many):
    def test_targets(self):
        """As http_sd of Prometheus wants them; the labels lead to each process."""
        targets = [self.target(), self.named('q"<&\\')]
        server = self.serve_all(*targets)
        answer = server.ask("/targets")
        self.assertEqual((answer.status, answer.headers["content-type"]),
                         (200, "application/json"))
        groups = json.loads(answer.text)
        self.assertIsInstance(groups, list)
        self.assertEqual(len(groups), 2)
        for group, target, name in zip(groups, targets, ("chain-gcc-o2", 'q"<&\\')):
            self.assertEqual(set(group), {"targets", "labels"})
            self.assertEqual(group["targets"], [f"127.0.0.1:{server.port}"])
            labels = group["labels"]
            for key, value in labels.items():
                self.assertRegex(key, "^[a-zA-Z_][a-zA-Z0-9_]*$")
                self.assertIsInstance(value, str)
            self.assertEqual((labels["pid"], labels["process"]), (str(target.pid), name))
            # What Alloy asks for, and Parca after the manual's relabelling.
            for path in (labels["__profile_path_prefix__"] + "/debug/pprof/cmdline",
                         re.sub("(.+);/debug/pprof/(.+)", r"/debug/pprof/\1/\2",
                                labels["__meta_cprof_pid"] + ";/debug/pprof/cmdline")):
                self.assertEqual(server.ask(path).body.decode(),
                                 victim("chain-gcc-o2") if target is targets[0]
                                 else self.path(name))
        self.assertEqual(server.ask("/1/debug/pprof/cmdline").status, 404)
        self.assertIn("q&#34;&lt;&amp;\\</td>", server.ask("").text)
        self.assertIn(f'cprof_samples_total{{pid="{targets[1].pid}",process="q\\"<&\\\\"}} 0\n',
                      server.ask("/metrics").text)
        for host in "evil.example", "":
            self.assertEqual(server.ask("/targets", headers={"Host": host}).status, 403)

    def test_metrics(self):
        """Each family once, each series once."""
        targets = [self.target(), self.target()]
        server = self.serve_all(*targets)
        text = server.ask("/metrics").text
        names = [line.rsplit(" ", 1)[0] for line in text.splitlines() if line[0] != "#"]
        self.assertEqual(len(set(names)), len(names))
        types = [line for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(set(types)), len(types))
        self.assertIn("cprof_targets 2\n", text)
        for target in targets:
            self.assertEqual(sum(f'pid="{target.pid}"' in n for n in names), 3 + 13 + 7 + 5)


class Come(Many):
    def test_by_name(self):
        """All that are there, and those that come; it ends with the last one."""
        first, other = self.named("cprof-many-a"), self.named("cprof-many-b")
        server = self.serve_name("cprof-many-a")
        self.assertIn("serving 1 process at", server.said[-1])
        self.assertEqual(self.pids(server), {first.pid})
        profile = server.ask("profile?seconds=1").profile()
        self.assertEqual({s.labels["process"] for s in profile.samples}, {"cprof-many-a"})
        second = self.named("cprof-many-a")
        self.wait_for_pids(server, first.pid, second.pid)
        self.assertEqual(set(self.by_pid(server.ask("profile?seconds=1").profile())),
                         {first.pid, second.pid})
        first.process.kill()
        first.process.wait()
        self.wait_for_pids(server, second.pid)
        self.assertEqual(server.ask(f"{first.pid}/profile").status, 404)
        self.assertEqual(server.ask("cmdline").body, self.path("cprof-many-a").encode())
        second.process.kill()
        self.assertEqual(server.end(), 0)
        self.assertIn(f"process {first.pid} (cprof-many-a) has ended", "".join(server.said))
        self.assert_free(other)

    def test_wait(self):
        """Before any is there, between two, and until it is told to end."""
        name = "cprof-many-w"
        server = self.serve_name(name, "--wait")
        self.assertIn("waiting for a process named", server.said[-1])
        for path in "profile?seconds=1", "threads", "goroutine?debug=2", "cmdline":
            answer = server.ask(path)
            self.assertEqual((answer.status, answer.text), (503, "there is no process now\n"))
        self.assertIn("There is no process now", server.ask("").text)
        fds = f"/proc/{server.process.pid}/fd"
        open_fds = len(os.listdir(fds))
        for _ in range(2):
            target = self.named(name)
            self.wait_for_pids(server, target.pid)
            self.assertGreater(server.ask("profile?seconds=1").profile().total(1), 1e8)
            target.process.kill()
            target.process.wait()
            self.wait_for_pids(server)
            # It is let go of after it has left the list. But for the connection that the last
            # answer came by.
            deadline = time.monotonic() + 10
            while len(os.listdir(fds)) > open_fds + 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertLessEqual(len(os.listdir(fds)), open_fds + 1)
        self.assertEqual(server.end(signal.SIGTERM), 0)

    def test_told_once(self):
        """One that another cprof has is told once, and served when that one has ended."""
        target = self.named("cprof-many-t")
        other = self.serve(target)
        server = self.serve_name("cprof-many-t", "--wait")
        later = self.named("cprof-many-t")
        self.wait_for_pids(server, later.pid)
        self.assertEqual(other.end(signal.SIGTERM), 0)
        self.wait_for_pids(server, target.pid, later.pid)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertEqual("".join(server.said).count("sampled already by another cprof"), 1)


class End(Many):
    def test_one_ends_meanwhile(self):
        """And contributes what it had; the others go on."""
        going, coming = self.target(), self.target()
        server = self.serve_all(going, coming)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = pool.submit(server.ask, "profile?seconds=4")
            begun = time.monotonic()
            self.wait_for_clients(server, 2)
            going.wait_until_busy(15)
            used = going.cpu_ticks()
            going.process.kill()
            profile = running.result().profile()
        self.assertGreater(time.monotonic() - begun, 3.9)
        sums = self.by_pid(profile)
        self.assertGreater(sums[going.pid] / 1e9, 0.1)
        self.assertLess(sums[going.pid] / 1e9, used / 100 + 0.1)
        self.assertGreater(sums[coming.pid], 1e8)
        self.wait_for_pids(server, coming.pid)
        self.assertEqual(server.ask(f"{going.pid}/cmdline").status, 404)
        coming.process.kill()
        self.assertEqual(server.end(), 0)

    def test_told_to_end(self):
        """Running requests get what there is, and nobody holds anything any more."""
        targets = [self.target(), self.target()]
        server = self.serve_all(*targets)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = [pool.submit(server.ask, path + "profile?seconds=60")
                       for path in ("", f"{targets[0].pid}/")]
            for target in targets:
                target.wait_until_sampled(server.process.pid)
            self.assertEqual(server.end(signal.SIGTERM), 0)
            for answer in running:
                self.assertEqual(answer.result().status, 200)
                self.assertGreater(answer.result().profile().total(1), 1e8)
        self.assert_free(*targets)
        for target in targets:
            target.wait_until_busy()
        # The claims are gone, too.
        self.assertEqual(self.serve(targets[0]).ask("cmdline").status, 200)

    def test_who_hangs_up(self):
        """Ends what was begun for it in all processes."""
        targets = [self.target(), self.target()]
        server = self.serve_all(*targets)
        connection = server.connect()
        connection.request("GET", "/debug/pprof/profile?seconds=60")
        self.wait_for_clients(server, 2)
        connection.close()
        self.wait_for_clients(server, 0)
        self.assert_free(*targets)


class BadInput(Many):
    def test_sentences(self):
        one, two = self.target(), self.target()
        for args, code, text in (
                (["-p", one.pid, "-p", "x"], 64, "-p wants a number"),
                (["-p", one.pid, "-p", "4194304"], 2, "there is no process 4194304"),
                (["-p", one.pid, "-p", two.pid, "--tid", one.pid], 64, "one -p PID only"),
                (["-p", one.pid, "-n", "x"], 64, "say what to profile"),
                (["-p", one.pid, "--wait"], 64, "--wait goes with -n NAME"),
                (["-n", "no-such-name"], 2, "--wait waits for one")):
            done = self.cprof("serve", "-l", "127.0.0.1:0", *args, expect=code)
            self.assertIn(text, done.stderr, args)
        self.assert_free(one, two)

    def test_twice_is_once(self):
        target = self.target()
        server = Server("-p", target.pid, "-p", target.pid)
        self.addCleanup(server.__exit__)
        self.assertIn(f"(process {target.pid})", server.said[-1])


if __name__ == "__main__":
    main()
