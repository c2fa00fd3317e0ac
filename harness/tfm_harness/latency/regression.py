"""The regression gate: is the model slower than before, and is that certain?

There are two comparisons. With the accepted baseline: a rank test and a bootstrap interval must both show slower
times, by more than a practical threshold. With the last nights: tonight's median is compared with the median of
their medians; the threshold grows with the differences between nights. A deterministic counter has no spread within
a night, so only the spread between nights prevents false alarms. Nights that were too slow themselves do not count
for the spread: a farm runs several builds, and one that is always slower than the others would widen the threshold
until it passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue
from tfm_harness.latency.series import Series
from tfm_harness.latency.statistics import bootstrap_ratio, mann_whitney_greater

__all__ = ["GateResult", "Night", "regression_gate"]

THRESHOLD = 0.01
"""The practical threshold: a smaller change of the median is never a regression."""

ALPHA = 0.001
"""The level of the rank test."""

MIN_VALUES = 8
"""The fewest values on each side: with fewer, the test cannot reach `ALPHA`, and the normal approximation fails."""

NIGHTS = 14
MIN_NIGHTS = 5
SPREAD_FACTOR = 4.0
"""A change must exceed this many robust standard deviations between nights, when those are known."""


@dataclass(frozen=True, slots=True)
class Night:
    """One earlier run: its identity and its series."""

    run: str
    series: Series


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of the gate.

    Attributes:
        verdict: ``no-baseline``, ``not-comparable``, ``not-judged``, ``passed``, ``faster``, ``slower`` or ``drift``.
        change: relative change of the median against the baseline, None without one.
        p_value: of the rank test, None when it did not run.
        interval: 99 % bootstrap interval of the relative change.
        drift: relative change against the median of the last nights, None with fewer than `MIN_NIGHTS`.
        nights: the number of comparable nights.
    """

    verdict: str
    change: float | None = None
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    drift: float | None = None
    nights: int = 0

    def words(self) -> dict[str, str]:
        """The figures for people, by name."""
        words = {"verdict": self.verdict}
        if self.change is not None:
            words["change"] = f"{self.change:+.2%} of the median"
        if self.interval is not None:
            words["99 % interval"] = f"{self.interval[0]:+.2%} to {self.interval[1]:+.2%}"
        if self.p_value is not None:
            words["p (slower)"] = f"{self.p_value:.2g}"
        if self.drift is not None:
            words["drift"] = f"{self.drift:+.2%} against {self.nights} nights"
        return words


def regression_gate(
    current: Series,
    baseline: Night | None,
    report: Report,
    *,
    nights: Sequence[Night] = (),
    threshold: float = THRESHOLD,
    alpha: float = ALPHA,
) -> GateResult:
    """Judge `current` against the accepted baseline and the last nights; append findings.

    Args:
        baseline: the accepted baseline, None on the first night.
        nights: earlier runs, oldest first; the last `NIGHTS` comparable ones count.
        threshold: relative change of the median that matters.
        alpha: level of the rank test.
    """
    subject = current.name
    if not report.add(
        catalogue.GATE_JUDGED,
        current.clock.quality.carries_change,
        expected="a clock that repeats",
        seen=f"{current.clock.source}: {current.clock.quality.note}",
        subject=subject,
    ):
        return GateResult("not-judged")
    medians = [median(n.series.values) for n in nights if not _incomparable(current, n.series)][-NIGHTS:]
    accepted = None if baseline is None or _incomparable(current, baseline.series) else median(baseline.series.values)
    spread = _spread(_calm(medians, accepted, threshold))
    first = "first night" if not medians else f"{len(medians)} earlier nights, none of them accepted"
    if not report.add(
        catalogue.BASELINE,
        baseline is not None,
        expected="an accepted baseline",
        seen=f"no baseline: {first} for this model, board and clock",
        subject=subject,
    ):
        limit = max(threshold, SPREAD_FACTOR * spread)
        drift = _drift(current, medians, limit, report) if not _incomparable(current, current) else None
        verdict = "drift" if drift is not None and drift > limit else "no-baseline"
        return GateResult(verdict, drift=drift, nights=len(medians))
    assert baseline is not None  # noqa: S101 - the check above returned
    reason = _incomparable(current, baseline.series)
    if not report.add(
        catalogue.GATE_JUDGED,
        not reason,
        expected=f"a series comparable with baseline {baseline.run}",
        seen=reason,
        subject=subject,
    ):
        return GateResult("not-comparable")
    # One night against one night has the variance of two; one night against many has that of one.
    limit = max(threshold, SPREAD_FACTOR * math.sqrt(2) * spread)
    now, then = current.values, baseline.series.values
    reference = median(then)
    change = median(now) / reference - 1
    p_slower, p_faster = mann_whitney_greater(now, then), mann_whitney_greater(then, now)
    low, high = (bound - 1 for bound in bootstrap_ratio(now, then))
    slower = change > limit and p_slower < alpha and low > 0
    faster = change < -limit and p_faster < alpha and high < 0
    words = f"{change:+.2%} (99 % interval {low:+.2%} to {high:+.2%}, p = {min(p_slower, p_faster):.2g})"
    report.add(
        catalogue.NOT_SLOWER,
        not slower,
        expected=f"median at most {limit:.2%} above {reference:,.10g} ticks of {baseline.run}",
        seen=f"median {median(now):,.10g} ticks, {words}",
        where="inference",
        subject=subject,
    )
    report.add(
        catalogue.FASTER,
        not faster,
        expected=f"median at most {limit:.2%} below {reference:,.10g} ticks of {baseline.run}",
        seen=f"median {median(now):,.10g} ticks, {words}",
        where="inference",
        subject=subject,
    )
    drift_limit = max(threshold, SPREAD_FACTOR * spread)
    drift = _drift(current, medians, drift_limit, report)
    verdict = (
        "slower"
        if slower
        else "drift"
        if drift is not None and drift > drift_limit
        else "faster"
        if faster
        else "passed"
    )
    return GateResult(verdict, change, p_slower, (low, high), drift, len(medians))


