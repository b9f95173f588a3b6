# SPDX-License-Identifier: Apache-2.0
"""Memory of cprof serve --continuous over a day, whose snapshots are replayed as fast as they go, with
threads that are others every second (see continuous.c). Flat: the second half of the day needs no more
than the first one does once it is two hours old."""
import os

from bench import TOOLS, Table, check, end, goal
from programs import Python

HOURS = 24


def measure(name, target):
    lines = check([os.path.join(TOOLS, "continuous"), str(target.pid), str(HOURS)]).splitlines()
    figures = [line.split() for line in lines]
    hours = {int(f[0]): int(f[1]) / 1024 for f in figures if f[0].isdigit()}
    other = {f[0]: f[1] for f in figures if not f[0].isdigit()}
    table = Table(f"memory of a day of --continuous, {name}, {other['ticks']} ticks a second", "MiB",
                  base="hours 2 to 12", digits=1)
    for hour, mib in hours.items():
        if hour >= 2:
            table.add("hours 2 to 12" if hour <= 12 else "hours 13 to 24", mib)
    table.print()
    most = [max(table.rows[row]) for row in ("hours 2 to 12", "hours 13 to 24")]
    goal(f"{name}: most memory of the second half beside that of the first", most[1] / most[0], 1.1)


def main():
    with Python() as target:
        measure("python3", target)
    end()


if __name__ == "__main__":
    main()
