# SPDX-License-Identifier: Apache-2.0
"""A server that takes pushed profiles as Pyroscope's /ingest does, and can fail as servers do."""
import email.parser
import email.policy
import http.server
import json
import re
import socket
import ssl
import tempfile
import threading
import time
import urllib.parse

from support import Profile


class Pushed:
    """A request, and what its parameters say."""

    def __init__(self, handler, body):
        self.at = time.monotonic()
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        url = urllib.parse.urlsplit(handler.path)
        self.path, self.body, self.method = url.path, body, handler.command
        self.query = dict(urllib.parse.parse_qsl(url.query, strict_parsing=True))
        self.status = None
        self.connection = handler.client_address

    def name(self):
        """The program, and its labels, as labelset.Parse() reads them: up to ',' and '}'."""
        found = re.fullmatch(r"([\w./-]+)\{([^}]*)\}|([\w./-]+)", self.query["name"], re.ASCII)
        pairs = [part.split("=", 1) for part in (found[2] or "").split(",") if part]
        return found[1] or found[3], {k.strip(): v.strip() for k, v in pairs}

    def form(self):
        """Fields of a multipart body."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
        return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
                for part in parts.iter_parts()}

    def pprof(self):
        """The file: with format=pprof the whole body, even of a form (ingest_handler.go)."""
        if self.query.get("format") == "pprof":
            return self.body
        return self.form()["profile"]

    def config(self):
        return json.loads(self.form()["sample_type_config"])

    def profile(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.pprof())
            file.flush()
            return Profile(file.name)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        pushed = Pushed(self, body)
        answer = self.server.owner.take(pushed)
        if answer is None:
            # Until the client has had enough.
            self.close_connection = True
            self.connection.settimeout(60)
            try:
                self.rfile.read(1)
            except OSError:
                pass
            return
        status, headers, text = answer
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


HANG = "hang"


class PushServer:
    """answers: (status, headers, body) or HANG for the first requests; 200 for the rest. `always`
    instead of 200."""

    def __init__(self, *answers, always=(200, {}, b"{}"), port=0, tls=None):
        self.answers, self.always = list(answers), always
        self.requests, self.changed = [], threading.Condition()
        self.http = Quiet(("127.0.0.1", port), Handler)
        self.http.owner = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def take(self, pushed):
        with self.changed:
            answer = self.answers.pop(0) if self.answers else self.always
            pushed.status = 0 if answer == HANG else answer[0]
            self.requests.append(pushed)
            self.changed.notify_all()
        return None if answer == HANG else answer

    def await_requests(self, n, seconds=60, status=None):
        """Until so many came (and were answered so); all of these."""
        def some():
            return [r for r in self.requests if status in (None, r.status)]
        with self.changed:
            if not self.changed.wait_for(lambda: len(some()) >= n, seconds):
                raise AssertionError(f"{len(some())} requests of {n} in {seconds} s")
            return some()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def reserved_port():
    """A port that nobody listens on, and the socket that keeps it so until it is closed."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]
