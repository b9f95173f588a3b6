# SPDX-License-Identifier: Apache-2.0
"""cprof serve by HTTP: every kind of profile, several at once, who may ask, and how it ends."""
import concurrent.futures
import os
import re
import signal
import socket
import stat
import subprocess
import time

from server import Served, Server
from support import CPROF, main, need, victim

GZIP = b"\x1f\x8b"


class Profiles(Served):
    def assert_used(self, profile, used, lasted):
        """CPU seconds that a process of one busy thread used while a request lasted, of which the
        profile has its own part."""
        beside = lasted - profile.duration_nanos / 1e9
        self.assertLess(profile.total(1) / 1e9, used + 0.15)
        self.assertGreater(profile.total(1) / 1e9, used - beside - 0.15)

    def test_cpu(self):
        """What the kernel charged the process meanwhile, by function."""
        target = self.target(victim("phases"), "user", "1", "60", wait_for=None)
        target.wait_until_busy()
        server = self.serve(target, "-F", "200")
        start, used = time.time(), target.cpu_ticks()
        answer = server.ask("profile?seconds=2")
        lasted, used = time.time() - start, target.cpu_ticks() - used
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertEqual(answer.headers["content-disposition"], 'attachment; filename="profile"')
        self.assertNotIn("content-encoding", answer.headers)
        profile = answer.profile()
        self.assertEqual(profile.sample_types, [("samples", "count"), ("cpu", "nanoseconds")])
        self.assertEqual((profile.period_type, profile.period), (("cpu", "nanoseconds"), 5000000))
        self.assert_used(profile, used / 100, lasted)
        self.assertGreater(profile.duration_nanos / 1e9, 1.99)
        self.assertLess(profile.duration_nanos / 1e9, lasted)
        self.assertAlmostEqual(profile.time_nanos[0] / 1e9, start, delta=1)
        print(f"answered {lasted - 2:.3f} s after its seconds")
        self.assertGreater(len(profile.cumulative()), 3)
        self.assertEqual(profile.unnamed_in_program(), [])
        self.assert_untouched(server, target)

    def test_a_profile_is_a_difference(self):
        """Nothing of an earlier request is in a later one."""
        target = self.target()
        server = self.serve(target)
        for _ in range(3):
            used, start = target.cpu_ticks(), time.monotonic()
            profile = server.ask("profile?seconds=1").profile()
            used, lasted = target.cpu_ticks() - used, time.monotonic() - start
            self.assert_used(profile, used / 100, lasted)
            self.assertGreater(profile.duration_nanos / 1e9, 0.99)
            self.assertLess(profile.duration_nanos / 1e9, lasted)

    def test_wall_and_its_aliases(self):
        target = self.target(victim("holders"), wait_for="ready")
        server = self.serve(target)
        threads = len(os.listdir(f"/proc/{target.pid}/task"))
        for path in "/debug/pprof/wall", "/debug/fgprof":
            answer = server.ask(path + "?seconds=1")
            profile = answer.profile()
            self.assertEqual(profile.sample_types, [("samples", "count"), ("wall", "nanoseconds")])
            self.assertEqual(profile.period_type, ("wall", "nanoseconds"))
            self.assertAlmostEqual(profile.total(1) / profile.duration_nanos, threads,
                                   delta=0.1 * threads)

    def test_block_and_mutex(self):
        """Differences with seconds, what was counted so far without; cumulative and stable."""
        target = self.target(victim("holders"), wait_for="ready")
        server = self.serve(target)
        for name in "block", "mutex":
            empty = server.ask(name).profile()
            self.assertEqual(empty.samples, [])
            self.assertEqual(empty.sample_types,
                             [("contentions", "count"), ("delay", "nanoseconds")])
            self.assertIn(f"{name}: </div>", server.ask("").text)
            answer = server.ask(name + "?seconds=1")
            self.assertEqual(answer.headers["content-disposition"],
                             f'attachment; filename="{name}-delta"')
            delta = answer.profile()
            self.assertGreater(delta.total(1), 1e8)
            # Of a difference, the time is that of its end.
            self.assertAlmostEqual(delta.time_nanos[0] / 1e9, time.time(), delta=2)
            self.assertAlmostEqual(delta.duration_nanos / 1e9, 1, delta=1)
            first = server.ask(name)
            self.assertEqual(first.headers["content-disposition"],
                             f'attachment; filename="{name}"')
            first = first.profile()
            self.assertAlmostEqual(first.total(1), delta.total(1), delta=0.2 * delta.total(1))
            again = server.ask(name).profile()
            self.assertEqual(again.total(1), first.total(1))
            self.assertEqual([(m.start, m.file) for m in again.mappings],
                             [(m.start, m.file) for m in first.mappings])
            server.ask(name + "?seconds=1")
            more = server.ask(name).profile()
            self.assertGreater(more.total(1), first.total(1) + 1e8)
        page = server.ask("").text
        self.assertRegex(page, r"mutex: </div> [^<]*Counted since 20\S+Z, for 2[.\d]*s in all")

    def test_threads(self):
        """All of them, also beside a sampler that stops the ones that run."""
        target = self.target(victim("holders"), wait_for="ready")
        server = self.serve(target, "-F", "1000")
        n = len(os.listdir(f"/proc/{target.pid}/task"))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            beside = pool.submit(server.ask, "wall?seconds=3")
            for name in ["goroutine", "threads"] * 3:
                profile = server.ask(name).profile()
                self.assertEqual(profile.sample_types, [(name, "count")])
                self.assertEqual(profile.total(0), n)
                self.assertEqual({s.labels["thread"] for s in profile.samples}, {"holders"})
                self.assertEqual([s for s in profile.samples
                                  if any("[stack" in x for x in s.names())], [])
                self.assertTrue(profile.mappings[0].file.endswith("/holders"))
            self.assertEqual(beside.result().status, 200)
        text = server.ask("goroutine?debug=2").text
        self.assertEqual(len(re.findall(r"^thread \d+ \"holders\"", text, re.M)), n)
        self.assertIn(f"goroutine profile: total {n}\n", server.ask("goroutine?debug=1").text)
        # What came between two looks: nothing, where no thread came or moved for good.
        self.assertEqual(server.ask("threads?seconds=1").status, 200)

    def test_a_stop_is_not_overlooked(self):
        """Those who look at all threads wait for stops, too: the sampler's are told to it still, or
        its thread would stand still until somebody else stops."""
        target = self.target(victim("phases"), "user", "1", "60", wait_for=None)
        target.wait_until_busy()
        server = self.serve(target, "-F", "500", "--max-overhead=0")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = pool.submit(server.ask, "profile?seconds=5")
            used, longest, moved_at = target.cpu_ticks(), 0.0, time.monotonic()
            looks = [pool.submit(server.ask, "goroutine?debug=1")]
            while not running.done():
                if looks[-1].done():
                    looks.append(pool.submit(server.ask, "goroutine?debug=1"))
                now, ticks = time.monotonic(), target.cpu_ticks()
                if ticks != used:
                    used, moved_at = ticks, now
                longest = max(longest, now - moved_at)
                time.sleep(0.002)
        print(f"{len(looks)} looks, at most {longest:.3f} s without a tick of CPU time")
        self.assertLess(longest, 1)
        self.assertTrue(all(look.result().status == 200 for look in looks))

    def test_threadcreate(self):
        code = ("import threading, time\nprint('ready', flush=True)\nwhile True:\n"
                "    threading.Thread(target=lambda: None).start(); time.sleep(0.02)\n")
        need("python3")
        target = self.target("python3", "-c", code, wait_for="ready")
        server = self.serve(target)
        profile = server.ask("threadcreate?seconds=1").profile()
        self.assertEqual(profile.sample_types, [("threadcreate", "count")])
        self.assertGreater(profile.total(0), 10)
        self.assertLess(profile.total(0), 60)
        self.assertIn("threadcreate profile: total ", server.ask("threadcreate?debug=1").text)

    def test_max_samples(self):
        target = self.target(victim("holders"), wait_for="ready")
        server = self.serve(target, "--max-samples=3", "-F", "500")
        profile = server.ask("wall?seconds=1").profile()
        threads = len(os.listdir(f"/proc/{target.pid}/task"))
        self.assertEqual(len(profile.samples), 3)
        other = [s for s in profile.samples if s.names() == ["[other]"]]
        self.assertEqual(len(other), 1)
        self.assertEqual(other[0].labels, {})
        self.assertAlmostEqual(profile.total(1) / profile.duration_nanos, threads,
                               delta=0.1 * threads)

    def test_cmdline(self):
        target = self.target("sh", "-c", "sleep 60; :", "a b", "", wait_for=None)
        server = self.serve(target)
        for path in "/debug/pprof/cmdline", "/pprof/cmdline":
            self.assertEqual(server.ask(path).body, b"sh\0-c\0sleep 60; :\0a b\0")

    def test_symbol(self):
        target = self.target()
        server = self.serve(target)
        profile = server.ask("profile?seconds=1").profile()
        known = {hex(loc.address): loc.lines[-1].system_name for loc in profile.locations
                 if loc.address and loc.lines}
        self.assertGreater(len(known), 2)
        wanted = "+".join([*known, "0x1", "junk", ""])
        expected = "num_symbols: 1\n" + "".join(f"{a} {n}\n" for a, n in known.items())
        for answer in (server.ask("symbol?" + wanted), server.ask("symbol", "POST", wanted),
                       server.ask("/pprof/symbol", "POST", wanted)):
            self.assertEqual((answer.status, answer.text), (200, expected))
        self.assertEqual(server.ask("symbol").text, "num_symbols: 1\n")


