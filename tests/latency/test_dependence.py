"""Times that follow a secret, and times that only vary."""

from __future__ import annotations

import random

import pytest
from tfm_harness.findings import Report
from tfm_harness.latency.dependence import LEAST_TIMINGS, check_independent, rank_correlation

SECRETS = 200


def numbers(rng: random.Random) -> list[int]:
    return [rng.getrandbits(256) for _ in range(64)]


def judged(ticks: list[int], secrets: list[int]) -> bool:
    values = {"length": [k.bit_length() for k in secrets], "one bits": [k.bit_count() for k in secrets]}
    return check_independent(ticks, values, Report())


def test_masked_times_pass() -> None:
    for seed in range(SECRETS):
        rng = random.Random(seed)
        assert judged([17_650_000 + rng.randrange(90_000) for _ in range(64)], numbers(rng)), seed


def test_times_that_follow_the_length_of_the_secret_fail() -> None:
    """Each leading zero bit saves one round of 256; the mask's noise is as large as one round."""
    for seed in range(SECRETS):
        rng = random.Random(seed)
        secrets = numbers(rng)
        ticks = [65_000 * k.bit_length() + rng.randrange(65_000) for k in secrets]
        assert not judged(ticks, secrets), seed


def test_times_that_follow_the_bits_fail() -> None:
    rng = random.Random(1)
    secrets = numbers(rng)
    report = Report()
    ones = {"one bits of the secret": [k.bit_count() for k in secrets]}
    assert not check_independent([7_000_000 - 200 * k.bit_count() + rng.randrange(900) for k in secrets], ones, report)
    (finding,) = report.failed
    assert finding.check.id == "latency.signing-independent"
    assert "it follows the one bits of the secret: -0." in finding.seen


def test_a_constant_time_passes() -> None:
    assert judged([7_382_626] * 64, numbers(random.Random(2)))


def test_the_limit_is_that_of_so_many_timings() -> None:
    """Fisher's transform: tanh(4.9 sqrt(1.06 / (n - 3))) for 49 timings is 0.632."""
    report = Report()
    assert not check_independent(list(range(49)), {"length": list(range(49))}, report)
    assert report.failed[0].expected.endswith("(rank correlation under 0.63)")


def test_too_few_timings_mean_nothing() -> None:
    few = LEAST_TIMINGS - 1
    with pytest.raises(ValueError, match="at least 48"):
        check_independent(list(range(few)), {"length": list(range(few))}, Report())


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [([1, 2, 3], [10, 20, 30], 1.0), ([1, 2, 3], [3, 2, 1], -1.0), ([1, 1, 1], [1, 2, 3], 0.0)],
)
def test_rank_correlation(left: list[float], right: list[float], expected: float) -> None:
    assert rank_correlation(left, right) == pytest.approx(expected)


def test_equal_values_share_a_rank() -> None:
    # By hand: ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3 give 4.5 / sqrt(4.5 * 5).
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