def _calm(medians: Sequence[float], accepted: float | None, threshold: float) -> list[float]:
    """The nights that were not too slow by the rule of their time, oldest first.

    Args:
        medians: the medians of all nights, oldest first.
        accepted: median of the baseline; without one, a night is compared with the median of the nights before it.
        threshold: as for the gate.
    """
    calm: list[float] = []
    for value in medians:
        middle = accepted if accepted is not None else median(calm) if len(calm) >= MIN_NIGHTS else value
        limit = max(threshold, SPREAD_FACTOR * math.sqrt(2) * _spread(calm))
        if value <= middle * (1 + limit):
            calm.append(value)
    return calm


def _spread(medians: Sequence[float]) -> float:
    """Relative standard deviation between nights, from the steps between neighbours: a trend does not widen it."""
    if len(medians) < MIN_NIGHTS:
        return 0.0
    steps = [b - a for a, b in pairwise(medians)]
    middle = median(steps)
    # MAD to standard deviation of a normal distribution; a step has the variance of two nights.
    return 1.4826 * median(abs(s - middle) for s in steps) / math.sqrt(2) / median(medians)


def _drift(current: Series, medians: Sequence[float], limit: float, report: Report) -> float | None:
    if len(medians) < MIN_NIGHTS:
        return None
    middle = median(medians)
    change = median(current.values) / middle - 1
    report.add(
        catalogue.DRIFT,
        change <= limit,
        expected=f"at most {limit:.2%} above the median {middle:,.10g} ticks of the last {len(medians)} nights",
        seen=f"{change:+.2%}",
        where="inference",
        subject=current.name,
    )
    return change


def _incomparable(a: Series, b: Series) -> str:
    """The reason why two series must not be compared; empty when they may."""
    facts: Mapping[str, tuple[object, object]] = {
        "model": (a.name, b.name),
        "board": (a.board, b.board),
        "counter": (a.clock.source, b.clock.source),
        "counter frequency": (a.clock.hz, b.clock.hz),
        "clock quality": (a.clock.quality.value, b.clock.quality.value),
        "environment": (dict(a.environment), dict(b.environment)),
    }
    differing = [f"{name}: {now} now, {then} then" for name, (now, then) in facts.items() if now != then]
    for which, series in (("now", a), ("then", b)):
        if len(series.ticks) < MIN_VALUES:
            differing.append(f"only {len(series.ticks)} values {which}, {MIN_VALUES} needed")
        elif median(series.values) <= 0:
            differing.append(f"median {median(series.values):g} ticks {which}")
    return "; ".join(differing)
