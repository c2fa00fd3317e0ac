"""Checks that times are steady: the tail against the median, outliers at regular distances, spread. Pure.

On a clock that counts instructions, or on silicon's own clock, the device causes a slow inference. If the host disturbs
the clock, single slow inferences show nothing; but outliers at a regular distance are never caused by the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue

__all__ = ["TAIL_RATIO", "check_constant", "check_periodic", "check_start", "check_tail", "regular_distance"]

TAIL_RATIO = 2.0
"""On an exact clock, the slowest inference may take so many times the median."""
START_SHARE = 0.03
"""The share of an inference's ticks that may pass between "input ready" and its start."""
SPREAD = 0.001
"""The allowed difference between the shortest and the longest signing, as a share of the median."""
_OUTLIER = 3.0
_LEAST_REPEATS = 5


def check_tail(ticks: Sequence[float], report: Report, *, subject: str = "") -> bool:
    """Judge, on an exact clock, the slowest time of a series against its median."""
    middle, most = median(ticks), max(ticks)
    slow = [index for index, value in enumerate(ticks) if value > TAIL_RATIO * middle]
    return report.add(
        catalogue.TAIL,
        not slow,
        expected=f"at most {TAIL_RATIO:g} times the median of {middle:.0f} ticks, in {len(ticks)} inferences",
        seen=f"{most:.0f} ticks; slow ones: numbers {', '.join(map(str, slow[:8]))}",
        where="inference",
        subject=subject,
    )


def check_periodic(series: Sequence[Sequence[float]], report: Report, *, subject: str = "") -> bool:
    """Judge, on any clock, whether every series has outliers at one regular distance."""
    distances = [regular_distance(ticks) for ticks in series]
    found = [distance for distance in distances if distance is not None]
    return report.add(
        catalogue.PERIODIC,
        len(found) < len(series) or not found,
        expected="slow inferences, if any, at irregular distances",
        seen=f"every {found[0] if found else 0}th inference is slow",
        where="inference",
        subject=subject,
    )


def regular_distance(ticks: Sequence[float]) -> int | None:
    """The distance between regular outliers: all places of one phase are outliers, at least five of them."""
    limit = _OUTLIER * median(ticks)
    slow = {index for index, value in enumerate(ticks) if value > limit}
    for distance in range(2, len(ticks) // _LEAST_REPEATS + 1):
        for phase in range(distance):
            places = range(phase, len(ticks), distance)
            if len(places) >= _LEAST_REPEATS and slow.issuperset(places):
                return distance
    return None


def check_start(marks: Sequence[Sequence[int]], report: Report, *, subject: str = "") -> bool:
    """Judge the time between "input ready" and inference start, which needs no work; the best request counts.

    Args:
        marks: for each request its eight ticks (`tfm_harness.latency.phases.MARKS`).
    """
    shares = [(each[3] - each[2]) / max(each[4] - each[3], 1) for each in marks]
    least = min(shares)
    return report.add(
        catalogue.START_AT_INPUT,
        least <= START_SHARE,
        expected=f"at most {START_SHARE:.0%} of the inference's ticks between input ready and inference start",
        seen=f"{least:.1%}",
        where="inference",
        subject=subject,
    )


def check_constant(ticks: Sequence[int], report: Report, *, subject: str = "") -> bool:
    """Judge, on an exact clock, that signing takes the same ticks whatever is signed; zero ticks are no measurement."""
    middle = median(ticks)
    spread = max(ticks) - min(ticks)
    return report.add(
        catalogue.CONSTANT_SIGNING,
        min(ticks) > 0 and spread <= SPREAD * middle,
        expected=f"{len(ticks)} signings within {SPREAD:.1%} of {middle:.0f} ticks, and above 0",
        seen=f"{min(ticks)} to {max(ticks)} ticks, {spread / max(middle, 1):.2%}",
        where="signing",
        subject=subject,
    )
