"""Statistics against hand calculation and against figures of SciPy 1.17 (mannwhitneyu, one-sided, asymptotic)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from tfm_harness.latency.statistics import (
    bootstrap_median,
    bootstrap_ratio,
    mann_whitney_greater,
    percentile,
    summarise,
)


def test_summary_by_hand() -> None:
    found = summarise([5, 1, 2, 4, 3, 100])
    assert (found.n, found.min, found.median, found.max) == (6, 1, 3.5, 100)
    assert found.mad == 1.5
    assert found.p90 == 100
    assert found.mean == pytest.approx(115 / 6)
    assert found.ci_low <= 3.5 <= found.ci_high
    assert found.get("p99") == 100
    assert found.scaled(2).median == 7
    assert found.scaled(2).n == 6
    with pytest.raises(ValueError, match="no statistic"):
        found.get("p50")


def test_percentiles_are_values_that_occurred() -> None:
    ordered = list(range(1, 101))
    assert percentile(ordered, 0.99) == 99
    assert percentile(ordered, 0.90) == 90
    assert percentile([7.0], 0.5) == 7.0


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_nothing_and_not_a_number_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        summarise(values)


def test_bootstrap_is_seeded_and_covers() -> None:
    rng = np.random.default_rng(1)
    assert bootstrap_median(rng.normal(size=50), seed=3) != bootstrap_median(rng.normal(size=50), seed=3)
    data = rng.normal(size=50)
    assert bootstrap_median(data, seed=3) == bootstrap_median(data, seed=3)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_median(np.random.default_rng(seed).normal(10, 1, 40), seed=seed, confidence=0.95)
        hits += low <= 10 <= high
    assert hits >= 182  # 95 % of 200, three binomial deviations below


def test_constant_series_have_a_point_as_interval() -> None:
    assert bootstrap_median([5.0] * 20) == (5.0, 5.0)
    assert bootstrap_ratio([6.0] * 20, [5.0] * 20) == (1.2, 1.2)


def test_mann_whitney_known_values() -> None:
    assert mann_whitney_greater([1.0] * 10, [1.0] * 10) == 1.0
    x, y = [1.1, 2.2, 3.3, 4.4, 5.5, 6.6, 7.7, 8.8], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    assert mann_whitney_greater(x, y) == pytest.approx(0.2641543596176924, rel=1e-9)
    assert mann_whitney_greater([3, 3, 4, 4, 5, 5, 6, 6], [1, 2, 3, 3, 4, 4, 5, 5]) == pytest.approx(
        0.0733552134593843, rel=1e-9
    )


def test_mann_whitney_is_near_the_exact_distribution() -> None:
    """All ways to rank 6 among 12: the approximation is within 0.01 of the exact tail."""
    ranks = np.arange(12)
    sums = np.array([sum(pick) for pick in combinations(ranks, 6)])
    for picked in ([6, 7, 8, 9, 10, 11], [0, 3, 6, 7, 10, 11], [2, 4, 5, 8, 9, 11], [0, 1, 2, 3, 4, 5]):
        others = [r for r in ranks if r not in picked]
        exact = float((sums >= sum(picked)).mean())
        assert mann_whitney_greater(picked, others) == pytest.approx(exact, abs=0.01)
