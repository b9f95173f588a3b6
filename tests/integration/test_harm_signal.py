# SPDX-License-Identifier: Apache-2.0
"""Every signal arrives, once, in order, with its siginfo, while the target is sampled at 1000 Hz.

HARM_SECONDS: how long each case lasts; the long form.
"""
import ctypes
import os
import re
import subprocess
import sys
import time

from harm import Recorder, counts
from support import CPROF, Case, Target, main, victim, wait_for_text

libc = ctypes.CDLL(None, use_errno=True)
SIGRTMIN = libc.__libc_current_sigrtmin()
SECONDS = float(os.environ.get("HARM_SECONDS", "1"))
WAYS = (["--type=cpu"], ["--type=wall"], ["--children"], ["--unwinder=libunwind"])


class Signals(Case):
    def test_sent_and_received(self):
        """As fast as they are taken, from another process: to the process, to one thread, one at a
        time, and to a thread in sigtimedwait."""
        for way in WAYS:
            with Target([victim("crew")], wait_for="ready", stdin=subprocess.PIPE) as target:
                with Recorder(target.pid, *way) as cprof:
                    start = time.monotonic()
                    try:
                        target.process.wait(SECONDS)
                    except subprocess.TimeoutExpired:
                        pass
                    # Still sampled while the last ones arrive.
                    out = target.process.communicate(b"\n", timeout=60)[0].decode()
                    seconds = time.monotonic() - start
                    said = cprof.end(signal=0)
            self.assertEqual(target.process.returncode, 0)
            found = counts(out)
            sent = sum(n for name, n in found.items() if name.endswith("_sent"))
            print(way, f"{sent / seconds:.0f} signals/s", found,
                  re.findall("(?m)^(?:stops|calls) .*", said), file=sys.stderr)
            for kind in "queued", "directed", "plain", "waited":
                self.assertEqual(found[f"{kind}_sent"], found[f"{kind}_received"], out)
            for name in "disorder", "strange", "eintr", "early", "wrong":
                self.assertEqual(found[name], 0, f"{way} {out}")
            # On an idle machine with two CPUs some 50,000 signals and 1,800 stops per second.
            self.assertGreater(sent / seconds, 2000)
            self.assertGreater(int(re.search(r"stops +(\d+)", said)[1]), 50 * SECONDS)

    def test_a_program_that_lives_by_signals(self):
        """SIGSEGV on an alternate stack, SIGTRAP by tgkill and by int3, SIGCHLD in sigsuspend,
        SIGUSR1 in sigsuspend, setitimer, timer_create."""
        for way in WAYS:
            with Target([victim("faults"), str(SECONDS)], wait_for="ready",
                        stdin=subprocess.PIPE) as target:
                with Recorder(target.pid, *way) as cprof:
                    # Its time begins now, however long the recorder took to come.
                    out = target.process.communicate(b"\n", timeout=SECONDS + 60)[0].decode()
                    said = cprof.end(signal=0)
            self.assertEqual(target.process.returncode, 0)
            found = counts(out)
            print(way, found, re.findall("(?m)^(?:stops|calls) .*", said), file=sys.stderr)
            for kind in "segv", "trap", "int3", "children", "suspended":
                self.assertGreater(found[f"{kind}_raised"], 10)
                self.assertEqual(found[f"{kind}_raised"], found[f"{kind}_handled"], out)
            self.assertEqual(found["strange"], 0, out)
            # An expiry whose signal is still pending gives no second one, on a busy machine; for
            # the others overruns are counted.
            self.assertLessEqual(found["alarms_handled"], found["alarms_due"] + 2)
            self.assertGreater(found["alarms_handled"], 0.1 * found["alarms_due"])
            self.assertAlmostEqual(found["timers_handled"] / found["timers_due"], 1, delta=0.05)
            self.assertGreater(int(re.search(r"stops +(\d+)", said)[1]), 50 * SECONDS)

    def test_a_full_queue(self):
        with Target([victim("signals")], wait_for="ready", stdin=subprocess.PIPE) as target:
            cprof = subprocess.Popen([CPROF, "record", "-v", "-p", str(target.pid), "-F", "1000",
                                      "-d", "60s", "-o", "/dev/null"], stderr=subprocess.PIPE,
                                     text=True)
            wait_for_text("/proc/net/unix", f"@cprof/{target.pid}/")
            end, sent = time.monotonic() + 3, 0
            while time.monotonic() < end:
                # sigqueue(3): EAGAIN when the queue is full, which is not a loss.
                if libc.sigqueue(target.pid, SIGRTMIN, ctypes.c_void_p(sent)) == 0:
                    sent += 1
            cprof.terminate()
            said = cprof.communicate()[1]
            self.assertEqual(cprof.returncode, 0, said)
            target.process.stdin.write(b"\n")
            target.process.stdin.close()
            counts = dict(re.findall(r"(\w+) (\d+)", target.process.stdout.read().decode()))
        print(counts, re.findall("(?:calls|stops) .*", said), file=sys.stderr)
        self.assertGreater(sent, 1000)
        self.assertEqual(int(counts["signals"]), sent)
        self.assertEqual(int(counts["disorder"]), 0)
        self.assertEqual(int(counts["eintr"]), 0, said)
        self.assertEqual(int(counts["early"]), 0, said)
        self.assertGreater(int(counts["waits"]), 100)


if __name__ == "__main__":
    main()
