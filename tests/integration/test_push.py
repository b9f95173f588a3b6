# SPDX-License-Identifier: Apache-2.0
"""Profiles pushed to a server: what it gets, and what happens when it fails."""
import base64
import os
import re
import signal
import socket
import subprocess
import time

from heap import is_counted
from push_server import HANG, PushServer, reserved_port
from server import Served, Server
from support import CPROF, Profile, main, need, victim

# The server is here, whatever is between this machine and others.
os.environ["no_proxy"] = "127.0.0.1"
BUSY = (503, {"Retry-After": "2"}, b"try later\n")


class Pushing(Served):
    def push_server(self, *answers, **options):
        server = PushServer(*answers, **options)
        self.addCleanup(server.close)
        return server

    def record_push(self, target, url, *args, expect=0, types="cpu", seconds="1s"):
        """Records into files; what it said, and how long that took beyond the recording."""
        start = time.monotonic()
        done = self.cprof("record", "-p", target.pid, "-d", seconds, "--type", types, "-o",
                          self.path("out.pb.gz"), "--push", url, *args, expect=expect)
        return done.stderr, time.monotonic() - start - float(seconds[:-1])

    def idle_target(self):
        """One that has gone to sleep for good."""
        target = self.target("sleep", "600", wait_for=None)
        while os.path.basename(os.readlink(f"/proc/{target.pid}/exe")) != "sleep" or \
                target.state() != "S":
            time.sleep(0.01)
        return target

    def file(self, name, text, mode=0o600):
        path = self.path(name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def assert_valid(self, pushed):
        """What Pyroscope's validator asks for (pkg/validation/validate.go), and go tool pprof."""
        profile = pushed.profile()
        self.assertEqual(profile.strings[0], "")
        self.assertLessEqual(len(profile.raw), 4 << 20)
        self.assertLessEqual(len(profile.samples), 16000)
        self.assertTrue(profile.sample_types)
        self.assertEqual([t for t, _ in profile.sample_types if "-" in t], [])
        for ids in ([x.id for x in profile.locations], sorted(profile.functions),
                    [x.id for x in profile.mappings]):
            self.assertEqual(ids, list(range(1, len(ids) + 1)))
        for sample in profile.samples:
            self.assertEqual(len(sample.values), len(profile.sample_types))
            self.assertLessEqual(set(sample.labels), {"thread", "process", "mode", "state"})
        now = time.time()
        self.assertEqual(len(profile.time_nanos), 1)
        self.assertAlmostEqual(profile.time_nanos[0] / 1e9, now, delta=120)
        begin, end = int(pushed.query["from"]), int(pushed.query["until"])
        self.assertEqual(begin, profile.time_nanos[0] // 10**9)
        self.assertAlmostEqual(end - begin, profile.duration_nanos / 1e9, delta=1)
        path = self.path("pushed.pb.gz")
        with open(path, "wb") as file:
            file.write(pushed.pprof())
        self.assertIn("Samples:", self.pprof("-raw", path))
        return profile


class Record(Pushing):
    def test_what_the_server_gets(self):
        """The profile of the file, under the program's name."""
        server = self.push_server()
        target = self.target()
        said, _ = self.record_push(target, server.url)
        pushed, = server.requests
        self.assertEqual((pushed.method, pushed.path), ("POST", "/ingest"))
        self.assertEqual(pushed.query["format"], "pprof")
        self.assertEqual(pushed.query["spyName"], "cprof")
        self.assertEqual(pushed.name(), (os.path.basename(os.readlink(f"/proc/{target.pid}/exe"))[:15],
                                         {"hostname": socket.gethostname(),
                                          "pid": str(target.pid)}))
        self.assertTrue(pushed.headers["user-agent"].startswith("cprof/"))
        self.assertNotIn("authorization", pushed.headers)
        self.assertNotIn("x-scope-orgid", pushed.headers)
        profile = self.assert_valid(pushed)
        recorded = Profile(self.path("out.pb.gz"))
        self.assertGreater(recorded.total(1), 1e7)
        self.assertEqual([profile.total(i) for i in (0, 1)], [recorded.total(i) for i in (0, 1)])
        self.assertEqual(profile.cumulative(), recorded.cumulative())
        self.assertEqual((profile.time_nanos, profile.duration_nanos),
                         (recorded.time_nanos, recorded.duration_nanos))
        self.assertIn("thread", profile.samples[0].labels)
        self.assertIn(f"pushed to {server.url}/ingest", said)

    def test_names_are_demangled(self):
        """The server does not do it; what a tool needs of the linkage name is still there."""
        server = self.push_server()
        self.record_push(self.target(victim("inline-gcc"), "60", wait_for="ready"), server.url)
        profile = server.requests[0].profile()
        names = [(profile.strings[f.get(2, 0)], profile.strings[f.get(3, 0)])
                 for f in profile.functions.values()]
        mangled = [(name, system) for name, system in names if system.startswith("_Z")]
        self.assertTrue(mangled, names)
        self.assertEqual([name for name, _ in mangled if name.startswith("_Z")], [])

    def test_block_and_mutex_are_told_apart(self):
        """By a form: both have contentions and delay. A form must not say format=pprof."""
        server = self.push_server()
        target = self.target(victim("holders"), wait_for="ready")
        self.record_push(target, server.url, types="wall,block,mutex", seconds="2s")
        self.assertEqual(len(server.requests), 3)
        types = {}
        for pushed in server.requests:
            profile = self.assert_valid(pushed)
            if "multipart/form-data" not in pushed.headers["content-type"]:
                self.assertEqual(pushed.query["format"], "pprof")
                types[profile.sample_types[1][0]] = profile
                continue
            self.assertNotIn("format", pushed.query)
            config = pushed.config()
            self.assertEqual(set(config), {t for t, _ in profile.sample_types})
            self.assertFalse(any("cumulative" in c for c in config.values()))
            types[config["delay"]["display-name"]] = profile
        self.assertEqual(set(types), {"wall", "block_duration", "mutex_duration"})
        for name in "block", "mutex":
            self.assertEqual(types[name + "_duration"].total(1),
                             Profile(self.path(f"out.{name}.pb.gz")).total(1))

    def test_headers_and_labels(self):
        server = self.push_server()
        target = self.target()
        for auth, wanted in (("me:s3:cret\n", "Basic " + base64.b64encode(b"me:s3:cret").decode()),
                             ("Bearer t0ken\n", "Bearer t0ken"), ("t0ken", "Bearer t0ken"),
                             ("bearer a:b", "Bearer a:b")):
            said, _ = self.record_push(
                target, server.url + "/pyroscope/", "--push-tenant", "team-1", "--push-auth-file",
                self.file("auth", auth), "--push-name", "shop/cart.v1", "--push-label",
                "zone=eu west&1=a", "--push-label", "pid=", "--push-label=hostname=h1")
            pushed = server.requests.pop()
            self.assertEqual(pushed.path, "/pyroscope/ingest")
            self.assertEqual(pushed.headers["authorization"], wanted)
            self.assertEqual(pushed.headers["x-scope-orgid"], "team-1")
            self.assertEqual(pushed.name(),
                             ("shop/cart.v1", {"zone": "eu west&1=a", "hostname": "h1"}))
            for secret in "s3:cret", "t0ken":
                self.assertNotIn(secret, said)
        said, _ = self.record_push(target, server.url, "--push-auth-file",
                                   self.file("auth", "t0ken\n", 0o644))
        self.assertIn("others can read", said)

    def test_too_many_samples(self):
        """The pushed profile has as many as the server takes, the file has all."""
        server = self.push_server()
        code = ("import threading\ndef work():\n while True: sum(range(1000))\n"
                "for _ in range(3): threading.Thread(target=work).start()\nprint('ready', flush=True)")
        target = self.target("python3", "-c", code, wait_for="ready")
        serve = Server("-p", target.pid, "--push", server.url, "--interval=1s", "--max-samples=3",
                       "--push-types=cpu,wall")
        self.addCleanup(serve.__exit__)
        for pushed in server.await_requests(4):
            profile = self.assert_valid(pushed)
            self.assertLessEqual(len(profile.samples), 3)
            self.assertIn(["[other]"], [s.names() for s in profile.samples])

    def test_busy_then_well(self):
        """Not before the time that the server asks for."""
        server = self.push_server(BUSY)
        said, took = self.record_push(self.target(), server.url)
        first, second = server.requests
        self.assertEqual(first.body, second.body)
        self.assertGreaterEqual(second.at - first.at, 1.99)
        self.assertIn("status 503: try later); trying again", said)
        self.assertIn("pushed to", said)

    def test_refused(self):
        """Once, and said; the file is there."""
        target, nasty = self.target(), b"\x1b[31mno\x07 such tenant\nsecond line"
        for status, hint in ((401, "--push-auth-file"), (404, "Pyroscope"), (422, ""), (400, "")):
            server = self.push_server(always=(status, {}, nasty))
            said, took = self.record_push(target, server.url, expect=1)
            self.assertEqual(len(server.requests), 1)
            self.assertIn(f"(status {status}: ?[31mno? such tenant)", said)
            self.assertNotIn("second line", said)
            self.assertIn(hint, said)
            self.assertIn(f"1 of 1 profiles did not get to {server.url}/ingest; what was recorded "
                          f"is in {self.path('out.pb.gz')}.", said)
            self.assertGreater(Profile(self.path("out.pb.gz")).total(1), 1e7)
            self.assertLess(took, 20)

    def test_redirects_are_not_followed(self):
        """Where they lead to would get the password."""
        elsewhere = self.push_server()
        server = self.push_server(always=(307, {"Location": elsewhere.url + "/ingest"}, b""))
        said, _ = self.record_push(self.target(), server.url, "--push-auth-file",
                                   self.file("auth", "a:b"), expect=1)
        self.assertEqual((len(server.requests), elsewhere.requests), (1, []))
        self.assertIn(f"status 307: {elsewhere.url}/ingest", said)

    def test_nobody_there(self):
        """Is tried for 30 s; the file was written before."""
        reserved, port = reserved_port()
        with reserved:
            target, path = self.target(), self.path("out.pb.gz")
            cprof = subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "1s", "-o", path,
                                      "--push", f"http://127.0.0.1:{port}"],
                                     stderr=subprocess.PIPE, text=True)
            self.addCleanup(cprof.kill)
            said = ""
            while "trying again" not in said:
                said += cprof.stderr.readline()
            start = time.monotonic()
            self.assertGreater(Profile(path).total(1), 1e7)
            target.wait_until_busy()
            said += cprof.communicate(timeout=60)[1]
        self.assertEqual(cprof.returncode, 1)
        self.assertGreater(time.monotonic() - start, 10)
        self.assertEqual(said.count("cannot push"), 1)
        self.assertIn(f"what was recorded is in {path}", said)

    def test_a_signal_ends_it(self):
        """The one that ends the recording does not end the pushing; another one does."""
        server = self.push_server(BUSY, always=(503, {"Retry-After": "20"}, b""))
        target, path = self.target(), self.path("out.pb.gz")
        cprof = subprocess.Popen([CPROF, "record", "-p", str(target.pid), "-d", "100s", "-o", path,
                                  "--push", server.url], stderr=subprocess.PIPE, text=True)
        self.addCleanup(cprof.kill)
        target.wait_until_sampled(cprof.pid)
        cprof.send_signal(signal.SIGINT)
        server.await_requests(2)
        self.assertIsNone(cprof.poll())
        start = time.monotonic()
        cprof.send_signal(signal.SIGINT)
        said = cprof.communicate(timeout=60)[1]
        self.assertEqual(cprof.returncode, 1, said)
        self.assertLess(time.monotonic() - start, 10)
        self.assertGreater(Profile(path).total(1), 1e7)

    def test_a_server_that_hangs(self):
        """Is given up after 15 s, and asked again."""
        server = self.push_server(HANG)
        said, _ = self.record_push(self.target(), server.url)
        first, second = server.requests
        self.assertAlmostEqual(second.at - first.at, 15.8, delta=4)
        self.assertIn("trying again", said)

    def test_an_empty_profile(self):
        """Has nothing that a server would store."""
        server = self.push_server()
        said, _ = self.record_push(self.idle_target(), server.url)
        self.assertIn("the cpu profile is empty", said)
        self.assertEqual(server.requests, [])

    def test_tls(self):
        need("openssl")
        key, certificate = self.path("key.pem"), self.path("cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
                        certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        server = self.push_server(tls=(certificate, key))
        target = self.target()
        said, took = self.record_push(target, server.url, expect=1)
        self.assertEqual(server.requests, [])
        self.assertIn("--push-ca", said)
        self.assertLess(took, 20)
        self.record_push(target, server.url, "--push-ca", certificate)
        self.assert_valid(server.requests[0])


class Serve(Pushing):
    def serve_push(self, target, url, *args, interval="1s"):
        server = self.serve(target, "--push", url, "--interval", interval, *args)
        self.assertEqual(server.process.stderr.readline(), f"cprof: pushing to {url}/ingest\n")
        return server

    def figures(self, server):
        return {name: float(number) for name, number in
                re.findall(r"^(cprof_push\w+) (\S+)$", server.ask("/metrics").text, re.M)}

    def test_nothing_is_lost_between_them(self):
        """All together hold the CPU time that the kernel counted from the first to the end."""
        sink = self.push_server()
        target = self.target()
        server = self.serve_push(target, sink.url)
        sink.await_requests(1)
        used = target.cpu_ticks()
        sink.await_requests(7)
        # An end inside of an interval: the rest comes, too.
        target.wait_until_busy(30)
        used = target.cpu_ticks() - used
        self.assertEqual(server.end(signal.SIGTERM), 0)
        profiles = [self.assert_valid(pushed) for pushed in sink.requests]
        self.assertGreaterEqual(len(profiles), 8)
        for earlier, later in zip(profiles, profiles[1:]):
            end = earlier.time_nanos[0] + earlier.duration_nanos
            self.assertAlmostEqual(later.time_nanos[0], end, delta=1e6)
        # A tick may be charged to the neighbour.
        self.assertAlmostEqual(sum(p.total(1) for p in profiles[1:]) / 1e9, used / 100,
                               delta=0.15 + 0.03 * used / 100)
        target.wait_until_busy()

    def test_beside_requests(self):
        """Clients get theirs; what is pushed knows nothing of them."""
        sink = self.push_server()
        target = self.target()
        server = self.serve_push(target, sink.url)
        profile = server.ask("profile?seconds=2").profile()
        self.assertGreater(profile.total(1), 1e7)
        self.assertIn("tid", profile.samples[0].labels)
        for pushed in sink.await_requests(3):
            self.assertEqual(pushed.name()[1]["pid"], str(target.pid))
        figures = self.figures(server)
        self.assertGreaterEqual(figures["cprof_pushed_total"], 2)
        self.assertEqual(figures["cprof_push_failed_total"], 0)
        self.assertGreater(figures["cprof_pushed_bytes_total"], 100)

    def test_several_types(self):
        sink = self.push_server()
        target = self.target(victim("holders"), wait_for="ready")
        server = self.serve_push(target, sink.url, "--push-types=cpu,wall", "--push-types=mutex")
        sink.await_requests(9)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        types = {self.assert_valid(p).sample_types[1][0] for p in sink.requests}
        self.assertEqual(types, {"cpu", "wall", "delay"})

    def test_heap(self):
        """Of allocations those of each interval, of what is in use all; with words for the server."""
        sink = self.push_server()
        script = ("import time\nkept = [bytearray(20000) for _ in range(1)]\nwhile True:\n"
                  "  time.sleep(0.01)\n  [bytearray(20000) for _ in range(50)]\n"
                  "  if len(kept) < 1000: kept += [bytearray(20000) for _ in range(20)]")
        target = self.target("/usr/bin/python3", "-c", script, wait_for=None)
        server = self.serve_push(target, sink.url, "--heap", "--push-types=heap,cpu")
        sink.await_requests(8)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertFalse(is_counted(target.pid))
        heaps = [p for p in sink.requests if p.form().get("sample_type_config")]
        for pushed in heaps:
            self.assertEqual(pushed.config()["inuse_space"],
                             {"units": "bytes", "aggregation": "average"})
        # The last is cut short.
        profiles = [pushed.profile() for pushed in heaps][:-1]
        self.assertGreaterEqual(len(profiles), 3)
        self.assertAlmostEqual(profiles[-1].total(3) / 20e6, 1, delta=0.6)
        for profile in profiles[1:]:
            rate = profile.total(1) / (profile.duration_nanos / 1e9)
            self.assertGreater(rate, 10e6)
            self.assertLess(rate, 110e6)

    def test_a_server_that_fails_delays_nothing(self):
        """It hangs, and fails: requests are answered, all intervals are sent when it is well."""
        sink = self.push_server(HANG, (500, {}, b""))
        target = self.target()
        server = self.serve_push(target, sink.url)
        sink.await_requests(1)
        start = time.monotonic()
        profile = server.ask("profile?seconds=1").profile()
        self.assertLess(time.monotonic() - start, 8)
        self.assertGreater(profile.total(1), 1e7)
        sink.await_requests(12, status=200)
        begins = [int(p.query["from"]) for p in sink.requests if p.status == 200]
        self.assertEqual(begins, sorted(begins))
        for earlier, later in zip(begins, begins[1:]):
            self.assertLessEqual(later - earlier, 3)
        self.assertEqual(sink.requests[0].body, sink.requests[2].body)
        self.assertGreaterEqual(self.figures(server)["cprof_push_retries_total"], 2)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertEqual("".join(server.said).count("cannot push"), 1)
        self.assertIn("succeed again", "".join(server.said))

    def test_it_comes_later(self):
        """Nobody listens at first; what was sampled meanwhile is there afterwards."""
        reserved, port = reserved_port()
        target = self.target()
        server = self.serve_push(target, f"http://127.0.0.1:{port}")
        used, started = target.cpu_ticks(), time.time()
        self.assertIn("cannot push", server.process.stderr.readline())
        reserved.close()
        sink = self.push_server(port=port)
        sink.await_requests(3)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        used = target.cpu_ticks() - used
        profiles = [p.profile() for p in sink.requests]
        self.assertLess(profiles[0].time_nanos[0] / 1e9, started + 0.8)
        self.assertGreater(sum(p.total(1) for p in profiles) / 1e9, used / 100 - 0.3)

    def test_refused_is_said_once(self):
        sink = self.push_server(always=(401, {}, b"who are you"))
        server = self.serve_push(self.target(), sink.url)
        sink.await_requests(3)
        figures = self.figures(server)
        self.assertGreaterEqual(figures["cprof_push_failed_total"], 2)
        self.assertEqual(figures["cprof_pushed_total"], 0)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertEqual("".join(server.said).count("who are you"), 1)

    def test_the_end_comes_in_time(self):
        """Though the server hangs."""
        sink = self.push_server(always=HANG)
        target = self.target()
        server = self.serve_push(target, sink.url)
        sink.await_requests(1)
        start = time.monotonic()
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertLess(time.monotonic() - start, 15)
        target.wait_until_busy()

    def test_the_target_ends(self):
        """Its last moments are pushed."""
        sink = self.push_server()
        target = self.target()
        server = self.serve_push(target, sink.url, interval="30s")
        target.wait_until_busy(50)
        target.process.kill()
        self.assertEqual(server.end(), 0)
        pushed, = sink.requests
        self.assertGreater(self.assert_valid(pushed).total(1) / 1e9, 0.3)

    def test_an_idle_target(self):
        """Nothing is sent where nothing ran."""
        sink = self.push_server()
        server = self.serve_push(self.idle_target(), sink.url)
        before = server.switches()
        while server.switches() < before + 200:
            time.sleep(0.05)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertEqual(sink.requests, [])


class BadInput(Pushing):
    def test_sentences(self):
        pid = self.target().pid
        url = "http://127.0.0.1:1"
        cases = [(["--push", "http://u:s3cret@127.0.0.1/"], "--push-auth-file"),
                 (["--push", "ftp://u:s3cret@127.0.0.1/"], "--push-auth-file"),
                 (["--push", "127.0.0.1:4040"], "http:// or https://"),
                 (["--push", url + "/?a=s3cret"], "without '?'"),
                 (["--push", "http://a b"], "such as http://127.0.0.1:4040"),
                 (["--push-name=x"], "--push-name goes with --push URL"),
                 (["--push-label=x=y"], "--push-label goes with --push URL"),
                 (["--push-tenant=x"], "--push-tenant goes with --push URL"),
                 (["--push-ca=/dev/null"], "--push-ca goes with --push URL"),
                 (["--push", url, "--push-name=a{b}"], "--push-name wants letters"),
                 (["--push", url, "--push-label=a"], "--push-label wants KEY=VALUE"),
                 (["--push", url, "--push-label=a-b=c"], "--push-label wants KEY=VALUE"),
                 (["--push", url, "--push-label=a=b,c=d"], "with ',' or '}'"),
                 (["--push", url, "--push-label=a=b", "--push-label=a=c"], "twice"),
                 (["--push", url, *[f"--push-label=a{i}=b" for i in range(15)]], "14 times"),
                 (["--push", url, "--push-tenant=a\nb"], "--push-tenant wants"),
                 (["--push", url, "--push-auth-file=/no/such"], "cannot read the password"),
                 (["--push", url, "--push-auth-file=/dev/null"], "wants a password or token"),
                 (["--push", url, "--push-ca=/no/such"], "cannot read the certificates")]
        for command in "record", "serve":
            for args, text in cases:
                said = self.cprof(command, "-p", pid, *args, expect=64).stderr
                self.assertIn(text, said, args)
                self.assertNotIn("s3cret", said)
        for args, text in ((["--interval=5s"], "--interval goes with --push URL"),
                           (["--push-types=cpu"], "--push-types goes with --push URL"),
                           (["--push", url, "--interval=10ms"], "from 1s to 30m"),
                           (["--push", url, "--interval=5"], "duration with a unit"),
                           (["--push", url, "--push-types=cpu,nope"], "no type 'nope'")):
            self.assertIn(text, self.cprof("serve", "-p", pid, *args, expect=64).stderr, args)

    def test_unencrypted(self):
        """Is said where a password leaves the machine."""
        auth = self.file("auth", "a:b")
        done = self.cprof("record", "-p", "4194304", "--push", "http://example.invalid",
                          "--push-auth-file", auth, expect=2)
        self.assertIn("unencrypted", done.stderr)
        done = self.cprof("record", "-p", "4194304", "--push", "http://127.0.0.1:1",
                          "--push-auth-file", auth, expect=2)
        self.assertNotIn("unencrypted", done.stderr)


if __name__ == "__main__":
    main()
