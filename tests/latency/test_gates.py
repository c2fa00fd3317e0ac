"""Budgets, the regression gate with its simulation, MLPerf Tiny's rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tfm_harness.boards.base import ClockQuality as BoardClockQuality
from tfm_harness.findings import Report, Status
from tfm_harness.latency import (
    Budget,
    Clock,
    ClockQuality,
    MlperfRun,
    Night,
    Series,
    check_budget,
    check_mlperf,
    plan_iterations,
    regression,
    regression_gate,
    run_mlperf,
)
from tfm_harness.latency.regression import ALPHA

CLOCK = Clock(source="dwt-cyccnt", hz=1_000_000)


def make(
    ticks: list[int] | npt.NDArray[Any], quality: ClockQuality = ClockQuality.CYCLE_EXACT, **facts: object
) -> Series:
    clock = replace(CLOCK, quality=quality)
    return Series(**{"name": "tamper", "ticks": tuple(int(t) for t in ticks), "clock": clock, **facts})  # type: ignore[arg-type]  # fields by name


def failed(report: Report) -> list[str]:
    return [f.id for f in report.failed]


def test_clock_qualities_are_the_boards_words() -> None:
    assert {q.value for q in ClockQuality} == {q.value for q in BoardClockQuality}
    assert all(q.note for q in ClockQuality)


def test_budget_passes_and_fails_on_a_real_clock() -> None:
    series = make([1000] * 98 + [5000] * 2)
    for budget, ok in (
        (Budget(model="tam*", seconds=1.1e-3, statistic="median"), True),
        (Budget(model="tam*", seconds=1.1e-3, statistic="p99"), False),
        (Budget(model="tam*", seconds=5e-3, statistic="max"), True),
    ):
        report = Report()
        assert check_budget(series, budget, report) is ok
        assert report.ok is ok
        assert budget.covers("tamper")
        assert not budget.covers("sine")


@pytest.mark.parametrize("quality", [ClockQuality.DETERMINISTIC, ClockQuality.MEANINGLESS])
def test_budget_is_never_judged_on_a_clock_that_cannot_carry_it(quality: ClockQuality) -> None:
    for seconds in (1e-9, 1e9):
        report = Report()
        assert check_budget(make([1000] * 20, quality), Budget(model="*", seconds=seconds), report) is None
        assert [f.id for f in report] == ["latency.budget-judged"]
        assert report.status(report.findings[0]) is Status.NOTED
        assert "not judged" in report.findings[0].seen


# --- regression gate -------------------------------------------------------------------------------


def night(name: str, series: Series) -> Night:
    return Night(name, series)


def test_the_first_night_says_so() -> None:
    report = Report()
    result = regression_gate(make([1000] * 30), None, report)
    assert result.verdict == "no-baseline"
    assert report.ok
    (noted,) = report.by_status(Status.NOTED)
    assert "no baseline" in noted.seen


def test_a_clock_without_meaning_is_not_judged() -> None:
    report = Report()
    base = make([1000] * 30, ClockQuality.MEANINGLESS)
    slower = make([9000] * 30, ClockQuality.MEANINGLESS)
    assert regression_gate(slower, night("n1", base), report).verdict == "not-judged"
    assert report.ok


def test_deterministic_counters_see_small_changes() -> None:
    base = night("n1", make([45_913, 45_914] * 15, ClockQuality.DETERMINISTIC))
    for ticks, verdict in ((45_914, "passed"), (46_300, "passed"), (46_900, "slower"), (40_000, "faster")):
        report = Report()
        result = regression_gate(make([ticks] * 30, ClockQuality.DETERMINISTIC), base, report)
        assert result.verdict == verdict
        assert report.ok is (verdict != "slower")
        assert failed(report) == (["latency.not-slower"] if verdict == "slower" else [])


@pytest.mark.parametrize(("ticks", "verdict"), [(1250, "passed"), (1251, "slower"), (750, "passed"), (749, "faster")])
def test_a_change_of_just_the_threshold_is_none(ticks: int, verdict: str) -> None:
    base = night("n1", make([1000] * 30))
    assert regression_gate(make([ticks] * 30), base, Report(), threshold=0.25).verdict == verdict


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("shares", "alpha", "judged"),
    [
        ({1000: 30}, ALPHA, True),
        ({4: 30}, ALPHA, False),  # certain, and within the limit
        ({1000: 30}, 1e-30, False),  # beyond the limit, and not certain enough
        ({1000: 16, 0: 14}, ALPHA, False),  # the interval of the median holds no change at all
    ],
)
def test_only_a_change_that_is_large_certain_and_outside_of_its_interval_is_one(
    shares: dict[int, int], alpha: float, judged: bool, sign: int
) -> None:
    """In both directions: each of the three conditions alone lets the series pass."""
    ticks = [10_000 + sign * change for change, count in shares.items() for _ in range(count)]
    report = Report()
    found = regression_gate(make(ticks), night("n1", make([10_000] * 30)), report, alpha=alpha)
    assert found.verdict == (("slower" if sign > 0 else "faster") if judged else "passed")
    passed = {finding.id: finding.passed for finding in report if finding.where == "inference"}
    assert passed == {"latency.not-slower": found.verdict != "slower", "latency.not-faster": found.verdict != "faster"}


@pytest.mark.parametrize(
    "change",
    [
        {"board": "other"},
        {"name": "sine"},
        {"clock": replace(CLOCK, hz=2)},
        {"clock": replace(CLOCK, source="systick")},
        {"environment": {"qemu": "9.0"}},
        {"ticks": (1000,) * 5},
        {"ticks": (0,) * 30},
    ],
)
def test_what_differs_is_not_compared(change: dict[str, object]) -> None:
    report = Report()
    base = make([1000] * 30)
    other = Series(**{**{f: getattr(base, f) for f in base.__slots__}, **change})
    assert regression_gate(base, night("n1", other), report).verdict == "not-comparable"
    assert "latency.gate-judged" in [f.id for f in report if not f.passed]


def test_slow_drift_is_found_against_many_nights() -> None:
    """0.4 % a night: each step is below the threshold, the sum is not."""
    nights = [night(f"n{i}", make(np.full(30, 100_000 + 400 * i))) for i in range(10)]
    report = Report()
    tonight = make(np.full(30, 104_000))
    result = regression_gate(tonight, nights[-1], report, nights=nights)
    assert result.verdict == "drift"
    assert failed(report) == ["latency.no-drift"]
    assert result.nights == 10
    assert result.words()["drift"] == "+2.16% against 10 nights"


@pytest.mark.parametrize("noise", [1, 400])
def test_a_build_that_stays_slower_among_others_stays_found(noise: int) -> None:
    """A farm's runs in their order: two builds as ever, and a third one, in two tries a night, 10 % slower."""
    rng = np.random.default_rng(3)

    def run(ticks: float) -> Series:
        return make(np.rint(rng.normal(ticks, 1, 30)))

    base = night("n0", run(635_000))
    runs = [night(f"g{i}", run(635_000 + rng.normal(0, noise))) for i in range(12)]
    for number in range(12):
        for name, ticks, slow in (
            ("a", 635_000, False),
            ("b", 697_000, True),
            ("c", 635_000, False),
            ("b2", 697_000, True),
        ):
            report, tonight = Report(), run(ticks + rng.normal(0, noise))
            regression_gate(tonight, base, report, nights=runs[-14:])
            assert ("latency.not-slower" in failed(report)) is slow, (number, name)
            runs.append(night(f"{number}{name}", tonight))


