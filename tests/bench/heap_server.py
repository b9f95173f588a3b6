# SPDX-License-Identifier: Apache-2.0
"""A server under its own benchmark client, in turn without the agent and with it: requests a second,
and the CPU time that the server takes for one, which others on the machine disturb less."""
import os
import signal
import statistics
import subprocess
import sys
import time

from bench import CPROF, RUNS, Folder, Table, end, goal, have, wait_until

REQUESTS = 100000


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def run_client(socket, pid):
    """(requests a second, µs of CPU time of the server for one)."""
    before, start = cpu_seconds(pid), time.monotonic()
    # Values of 1000 bytes, each allocated anew, on 50 connections.
    subprocess.run(["redis-benchmark", "-s", socket, "-q", "-n", str(REQUESTS), "-r", "100000", "-d",
                    "1000", "-t", "set"], check=True, stdout=subprocess.DEVNULL)
    return (REQUESTS / (time.monotonic() - start),
            (cpu_seconds(pid) - before) / REQUESTS * 1e6)


def main():
    if not have("redis-server") or not have("redis-benchmark"):
        end()
        return
    rate, cost = Table("requests a second", "1/s", base="without"), \
        Table("CPU time of a request", "us", base="without")
    with Folder() as folder:
        socket = folder.path("socket")
        server = subprocess.Popen(["redis-server", "--port", "0", "--save", "", "--unixsocket",
                                   socket], stdout=subprocess.DEVNULL)
        try:
            wait_until("redis-server", lambda: os.path.exists(socket))
            run_client(socket, server.pid)
            ratios = []
            for _ in range(RUNS):
                found = {}
                for name in "without", "counted":
                    cprof = None
                    if name == "counted":
                        cprof = subprocess.Popen([CPROF, "record", "-q", "--type", "heap", "-p",
                                                  str(server.pid), "-d", "100s", "-o",
                                                  folder.path("h.pb.gz")])
                        time.sleep(0.5)
                    per_second, found[name] = run_client(socket, server.pid)
                    if cprof:
                        cprof.send_signal(signal.SIGINT)
                        if cprof.wait() not in (0, 1):
                            sys.exit("cprof failed")
                    rate.add(name, per_second)
                    cost.add(name, found[name])
                ratios.append(found["without"] / found["counted"])
        finally:
            server.kill()
            server.wait()
    rate.print()
    cost.print()
    goal("requests for the same CPU time, with the agent", statistics.median(ratios), 0.99,
         at_least=True)
    end()


if __name__ == "__main__":
    main()