class Clients(Served):
    def test_64_of_mixed_types(self):
        """All are answered, and the sampler costs what it costs for one client."""
        target = self.target(victim("holders"), wait_for="ready")
        server = self.serve(target)
        paths = ["profile?seconds=3", "wall?seconds=3", "block?seconds=3", "mutex?seconds=3"]

        def run(n):
            before = server.tracer_ns()
            with concurrent.futures.ThreadPoolExecutor(n) as pool:
                answers = list(pool.map(server.ask, [paths[i % 4] for i in range(n)]))
            self.assertEqual([a.status for a in answers], [200] * n)
            return answers, server.tracer_ns() - before

        _, one = run(4)
        answers, many = run(64)
        for i, answer in enumerate(answers):
            profile = answer.profile()
            self.assertGreater(profile.total(1), 0, paths[i % 4])
            self.assertAlmostEqual(profile.duration_nanos / 1e9, 3, delta=1)
        print(f"tracer: {one / 1e6:.0f} ms for 4 clients, {many / 1e6:.0f} ms for 64")
        self.assertGreater(one, 1e6)
        self.assertLess(many, 4 * one)
        self.assert_untouched(server, target)

    def test_overlapping(self):
        """Each gets its own time."""
        target = self.target()
        server = self.serve(target)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            used = [target.cpu_ticks()]
            long = pool.submit(server.ask, "profile?seconds=3")
            time.sleep(0.7)
            used.append(target.cpu_ticks())
            short = server.ask("profile?seconds=1").profile()
            used.append(target.cpu_ticks())
            long = long.result().profile()
            used.append(target.cpu_ticks())
        self.assertAlmostEqual(short.total(1) / 1e9, (used[2] - used[1]) / 100, delta=0.25)
        self.assertAlmostEqual(long.total(1) / 1e9, (used[3] - used[0]) / 100, delta=0.4)

    def test_who_hangs_up(self):
        target = self.target()
        server = self.serve(target)
        for how in "close", "half":
            with socket.create_connection((server.host, server.port)) as sock:
                sock.sendall(b"GET /debug/pprof/wall?seconds=60 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                before, start = server.switches(), time.monotonic()
                while server.switches() - before < 20:
                    self.assertLess(time.monotonic() - start, 30)
                    time.sleep(0.1)
                if how == "half":
                    sock.shutdown(socket.SHUT_WR)
                    self.assertIn(b" 500 ", sock.recv(4096))
            time.sleep(1)
            self.assert_untouched(server, target)

    def test_slow_ones_starve_nobody(self):
        """More connections than there may be, none of which says all of its request."""
        target = self.target()
        server = self.serve(target)
        slow = []
        try:
            for _ in range(700):
                sock = socket.socket()
                sock.settimeout(10)
                sock.connect((server.host, server.port))
                sock.sendall(b"GET /debug/pprof/cmdline HT")
                slow.append(sock)
            start = time.monotonic()
            self.assertEqual(server.ask("cmdline", timeout=10).status, 200)
            self.assertLess(time.monotonic() - start, 8)
        finally:
            for sock in slow:
                sock.close()

    def test_one_byte_at_a_time(self):
        """Has its time like any other: ten seconds."""
        target = self.target()
        server = self.serve(target)
        start = time.monotonic()
        with socket.create_connection((server.host, server.port)) as sock:
            with self.assertRaises(OSError):
                for _ in range(30):
                    sock.sendall(b"G")
                    time.sleep(0.5)
        self.assertGreater(time.monotonic() - start, 8)


class Malformed(Served):
    def test_requests(self):
        """Are answered with an error or not at all; it goes on."""
        target = self.target()
        server = self.serve(target)
        head = b"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        for request, wanted in (
                (b"\r\n\r\n\r\n", b""), (b"\0" * 100 + b"\r\n\r\n", b""),
                (b"GET\r\n\r\n", b""), (b"GET / HTTP/9.9\r\n\r\n", b""),
                (b"GET /debug/pprof/%00%zz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                 b"Connection: close\r\n\r\n", b" 400 "),
                (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b" 414 "),
                (head + b"X: " + b"a" * 100000 + b"\r\n\r\n", b" 431 "),
                (head + b"Content-Length: -1\r\n\r\n", b""),
                (head + b"Content-Length: 99999999999\r\n\r\n", b" 413 "),
                (b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                 b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                 b"3\r\n0x1\r\n0\r\n\r\n", b"num_symbols: 1")):
            got = self.once(server, request)
            # What is left unread of a long one makes the kernel reset the connection, and the answer
            # may go with it.
            if got or len(request) < 50000:
                self.assertIn(wanted, got, request[:60])
            self.assertNotIn(b" 200 " if b"symbol" not in request else b" 500 ", got[:20])
            self.assertEqual(server.ask("cmdline").status, 200)

    def once(self, server, request):
        with socket.create_connection((server.host, server.port), timeout=15) as sock:
            got = b""
            try:
                sock.sendall(request)
                sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    got += piece
            except OSError:
                pass
            return got


class Guard(Served):
    def test_host(self):
        """A name that is not ours is that of a page that resolves it to our address."""
        server = self.serve(self.target())
        for host in "127.0.0.1", "localhost", f"localhost:{server.port}", "[::1]:80", "10.1.2.3":
            self.assertEqual(server.ask("cmdline", headers={"Host": host}).status, 200, host)
        for host in "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "":
            answer = server.ask("cmdline", headers={"Host": host})
            self.assertEqual(answer.status, 403, host)
            self.assertEqual(answer.headers["x-go-pprof"], "1")

    def test_headers(self):
        server = self.serve(self.target())
        for path in "", "cmdline", "nope", "heap", "mutex", "mutex?debug=1", "/", "/debug/pprof":
            headers = server.ask(path).headers
            self.assertEqual(headers["x-content-type-options"], "nosniff", path)
            self.assertFalse([h for h in headers if h.startswith("access-control")], path)
        self.assertIn("default-src 'none'", server.ask("").headers["content-security-policy"])

    def test_token(self):
        path = self.path("token")
        with open(path, "w") as file:
            file.write("s3cret\n")
        os.chmod(path, 0o600)
        server = self.serve(self.target(), "--token-file", path)
        basic = {"right": "dTpzM2NyZXQ=", "wrong": "dTpzM2NyZXQy"}
        for headers, status in (({}, 401), ({"Authorization": "Bearer s3cret"}, 200),
                                ({"Authorization": "Bearer s3cre"}, 401),
                                ({"Authorization": "Bearer s3crets3cret"}, 401),
                                ({"Authorization": "Bearer "}, 401),
                                ({"Authorization": "Basic " + basic["right"]}, 200),
                                ({"Authorization": "Basic " + basic["wrong"]}, 401)):
            answer = server.ask("cmdline", headers=headers)
            self.assertEqual(answer.status, status, headers)
            self.assertEqual("www-authenticate" in answer.headers, status == 401)
        self.assertNotIn("s3cret", "".join(server.said))

    def test_same_user(self):
        need("setpriv")
        if os.getuid() != 0:
            self.skipTest("needs two users")
        code = ("import http.client, sys; c = http.client.HTTPConnection(*sys.argv[1].split(':'));"
                "c.request('GET', '/debug/pprof/cmdline'); print(c.getresponse().status)")
        target = self.target()
        for args, status in ((), "200"), (("--same-user",), "403"):
            server = self.serve(target, *args)
            asked = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "python3", "-c",
                                    code, f"{server.host}:{server.port}"],
                                   capture_output=True, text=True, timeout=30)
            self.assertEqual(asked.stdout.strip(), status, asked.stderr)
            self.assertEqual(server.ask("cmdline").status, 200)
            self.assertEqual(server.end(signal.SIGTERM), 0)

    def test_unix_socket(self):
        path = self.path("sock")
        target = self.target()
        server = self.serve(target, listen="unix:" + path)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(server.ask("profile?seconds=1").status, 200)
        self.cprof("serve", "-p", target.pid, "-l", "unix:" + path, expect=2)
        self.assertTrue(os.path.exists(path))
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertFalse(os.path.exists(path))
        # One that was killed leaves its file; that does not keep the next one out.
        server = self.serve(target, listen="unix:" + path)
        server.process.kill()
        server.process.wait()
        self.assertTrue(os.path.exists(path))
        server = self.serve(target, listen="unix:" + path)
        self.assertEqual(server.ask("cmdline").status, 200)

    def test_remote(self):
        target = self.target()
        done = self.cprof("serve", "-p", target.pid, "-l", "0.0.0.0:0", expect=64)
        self.assertIn("--allow-remote", done.stderr)
        server = self.serve(target, "--allow-remote", listen="0.0.0.0:0")
        self.assertIn("can profile the process", server.said[0])