def test_nights_are_compared_also_where_nobody_accepted_a_baseline() -> None:
    nights = [night(f"n{i}", make(np.full(30, 100_000 + i % 2))) for i in range(8)]
    for ticks, verdict, wrong in ((100_001, "no-baseline", []), (103_000, "drift", ["latency.no-drift"])):
        report = Report()
        result = regression_gate(make(np.full(30, ticks)), None, report, nights=nights)
        assert result.verdict == verdict
        assert failed(report) == wrong
        assert any("no baseline: 8 earlier nights" in f.seen for f in report.by_status(Status.NOTED))
    short = regression_gate(make([100_000] * 3), None, Report(), nights=nights)
    assert (short.verdict, short.drift) == ("no-baseline", None)


def test_few_nights_say_nothing_about_drift() -> None:
    nights = [night("a", make([1000] * 30)), night("b", make([1000] * 30))]
    result = regression_gate(make([1000] * 30), nights[0], Report(), nights=nights)
    assert result.drift is None
    assert result.verdict == "passed"


@pytest.mark.parametrize(
    ("within", "between"),
    [(0.002, 0.004), *(pytest.param(*row, marks=pytest.mark.nightly) for row in ((0.001, 0.0), (0.001, 0.001)))],
)
def test_simulation_of_device_counters(within: float, between: float) -> None:
    """30 values a night: under 1 % false alarms, over 95 % of 3 % slowdowns found.

    `within` is the counter's noise in a night (facts: 0.1 % on boards), `between` that from night to night.
    """
    rng = np.random.default_rng(20260)
    trials, base_ticks = 300, 200_000.0

    def measure(slowdown: float = 0.0) -> Series:
        centre = base_ticks * (1 + slowdown) * (1 + rng.normal(0, between))
        return make(np.rint(rng.normal(centre, base_ticks * within, 30)))

    def alarms(slowdown: float) -> float:
        count = 0
        for _ in range(trials):
            nights = [night(str(i), measure()) for i in range(14)]
            report = Report()
            regression_gate(measure(slowdown), nights[-1], report, nights=nights)
            count += not report.ok
        return count / trials

    assert alarms(0.0) < 0.01
    assert alarms(0.03) > 0.95


