# SPDX-License-Identifier: Apache-2.0
"""What the tests of heap profiles share: is the agent in, what does a profile say of a site."""
import math
import re

from harm import states, wait_until


def is_counted(pid):
    """Has the process memory that is wiped in its children, as the agent's?"""
    with open(f"/proc/{pid}/smaps") as file:
        return re.search(r"^VmFlags:.* wf\b", file.read(), re.M) is not None


def agents(pid):
    """Code areas of agents: executable memory without a file that begins with the agent's mark."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            place, access, _, _, inode, *_ = line.split()
            if access == "r-xp" and inode == "0" and "[" not in line:
                start = int(place.split("-")[0], 16)
                memory.seek(start)
                if memory.read(11) == b"cprof agent":
                    found.append(start)
    return found


def wait_until_counted(pid):
    wait_until(lambda: is_counted(pid))
    start = agents(pid)[0]

    def is_on():
        with open(f"/proc/{pid}/mem", "rb") as memory:
            memory.seek(start + 16)
            return memory.read(8) != bytes(8)
    wait_until(is_on)
    # It is switched on while threads stand still, right before the import tables are written.
    wait_until(lambda: not states(pid) & {"t", "T"})


class Estimate:
    """Bytes of a site, as alloc_space (1) or inuse_space (3) says, and their standard error: of
    each size, the number of samples is binomial with the probability 1 - exp(-size / rate)."""

    def __init__(self, profile, site, column):
        self.bytes = self.samples = variance = 0
        for sample in profile.samples:
            if not sample.values[column] or not any(site in name for name in sample.names()):
                continue
            size = sample.labels["bytes"]
            p = -math.expm1(-size / profile.period) if profile.period > 1 else 1
            n = sample.values[column] / size * p
            self.bytes += sample.values[column]
            self.samples += n
            variance += n * (1 - p) * (size / p) ** 2
        self.error = math.sqrt(variance)

    def off(self, truth):
        """In standard errors."""
        return (self.bytes - truth) / max(self.error, 1e-3 * truth, 1)
