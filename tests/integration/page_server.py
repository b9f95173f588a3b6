# SPDX-License-Identifier: Apache-2.0
"""Serves the page and profiles of known content, made by the program write_page, as cprof serve
serves them: for tests that need to know every value."""
import http.server
import json
import os
import subprocess
import threading
import urllib.parse

WRITE_PAGE = os.environ["WRITE_PAGE"]


def written(kind):
    return subprocess.run([WRITE_PAGE, kind], check=True, stdout=subprocess.PIPE).stdout


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", self.server.policy)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/":
            return self.answer(200, "text/html; charset=utf-8", self.server.page)
        if url.path == "/targets":
            return self.answer(200, "application/json",
                               json.dumps(self.server.targets).encode())
        self.server.asked.append(self.path)
        kind = self.server.kinds.pop(0) if self.server.kinds else "plain"
        self.server.gate.wait()
        # A client that went away is no error.
        try:
            if not url.path.startswith("/debug/pprof/"):
                self.answer(404, "text/plain; charset=utf-8", b"404 page not found\n")
            elif url.path.endswith("/mutex"):
                self.answer(500, "text/plain; charset=utf-8",
                            "process 4711 has ended: <b>grün</b>\n".encode())
            else:
                self.answer(200, "application/json", written(kind))
        except BrokenPipeError:
            pass


class PageServer:
    """url: of the page. asked: what it asked for. gate: its requests wait while that is cleared."""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.page, self.server.policy = written("page"), written("policy").decode().strip()
        self.asked = self.server.asked = []
        self.gate = self.server.gate = threading.Event()
        self.server.kinds = []
        self.server.targets = []
        self.gate.set()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def next(self, kind):
        """What the next profile asked for will be."""
        self.server.kinds.append(kind)

    def processes(self, *named):
        """What there is to choose from, when it is looked at next."""
        self.server.targets = [{"targets": ["127.0.0.1:1"], "labels": {"pid": pid, "process": name}}
                               for pid, name in named]

    def __exit__(self, *_):
        self.server.gate.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def profile(kind):
    return json.loads(written(kind))
