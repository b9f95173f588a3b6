# SPDX-License-Identifier: Apache-2.0
"""What a sample takes from its target, as the target itself sees it: a thread that does nothing but
read the clock sums the gaps between readings, with and without a profiler, by turns."""
import re
import statistics

from bench import RUNS, Table, end, goal, have
from slices import SLICE, Meter

# Of a recording and of the time alone between two: at 100 Hz there are few samples to see.
SECONDS = {100: 1.2, 1000: 0.7}
ALONE = {100: 0.6, 1000: 0.3}


def per_second(meter, window, column):
    """Median over the slices, so that a neighbour on the machine does not count. In us."""
    return statistics.median(line[column] for line in meter.during(window)) / 1e3 / SLICE


def rate(peer, done, hz):
    """Samples a second that were really taken."""
    if peer == "cprof":
        samples, seconds = re.search(r"samples +(\d+) of .* in ([\d.]+) s", done.stderr).groups()
        return int(samples) / float(seconds)
    if peer == "bare stop":
        return int(SECONDS[hz] * hz) / done.seconds
    return hz


def judge(table, hz, noise):
    """What lies within the noise decides nothing."""
    print(f"one run of the undisturbed target differs from the next by {noise:.1f} us per sample")
    noise *= 2 / RUNS ** 0.5
    ours = table.median("cprof")
    for base, factor in ("bare stop", 1.25), ("perf dwarf", 1):
        if base in table.rows:
            bound = factor * table.median(base)
            decided = ours - bound > noise or bound > max(ours, 0) and bound > noise
            goal(f"{hz} Hz: us lost per sample, {factor} x {base}", ours if decided else None,
                 max(round(bound, 1), 0))


def main():
    peers = ["bare stop", "cprof"] + (["perf fp", "perf dwarf"] if have("perf") else [])
    for hz in 100, 1000:
        table = Table(f"time lost per sample at {hz} Hz", "us",
                      base="perf dwarf" if "perf dwarf" in peers else "bare stop", digits=1)
        floor = Table("the same of the undisturbed target", "us per second", digits=0)
        with Meter("gaps", "100") as meter:
            alone = [per_second(meter, meter.alone(ALONE[hz]), 1)]
            for peer in peers * RUNS:
                window, done = meter.profiled(peer, SECONDS[hz], hz)
                alone.append(per_second(meter, meter.alone(ALONE[hz]), 1))
                lost = per_second(meter, window, 1) - (alone[-2] + alone[-1]) / 2
                table.add(peer, lost / rate(peer, done, hz))
                floor.add("alone", alone[-1])
                floor.add(f"waited for a CPU under {peer}",
                          statistics.mean(line[3] for line in meter.during(window)) / 1e3 / SLICE)
        table.print()
        floor.print()
        judge(table, hz, statistics.stdev(alone) / hz)
    end()


if __name__ == "__main__":
    main()
