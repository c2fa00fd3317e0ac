"""Whether time is steady and counted from the right place, on a clock that no busy host disturbs."""

from __future__ import annotations

import random

import pytest
from tfm_harness import Bench, Checks, Device, Inference, Verifier
from tfm_harness.latency import catalogue, check_constant, check_periodic, check_start, check_tail
from tfm_harness.protocol.smp import PHASES

pytestmark = pytest.mark.needs("infer", "latency", "models")

MOST = 512  # timings in one answer
TICKS = 60_000_000
"""Of inferences in a series: seconds on an emulator that counts instructions."""
NO_CLOCK = "not covered: this board has no clock that a verdict about single inferences could rest on"


def marks_of(inference: Inference) -> list[int]:
    """The eight ticks beside a result."""
    return [inference.answer.ticks[phase] for phase in PHASES]


def how_many(device: Device, *, least: int = 6) -> int:
    """Inferences in a series: many of a fast model, few of a slow one."""
    each: int = max(1, min(device.test_commands.latency(3).ticks))
    return max(least, min(MOST, TICKS // each))


@pytest.mark.parametrize("least", [6, pytest.param(48, marks=pytest.mark.thorough)])
def test_no_inference_takes_much_longer_than_the_others(
    bench: Bench, device: Device, checks: Checks, least: int
) -> None:
    """For every model that the device holds: hundreds of inferences of a fast one, `least` of a slow one."""
    models = [entry.name for entry in device.test_commands.models() if entry.status == 0]
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        for name in dict.fromkeys(models):
            device.test_commands.select_model(name)
            run = device.test_commands.latency(how_many(device, least=least))
            check_tail(run.ticks, checks.report, subject=f"{name}, benchmark")


@pytest.mark.thorough
@pytest.mark.needs("signed-result")
def test_no_signed_result_takes_much_longer_than_the_others(bench: Bench, device: Device, checks: Checks) -> None:
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        size = bench.description.input_bytes
        spans = []
        for number in range(48):
            marks = marks_of(device.infer_input(bytes([number]) * size))
            spans.append(marks[4] - marks[3])
        check_tail(spans, checks.report, subject="signed results")


def test_no_inference_is_slow_at_a_regular_distance(device: Device, checks: Checks) -> None:
    """On the board as it is: what comes regularly is not the host's."""
    series = [device.test_commands.latency(min(how_many(device, least=48), 300)).ticks for _ in range(2)]
    check_periodic(series, checks.report)


@pytest.mark.needs("signed-result")
def test_ticks_begin_when_the_input_is_ready(bench: Bench, device: Device, checks: Checks, build_model: str) -> None:
    size = bench.description.input_bytes
    marks = [marks_of(device.infer_input(bytes([number]) * size)) for number in range(6)]
    check_start(marks, checks.report, subject=build_model)


@pytest.mark.needs("signed-result")
@pytest.mark.parametrize("count", [14, pytest.param(64, marks=pytest.mark.thorough)])
def test_signing_takes_the_same_time_whatever_is_signed(
    bench: Bench, device: Device, checks: Checks, count: int
) -> None:
    """Messages of one length; the first signing, which may prepare the key, is left out."""
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        size = bench.description.input_bytes
        rng = random.Random(3)  # noqa: S311 - the same inputs every time
        ticks = []
        for number in range(count + 1):
            data = bytes(size) if number % 2 else rng.randbytes(size)
            marks = marks_of(device.infer_input(data, nonce=rng.randbytes(32)))
            ticks.append(marks[6] - marks[5])
        check_constant(ticks[1:], checks.report)


@pytest.mark.needs("signed-result", "trusted-results", "describe")
def test_one_frequency_is_reported_everywhere(bench: Bench, device: Device, verifier: Verifier, checks: Checks) -> None:
    declared = bench.combination.target.clock
    if declared is None:
        pytest.skip("not covered: the target declares no clock")
    size = bench.description.input_bytes
    result = verifier.result(device.infer_input(bytes(size)))
    for where, hz in (
        ("describe", device.describe().clock_hz),
        ("latency", device.test_commands.latency(1).hz),
        ("signed result", result.integer("counter_hz")),
    ):
        if hz is not None:
            checks.equal(catalogue.ONE_FREQUENCY, hz, declared.hz, subject=where)
