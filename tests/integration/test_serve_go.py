# SPDX-License-Identifier: Apache-2.0
"""cprof serve beside a real Go server with net/http/pprof, request by request; and the real go tool
pprof on every address of it."""
import concurrent.futures
import os
import re
import subprocess
import tempfile

from heap import wait_until_counted
from server import Served
from support import Target, main, need, victim

GO_SERVER = """package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	http.Serve(l, nil)
}
"""
COMPARED = "content-type", "content-disposition", "x-content-type-options", "x-go-pprof", \
    "content-encoding", "location"
# (path, what differs and why): the rest must be the same.
SAME = [
    "/debug/pprof", "/debug/pprof?seconds=1&x=<a>'\"", "/debug/pprof/", "/debug/pprof/?x=1",
    "/debug/pprof/nope", "/debug/pprof/nope?seconds=1", "/debug/pprof/nope?debug=1",
    "/debug/pprof/profile/", "/debug/pprof/PROFILE",
    "/debug/pprof/cmdline", "/debug/pprof/cmdline?seconds=x&debug=1",
    "/debug/pprof/symbol", "/debug/pprof/symbol?", "/debug/pprof/symbol?0x1", "/debug/pprof/symbol?x+y",
    "/debug/pprof/profile?seconds=1", "/debug/pprof/profile?seconds=1&debug=1",
    "/debug/pprof/profile?seconds=+1&seconds=9",
    *(f"/debug/pprof/{name}{query}" for name in ("block", "mutex", "goroutine", "threadcreate")
      for query in ("", "?debug=0", "?debug=1", "?debug=x", "?debug=-1", "?debug=99999999999999999999",
                    "?seconds=", "?seconds=0", "?seconds=-1", "?seconds=x", "?seconds=1.5",
                    "?seconds=%201", "?seconds=0x1", "?seconds=99999999999999999999", "?seconds=1",
                    "?seconds=1&debug=1", "?seconds=x&debug=1", "?seconds=1&debug=x", "?gc=1",
                    "?gc=x&debug=2")),
    *(f"/debug/pprof/{name}{query}" for name in ("heap", "allocs")
      for query in ("?seconds=0", "?seconds=x", "?seconds=1&debug=1")),
]
# Only the status, and what pprof would print, are ours.
DIFFERENT = {
    "/debug/pprof/heap": (200, 501), "/debug/pprof/allocs": (200, 501),
    "/debug/pprof/heap?debug=1": (200, 501), "/debug/pprof/heap?gc=1": (200, 501),
    "/debug/pprof/trace?seconds=0.1": (200, 501),
    "/debug/pprof/wall?seconds=1": (404, 200), "/debug/fgprof?seconds=1": (404, 200),
    "/debug/pprof/threads": (404, 200), "/": (404, 200), "/other": (404, 404),
}


def setUpModule():
    """One Go program for all tests."""
    global folder, go_server
    need("go")
    folder = tempfile.TemporaryDirectory(prefix="cprof-test-")
    source = os.path.join(folder.name, "main.go")
    with open(source, "w") as file:
        file.write(GO_SERVER)
    go_server = os.path.join(folder.name, "server")
    subprocess.run(["go", "build", "-o", go_server, source], check=True, cwd=folder.name,
                   env=dict(os.environ, GOFLAGS="-mod=mod", GOCACHE=os.path.join(folder.name, "cache"),
                            HOME=folder.name), timeout=300)


def tearDownModule():
    folder.cleanup()


