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
PHASES = {"phase_zero", "phase_map", "phase_calls", "phase_random", "phase_hash"}
CPUS = len(os.sched_getaffinity(0))


class Accuracy(Case):
    def check(self, kind, threads, bound=BOUND):
        start = time.monotonic()
        profile, done = self.run_command([victim("phases"), kind, str(threads), SECONDS],
                                         "--max-overhead=0", hz=1000)
        elapsed = time.monotonic() - start
        own = self.phases(profile, map(str.split, done.stdout.splitlines()))
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
        return profile

    def test_user(self):
        self.check("user", 2)

    def test_user_crowded(self):
        self.check("user", 8 * CPUS)

    def test_kernel(self):
        """What is a system call and what is not; each phase's time is checked already. In `map`
        page faults are the most, which count as user code. Not compared with ru_stime: the kernel
        takes that from its ticks, which meet the code behind what they waited for."""
        profile = self.check("kernel", 2)
        modes = {}
        for sample in profile.samples:
            for name in set(sample.names()) & PHASES:
                counts = modes.setdefault(name, {"kernel": 0, "user": 0})
                counts[sample.labels["mode"]] += sample.values[1]
        share = {name: m["kernel"] / (m["kernel"] + m["user"]) for name, m in modes.items()}
        self.assertEqual(set(share), PHASES)
        # Nothing but long calls; nothing but short ones; none at all; a few.
        self.assertGreater(share["phase_zero"], 0.9, modes)
        self.assertGreater(share["phase_random"], 0.9, modes)
        self.assertGreater(share["phase_calls"], 0.5, modes)
        self.assertEqual(share["phase_hash"], 0, modes)
        self.assertLessEqual({s.names()[0] for s in profile.samples if "phase_map" in s.names() and
                              s.labels["mode"] == "kernel"}, {"[kernel] mmap", "[kernel] munmap"})


if __name__ == "__main__":
    main()