class Ends(Served):
    def ask_long(self, pool, server, target):
        """A request that runs, and the CPU time that the target had in a second of it."""
        running = pool.submit(server.ask, "profile?seconds=60")
        time.sleep(1)
        used = target.cpu_ticks()
        time.sleep(1)
        return running, target.cpu_ticks() - used

    def test_signals(self):
        """Running requests get what there is."""
        for number in signal.SIGTERM, signal.SIGINT:
            target = self.target()
            server = self.serve(target)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                running, used = self.ask_long(pool, server, target)
                self.assertEqual(server.end(number), 0)
                answer = running.result()
            self.assertEqual(answer.status, 200)
            profile = answer.profile()
            self.assertGreater(profile.total(1) / 1e9, 0.8 * used / 100)
            self.assertLess(profile.duration_nanos / 1e9, 10)
            target.wait_until_busy()

    def test_the_target_ends(self):
        target = self.target()
        server = self.serve(target)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running, used = self.ask_long(pool, server, target)
            target.process.kill()
            self.assertEqual(server.end(), 0)
            answer = running.result()
        self.assertEqual(answer.status, 200)
        self.assertGreater(answer.profile().total(1) / 1e9, 0.8 * used / 100)
        self.assertEqual("".join(server.said[1:]), "")

    def test_the_target_ends_unwatched(self):
        target = self.target()
        server = self.serve(target)
        server.ask("profile?seconds=1")
        target.process.kill()
        self.assertEqual(server.end(), 0)

    def test_a_command(self):
        server = Server("--", victim("phases"), "user", "1", "4", stdout=subprocess.PIPE)
        self.addCleanup(server.__exit__)
        self.assertGreater(server.ask("profile?seconds=1").profile().total(1), 1e8)
        self.assertEqual(server.end(), 0)