class Beside(Served):
    def setUp(self):
        super().setUp()
        self.go = Target([go_server])
        self.addCleanup(self.go.__exit__)
        self.go_address = self.go.process.stdout.readline().decode().strip()
        # It is itself what cprof serves, so that the bodies are of the same program.
        self.server = self.serve(self.go)
        self.go_like = type(self.server).__new__(type(self.server))
        self.go_like.path = None
        self.go_like.host, port = self.go_address.split(":")
        self.go_like.port = int(port)

    def compare(self, method, path):
        wanted, got = self.go_like.ask(path, method), self.server.ask(path, method)
        case = f"{method} {path}"
        self.assertEqual(got.status, wanted.status, case)
        self.assertEqual(got.headers["x-content-type-options"], "nosniff", case)
        for name in COMPARED:
            # Go leaves it out of redirects.
            if name == "x-content-type-options" and wanted.status == 301:
                continue
            self.assertEqual(got.headers.get(name), wanted.headers.get(name), f"{case}: {name}")
        if method == "HEAD":
            self.assertEqual((got.body, wanted.body), (b"", b""), case)
        elif wanted.status != 200 or "cmdline" in path or \
                ("symbol" in path and "0x" not in path):
            self.assertEqual(got.body, wanted.body, case)
        elif got.headers["content-type"] == "application/octet-stream":
            ours, theirs = got.profile(), wanted.profile()
            self.assertEqual(ours.sample_types, theirs.sample_types, case)
            self.assertEqual(ours.period_type, theirs.period_type, case)
            self.assertEqual(ours.period, theirs.period or ours.period, case)
            self.assertEqual(len(ours.time_nanos), len(theirs.time_nanos), case)
        elif "debug=1" in path and "html" not in got.headers["content-type"]:
            self.assertEqual(self.shape(got.text), self.shape(wanted.text), case)

    def shape(self, text):
        """The words of its head, without numbers."""
        head = text.split("@")[0].splitlines()
        return [re.sub(r"\d+", "N", line) for line in head if not re.match(r"\d", line)]


class Compared(Beside):
    def test_requests(self):
        cases = [(method, path) for method in ("GET", "HEAD") for path in SAME]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda c: "/profile" in c[1] or self.compare(*c), cases))
        # Go makes one CPU profile at a time.
        for case in cases:
            if "/profile" in case[1]:
                self.compare(*case)

    def test_differences(self):
        for path, (theirs, ours) in DIFFERENT.items():
            wanted, got = self.go_like.ask(path), self.server.ask(path)
            self.assertEqual((wanted.status, got.status), (theirs, ours), path)
            if ours >= 400:
                self.assertEqual(got.headers["x-go-pprof"], "1", path)
                self.assertEqual(got.headers["content-type"], "text/plain; charset=utf-8", path)

    def test_methods(self):
        """Go 1.22's: GET and HEAD; and POST for symbol, as before."""
        for method in "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE":
            answer = self.server.ask("profile?seconds=1", method)
            self.assertEqual(answer.status, 405, method)
            self.assertEqual(answer.headers["allow"], "GET, HEAD")
        self.assertEqual(self.server.ask("symbol", "PUT").headers["allow"], "GET, HEAD, POST")
        for body in b"", b"0x1", b"0x1+0x2", b"junk", b"0x1\n":
            wanted, got = (s.ask("symbol", "POST", body) for s in (self.go_like, self.server))
            self.assertEqual((got.status, got.body, got.headers["content-type"]),
                             (wanted.status, wanted.body, wanted.headers["content-type"]), body)

    def test_index(self):
        """The names of Go's page that are served are on ours, in the same words."""
        row = r"<tr><td>\d+</td><td><a href='\w+\?debug=1'>\w+</a></td></tr>\n"

        def page(server):
            text = server.ask("").text
            return re.sub(row, "", text.split("Profile Descriptions")[0]), \
                set(re.findall(r"href='(\w+)\?debug=1'", text))

        (theirs, their_names), (ours, our_names) = page(self.go_like), page(self.server)
        self.assertEqual(ours, theirs)
        self.assertEqual(their_names - our_names, {"heap", "allocs", "trace"})
        self.assertEqual(our_names - their_names, {"wall", "threads"})

    def test_too_long(self):
        answer = self.server.ask("profile?seconds=100000")
        self.assertEqual((answer.status, answer.text),
                         (400, "profile duration exceeds server's WriteTimeout\n"))


