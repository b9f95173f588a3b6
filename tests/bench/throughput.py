# SPDX-License-Identifier: Apache-2.0
"""The throughput of two busy threads while they are profiled, as a share of what it is right before
and after; profiler and target share the same two CPUs."""
import os
import statistics

from bench import RUNS, Table, end, goal, have
from slices import SETTLE, Meter

SECONDS, ALONE = 2, 0.4
# What a profiler does at its start (to read symbols, for one) is not what it costs per second.
START = 1
GOALS = {100: 99.5, 1000: 96}


def rate(meter, window):
    return statistics.mean(line[1] for line in meter.during(window))


def main():
    cpus = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cpus)
    peers = ["cprof"] + (["perf dwarf"] if have("perf") else [])
    for hz, bound in GOALS.items():
        table = Table(f"throughput at {hz} Hz", "% of undisturbed", digits=2)
        with Meter("work", "100", "2", "20") as meter:
            alone = [rate(meter, meter.alone(ALONE))]
            for peer in (["nobody"] + peers) * RUNS:
                if peer == "nobody":
                    window = meter.alone(SECONDS - START - SETTLE)
                else:
                    window, _ = meter.profiled(peer, SECONDS, hz, START)
                alone.append(rate(meter, meter.alone(ALONE)))
                table.add(peer, 200 * rate(meter, window) / (alone[-2] + alone[-1]))
        table.print()
        noise = statistics.stdev(table.rows["nobody"]) / RUNS ** 0.5 if RUNS > 1 else 100
        print(f"nobody's profile: uncertain by {noise:.2f} %")
        goal(f"{hz} Hz: % of undisturbed", table.median("cprof") if noise < 100 - bound else None,
             bound, at_least=True)
    end()


if __name__ == "__main__":
    main()