class Programs(Served):
    def test_redis(self):
        from test_real import free_port
        need("redis-server", "redis-benchmark")
        port = str(free_port())
        target = self.target("redis-server", "--port", port, "--save", "", wait_for="eady to accept",
                             cwd=self.folder)
        load = self.target("redis-benchmark", "-p", port, "-n", "100000000", "-q", wait_for=None)
        server = self.serve(target)
        target.wait_until_busy(20)
        names = server.ask("profile?seconds=2").profile().cumulative()
        self.assertTrue(any("[kernel] write" in n for n in names), names)
        for path in "wall?seconds=1", "block?seconds=1", "mutex?seconds=1", "goroutine":
            self.assertEqual(server.ask(path).body[:2], GZIP, path)
        self.assertIsNone(load.process.poll())

    def test_python(self):
        need("python3")
        code = "print('ready', flush=True)\nwhile True: sorted(str(i) for i in range(10000))"
        target = self.target("python3", "-c", code, wait_for="ready")
        names = self.serve(target).ask("profile?seconds=1").profile().cumulative()
        self.assertIn("_PyEval_EvalFrameDefault", names)


class Metrics(Served):
    def figures(self, server):
        answer = server.ask("/metrics")
        self.assertEqual(answer.headers["content-type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if line[0] != "#"]
        self.assertEqual(len({name for name, _ in lines}), len(lines))
        self.assertTrue(all(f"# TYPE {re.sub('_(bucket|sum|count)$', '', name.split('{')[0])} "
                            in answer.text for name, _ in lines))
        return {name: float(number) for name, number in lines}

    def test_figures(self):
        server = self.serve(self.target())
        before = self.figures(server)
        self.assertEqual((before["cprof_samples_total"], before["cprof_pause_seconds_count"]), (0, 0))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = pool.submit(server.ask, "profile?seconds=1")
            time.sleep(0.5)
            self.assertEqual(self.figures(server)['cprof_clients{type="cpu"}'], 1)
            profile = running.result().profile()
        for path in "nope", "cmdline", "heap", "":
            server.ask(path)
        after = self.figures(server)
        self.assertEqual(after['cprof_clients{type="cpu"}'], 0)
        self.assertAlmostEqual(after["cprof_samples_total"], profile.total(0),
                               delta=5 + 0.2 * profile.total(0))
        stops = after["cprof_pause_seconds_count"]
        self.assertGreaterEqual(stops, profile.total(0) / 2)
        buckets = [n for name, n in after.items() if "_bucket" in name]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual((len(buckets), buckets[-1]), (11, stops))
        self.assertGreater(after["cprof_pause_seconds_sum"], stops * 1e-6)
        self.assertLess(after["cprof_pause_seconds_sum"], 1)
        for path, code in (("profile", 200), ("cmdline", 200), ("heap", 501), ("index", 200),
                           ("other", 404)):
            self.assertEqual(after[f'cprof_http_requests_total{{path="{path}",code="{code}"}}'], 1)
        self.assertEqual(after['cprof_http_requests_total{path="metrics",code="200"}'], 2)
        self.assertGreater(after["process_cpu_seconds_total"], before["process_cpu_seconds_total"])
        self.assertGreater(after["process_resident_memory_bytes"], 1e6)


class BadInput(Served):
    def test_sentences(self):
        target = self.target()
        pid = target.pid
        for args, code, text in (
                ([], 64, "say what to profile"),
                (["-p", pid, "-l", "6060"], 64, "-l wants HOST:PORT"),
                (["-p", pid, "-l", "::1:6060"], 64, "-l wants HOST:PORT"),
                (["-p", pid, "-l", "127.0.0.1:66666"], 64, "-l wants HOST:PORT"),
                (["-p", pid, "-l", "unix:" + "x" * 200], 64, "107 characters"),
                (["-p", pid, "-l", "unix:/no/such/folder/s"], 2, "cannot listen: No such file"),
                (["-p", pid, "--max-samples=0"], 64, "--max-samples wants a number from 1"),
                (["-p", pid, "--token-file=/no/such"], 64, "cannot read the token"),
                (["-p", pid, "--token-file=/dev/null"], 64, "wants a token"),
                (["-p", "4194304"], 2, "there is no process")):
            done = self.cprof("serve", *args, expect=code)
            self.assertIn(text, done.stderr, args)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.cprof("serve", "-p", pid, "-l", "127.0.0.1:%d" % taken.getsockname()[1],
                              expect=2)
        self.assertIn("-l names another address", done.stderr)


if __name__ == "__main__":
    main()