class Heap(Beside):
    """Of a program that can have the agent, beside Go's own."""

    def setUp(self):
        super().setUp()
        script = "kept = []\nwhile True: kept[:] = [bytearray(5000) for _ in range(1000)]"
        target = self.target("/usr/bin/python3", "-c", script, wait_for=None)
        self.server = self.serve(target, "--heap")
        wait_until_counted(target.pid)

    def test_requests(self):
        for method in "GET", "HEAD":
            for name in "heap", "allocs":
                for query in ("", "?debug=0", "?debug=x", "?gc=1", "?gc=0&debug=0", "?seconds=",
                              "?seconds=0", "?seconds=x", "?seconds=1", "?seconds=1&debug=1",
                              "?seconds=1&gc=1", "?seconds=x&debug=1", "?debug=1", "?debug=2"):
                    self.compare(method, f"/debug/pprof/{name}{query}")

    def shape(self, text):
        # Theirs is in columns.
        head, *rest = text.splitlines()
        rows = [line for line in rest if line.startswith("#\t0x") and line.count("\t") > 2]
        self.assertTrue(rows)
        return re.sub(r"\d+", "N", head)

    def test_defaults(self):
        for name, kind in ("heap", "inuse_space"), ("allocs", "alloc_space"):
            for server in self.go_like, self.server:
                profile = server.ask(name).profile()
                default = profile.strings[profile.top.get(14, [0])[0]]
                self.assertIn(default, (kind, "" if kind == "inuse_space" else kind))
        self.assertEqual(profile.period, 524288)

    def test_index(self):
        """In Go's words, up to what is ours."""
        theirs, ours = self.go_like.ask("").text, self.server.ask("").text
        for name in "heap", "allocs":
            words = [re.search(rf"<li><div class=profile-name>{name}: </div> ([^.<]+)", text)[1]
                     for text in (theirs, ours)]
            self.assertEqual(*words)
            self.assertIn(f"href='{name}?debug=1'", ours)


class Pprof(Served):
    def setUp(self):
        super().setUp()
        self.victim = self.target(victim("holders"), wait_for="ready")
        self.server = self.serve(self.victim)

    def test_every_address(self):
        for name, word in (("profile", "holds"), ("wall", "holds"), ("block", "holds"),
                           ("mutex", "holds"), ("goroutine", "main"), ("threads", "main"),
                           ("threadcreate", "")):
            url = f"{self.server.url}{name}"
            later = "" if name in ("goroutine", "threads") else "?seconds=1"
            self.assertIn(word, self.pprof("-top", url + later), name)
            self.assertIn("Samples:", self.pprof("-raw", url + later), name)
            out = self.path("out.pb.gz")
            self.pprof("-proto", "-output", out, url + later)
            # What was read and written by pprof is read again, and is less than what comes later.
            self.assertIn(word, self.pprof("-top", out), name)
            self.pprof("-top", "-base", out, url + later)
            self.pprof("-top", "-diff_base", out, url + later)

    def test_texts(self):
        """What Go calls legacy formats."""
        for name in "block", "mutex", "threadcreate":
            self.server.ask(name + "?seconds=1")
        for name, values in (("block", 2), ("mutex", 2), ("goroutine", 1), ("threads", 1),
                             ("threadcreate", 1)):
            text = self.server.ask(name + "?debug=1").text
            rows = re.findall(r"^[\d ]+@.*$", text, re.M)
            raw = self.pprof("-raw", self.server.url + name + "?debug=1")
            samples = re.findall(r"^ +\d+(?: +\d+)*:", raw.split("Locations")[0], re.M)
            self.assertEqual(len({len(s.split()) for s in samples} - {values}), 0, raw)
            self.assertEqual(bool(samples), bool(rows), name)
            total = sum(int(r.split()[0]) for r in rows)
            self.assertAlmostEqual(sum(int(s.rstrip(":").split()[-1]) for s in samples), total,
                                   delta=0.01 * total, msg=name)
        self.assertRegex(self.server.ask("mutex?debug=1").text,
                         r"#\t0x[0-9a-f]+\tmain\t\S+/holders\.c:\d+\n")

    def test_names_by_symbol(self):
        """pprof asks for the names that a text does not have."""
        self.server.ask("mutex?seconds=1")
        top = self.pprof("-symbolize=remote", "-top", self.server.url + "mutex?debug=1")
        self.assertRegex(top, r"compute_ms|holds_\w+|sleep_ms")

    def test_errors(self):
        """Are printed by it."""
        for path, text in (("heap", "start cprof serve with --heap"), ("nope", "Unknown profile"),
                           ("block?seconds=x", "must be a positive integer")):
            done = subprocess.run(["go", "tool", "pprof", "-top", self.server.url + path],
                                  capture_output=True, text=True, timeout=60,
                                  env=dict(os.environ, HOME=self.folder))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    main()
