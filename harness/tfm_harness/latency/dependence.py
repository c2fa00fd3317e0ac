"""Tests whether a time depends on a value, by rank correlation of timings with values that may leak. Pure.

Some implementations mask their secrets with random numbers, so their time varies without revealing anything (Mbed TLS
randomises coordinates and inversions). Then the spread is no evidence; the question is whether the time correlates with
the secret number or with the signed data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue
from tfm_harness.latency.statistics import mid_ranks

__all__ = ["LEAST_TIMINGS", "check_independent", "rank_correlation"]

LEAST_TIMINGS = 48
"""The fewest timings: with fewer, a random order shows as much correlation."""
_LIMIT = 4.9
"""The limit in standard deviations: one false alarm in a million values (two-sided, normal)."""
_SPEARMAN_VARIANCE = 1.06
"""The variance factor of Fisher's z for rank correlations (Fieller, Hartley, Pearson: Biometrika 44, 1957)."""


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Spearman's coefficient, -1 to 1; 0 when one of them does not vary."""
    import numpy as np

    (first, _), (second, _) = mid_ranks(left), mid_ranks(right)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def check_independent(
    ticks: Sequence[int], values: Mapping[str, Sequence[int]], report: Report, *, subject: str = ""
) -> bool:
    """Judge that the times of an operation that is declared to be masked correlate with none of the given values.

    Args:
        ticks: the time of each operation, on an exact clock; at least `LEAST_TIMINGS`.
        values: for each name one value of every operation, in the same order (such as the secret number's length).

    Raises:
        ValueError: fewer timings than `LEAST_TIMINGS`; a coefficient would mean nothing.
    """
    if len(ticks) < LEAST_TIMINGS:
        raise ValueError(f"{len(ticks)} timings; at least {LEAST_TIMINGS} are needed")
    limit = math.tanh(_LIMIT * math.sqrt(_SPEARMAN_VARIANCE / (len(ticks) - 3)))
    found = {name: rank_correlation(ticks, each) for name, each in values.items()}
    follows = {name: value for name, value in found.items() if abs(value) > limit}
    names = ", ".join(values)
    return report.add(
        catalogue.SIGNING_INDEPENDENT,
        not follows,
        expected=f"{len(ticks)} signings whose time follows none of: {names} (rank correlation under {limit:.2f})",
        seen=", ".join(f"it follows the {name}: {value:+.2f}" for name, value in follows.items()),
        where="signing",
        subject=subject,
    )
