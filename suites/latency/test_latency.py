"""Time: the device's counter is believed only after it has been checked against the work and the host."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from tfm_harness.bench.device import Device
from tfm_harness.bench.verifier import Verifier
from tfm_harness.boards.base import ClockQuality as BoardClock
from tfm_harness.findings import Report
from tfm_harness.latency.budget import check_budget
from tfm_harness.latency.clock import Clock, ClockQuality
from tfm_harness.latency.counter import (
    MIN_SHARE,
    CounterReading,
    check_counter,
    check_rate,
    check_run_accounts,
    run_share,
)
from tfm_harness.latency.mlperf import check_mlperf, run_mlperf
from tfm_harness.latency.phases import check_phases
from tfm_harness.latency.regression import GateResult, Night, regression_gate
from tfm_harness.latency.series import Series, check_series
from tfm_harness.latency.statistics import summarise
from tfm_harness.plugin.bench import Bench
from tfm_harness.plugin.checks import Checks
from tfm_harness.protocol.smp.client import PHASES

pytestmark = pytest.mark.needs("infer", "latency", "models")

LEAST = 8  # timings of a model, where the build does not say how many and an inference takes long
RUN_SECONDS = 1.0
RATE_SECONDS = 1.0
TRIES = 3
"""Runs of a model at most where the emulator's clock is the host's: one may be torn apart by somebody else's work."""
MOST_AT_ONCE = 512  # timings in one answer (docs/protocol.md)


def clock_of(bench: Bench) -> Clock:
    """The counter as the target declares it."""
    declared = bench.pair.target.clock
    quality = bench.board.clock_quality
    return Clock(
        source=declared.source if declared else "counter",
        hz=declared.hz if declared else bench.description.clock_hz or 1,
        bits=declared.bits if declared else 64,
        quality=ClockQuality(str(quality)),
        # QEMU's counter runs with the host's clock unless instructions are counted.
        tracks_host=quality is not BoardClock.DETERMINISTIC and bench.pair.target.kind in {"qemu", "mps3", "probe"},
    )


def measure(bench: Bench, device: Device, name: str, report: Report) -> Series:
    """A series of one model, with the counter checked on the way."""
    clock = clock_of(bench)
    declared = bench.pair.build.latency
    began = time.monotonic()
    device.lab.latency(1)
    each = time.monotonic() - began
    count = max(LEAST, min(declared.iterations, int(RUN_SECONDS / max(each, 1e-6))))
    warmup = min(declared.warmup, count)
    if "iterations" in declared.model_fields_set:
        count = declared.iterations
    if "warmup" in declared.model_fields_set:
        warmup = declared.warmup
    # Warm-ups in a request of their own: the run below then holds timed inferences only, and must account for them.
    if warmup:
        device.lab.latency(warmup)
    for _ in range(TRIES if clock.quality is ClockQuality.MEANINGLESS else 1):
        began = time.monotonic()
        run = device.lab.latency(count)
        host = time.monotonic() - began
        series = Series(
            name=name,
            ticks=run.ticks,
            empty=run.empty,
            clock=clock,
            warmup=warmup,
            board=bench.board.name,
            build=(bench.description.measurements.get("SPE") or b"").hex(),
            firmware=bench.description.version,
            environment=dict(bench.board.description),
        )
        if run_share(replace(series, warmup=0), start=run.start, end=run.end) >= MIN_SHARE:
            break
    check_series(series, report, expected=count, subject=name)
    check_counter(
        clock,
        start=run.start,
        end=run.end,
        host_seconds=host,
        report=report,
        bound=declared.host_bound,
        subject=name,
    )
    check_run_accounts(replace(series, warmup=0), start=run.start, end=run.end, report=report)
    budgets = [budget for budget in declared.limits(bench.pair.build.document) if budget.covers(name)]
    for budget in budgets:
        check_budget(series, budget, report)
    result, baseline = compare_with_earlier(bench, series, report)
    words = result.words()
    if declared.mlperf and (figure := mlperf(bench, device, series, report)) is not None:
        note = "" if clock.quality.carries_budget else f" ({clock.quality.note})"
        words["MLPerf Tiny"] = f"{figure * 1e3:.6g} ms an inference, median of 5 runs{note}"
    bench.measured.keep_series(
        series,
        budgets={budget.statistic: budget.seconds for budget in budgets},
        baseline=baseline.series.as_dict() if baseline else None,
        baseline_name=baseline.run if baseline else "",
        gate=words,
    )
    return series


