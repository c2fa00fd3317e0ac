"""Counters that stand still, run at another rate, wrap, or stop before the work: each must be found."""

from __future__ import annotations

import pytest
from tfm_harness.findings import Report
from tfm_harness.latency import (
    Clock,
    ClockQuality,
    CounterReading,
    Series,
    check_counter,
    check_phases,
    check_rate,
    check_run_accounts,
    check_series,
    elapsed_ticks,
)
from tfm_harness.latency.counter import run_share
from tfm_harness.latency.phases import PHASES
from tfm_harness.latency.series import pooled

HZ = 32_000_000
CLOCK = Clock(source="sse-counter", hz=HZ, bits=64)
NARROW = Clock(source="systick", hz=HZ, bits=24)
ICOUNT = Clock(source="sse-counter", hz=HZ, bits=64, quality=ClockQuality.DETERMINISTIC)
FREE = Clock(source="sse-counter", hz=HZ, bits=64, quality=ClockQuality.MEANINGLESS, tracks_host=True)


def failed(report: Report) -> list[str]:
    return [f.id for f in report if not f.passed]


def test_wrap_around() -> None:
    assert elapsed_ticks(0xFFFF_FFF0, 0x10, 32) == 0x20
    assert elapsed_ticks(5, 5, 32) == 0
    assert elapsed_ticks(2**64 - 1, 0, 64) == 1


def test_a_good_counter_passes() -> None:
    report = Report()
    assert check_counter(CLOCK, start=100, end=100 + HZ, host_seconds=1.02, report=report)
    assert report.ok
    assert len(report.findings) == 2


def test_a_counter_that_stands_still_fails() -> None:
    for clock in (CLOCK, ICOUNT, FREE):
        report = Report()
        assert not check_counter(clock, start=77, end=77, host_seconds=1.0, report=report)
        assert failed(report) == ["latency.counter-moves"]


def test_device_time_beyond_host_time_fails() -> None:
    report = Report()
    assert not check_counter(CLOCK, start=0, end=2 * HZ, host_seconds=1.0, report=report)
    assert failed(report) == ["latency.counter-within-host"]


@pytest.mark.parametrize(
    ("device", "host", "right"),
    [
        (1.0, 1.0, True),
        (1.009, 1.0, True),  # within the tolerance of its rate
        (1.011, 1.0, False),
        (1.0, 1.999, True),  # within what the host needs beside
        (1.0, 2.001, False),
        (0.5, 0.506, True),
        (0.5, 0.494, False),
    ],
)
def test_device_time_is_host_time_within_the_tolerance_and_the_bound(
    device: float, host: float, *, right: bool
) -> None:
    report = Report()
    assert check_counter(CLOCK, start=9, end=9 + round(device * HZ), host_seconds=host, report=report) is right
    assert failed(report) == ([] if right else ["latency.counter-within-host"])


def test_unexplained_host_time_fails() -> None:
    """A counter at a quarter of its declared rate leaves most of the host's time unexplained."""
    report = Report()
    assert not check_counter(CLOCK, start=0, end=HZ, host_seconds=4.0, report=report, bound=1.0)
    assert failed(report) == ["latency.counter-within-host"]


def test_a_clock_that_is_not_time_is_only_asked_to_move() -> None:
    report = Report()
    assert check_counter(ICOUNT, start=0, end=50 * HZ, host_seconds=1.0, report=report)
    assert [f.id for f in report] == ["latency.counter-moves"]


