# SPDX-License-Identifier: Apache-2.0
"""Children: by fork, vfork, posix_spawn, clone, from threads, daemons; with and without --children.
HARM_SECONDS: the long form."""
import os
import subprocess
import sys
import time

from harm import Recorder, counts, tasks, wait_until
from support import Case, Profile, Target, main, victim

SECONDS = float(os.environ.get("HARM_SECONDS", "1"))
DAEMON = """
import os, sys, time
def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        compute(float(sys.argv[1]))
        print("done", os.getppid(), flush=True)
        os._exit(0)
    # Long enough for a tick.
    time.sleep(0.05)
    os._exit(0)
os.wait()
compute(float(sys.argv[1]) * 2)
"""


class Process(Case):
    def test_children_are_as_they_were(self):
        """Born by the hundred between attach and detach, and each checked by its parent."""
        alone = subprocess.run([victim("brood"), str(SECONDS)], capture_output=True, text=True)
        print("alone", alone.stdout, end="", file=sys.stderr)
        for args in ([], ["--children"], ["--type=wall", "--children"]):
            with Target([victim("brood"), str(SECONDS)]) as target:
                with Recorder(target.pid, *args) as cprof:
                    out = target.process.communicate(timeout=SECONDS + 60)[0].decode()
                    said = cprof.end(signal=0)
            print(args, out, end="", file=sys.stderr)
            self.assertGreater(counts(out)["children"], 50 * SECONDS)
            self.assertEqual(counts(out)["wrong"], 0, out)
            self.assertEqual("children" in said, bool(args), said)

    def vfork(self, *args, work):
        """Runs a vfork child that lives for seconds; returns (profile, what the victim said)."""
        out = self.path("o.pb.gz")
        with Target([victim("brood"), "vfork", str(SECONDS), *(["work"] if work else [])],
                    wait_for="ready", stdin=subprocess.PIPE) as target:
            with Recorder(target.pid, *args, out=out) as cprof:
                target.process.stdin.write(b"\n")
                target.process.stdin.flush()
                wait_until(lambda: tasks(target.pid)[target.pid][0] == "D")
                # The parent waits, uninterruptibly: never asked to stop.
                end = time.monotonic() + SECONDS / 2
                asked = looks = 0
                while time.monotonic() < end:
                    state, tracer = tasks(target.pid)[target.pid]
                    self.assertEqual(state, "D")
                    asked += tracer != 0
                    looks += 1
                    time.sleep(0.005)
                said = target.process.communicate(timeout=60)[0].decode()
                self.assertEqual(target.process.returncode, 0)
                # 1: a consumer that is slow, as under a sanitizer, drops samples.
                cprof.end(expect=(0, 1), signal=0)
        print(args, "work" if work else "wait", said.strip(), f"{asked} of {looks} looks traced",
              file=sys.stderr)
        self.assertEqual(asked, 0)
        return Profile(out), counts(said)

    def test_a_vfork_child_that_lives_long(self):
        for args in (["--type=cpu"], ["--type=wall"], ["--children"]):
            for work in False, True:
                profile, said = self.vfork(*args, work=work)
                self.assertAlmostEqual(said["suspended_ms"] / 1000 / SECONDS, 1, delta=0.2)
                seen = profile.cumulative()
                if "wall" not in args[0]:
                    # Sampled all the while.
                    self.assertAlmostEqual(seen["thread_computes"] / 1e6 / said["computed_ms"], 1,
                                           delta=0.3)
                if args == ["--children"]:
                    self.assertEqual("vfork_computes" in seen, work)
                else:
                    self.assertNotIn("vfork_computes", seen)

    def test_daemons(self):
        """A double fork; the daemon is sampled on when its parent has ended."""
        out = self.path("o.pb.gz")
        with Target(["python3", "-c", "input()" + DAEMON, str(SECONDS / 4)],
                    stdin=subprocess.PIPE) as target:
            with Recorder(target.pid, "--children", out=out) as cprof:
                target.process.stdin.write(b"\n")
                target.process.stdin.close()
                lines = target.process.stdout.read().split()
                target.process.wait(timeout=60)
                cprof.end(signal=0)
        self.assertEqual(lines[1], b"done")
        self.assertNotEqual(int(lines[2]), target.pid)
        found = Profile(out).by_label("pid", 1)
        self.assertAlmostEqual(found[lines[0].decode()] / (SECONDS / 4 * 1e9), 1, delta=0.2)
        self.assertAlmostEqual(found[str(target.pid)] / (SECONDS / 2 * 1e9), 1, delta=0.2)


if __name__ == "__main__":
    main()
