# SPDX-License-Identifier: Apache-2.0
"""A cprof serve that runs, and how to ask it."""
import http.client
import os
import re
import socket
import subprocess
import tempfile
import time

from support import CPROF, Case, Profile, Target, victim, wait_for_text


with open(CPROF, "rb") as binary:
    HAS_TSAN = b"__tsan_init" in binary.read()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.text = self.body.decode("latin-1")

    def profile(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.body)
            file.flush()
            return Profile(file.name)


class Server:
    """cprof serve, ended on exit. listen "": what args say."""

    def __init__(self, *args, listen="127.0.0.1:0", **options):
        args = [*(["-l", listen] if listen else []), *map(str, args)]
        options.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen([CPROF, "serve", *args], text=True, **options)
        self.said = []
        for line in self.process.stderr:
            self.said.append(line)
            found = re.search(r"at (http://(\S+):(\d+)/debug/pprof/|unix:(\S+))$", line)
            if found:
                break
        else:
            raise AssertionError(f"it ended: {self.said}")
        self.url, self.host, self.path = found[1], found[2], found[4]
        self.port = int(found[3] or 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for pipe in self.process.stderr, self.process.stdout:
            if pipe:
                pipe.close()

    def connect(self, timeout=60):
        if self.path:
            return UnixConnection(self.path, timeout)
        return http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=timeout)

    def ask(self, path, method="GET", body=None, headers={}, timeout=60):
        """path: below /debug/pprof/ unless it begins with a slash."""
        connection = self.connect(timeout)
        try:
            connection.request(method, path if path.startswith("/") else "/debug/pprof/" + path,
                               body=body, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def raw(self, request, timeout=30):
        """Sends bytes; all that comes back."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as sock:
            sock.sendall(request)
            got = b""
            try:
                while piece := sock.recv(65536):
                    got += piece
            except ConnectionResetError:
                pass
            return got

    def end(self, signal_number=None, timeout=30):
        """Exit status; what it said after it had begun is in `said`."""
        if signal_number:
            self.process.send_signal(signal_number)
        self.said += self.process.communicate(timeout=timeout)[1].splitlines(True)
        return self.process.returncode

    def tracer(self, name):
        """A file of the tracer thread, the first that it made; TSan's own is before it."""
        tids = sorted(map(int, os.listdir(f"/proc/{self.process.pid}/task")))
        with open(f"/proc/{self.process.pid}/task/{tids[1 + HAS_TSAN]}/{name}") as file:
            return file.read()

    def tracer_ns(self):
        """CPU time of the tracer thread."""
        return int(self.tracer("schedstat").split()[0])

    def switches(self):
        """How often the tracer thread left its CPU: all that looks at the target does it."""
        return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", self.tracer("status"))))


class Served(Case):
    """Tests with a server for a victim."""

    def target(self, *argv, wait_for="", **options):
        target = Target(list(argv) or [victim("chain-gcc-o2")], wait_for=wait_for, **options)
        self.addCleanup(target.__exit__)
        return target

    def serve(self, target, *args, **options):
        server = Server("-p", target.pid, *args, **options)
        self.addCleanup(server.__exit__)
        return server

    def assert_untouched(self, server, target, seconds=1.0):
        """Nobody traces it, and the sampler sleeps."""
        before = server.switches()
        time.sleep(seconds)
        self.assertEqual(server.switches() - before, 0)
        wait_for_text(f"/proc/{target.pid}/status", "TracerPid:\t0\n")
