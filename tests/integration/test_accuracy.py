# SPDX-License-Identifier: Apache-2.0
"""The profile's shares beside what a program measures of itself.

ACCURACY_SECONDS: length of each run (3). The bound is for a noisy shared machine; the figures of a
quiet one are in lib/README.md."""
import os
import sys
import time

from support import Case, main, victim

SECONDS = os.environ.get("ACCURACY_SECONDS", "3")
BOUND = 0.05
CPUS = len(os.sched_getaffinity(0))


class Accuracy(Case):
    def check(self, kind, threads, bound=BOUND):
        start = time.monotonic()
        profile, done = self.run_command([victim("phases"), kind, str(threads), SECONDS],
                                         "--max-overhead=0", hz=1000)
        elapsed = time.monotonic() - start
        own = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()}
        seen = profile.cumulative()
        total, seen_total = sum(own.values()), sum(seen[name] for name in own)
        shares = {name: (own[name] / total, seen[name] / seen_total) for name in own}
        distance = sum(abs(a - b) for a, b in shares.values()) / 2
        print(f"{kind}, {threads} threads: total variation {100 * distance:.2f} points, "
              f"cpu {profile.total(1) / 1e9:.3f} s of {total / 1e9:.3f} s", file=sys.stderr)
        # Who is on a CPU cannot be told while other programs are.
        if total / 1e9 < 0.85 * elapsed * min(threads, CPUS) and distance >= bound:
            self.skipTest("other programs had the CPUs")
        self.assertLess(distance, bound, shares)
        # What is not in a phase: the program's start and end.
        self.assertLess(abs(profile.total(1) - total) / total, 0.02)
        return profile

    def test_user(self):
        self.check("user", 2)

    def test_user_crowded(self):
        self.check("user", 8 * CPUS)

    def test_kernel(self):
        profile = self.check("kernel", 2)
        kernel = sum(s.values[1] for s in profile.samples if s.labels.get("mode") == "kernel")
        self.assertGreater(kernel, 0.4 * profile.total(1))


if __name__ == "__main__":
    main()