def mlperf(bench: Bench, device: Device, series: Series, report: Report) -> float | None:
    """Seconds of an inference by MLPerf Tiny's rules; None when a rule is broken."""
    size = bench.description.raw["in"]
    assert isinstance(size, int)
    overhead = series.overhead

    def run(data: bytes, count: int) -> int:
        ticks = 0.0
        while count > 0:
            part = device.lab.latency(min(count, MOST_AT_ONCE), data=data)
            ticks += sum(part.ticks) - overhead * len(part.ticks)
            count -= MOST_AT_ONCE
        return round(ticks)

    inputs = [bytes((n * step) & 0xFF for n in range(size)) for step in (1, 3, 5, 7, 11)]
    each = summarise(series.values).median
    runs = run_mlperf(run, inputs, ticks_each=each, clock=series.clock, warmup=min(10, MOST_AT_ONCE))
    return check_mlperf(runs, series.clock, report, subject=series.name)


def compare_with_earlier(bench: Bench, series: Series, report: Report) -> tuple[GateResult, Night | None]:
    """The regression gate against the baseline store; the series is stored where it can ever be compared."""
    if not series.clock.quality.carries_change:
        return regression_gate(series, None, report), None
    from tfm_harness.history import BaselineStore, default_url, judge_and_keep, run_name

    threshold = bench.pair.build.latency.threshold
    name = run_name(bench.context.shared_dir or bench.context.run_dir)
    with BaselineStore(default_url(bench.context.state_dir)) as store:
        judged = judge_and_keep(store, name, series, report, threshold=threshold)
    return judged.result, judged.baseline


def test_the_counter_runs_at_its_declared_rate(bench: Bench, device: Device, checks: Checks) -> None:
    """Readings a second apart, each between two looks at the host's clock, bound the counter's rate."""

    def reading() -> CounterReading:
        before = time.monotonic()
        ticks = device.lab.latency(1).start
        return CounterReading(ticks=ticks, before=before, after=time.monotonic())

    readings = [reading()]
    while readings[-1].after - readings[0].before < RATE_SECONDS:
        readings.append(reading())
    check_rate(clock_of(bench), readings, checks.report)


def test_each_model_is_timed_and_its_time_accounted_for(
    bench: Bench, device: Device, checks: Checks, build_model: str
) -> None:
    measure(bench, device, build_model, checks.report)


@pytest.mark.needs("signed-result", "trusted-results")
def test_the_signed_ticks_span_the_work(
    bench: Bench, device: Device, verifier: Verifier, checks: Checks, build_model: str
) -> None:
    size = bench.description.raw["in"]
    assert isinstance(size, int)
    series = device.lab.latency(LEAST)
    inference = device.infer_input(bytes(size))
    result = verifier.result(inference, subject=build_model)
    start, end = result.integer("start_ticks"), result.integer("end_ticks")
    clock = clock_of(bench)
    phases = check_phases(
        [inference.answer.ticks[phase] for phase in PHASES],
        clock=clock,
        host_seconds=inference.answer.host_seconds,
        report=checks.report,
        bound=bench.pair.build.latency.host_bound,
        result_ticks=(start, end) if start is not None and end is not None else None,
        # The least of the series: on a shared host the median may hold somebody else's work.
        inference_ticks=float(min(series.ticks)),
        subject=build_model,
    )
    bench.measured.keep_phases(build_model, phases.seconds(clock))
