# SPDX-License-Identifier: Apache-2.0
"""Stops are kept within --max-overhead and --max-pause by lowering the rate, and it is said."""
import re

from support import Case, Target, main, victim

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ns|us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


class Budget(Case):
    def cost(self, *args, hz):
        """(share of the CPU time spent in stops, ticks per second, what was said)"""
        with Target([victim("phases"), "user", "2", "60"]) as target:
            profile, said = self.record(target.pid, *args, seconds="4s", hz=hz)
        held = seconds(re.search(r"([\d.]+\w+) in all", said)[1])
        cpu = float(re.search(r"^cpu +([\d.]+) s", said, re.M)[1])
        rate = float(re.search(r"([\d.]+) ticks per second", said)[1])
        self.assertAlmostEqual(profile.total(1) / 1e9, cpu, delta=0.01)
        return held / cpu, rate, said

    def test_overhead_is_kept(self):
        share, rate, said = self.cost("--max-overhead=1", hz=5000)
        self.assertLess(rate, 3000, said)
        self.assertIn("the rate was lowered", said)
        free, fast, said = self.cost("--max-overhead=0", hz=5000)
        self.assertNotIn("the rate was lowered", said)
        self.assertGreater(free, 2 * share)
        self.assertGreater(fast, 2 * rate)

    def test_the_usual_rate_is_within_the_default(self):
        share, rate, said = self.cost(hz=100)
        # On a machine where the sampler itself has to wait, stops can cost that much.
        if share < 0.02:
            self.assertNotIn("the rate was lowered", said)

    def test_a_pause_that_is_too_long_is_made_rarer(self):
        share, rate, said = self.cost("--max-pause=1us", hz=1000)
        self.assertIn("--max-pause", said)
        self.assertLess(rate, 500, said)


if __name__ == "__main__":
    main()
