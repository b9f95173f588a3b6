# SPDX-License-Identifier: Apache-2.0
"""Scrapers beside cprof serve, for ten minutes: the requests, times and checks of Parca's
(github.com/parca-dev/parca pkg/config/config.go, pkg/scrape, pkg/normalizer/validate.go) and of
Alloy's (github.com/grafana/alloy internal/component/pyroscope/scrape), all that are on by default, and
heap. Three programs with a server each, two scrapers each. Arguments go to cprof serve.

SCRAPE_SECONDS: how long (600)."""
import gzip
import http.client
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter

from bench import CPROF, Folder, Table, end, fields, goal, have, ints, status_kib
from programs import Compiler, Redis, Threads

SECONDS = float(os.environ.get("SCRAPE_SECONDS", "600"))
PATHS = "allocs", "block", "goroutine", "heap", "mutex", "profile"
# name, user agent, interval, seconds of a CPU profile, time limit of it, of the others
SCRAPERS = (("Parca", "conprof/0.1.0", 10, 10, 13, 13), ("Alloy", "GrafanaAlloy/1", 15, 14, 24, 10))


class Refused(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Refused(text)


def validate(body):
    """What both of them ask of a profile before they keep it."""
    need(len(body) >= 3 and body[:2] == b"\x1f\x8b", "not gzip")
    raw = gzip.decompress(body)
    need(len(raw) <= 4 << 20, f"{len(raw)} bytes uncompressed")
    found = {}
    for number, value in fields(raw):
        found.setdefault(number, []).append(value)
    strings = [value.decode("utf-8") for value in found.get(6, [])]
    need(strings and strings[0] == "", "string_table[0]")
    types = [dict(fields(value)) for value in found.get(1, [])]
    need(types, "no sample types")
    for kind in types:
        need("-" not in strings[kind[1]] and strings[kind[1]] and strings[kind[2]], "sample type")
    # Exactly 1 to n, in this order.
    for number in 3, 4, 5:
        ids = [dict(fields(value)).get(1, 0) for value in found.get(number, [])]
        need(ids == list(range(1, len(ids) + 1)), f"ids of field {number}")
    n_locations = len(found.get(4, []))
    need(len(found.get(2, [])) <= 16000, "too many samples")
    for sample in found.get(2, []):
        locations, values, labels = [], [], 0
        for number, value in fields(sample):
            if number == 1:
                locations += ints(value)
            elif number == 2:
                values += ints(value)
            elif number == 3:
                labels += 1
                need(dict(fields(value)).get(1, 0) in range(1, len(strings)), "label key")
        need(len(values) == len(types), "values")
        need(all(0 < id <= n_locations for id in locations), "location id")
        need(labels <= 100, "labels")
    when = found.get(9, [0])
    need(len(when) == 1 and abs(time.time() - when[0] / 1e9) < 600, "time")


class Served:
    """A cprof serve of a process, and what was asked of it."""

    def __init__(self, name, pid, *args):
        self.name, self.counts, self.errors, self.late = name, Counter(), Counter(), [0.0]
        self.process = subprocess.Popen([CPROF, "serve", "--heap", "-p", str(pid), "-l",
                                         "127.0.0.1:0", *args],
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"at http://[^:]+:(\d+)/", line):
                self.port = int(found[1])
                break
        else:
            sys.exit("cprof serve has ended")

    def ask(self, path, agent, limit):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit)
        try:
            connection.request("GET", "/debug/pprof/" + path, headers={"User-Agent": agent})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        need(answer.status == 200, f"status {answer.status}: {body[:100]}")
        need(answer.getheader("Content-Type", "").startswith("application/octet-stream"), "type")
        validate(body)

    def scrape(self, scraper, path, stop):
        name, agent, interval, seconds, cpu_limit, limit = scraper
        query = f"?seconds={seconds}" if path == "profile" else ""
        limit = cpu_limit if query else limit
        next_at = time.monotonic()
        while not stop.wait(max(0.0, next_at - time.monotonic())):
            start = time.monotonic()
            next_at += interval
            try:
                self.ask(path + query, agent, limit)
                took = time.monotonic() - start
                need(took <= limit, f"{took:.1f} s")
                self.counts[name] += 1
                if query:
                    self.late.append(took - seconds)
            except (Refused, OSError, ValueError, http.client.HTTPException) as error:
                self.errors[f"{name} {path}: {error!r}"] += 1


def scrape_all(servers):
    stop = threading.Event()
    threads = [threading.Thread(target=server.scrape, args=(scraper, path, stop))
               for server in servers for scraper in SCRAPERS for path in PATHS]
    memory = {server.name: [] for server in servers}
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    while time.monotonic() - begun < SECONDS:
        time.sleep(2)
        for server in servers:
            kib = status_kib(server.process.pid, "RssAnon")
            memory[server.name].append((time.monotonic() - begun, kib / 1024))
    stop.set()
    for thread in threads:
        thread.join()
    return memory


def report(server, memory):
    table = Table(f"memory of cprof serve {server.name} beside two scrapers", "MiB",
                  base="first half", digits=1)
    for when, mib in memory:
        # While the tables are filled for the first time it grows.
        if when > SECONDS / 10:
            table.add("first half" if when < SECONDS / 2 else "second half", mib)
    table.print()
    rows = table.rows
    goal(f"{server.name}: most memory of the second half beside that of the first",
         max(rows["second half"]) / max(rows["first half"]), 1.1)
    goal(f"{server.name}: seconds that a CPU profile came late", max(server.late), 3)
    print(f"{server.name}: {sum(server.counts.values())} scrapes accepted "
          f"({', '.join(f'{k} {v}' for k, v in server.counts.items())}), "
          f"{sum(server.errors.values())} not")
    for text, n in server.errors.items():
        print(f"  {n} × {text}")


def main():
    args = sys.argv[1:]
    with Folder() as folder, Threads() as python, Compiler(folder, "cc1plus") as compiler:
        targets = [("python3", python.pid), ("cc1plus", compiler.pid)]
        redis = Redis(folder) if have("redis-server") and have("redis-benchmark") else None
        if redis:
            targets.append(("redis-server", redis.pid))
        servers = [Served(name, pid, *args) for name, pid in targets]
        try:
            memory = scrape_all(servers)
        finally:
            for server in servers:
                server.process.terminate()
                server.process.wait()
            if redis:
                redis.__exit__()
        for server in servers:
            report(server, memory[server.name])
    end()


if __name__ == "__main__":
    main()
