"""Proves that a counter can be trusted.

Two readings show that it moves; readings far apart, each between two host times, bound its rate; the
time of a whole run shows that the timed intervals contain the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue
from tfm_harness.latency.clock import Clock
from tfm_harness.latency.series import Series

__all__ = [
    "MIN_SHARE",
    "CounterReading",
    "RateBounds",
    "check_counter",
    "check_rate",
    "check_run_accounts",
    "elapsed_ticks",
    "run_share",
]

MIN_SHARE = 0.85
"""The least share of a run that its timed inferences must take."""

RATE_TOLERANCE = 0.01
"""Allowed deviation of the rate: crystals are within 100 ppm, RC oscillators that run firmware within 1 %."""


def elapsed_ticks(start: int, end: int, bits: int) -> int:
    """Ticks from `start` to `end` of a counter of `bits` bits that wrapped at most once."""
    return (end - start) % (1 << bits)


@dataclass(frozen=True, slots=True)
class CounterReading:
    """One reading: the device took `ticks` somewhere between two host times in seconds (monotonic)."""

    before: float
    ticks: int
    after: float


@dataclass(frozen=True, slots=True)
class RateBounds:
    """Limits of the counter's rate, in ticks per second of host time."""

    low: float
    high: float


def check_counter(
    clock: Clock,
    *,
    start: int,
    end: int,
    host_seconds: float,
    report: Report,
    bound: float = 1.0,
    subject: str = "",
) -> bool:
    """Judge whether the counter moves, and whether its time fits the host's.

    Args:
        start, end: readings on the device around a piece of work.
        host_seconds: host time from before the request to after the answer.
        bound: host seconds that may remain unexplained (transport, scheduling).

    Returns:
        True when all findings passed. If the clock does not follow the host, only its movement is judged.
    """
    ticks = elapsed_ticks(start, end, clock.bits)
    moves = report.add(
        catalogue.COUNTER_MOVES,
        ticks > 0,
        expected=f"{clock.source} advances",
        seen=f"{start} before, {end} after {host_seconds:.3f} s of host time",
        subject=subject,
    )
    if not moves or not clock.follows_host:
        return moves
    device = clock.seconds(ticks)
    # If the counter may have wrapped more than once, only a lower bound is known.
    may_wrap = host_seconds >= clock.wrap_seconds
    fits = device <= host_seconds * (1 + RATE_TOLERANCE) and (may_wrap or host_seconds - device <= bound)
    return report.add(
        catalogue.COUNTER_WITHIN_HOST,
        fits,
        expected=f"device time within {host_seconds:.6f} s of host time, at most {bound:g} s unexplained",
        seen=f"{ticks} ticks at {clock.hz} Hz = {device:.6f} s",
        where=clock.source,
        subject=subject,
    )


def check_rate(clock: Clock, readings: Sequence[CounterReading], report: Report, *, subject: str = "") -> RateBounds:
    """Bound the counter's rate from readings far apart and compare with the declared frequency.

    The bound narrows as the readings' distance grows against their round trips: 2 s apart with 5 ms
    round trips gives +-0.25 %.

    Args:
        readings: at least two, in order, total distance below the counter's wrap time.

    Returns:
        The bounds.

    Raises:
        ValueError: fewer than two readings, out of order, or further apart than the counter's wrap.
    """
    if len(readings) < 2:
        raise ValueError("a rate needs at least two readings")
    first, last = readings[0], readings[-1]
    if any(r.after < r.before for r in readings) or last.before <= first.after:
        raise ValueError("readings out of order or overlapping")
    if last.after - first.before >= clock.wrap_seconds:
        raise ValueError(
            f"readings {last.after - first.before:.3f} s apart, counter wraps in {clock.wrap_seconds:.3f} s"
        )
    ticks = elapsed_ticks(first.ticks, last.ticks, clock.bits)
    bounds = RateBounds(ticks / (last.after - first.before), ticks / (last.before - first.after))
    moves = report.add(
        catalogue.COUNTER_MOVES,
        ticks > 0,
        expected=f"{clock.source} advances",
        seen=f"{first.ticks} and {last.ticks}, {last.before - first.after:.3f} s apart",
        subject=subject,
    )
    if moves and clock.follows_host:
        report.add(
            catalogue.COUNTER_RATE,
            bounds.low <= clock.hz * (1 + RATE_TOLERANCE) and bounds.high >= clock.hz * (1 - RATE_TOLERANCE),
            expected=f"{clock.hz} Hz +- {RATE_TOLERANCE:.0%}",
            seen=f"between {bounds.low:.0f} and {bounds.high:.0f} Hz of host time",
            where=clock.source,
            subject=subject,
        )
    return bounds


def run_share(series: Series, *, start: int, end: int) -> float:
    """Share of a run's ticks inside its timed inferences, as `check_run_accounts` judges it."""
    timed, whole = _timed(series, start, end)
    return timed / whole if whole else 0.0


def _timed(series: Series, start: int, end: int) -> tuple[int, int]:
    whole = elapsed_ticks(start, end, series.clock.bits)
    ordered = sorted(series.ticks)
    median = ordered[len(ordered) // 2] if ordered else 0
    return sum(series.ticks) + series.warmup * median, whole


def check_run_accounts(
    series: Series, *, start: int, end: int, report: Report, min_share: float = MIN_SHARE, subject: str = ""
) -> float:
    """Judge whether the timed inferences account for the run's time.

    A device that stops its clock before the work reports short intervals in a long run.

    Args:
        series: the run's timings; warm-ups ran between `start` and `end` too.
        start, end: the counter around the whole run.
        min_share: least share of the run that inferences (warm-ups at the median) must fill.

    Returns:
        The share.
    """
    timed, whole = _timed(series, start, end)
    share = timed / whole if whole else 0.0
    report.add(
        catalogue.RUN_ACCOUNTS,
        min_share <= share <= 1 + RATE_TOLERANCE,
        expected=f"{min_share:.0%} to 100 % of the run's {whole} ticks inside timed inferences",
        seen=f"{timed} ticks = {share:.1%} ({len(series.ticks)} timed, {series.warmup} warm-ups)",
        where="inference",
        subject=subject or series.name,
    )
    return share
