"""dudect: t of two classes against SciPy's definition by hand; what must be found, what must not, and no verdict."""

from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ET

import pytest
from tfm_harness.findings import Policy, Report
from tfm_harness.latency import LEAST_MEASUREMENTS, catalogue, check_dudect, dudect
from tfm_harness.report.svg import standing_alone, t_values

HALF = LEAST_MEASUREMENTS // 2


def noisy(rng: random.Random, count: int, *, mean: float = 5000.0, spread: float = 20.0) -> list[float]:
    """Times with the long tail that interrupts make."""
    return [rng.gauss(mean, spread) + (rng.random() < 0.02) * rng.random() * 5000 for _ in range(count)]


def ok(fixed: list[float], other: list[float]) -> bool:
    report = Report(policy=Policy.DEV)
    check_dudect(fixed, other, catalogue.DUDECT_TAG, report, subject="x")
    return report.ok


def test_t_is_welchs() -> None:
    """The example of three and four values, by hand: means 2 and 5, variances 1 and 5/3."""
    found = dudect([1, 2, 3], [3.5, 4.5, 5.5, 6.5])
    assert found.raw == pytest.approx((2 - 5) / math.sqrt(1 / 3 + (5 / 3) / 4))
    assert found.means == (2, 5)
    assert not found.enough


@pytest.mark.parametrize("seed", range(8))
def test_equal_classes_pass(seed: int) -> None:
    rng = random.Random(seed)
    assert ok(noisy(rng, HALF), noisy(rng, HALF))


@pytest.mark.parametrize("seed", range(3))
def test_a_small_shift_is_found_behind_a_long_tail(seed: int) -> None:
    rng = random.Random(seed)
    fixed, other = noisy(rng, HALF), noisy(rng, HALF, mean=5003.0)
    found = dudect(fixed, other)
    assert abs(found.raw) < found.worst  # the cropped times show what the tail hides
    assert found.worst > 4.5
    assert not ok(fixed, other)


def test_a_difference_in_spread_alone_is_found() -> None:
    rng = random.Random(1)
    fixed = [rng.gauss(5000, 20) for _ in range(HALF)]
    other = [rng.gauss(5000, 30) for _ in range(HALF)]
    assert abs(dudect(fixed, other).second) > 10
    assert not ok(fixed, other)


def test_counted_instructions() -> None:
    """No noise: equal constants are 0, and one instruction is infinitely much."""
    assert ok([700.0] * HALF, [700.0] * HALF)
    assert dudect([700.0] * HALF, [700.0] * HALF).worst == 0
    assert dudect([700.0] * HALF, [701.0] * HALF).raw == -math.inf
    assert not ok([700.0] * HALF, [701.0] * HALF)
    early = [640.0 + 4 * (n % 256 == 0) for n in range(HALF)]  # ends at the first byte, once in 256 at the second
    assert not ok([700.0] * HALF, early)
    rare = [700.0] * (HALF - 40) + [704.0] * 40
    assert not ok([700.0] * HALF, rare)


@pytest.mark.parametrize(("fixed", "other"), [(HALF, HALF - 1), (LEAST_MEASUREMENTS, 2), (2, LEAST_MEASUREMENTS)])
def test_too_few_measurements_give_no_verdict(fixed: int, other: int) -> None:
    report = Report()
    with pytest.raises(ValueError, match="at least 10000 are needed"):
        check_dudect([1.0] * fixed, [2.0] * other, catalogue.DUDECT_TAG, report)
    assert report.findings == []


@pytest.mark.parametrize(("fixed", "other"), [([], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([1.0, math.nan], [1.0, 2.0])])
def test_what_is_no_series_is_refused(fixed: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="two times at least"):
        dudect(fixed, other)


@pytest.mark.parametrize("values", [[("raw", 0.0)], [("raw", math.inf), ("99 %", -3.0), ("2nd <&", 1e6)]])
def test_the_plot_is_a_file_of_its_own(values: list[tuple[str, float]]) -> None:
    chart = standing_alone(t_values(values, (4.5, 10.0), title="tag & digest"))
    root = ET.fromstring(chart)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    circles = [each for each in root.iter() if each.tag.endswith("circle")]
    assert len(circles) == len(values)
    assert "style" in {each.tag.rpartition("}")[2] for each in root}
    assert not t_values([], (4.5,), title="nothing")


@pytest.mark.parametrize(("shift", "word"), [(0.0, "even"), (2.4, "suspicious"), (30.0, "certain")])
def test_a_finding_says_how_sure_it_is(shift: float, word: str) -> None:
    rng = random.Random(4)
    times = [rng.gauss(5000, 20) for _ in range(HALF)]
    report = Report(policy=Policy.DEV)
    check_dudect(times, [time + shift for time in times[::-1]], catalogue.DUDECT_TAG, report, subject="x")
    assert word in report.findings[0].seen


BATCH = 32


def counted(rng: random.Random, more: float = 0.0) -> tuple[list[float], list[float]]:
    """Times by a counter of 1.024 ticks an instruction: what a batch begins with, all its times are cut down alike by.

    Args:
        rng: draws which class comes next, and the counter's phase at a batch's beginning.
        more: instructions that the second class takes more.
    """
    times: tuple[list[float], list[float]] = [], []
    while sum(map(len, times)) < LEAST_MEASUREMENTS:
        which = rng.random() < 0.5
        ticks = (29_689 + which * more) * 1.024
        phase = rng.random()
        times[which].extend([math.floor(phase + ticks) - math.floor(phase)] * BATCH)
    return times


def test_times_that_one_phase_of_the_counter_cuts_down_alike_are_no_leak() -> None:
    seeds = [counted(random.Random(seed)) for seed in range(20)]
    assert max(dudect(*times).worst for times in seeds) > 4.5  # as if each time stood for itself
    assert max(dudect(*times, batch=BATCH).worst for times in seeds) < 4.5


@pytest.mark.parametrize("seed", range(4))
def test_one_instruction_more_is_found_behind_the_counters_phase(seed: int) -> None:
    assert dudect(*counted(random.Random(seed), more=1), batch=BATCH).raw < -4.5


def test_batches_of_independent_times_change_nothing_much() -> None:
    rng = random.Random(3)
    times = noisy(rng, HALF), noisy(rng, HALF, mean=5001.0)
    assert dudect(*times, batch=BATCH).raw == pytest.approx(dudect(*times).raw, rel=0.2)


def test_a_batch_holds_a_time_at_least() -> None:
    with pytest.raises(ValueError, match="batches of 0"):
        dudect([1.0, 2.0], [1.0, 2.0], batch=0)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_class_whose_batches_err_alike_has_only_as_many_times_as_batches(*, swapped: bool) -> None:
    """Whichever class it is: the other one's times stand for themselves, and hardly spread."""
    rng = random.Random(8)
    alike = [time for time in noisy(rng, HALF // BATCH) for _ in range(BATCH)]
    still = [5003.0 + n % 2 / 100 for n in range(HALF)]
    times = (still, alike) if swapped else (alike, still)
    assert dudect(*times, batch=BATCH).raw == pytest.approx(dudect(*times).raw / math.sqrt(BATCH), rel=0.05)
