"""Time: the device's counter is believed only after it has been checked against the work and the host."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Device, Latency, Verifier

pytestmark = pytest.mark.needs("infer", "latency", "models")


def test_the_counter_runs_at_its_declared_rate(latency: Latency) -> None:
    latency.rate()


def test_each_model_is_timed_and_its_time_accounted_for(latency: Latency, build_model: str) -> None:
    latency.measure(build_model)


@pytest.mark.needs("signed-result", "trusted-results")
def test_the_signed_ticks_span_the_work(
    bench: Bench, device: Device, verifier: Verifier, latency: Latency, build_model: str
) -> None:
    inference = device.infer_input(bytes(bench.description.input_bytes))
    result = verifier.result(inference, subject=build_model)
    latency.signed_ticks(inference, result, name=build_model)
