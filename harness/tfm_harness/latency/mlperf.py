"""MLPerf Tiny's rules as a mode, so that figures can be compared.

Source: mlcommons/tiny, benchmark runner: performance mode runs five inputs, each run at least 10 seconds
and 10 iterations on the device's own timestamps (1 kHz or better); the figure is the median of the five.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from statistics import median

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue
from tfm_harness.latency.clock import Clock

__all__ = ["MlperfRun", "check_mlperf", "plan_iterations", "run_mlperf"]

RUNS = 5
MIN_SECONDS = 10.0
MIN_ITERATIONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MlperfRun:
    """One run: the same input inferred `iterations` times.

    Attributes:
        input_digest: identifies the input (any text that differs for different inputs).
        ticks: of all iterations together, warm-ups excluded.
    """

    input_digest: str
    ticks: int
    iterations: int
    warmup: int = 0


def plan_iterations(ticks_each: float, clock: Clock) -> int:
    """Iterations that make a run long enough, with 5 % to spare.

    Raises:
        ValueError: an inference that takes no time.
    """
    if ticks_each <= 0:
        raise ValueError(f"an inference of {ticks_each:g} ticks")
    return max(MIN_ITERATIONS, math.ceil(1.05 * MIN_SECONDS * clock.hz / ticks_each))


def check_mlperf(runs: Sequence[MlperfRun], clock: Clock, report: Report, *, subject: str = "") -> float | None:
    """Check the rules; the figure of merit when they hold.

    Returns:
        Seconds per inference: the median of the five runs; None when a rule is broken.
    """
    inputs = {run.input_digest for run in runs}
    ok = report.add(
        catalogue.MLPERF_RUNS,
        len(runs) == RUNS and len(inputs) == RUNS,
        expected=f"{RUNS} runs with {RUNS} different inputs",
        seen=f"{len(runs)} runs with {len(inputs)} different inputs",
        subject=subject,
    )
    shortest = min((clock.seconds(run.ticks) for run in runs), default=0.0)
    ok &= report.add(
        catalogue.MLPERF_DURATION,
        shortest >= MIN_SECONDS,
        expected=f"each run at least {MIN_SECONDS:g} s",
        seen=f"shortest run {shortest:.3f} s",
        subject=subject,
    )
    fewest = min((run.iterations for run in runs), default=0)
    ok &= report.add(
        catalogue.MLPERF_ITERATIONS,
        fewest >= MIN_ITERATIONS,
        expected=f"each run at least {MIN_ITERATIONS} iterations",
        seen=f"fewest {fewest}",
        subject=subject,
    )
    return median(clock.seconds(run.ticks) / run.iterations for run in runs) if ok else None


def run_mlperf(
    measure: Callable[[bytes, int], int],
    inputs: Sequence[bytes],
    *,
    ticks_each: float,
    clock: Clock,
    warmup: int = 0,
) -> list[MlperfRun]:
    """Measure by the rules: for each input a warm-up, then as many iterations as make the run long enough.

    Args:
        measure: runs an input that many times on the device; returns the ticks of all of them together.
        inputs: five different inputs.
        ticks_each: the time of an inference, for planning. A run that was too short is repeated with more iterations,
            at most four times.
        warmup: iterations before each run, not counted.

    Raises:
        ValueError: an inference that takes no time.
    """
    runs = []
    for data in inputs:
        if warmup:
            measure(data, warmup)
        count = plan_iterations(ticks_each, clock)
        ticks = measure(data, count)
        for more in (1.0, 1.5, 2.0, 3.0):  # faster than planned: the plan was made with cold caches or on a noisy host
            if not 0 < clock.seconds(ticks) < MIN_SECONDS:
                break
            count = math.ceil(more * plan_iterations(ticks / count, clock))
            ticks = measure(data, count)
        runs.append(MlperfRun(input_digest=sha256(data).hexdigest(), ticks=ticks, iterations=count, warmup=warmup))
    return runs
