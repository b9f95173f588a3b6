# SPDX-License-Identifier: Apache-2.0
"""Job control: a target that is sampled at 1000 Hz stops and goes on as one that is not, for its
parent and for an interactive shell. HARM_ROUNDS: the long form."""
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import time

from harm import Recorder, children, states, wait_until
from support import Case, Target, main, need, victim

ROUNDS = int(os.environ.get("HARM_ROUNDS", "16"))
STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class Parent(Case):
    def statuses(self, target, rounds):
        """What its parent sees of it, by waitpid with WUNTRACED and WCONTINUED."""
        seen, chance = [], random.Random(1)

        def take(flags=0):
            pid, status = os.waitpid(target.pid, os.WUNTRACED | os.WCONTINUED | flags)
            if pid:
                seen.append(status)
            return pid

        for i in range(rounds):
            os.kill(target.pid, STOPS[i % len(STOPS)])
            take()
            wait_until(lambda: states(target.pid) == {"T"})
            time.sleep(chance.uniform(0, 0.003))
            # "t": one that was met while it stopped.
            self.assertLessEqual(states(target.pid), {"T", "t"}, "woken")
            take(os.WNOHANG)
            os.kill(target.pid, signal.SIGCONT)
            take()
            wait_until(lambda: "T" not in states(target.pid))
            time.sleep(chance.uniform(0, 0.003))
            take(os.WNOHANG)
            self.assertNotIn("T", states(target.pid))
        os.kill(target.pid, signal.SIGTERM)
        take()
        target.process.returncode = -signal.SIGTERM
        return seen

    def test_wait_statuses(self):
        # In a process group of its own: in an orphaned one, such as Meson's tests are in, SIGTSTP
        # stops nobody (POSIX; kernel/signal.c is_current_pgrp_orphaned).
        with Target([victim("phases"), "user", "4", "600"], process_group=0) as target:
            alone = self.statuses(target, ROUNDS)
        self.assertEqual(len(alone), 2 * ROUNDS + 1)
        for way in (["--type=cpu"], ["--type=wall"]):
            with Target([victim("phases"), "user", "4", "600"], process_group=0) as target, \
                    Recorder(target.pid, *way) as cprof:
                self.assertEqual(self.statuses(target, ROUNDS), alone)
                said = cprof.end(signal=0)
            print(f"{way}: {len(alone)} statuses,", re.findall("(?m)^stops .*", said), file=sys.stderr)

    def test_stopped_while_cprof_comes_and_goes(self):
        with Target([victim("phases"), "user", "4", "600"]) as target:
            os.kill(target.pid, signal.SIGSTOP)
            os.waitpid(target.pid, os.WUNTRACED)
            for way in (["--type=cpu"], ["--type=wall"]):
                for _ in range(3):
                    cprof = Recorder(target.pid, *way)
                    self.assertEqual(states(target.pid), {"T"})
                    cprof.end()
                    self.assertEqual(states(target.pid), {"T"})
            self.assertEqual(os.waitpid(target.pid, os.WUNTRACED | os.WNOHANG), (0, 0))
            os.kill(target.pid, signal.SIGCONT)
            wait_until(lambda: "R" in states(target.pid) and not states(target.pid) & {"T", "t"})


class Suspended(Case):
    def test_cprof_itself(self):
        """^Z on cprof: it stops with no thread of the target in its hands, and goes on."""
        chance = random.Random(2)
        with Target([victim("phases"), "user", "4", "600"]) as target, \
                Recorder(target.pid, hz=5000) as cprof:
            for _ in range(4 * ROUNDS):
                time.sleep(chance.uniform(0, 0.003))
                os.kill(cprof.pid, signal.SIGTSTP)
                wait_until(lambda: states(cprof.pid) == {"T"})
                self.assertFalse(states(target.pid) & {"T", "t"})
                os.kill(cprof.pid, signal.SIGCONT)
                wait_until(lambda: "T" not in states(cprof.pid))
            said = cprof.end()
        self.assertGreater(int(re.search(r"samples +(\d+)", said)[1]), 0)


class Terminal:
    """An interactive bash on a terminal of its own."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="$ ", HISTFILE="/dev/null", TERM="dumb")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.text = ""
        self.expect("$ ")

    def expect(self, text, seconds=20):
        end = time.monotonic() + seconds
        start = len(self.text)
        while text not in self.text[start:]:
            if not select.select([self.fd], [], [], end - time.monotonic())[0]:
                raise AssertionError(f"no {text!r} on the terminal: {self.text!r}")
            self.text += os.read(self.fd, 4096).decode()

    def type(self, text, expect="$ "):
        os.write(self.fd, text.encode())
        if expect:
            self.expect(expect)

    def close(self):
        """It and its jobs get SIGHUP, if the session has not come to its end."""
        if self.fd >= 0:
            os.close(self.fd)
            os.waitpid(self.pid, 0)
            self.fd = -1


class Shell(Case):
    def session(self, profiled):
        """The text of a session with a job that is stopped and continued again and again."""
        shell = Terminal()
        self.addCleanup(shell.close)
        shell.type(f"{victim('phases')} user 4 600\n", expect=None)
        job = wait_until(lambda: [pid for pid in children(shell.pid)
                                  if os.readlink(f"/proc/{pid}/exe").endswith("phases")])[0]
        wait_until(lambda: len(states(job)) and len(os.listdir(f"/proc/{job}/task")) == 5)
        cprof = Recorder(job) if profiled else None
        if cprof:
            self.addCleanup(cprof.__exit__)
        for _ in range(5):
            shell.type("\x1a")
            wait_until(lambda: states(job) == {"T"})
            shell.type("bg\n")
            wait_until(lambda: "T" not in states(job))
            shell.type("jobs\n")
            shell.type("fg\n", expect="600")
            wait_until(lambda: self.foreground(job))
        shell.type("\x03")
        shell.type("echo status $?\n")
        if cprof:
            self.assertIn("stops", cprof.end(signal=0))
        os.write(shell.fd, b"exit\n")
        return shell.text

    def foreground(self, pid):
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return fields[2] == fields[5]

    def test_bash(self):
        need("bash")
        alone = self.session(False)
        self.assertEqual(alone.count("Stopped"), 5, alone)
        self.assertIn("status 130", alone)
        self.assertEqual(self.session(True), alone)


if __name__ == "__main__":
    main()