def test_a_noisy_host_like_series_does_not_cry_wolf() -> None:
    """Lognormal 3 % with spikes: the threshold alone would alarm in 20 % of nights."""
    rng = np.random.default_rng(5)

    def measure() -> Series:
        return make(np.rint(10_000 * rng.lognormal(0, 0.03, 30) * np.where(rng.random(30) < 0.05, 1.3, 1.0)))

    alarms = 0
    for _ in range(300):
        report = Report()
        regression_gate(measure(), night("n", measure()), report)
        alarms += not report.ok
    assert alarms / 300 < 0.01


# --- MLPerf Tiny -----------------------------------------------------------------------------------


def runs(count: int = 5, seconds: float = 11.0, iterations: int = 100) -> list[MlperfRun]:
    return [
        MlperfRun(input_digest=str(i), ticks=int(seconds * CLOCK.hz) + i, iterations=iterations) for i in range(count)
    ]


def test_mlperf_without_a_run_is_no_figure() -> None:
    report = Report()
    assert check_mlperf([], CLOCK, report) is None
    assert {finding.id: finding.seen for finding in report.failed} == {
        "latency.mlperf-runs": "0 runs with 0 different inputs",
        "latency.mlperf-duration": "shortest run 0.000 s",
        "latency.mlperf-iterations": "fewest 0",
    }


def test_mlperf_figure_is_the_median() -> None:
    report = Report()
    assert check_mlperf(runs(), CLOCK, report) == pytest.approx(0.11, rel=1e-3)
    assert report.ok


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        (runs(4), "latency.mlperf-runs"),
        ([replace(r, input_digest="same") for r in runs()], "latency.mlperf-runs"),
        (runs(seconds=9.99), "latency.mlperf-duration"),
        (runs(iterations=9), "latency.mlperf-iterations"),
        ([], "latency.mlperf-runs"),
    ],
)
def test_mlperf_rules(bad: list[MlperfRun], check: str) -> None:
    report = Report()
    assert check_mlperf(bad, CLOCK, report) is None
    assert check in failed(report)


def test_mlperf_plan_is_long_enough() -> None:
    assert plan_iterations(1_000_000, CLOCK) == 11
    assert plan_iterations(10_000_000, CLOCK) == 10
    assert plan_iterations(100, CLOCK) == 105_000
    with pytest.raises(ValueError, match="0 ticks"):
        plan_iterations(0, CLOCK)


def test_mlperf_runs_are_long_enough_even_when_the_plan_was_wrong() -> None:
    calls: list[tuple[bytes, int]] = []

    def device(data: bytes, count: int) -> int:
        calls.append((data, count))
        return count * 50_000  # 50 ms each, planned were 100 ms

    inputs = [bytes([n]) for n in range(5)]
    found = run_mlperf(device, inputs, ticks_each=100_000, clock=CLOCK, warmup=3)
    report = Report()
    assert check_mlperf(found, CLOCK, report) == pytest.approx(0.05)
    assert report.ok
    assert [count for _, count in calls[:3]] == [3, 105, 210]
    stopped = run_mlperf(lambda _data, _count: 0, inputs, ticks_each=100_000, clock=CLOCK)
    assert check_mlperf(stopped, CLOCK, Report()) is None


@pytest.mark.parametrize(("accepted", "calm"), [(100.0, [100.0, 125.0, 90.0]), (None, [100.0, 125.0, 126.0, 90.0])])
def test_a_night_at_the_limit_is_not_too_slow(accepted: float | None, calm: list[float]) -> None:
    """Without a baseline the first nights are held to nothing."""
    assert regression._calm([100.0, 125.0, 126.0, 90.0], accepted, 0.25) == calm


def test_nights_of_one_median_are_calm_at_a_threshold_of_nothing() -> None:
    """As on a board whose ticks are deterministic."""
    assert regression._calm([7.0] * 20, None, 0.0) == [7.0] * 20
