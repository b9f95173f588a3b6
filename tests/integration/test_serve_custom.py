# SPDX-License-Identifier: Apache-2.0
"""cprof serve --custom: profiles of entries that calls add and remove, each at its own name."""
import os
import re
import signal
import subprocess

from harm import wait_until
from heap import is_counted, wait_until_counted
from server import Served
from support import main, need, victim

PYTHON = "/usr/bin/python3"
# Opens so many files more for each line, and closes them again if the number is negative.
OPENS = ("import os, sys\nkept = []\ndef keep(): kept.append(os.open('/dev/null', os.O_RDONLY))\n"
         "print('ready', flush=True)\nfor line in sys.stdin:\n  n = int(line)\n"
         "  for _ in range(n): keep()\n  for _ in range(-n): os.close(kept.pop())\n"
         "  print('done', flush=True)")


class Custom(Served):
    def opener(self):
        return self.target(PYTHON, "-c", OPENS, wait_for="ready", stdin=subprocess.PIPE)

    def line(self, target, text=""):
        target.process.stdin.write(f"{text}\n".encode())
        target.process.stdin.flush()
        return target.process.stdout.readline().decode().split()

    def serve_custom(self, target, *args):
        server = self.serve(target, *args)
        wait_until_counted(target.pid)
        return server

    def profile(self, server, path):
        answer = server.ask(path)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.profile()

    def test_entries_come_and_go(self):
        target = self.opener()
        server = self.serve_custom(target, "--custom", "fd")
        self.assertEqual(self.profile(server, "fd").total(0), 0)
        for change, total in (40, 40), (-15, 25), (7, 32), (-32, 0):
            self.line(target, change)
            profile = self.profile(server, "fd")
            self.assertEqual(profile.total(0), total)
            self.assertEqual(profile.sample_types, [("fd", "count")])
        self.line(target, 3)
        text = server.ask("fd?debug=1").text
        self.assertTrue(text.startswith("fd profile: total 3\n3 @ 0x"), text)
        self.assertIn("open", text)
        self.assertEqual(server.end(signal.SIGTERM), 0)
        self.assertFalse(is_counted(target.pid))
        self.assertEqual(self.line(target, 1), ["done"])

    def test_as_go_serves_its_own(self):
        target = self.opener()
        server = self.serve_custom(target, "--custom", "fd", "--custom",
                                   "fd2: add=open:int, remove=close")
        self.line(target, 5)
        # Go has no difference of custom profiles (src/net/http/pprof/pprof.go).
        answer = server.ask("fd?seconds=1")
        self.assertEqual((answer.status, answer.text.strip()),
                         (400, '"seconds" parameter is not supported for this profile type'))
        self.assertEqual(server.ask("fd3").status, 404)
        self.assertEqual(server.ask("heap").status, 501)
        self.assertIn('filename="fd"', server.ask("fd").headers["content-disposition"])
        index = server.ask("").text
        self.assertIn(("5", "fd"), re.findall(r"<td>(\d+)</td><td><a href='(\w+)\?", index))
        self.assertRegex(index, r"fd: </div>.*Counted since 20")
        self.assertIn("Type: fd", self.pprof("-top", server.url + "fd"))
        self.assertIn('path="custom",code="200"', server.ask("/metrics").text)

    def test_with_others(self):
        """The heap and custom ones are of one agent, beside a sampler."""
        target = self.opener()
        server = self.serve_custom(target, "--heap", "--custom", "fd", "-F", "200")
        self.line(target, 20)
        self.assertEqual(server.ask("profile?seconds=1").status, 200)
        self.assertEqual(self.profile(server, "fd").total(0), 20)
        self.assertEqual(self.profile(server, "heap").sample_types[3], ("inuse_space", "bytes"))

    def test_probes(self):
        target = self.target(victim("probes-gcc-o2"), wait_for="ready", stdin=subprocess.PIPE)
        server = self.serve_custom(target, "--probes")
        self.assertEqual(self.line(target), ["done"])
        profile = self.profile(server, "skip0")
        self.assertEqual(profile.total(0), 20)
        # A static function of C++.
        self.assertEqual({sample.names()[0] for sample in profile.samples}, {"_ZL10new_clientm"})
        for name in "skip1", "bytes", "template":
            self.assertIn(f"<a href='{name}?debug=1'>", server.ask("").text)

    def test_several(self):
        first, second = self.opener(), self.opener()
        server = self.serve(first, "-p", second.pid, "--custom", "fd")
        for target, n in (first, 3), (second, 4):
            wait_until_counted(target.pid)
            self.line(target, n)
        self.assertEqual(self.profile(server, "fd").total(0), 7)
        self.assertEqual(self.profile(server, f"{second.pid}/fd").total(0), 4)

    def test_redis(self):
        need("redis-server", "redis-cli")
        socket = self.path("redis")
        target = self.target("redis-server", "--port", "0", "--save", "", "--unixsocket", socket,
                             wait_for="eady to accept")
        server = self.serve_custom(target, "--custom", "fd", "--custom", "mmap")
        clients = [subprocess.Popen(["redis-cli", "-s", socket], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL) for _ in range(6)]
        try:
            wait_until(lambda: self.profile(server, "fd").total(0) >= 6)
            names = {name for sample in self.profile(server, "fd").samples
                     for name in sample.names()}
            self.assertTrue(any("accept" in name for name in names), names)
            self.assertEqual(self.profile(server, "mmap").sample_types[0], ("mmap", "count"))
        finally:
            for client in clients:
                client.stdin.close()
                client.wait()
        wait_until(lambda: self.profile(server, "fd").total(0) == 0)

    def test_refusals(self):
        for args, word in (("--custom", "fd: remove=close"), "add="), \
                (("--custom", "heap: add=malloc, remove=free"), "another type"), \
                (("--custom", "profile: add=open:int, remove=close"), "choose a name"), \
                (("--custom", "nothing_like_it"), "there is no profile type"), \
                (("--probes",), "no probes"):
            done = self.cprof("serve", "-p", os.getpid(), "-l", "127.0.0.1:0", *args, expect=64)
            self.assertIn(word, done.stderr)
        done = self.cprof("serve", "-n", "x", "--probes", expect=64)
        self.assertIn("-p PID", done.stderr)

    def test_a_process_that_cannot_have_it(self):
        target = self.target(victim("allocs-static"), "1", wait_for="ready",
                             stdin=subprocess.PIPE)
        server = self.serve(target, "--custom", "fd")
        answer = server.ask("fd")
        self.assertEqual(answer.status, 501, answer.text)
        self.assertEqual(server.ask("threads").status, 200)


if __name__ == "__main__":
    main()
