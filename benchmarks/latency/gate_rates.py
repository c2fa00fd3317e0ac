"""Alarm rates of the regression gate, simulated: how often it cries, how often it sees.

    python -m benchmarks.latency.gate_rates [--trials 1000] [--nights 14]

Each trial draws 14 nights and one more with a slowdown; noise inside a night and between nights is
normal. Printed is the share of trials in which the gate fails the run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from tfm_harness.findings import Report
from tfm_harness.latency import Clock, Night, Series, regression_gate

CLOCK = Clock(source="simulated", hz=1_000_000)
TICKS = 200_000.0
SLOWDOWNS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05)


def night(rng: np.random.Generator, within: float, between: float, slowdown: float = 0.0) -> Series:
    """One night's series of 30 values."""
    centre = TICKS * (1 + slowdown) * (1 + rng.normal(0, between))
    return Series(name="m", ticks=tuple(int(t) for t in rng.normal(centre, TICKS * within, 30)), clock=CLOCK)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--nights", type=int, default=14)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    print("noise within / between nights | alarms at slowdown " + " ".join(f"{s:7.1%}" for s in SLOWDOWNS))
    for within, between in ((0.001, 0.0), (0.001, 0.001), (0.001, 0.002), (0.001, 0.004), (0.005, 0.001)):
        rates, began = [], time.perf_counter()
        for slowdown in SLOWDOWNS:
            alarms = 0
            for _ in range(args.trials):
                nights = [Night(str(i), night(rng, within, between)) for i in range(args.nights)]
                report = Report()
                regression_gate(night(rng, within, between, slowdown), nights[-1], report, nights=nights)
                alarms += not report.ok
            rates.append(alarms / args.trials)
        each = (time.perf_counter() - began) / args.trials / len(SLOWDOWNS)
        print(
            f"{within:12.1%} / {between:5.1%}          |                    "
            + " ".join(f"{r:7.2%}" for r in rates)
            + f"   {each * 1e3:.1f} ms a judgement"
        )


if __name__ == "__main__":
    main()