def test_a_narrow_counter_may_wrap() -> None:
    report = Report()
    assert check_counter(NARROW, start=2**24 - 100, end=HZ // 10 - 100, host_seconds=0.11, report=report)
    # more than one wrap: only an upper bound remains
    assert check_counter(NARROW, start=0, end=1000, host_seconds=10.0, report=report)
    assert report.ok


def readings(hz: float, distance: float = 2.0, trip: float = 0.005) -> list[CounterReading]:
    return [
        CounterReading(0.0, 1000, trip),
        CounterReading(distance, 1000 + round((distance + trip / 2) * hz), distance + trip),
    ]


@pytest.mark.parametrize("clock", [CLOCK, FREE])
@pytest.mark.parametrize("actual", [HZ * 0.97, HZ * 1.03, 25_000_000, HZ * 2])
def test_a_wrong_clock_constant_is_a_finding(clock: Clock, actual: float) -> None:
    report = Report()
    bounds = check_rate(clock, readings(actual), report)
    assert failed(report) == ["latency.counter-rate"]
    assert bounds.low <= actual <= bounds.high


def test_the_declared_rate_passes() -> None:
    report = Report()
    check_rate(CLOCK, readings(HZ * 1.002), report)
    assert report.ok


def test_rate_of_a_clock_that_is_not_time_is_not_judged() -> None:
    report = Report()
    check_rate(ICOUNT, readings(1e6), report)
    assert [f.id for f in report] == ["latency.counter-moves"]


@pytest.mark.parametrize(
    "bad",
    [
        [CounterReading(0, 1, 0.1)],
        [CounterReading(0, 1, 0.1), CounterReading(0.05, 2, 0.2)],
        [CounterReading(0, 1, 0.1), CounterReading(2.0, 2, 1.9)],
    ],
)
def test_useless_readings_are_refused(bad: list[CounterReading]) -> None:
    with pytest.raises(ValueError, match=r"readings"):
        check_rate(CLOCK, bad, Report())
    with pytest.raises(ValueError, match="wraps"):
        check_rate(NARROW, readings(HZ), Report())


def series(ticks: list[int], **facts: object) -> Series:
    return Series(**{"name": "tamper", "ticks": tuple(ticks), "clock": CLOCK, "empty": (10,) * 16, **facts})  # type: ignore[arg-type]  # fields by name


def test_the_empty_measurement_is_subtracted() -> None:
    found = series([110, 120], empty=(9, 10, 11))
    assert found.values == (100.0, 110.0)
    assert found.seconds[0] == 100 / HZ


def test_series_from_the_wire() -> None:
    found = Series.from_wire(b"\x10\x00\x00\x00\xff\xff\xff\xff", b"\x01\x00\x00\x00", name="x", clock=CLOCK)
    assert found.ticks == (16, 0xFFFFFFFF)
    assert found.empty == (1,)
    with pytest.raises(ValueError, match="multiple of 4"):
        Series.from_wire(b"\x10\x00\x00", b"", name="x", clock=CLOCK)
    assert Series.from_dict(found.as_dict()) == found


def test_incomplete_and_empty_series_fail() -> None:
    report = Report()
    assert check_series(series([100, 110]), report, expected=2)
    assert report.ok
    for ticks, expected, check in (
        ([100], 2, "latency.series-complete"),
        ([], 0, "latency.series-complete"),
        ([100, 10], 2, "latency.series-above-empty"),
    ):
        report = Report()
        assert not check_series(series(ticks), report, expected=expected)
        assert check in failed(report)


def test_the_timed_inferences_account_for_the_run() -> None:
    report = Report()
    share = check_run_accounts(series([1000] * 10, warmup=5), start=0, end=16_000, report=report)
    assert share == pytest.approx(15 / 16)
    assert report.ok


@pytest.mark.parametrize(("each", "end"), [(20, 16_000), (1000, 9_000), (1000, 0)])
def test_ticks_that_are_not_the_work_fail(each: int, end: int) -> None:
    """End ticks taken before the inference, or more work timed than time passed."""
    report = Report()
    check_run_accounts(series([each] * 10, warmup=5), start=0, end=end, report=report)
    assert failed(report) == ["latency.run-accounts"]
    assert report.findings[0].where == "inference"


def test_pooling_needs_the_same_thing() -> None:
    assert pooled([series([1]), series([2])]).ticks == (1, 2)
    with pytest.raises(ValueError, match="share name and clock"):
        pooled([series([1]), series([2], name="other")])


# --- phases ----------------------------------------------------------------------------------------

MARKS = [1_000_000 + t for t in (0, 3_000, 40_000, 41_000, 241_000, 242_000, 842_000, 850_000)]


def test_phases_add_up_to_host_time() -> None:
    report = Report()
    found = check_phases(
        MARKS,
        clock=CLOCK,
        host_seconds=0.030,
        report=report,
        bound=0.01,
        result_ticks=(MARKS[3], MARKS[4]),
        inference_ticks=200_000,
    )
    assert report.ok
    assert found.ticks == dict(zip(PHASES, (3_000, 37_000, 1_000, 200_000, 1_000, 600_000, 8_000), strict=True))
    assert sum(found.seconds(CLOCK).values()) == pytest.approx(0.030)
    assert "wire" not in found.seconds(ICOUNT), "host time says nothing about a clock that does not follow it"


def test_backward_phases_fail() -> None:
    marks = list(MARKS)
    marks[5] = marks[4] - 500
    report = Report()
    check_phases(marks, clock=CLOCK, host_seconds=0.03, report=report)
    assert failed(report) == ["latency.phases-order"]
    assert "inference end to signing start" in report.findings[0].seen


@pytest.mark.parametrize("host", [0.020, 2.0])
def test_phases_that_do_not_add_up_fail(host: float) -> None:
    report = Report()
    check_phases(MARKS, clock=CLOCK, host_seconds=host, report=report, bound=0.5)
    assert failed(report) == ["latency.phases-add-up"]


def test_end_ticks_before_the_work_fail_in_phases() -> None:
    marks = list(MARKS)
    marks[4] = marks[3] + 12  # the work now hides between "inference end" and "signing start"
    report = Report()
    check_phases(
        marks,
        clock=CLOCK,
        host_seconds=0.03,
        report=report,
        result_ticks=(marks[3], marks[4]),
        inference_ticks=200_000,
    )
    assert failed(report) == ["latency.result-ticks"]
    assert report.failed[0].where == "inference"


@pytest.mark.parametrize("work", [0, 1, 169_999, 170_000, 200_000])
def test_without_signed_ticks_the_phase_must_hold_the_work(work: int) -> None:
    """85 % of it, and both of what is too short are named."""
    marks = [*MARKS[:4], MARKS[3] + work, *MARKS[5:]]
    report = Report()
    check_phases(marks, clock=CLOCK, host_seconds=0.03, report=report, inference_ticks=200_000)
    short = work < 170_000
    assert failed(report) == (["latency.result-ticks"] if short else [])
    if short:
        said = report.failed[0].seen
        assert f"ticks span {work}, an inference takes about 200000" in said
        assert f"phase inference is {work} ticks" in said


@pytest.mark.parametrize("ticks", [(5, 5), (MARKS[3], MARKS[7] + 50_000_000), (MARKS[4], MARKS[3])])
def test_signed_ticks_outside_the_request_fail(ticks: tuple[int, int]) -> None:
    report = Report()
    check_phases(MARKS, clock=CLOCK, host_seconds=0.03, report=report, result_ticks=ticks)
    assert failed(report) == ["latency.result-ticks"]


def test_eight_marks_are_needed() -> None:
    with pytest.raises(ValueError, match="7 phase ticks, expected 8"):
        check_phases(MARKS[:7], clock=CLOCK, host_seconds=1, report=Report())


def test_impossible_clocks_are_refused() -> None:
    for hz, bits in ((0, 32), (1, 4), (1, 65)):
        with pytest.raises(ValueError, match="a clock of"):
            Clock(source="x", hz=hz, bits=bits)
    assert Clock(source="dwt", hz=HZ).wrap_seconds == pytest.approx(134.2, abs=0.1)


def test_a_run_without_a_timing_accounts_for_nothing() -> None:
    """What the warm-ups took is not known then."""
    series = Series(name="tamper", ticks=(), warmup=5, clock=CLOCK)
    assert run_share(series, start=0, end=1000) == 0.0
    report = Report()
    assert check_run_accounts(series, start=0, end=1000, report=report) == 0.0
    assert not report.ok
