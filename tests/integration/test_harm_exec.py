# SPDX-License-Identifier: Apache-2.0
"""execve, exit and the coming and going of threads, under 1000 Hz and kills of cprof: nothing
deadlocks, nobody stands still. HARM_ROUNDS: the long form."""
import os
import random
import re
import subprocess
import sys
import time

from harm import Recorder, tasks, wait_until
from support import Case, Target, main, victim

ROUNDS = int(os.environ.get("HARM_ROUNDS", "16"))


class Exec(Case):
    def check_running(self, pid):
        for tid, (state, tracer) in tasks(pid).items():
            self.assertNotIn(state, "Tt", f"thread {tid}")
            self.assertEqual(tracer, 0, f"thread {tid}")

    def kill_again_and_again(self, target, times, *args):
        for _ in range(times):
            if target.process.poll() is not None:
                return
            cprof = Recorder(target.pid, *args, ready=False)
            time.sleep(random.uniform(0.02, 0.1))
            cprof.process.kill()
            cprof.process.communicate()
            try:
                self.check_running(target.pid)
            except FileNotFoundError:
                pass  # it has ended

    def test_exec_in_a_loop(self):
        for number, who in enumerate(("leader", "other", "alternate")):
            ways = (["--type=cpu"], ["--type=wall"], ["--children"], ["--unwinder=libunwind"])
            for args in ways if ROUNDS > 16 else ways[number:number + 2]:
                done = self.cprof("record", "-F", "1000", "-v", "--max-overhead=0", "-o",
                                  self.path("o"), *args, "--exit-status", "--",
                                  victim("execloop"), ROUNDS, who, timeout=60 + ROUNDS)
                self.assertIn("done", done.stdout, done.stderr)
                found = int(re.search(r"(\d+) execve", done.stderr)[1])
                self.assertGreater(found, ROUNDS / 3, f"{who} {args} {done.stderr}")

    def test_exec_in_a_loop_and_kills(self):
        with Target([victim("execloop"), str(20 * ROUNDS), "alternate"]) as target:
            self.kill_again_and_again(target, ROUNDS // 4)
            self.assertIn(target.process.poll(), (None, 0))
            self.check_running(target.pid)

    def test_exec_while_cprof_begins(self):
        """Attached at any instant of an execve; it ends by itself."""
        for _ in range(max(3, ROUNDS // 10)):
            with Target([victim("execloop"), "40", "alternate"]) as target:
                cprof = Recorder(target.pid, ready=False)
                out = target.process.communicate(timeout=60)[0]
                self.assertIn(b"done", out)
                self.assertEqual(target.process.returncode, 0)
                cprof.process.communicate(timeout=20)
                self.assertIn(cprof.process.returncode, (0, 1, 2))

    def test_thread_storm(self):
        seconds = max(2, ROUNDS // 20)
        for args in (["--type=cpu"], ["--type=wall"]):
            profile, done = self.run_command([victim("storm"), str(seconds), "0"], "-v",
                                             "--max-overhead=0", *args, hz=1000)
            started = int(re.search(r"started (\d+)", done.stdout)[1])
            print(f"{args}: {started / seconds:.0f} threads/s,",
                  re.findall("(?m)^stops .*", done.stderr), file=sys.stderr)
            self.assertGreater(started / seconds, 2000)
            self.assertGreater(profile.total(1), 0)

    def test_threads_that_end_meanwhile(self):
        # A thread that ends between the choice and the stop is nobody's fault: exit 0.
        profile, done = self.run_command([victim("storm"), "2", "100"], "-v", hz=2000)
        self.assertGreater(int(re.search(r"started (\d+)", done.stdout)[1]), 1000)
        self.assertGreater(int(re.search(r"(\d+) ended meanwhile", done.stderr)[1]), 0)
        self.assertGreater(profile.total(1), 0)

    def test_thread_storm_and_kills(self):
        with Target([victim("storm"), "60", "0"]) as target:
            self.kill_again_and_again(target, ROUNDS // 4)
            self.assertIsNone(target.process.poll())
            self.check_running(target.pid)

    def test_a_leader_that_has_ended_and_kills(self):
        with Target([victim("blocked-gcc-o2"), "60", "leave"], wait_for="ready") as target:
            wait_until(lambda: tasks(target.pid)[target.pid][0] == "Z")
            for args in (["--type=cpu"], ["--type=wall"]):
                self.kill_again_and_again(target, ROUNDS // 8, *args)
                self.assertEqual(tasks(target.pid)[target.pid][0], "Z")
                self.assertIn("R", {state for state, _ in tasks(target.pid).values()})

    def test_exit_during_stops(self):
        """main returns, or exit_group comes from elsewhere, while threads are stopped."""
        for i in range(ROUNDS):
            kind, code = (("return", 7), ("exit", 8))[i % 2]
            with Target([victim("crash"), kind], wait_for="ready", stdin=subprocess.PIPE) as target:
                with Recorder(target.pid, hz=5000) as cprof:
                    target.process.stdin.write(b"\n")
                    target.process.stdin.close()
                    self.assertEqual(target.process.wait(timeout=20), code)
                    cprof.end(signal=0)


if __name__ == "__main__":
    main()
