# SPDX-License-Identifier: Apache-2.0
"""Blocking system calls do not notice that they are profiled. TORTURE_SECONDS: the long form."""
import os
import re
import statistics
import subprocess
import sys

from support import Case, Target, main, victim

SECONDS = float(os.environ.get("TORTURE_SECONDS", "2"))
# What a loaded machine adds to the median lateness.
ALLOWANCE_US = 5000
# A connect whose time-out runs out after a restart says EALREADY for EINPROGRESS: nothing of the
# connection is lost, and nobody waits less (net/ipv4/af_inet.c, __inet_stream_connect).
OTHER_ERRNO = {"connect-tcp-timeo"}

# What arch_transfer_short() cannot see.
UNTOLD = {"io_uring-submit-wait", "pread-dev-zero"}


def read_table(text):
    """Lines of "NAME KEY N KEY N…" as {name: {key: number}}."""
    return {line.split()[0]: {key: int(n) for key, n in re.findall(r" (\w+) (\d+)", line)}
            for line in text.splitlines() if " calls " in line}


class Torture(Case):
    def run_victim(self, name, hz, kind="cpu"):
        """Its table after a while under cprof at this rate; 0: alone. And what cprof said."""
        said = ""
        with Target([victim(name), str(int(SECONDS) + 60)], wait_for="ready",
                    stderr=subprocess.PIPE) as target:
            if hz:
                said = self.cprof("record", "-v", "-p", target.pid, "-F", hz, "-d", f"{SECONDS}s",
                                  "--type", kind, "--max-overhead=0", "-o", self.path("o"), timeout=SECONDS + 60).stderr
            else:
                try:
                    target.process.wait(SECONDS)
                except subprocess.TimeoutExpired:
                    pass
            target.process.terminate()
            out, err = target.process.communicate(timeout=60)
            print(err.decode(), end="", file=sys.stderr)
            self.assertEqual(target.process.returncode, 0)
        return read_table(out.decode()), said

    def test_blocking_calls(self):
        alone, _ = self.run_victim("torture", 0)
        self.assertGreater(len(alone), 90)
        for hz, kind in ((100, "cpu"), (1000, "cpu"), (1000, "wall")):
            table, said = self.run_victim("torture", hz, kind)
            print(f"{kind} at {hz} Hz:", re.findall(r"(?:stops|calls) .*", said), file=sys.stderr)
            self.check(table, alone, hz)

    def check(self, table, alone, hz):
        keys = ("calls", "eintr", "wrong", "early", "late", "again", "p50_us", "p90_us", "worst_us")
        total = {key: [sum(row[key] for row in t.values()) for t in (alone, table)]
                 for key in keys[:6]}
        print("alone, with cprof:", *keys, total, file=sys.stderr)
        self.assertEqual(table.keys(), alone.keys())
        for name, row in table.items():
            line = f"{name}: {row}; alone: {alone[name]}"
            print(f"{name:28}", *(f"{alone[name][key]:>7}/{row[key]:<7}" for key in keys),
                  file=sys.stderr)
            self.assertGreater(row["calls"], 0, line)
            self.assertEqual(row["eintr"], 0, line)
            self.assertEqual(row["early"], 0, line)
            if name not in OTHER_ERRNO:
                self.assertEqual(row["wrong"], 0, line)
            # One call that is put off by its whole time-out each time, not a busy machine.
            self.assertLess(row["again"], 3 + row["calls"] // 10, line)
        # Others use this machine too, and not the same from run to run: medians.
        medians = [statistics.median(row["p50_us"] for row in t.values()) for t in (alone, table)]
        self.assertLess(medians[1], medians[0] + 1000000 / hz + ALLOWANCE_US)

    def test_transfers(self):
        """A stop inside a transfer cannot be mended; but each is counted that registers tell."""
        alone, _ = self.run_victim("transfer", 0)
        self.assertGreater(len(alone), 10)
        for hz in (100, 1000):
            table, said = self.run_victim("transfer", hz)
            print(f"at {hz} Hz:", re.findall(r"(?:stops|calls) .*", said), file=sys.stderr)
            self.assertEqual(table.keys(), alone.keys())
            for name, row in table.items():
                print(f"{name:24}", alone[name], row, file=sys.stderr)
                self.assertGreater(row["calls"], 0, name)
                # A recvmmsg after one that was cut short would say "Unknown error 512".
                self.assertEqual((row["eintr"], row["wrong"]), (0, 0), name)
            short, told = (sum(row["short"] for name, row in table.items() if name not in but)
                           for but in ((), UNTOLD))
            print(f"short: {short} of {sum(row['calls'] for row in table.values())}",
                  file=sys.stderr)
            # More, where a thread was stopped twice before it could return; less, where the
            # stop came when cprof no longer waited for it.
            counted = int(re.search(r"(\d+) transfers cut short", said)[1])
            self.assertGreaterEqual(counted + 2, told)
            self.assertLessEqual(counted, 5 + told * 3 // 2)
            self.assertLessEqual(short, int(re.search(r"stops +(\d+)", said)[1]))


if __name__ == "__main__":
    main()
