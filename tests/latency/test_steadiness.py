"""Tail, regular outliers, start and spread: what must fail, and what must not."""

from __future__ import annotations

import random

from tfm_harness.findings import Report
from tfm_harness.latency.steadiness import check_constant, check_periodic, check_start, check_tail, regular_distance


def verdict(check: object, *arguments: object) -> bool:
    report = Report()
    held = check(*arguments, report)  # type: ignore[operator] # one of the four
    assert held == (not report.failed)
    return bool(held)


STEADY = [1000 + n % 3 for n in range(200)]
EVERY_40TH = [10_000 if n % 40 == 39 else 1000 for n in range(300)]
ONCE = [1000] * 150 + [2100] + [1000] * 49


def test_the_slowest_inference_is_judged_against_the_median() -> None:
    assert verdict(check_tail, STEADY)
    assert not verdict(check_tail, EVERY_40TH)
    assert not verdict(check_tail, ONCE)
    assert verdict(check_tail, [1000] * 150 + [1990])


def test_outliers_at_a_regular_distance_are_the_devices() -> None:
    assert regular_distance(EVERY_40TH) == 40
    assert regular_distance(STEADY) is None
    assert not verdict(check_periodic, [EVERY_40TH, EVERY_40TH[7:]])
    assert verdict(check_periodic, [EVERY_40TH, STEADY])  # not in every series: the host's


def test_a_busy_hosts_outliers_are_no_finding() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        series = [[50_000 if rng.random() < 0.1 else 1000 for _ in range(300)] for _ in range(2)]
        assert verdict(check_periodic, series), seed


def test_the_start_is_where_the_input_is_ready() -> None:
    good = [0, 10, 20, 22, 1022, 1100, 5000, 5010]
    late = [0, 10, 20, 320, 1022, 1100, 5000, 5010]
    assert verdict(check_start, [late, good, late])  # once torn apart by the host
    assert not verdict(check_start, [late, late])


def test_signing_takes_the_same_time() -> None:
    assert verdict(check_constant, [7_382_626, 7_382_627, 7_382_700])
    assert not verdict(check_constant, [7_450_900, 7_469_332, 7_455_000])
    assert not verdict(check_constant, [0, 0, 0])  # the device took no time, or did not measure it
    assert not verdict(check_constant, [-1, -1, -1])


def test_five_outliers_at_any_distance_are_regular_and_four_are_not() -> None:
    """Whichever inference is the first of them. At a distance of two half of all are slow, and so is the median."""
    for distance in range(3, 13):
        for phase in range(distance):
            ticks = [1000.0 + 9000 * (at % distance == phase) for at in range(5 * distance)]
            assert regular_distance(ticks) == distance, (distance, phase)
            assert regular_distance(ticks[: 4 * distance]) is None
