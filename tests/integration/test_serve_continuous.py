# SPDX-License-Identifier: Apache-2.0
"""cprof serve over more than one of the pieces that it keeps what it has collected in."""
import concurrent.futures
import os
import threading
import time

from server import Served
from support import main, victim

PIECE = 5  # seconds


class Used:
    """What a process has used of its CPUs, and when."""

    def __init__(self, target):
        self.target, self.log, self.done = target, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.done.wait(0.1):
            self.log.append((time.time(), self.target.cpu_ticks() / 100))

    def between(self, begin, end):
        def at(when):
            return min(self.log, key=lambda entry: abs(entry[0] - when))[1]
        return at(end) - at(begin)

    def end(self):
        self.done.set()
        self.thread.join()


class Continuous(Served):
    def test_the_past_and_the_next(self):
        """What was in the last seconds, at once; and the next ones, of several types together."""
        target = self.target(victim("phases"), "user", "1", "90", wait_for=None)
        target.wait_until_busy()
        used = Used(target)
        self.addCleanup(used.end)
        server = self.serve(target, "--continuous", "--window=30s")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            # Longer than two pieces, and begun anywhere in one.
            time.sleep(0.7)
            running = {name: pool.submit(server.ask, f"{name}?seconds={2 * PIECE + 2}")
                       for name in ("profile", "wall", "block")}
            answers = {name: answer.result() for name, answer in running.items()}
        profiles = {name: answer.profile() for name, answer in answers.items()}
        cpu, wall = profiles["profile"], profiles["wall"]
        begin, lasted = cpu.time_nanos[0] / 1e9, cpu.duration_nanos / 1e9
        self.assertAlmostEqual(lasted, 2 * PIECE + 2, delta=0.5)
        self.assertAlmostEqual(cpu.total(1) / 1e9, used.between(begin, begin + lasted), delta=0.4)
        threads = len(os.listdir(f"/proc/{target.pid}/task"))
        self.assertAlmostEqual(wall.total(1) / wall.duration_nanos, threads, delta=0.05 * threads)
        # It computes in functions that are named, in every piece.
        self.assertEqual(cpu.unnamed_in_program(), [])
        phases = sum(n for name, n in cpu.cumulative().items() if name.startswith("phase_"))
        self.assertGreater(phases, 0.8 * cpu.total(1))

        start = time.monotonic()
        answer = server.ask("profile?seconds=8&past=1")
        self.assertLess(time.monotonic() - start, 2)
        self.assertEqual(answer.status, 200)
        past = answer.profile()
        end = (past.time_nanos[0] + past.duration_nanos) / 1e9
        self.assertAlmostEqual(end, time.time(), delta=2)
        self.assertGreaterEqual(past.duration_nanos / 1e9, 8)
        self.assertLess(past.duration_nanos / 1e9, 8 + PIECE + 1)
        self.assertAlmostEqual(past.total(1) / 1e9, used.between(past.time_nanos[0] / 1e9, end),
                               delta=0.4)
        # What is not there is not made up.
        early = server.ask("wall?seconds=30&past=1").profile()
        self.assertLess(early.duration_nanos / 1e9, 30)
        self.assertAlmostEqual(early.total(1) / early.duration_nanos, threads,
                               delta=0.05 * threads)
        self.assertGreater(int(server.ask("/", method="HEAD").headers["cprof-window"]), 0)

    def test_counts_go_on(self):
        """What block and mutex hold is what came since the beginning, whoever asks."""
        target = self.target(victim("holders"), "60", wait_for="ready")
        server = self.serve(target, "--continuous", "--type=block,mutex")
        totals = {"block": [], "mutex": []}
        begun = time.monotonic()
        for when in 2, PIECE + 2, 2 * PIECE + 2:
            time.sleep(max(0.0, begun + when - time.monotonic()))
            for name, list_ in totals.items():
                profile = server.ask(name).profile()
                list_.append((profile.total(1), profile.duration_nanos))
        for name, list_ in totals.items():
            rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(list_, list_[1:])]
            self.assertGreater(list_[0][0], 1e8, name)
            self.assertAlmostEqual(rates[0], rates[1], delta=0.25 * rates[0])
            self.assertAlmostEqual(list_[2][0] / list_[2][1], rates[1], delta=0.25 * rates[0])
        self.assertRegex(server.ask("").text, r"mutex: </div> [^<]*Counted since .*, and now")
        delta = server.ask("mutex?seconds=4&past=1").profile()
        self.assertAlmostEqual(delta.total(1) / delta.duration_nanos,
                               totals["mutex"][2][0] / totals["mutex"][2][1], delta=0.3)
        # What is not sampled all the time has no past, but a future.
        refused = server.ask("profile?seconds=1&past=1")
        self.assertEqual(refused.status, 400)
        self.assertIn("--continuous, and --type", refused.text)
        self.assertEqual(server.ask("profile?seconds=1").status, 200)


class OnDemand(Served):
    def test_over_several_pieces(self):
        """Requests that begin and end in different pieces, and nothing once they are answered."""
        target = self.target(victim("phases"), "user", "1", "90", wait_for=None)
        target.wait_until_busy()
        used = Used(target)
        self.addCleanup(used.end)
        server = self.serve(target)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = []
            for seconds in 2 * PIECE + 1, PIECE + 1, 2:
                running.append(pool.submit(server.ask, f"profile?seconds={seconds}"))
                time.sleep(1.5)
            for answer in running:
                profile = answer.result().profile()
                begin, lasted = profile.time_nanos[0] / 1e9, profile.duration_nanos / 1e9
                self.assertAlmostEqual(profile.total(1) / 1e9,
                                       used.between(begin, begin + lasted), delta=0.4)
        refused = server.ask("profile?seconds=1&past=1")
        self.assertEqual(refused.status, 400)
        self.assertIn("--continuous", refused.text)
        self.assertIsNone(server.ask("/", method="HEAD").headers.get("cprof-window"))
        self.assert_untouched(server, target)


class BadInput(Served):
    def test_sentences(self):
        target = self.target()
        for args, text in ((["--window=10s"], "--continuous samples"),
                           (["--type=cpu"], "--continuous samples"),
                           (["--continuous", "--window=2h"], "an hour at most"),
                           (["--continuous", "--window=0s"], "more than 0"),
                           (["--continuous", "--type=threads"], "of one moment"),
                           (["--continuous", "--type=heat"], "known: cpu")):
            done = self.cprof("serve", "-p", target.pid, *args, expect=64)
            self.assertIn(text, done.stderr, args)
        server = self.serve(target, "--continuous", "--window=20s")
        refused = server.ask("profile?seconds=21&past=1")
        self.assertEqual(refused.status, 400)
        self.assertIn("the last 20 seconds", refused.text)


if __name__ == "__main__":
    main()
