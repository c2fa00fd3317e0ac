"""Time: the device's counter is believed only after it has been checked against the work and the host."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Checks, Device, Inference, Latency, Reference, Verifier
from tfm_harness.latency import catalogue
from tfm_harness.verify import SignedResult

pytestmark = pytest.mark.needs("infer", "latency", "models")


def test_the_counter_runs_at_its_declared_rate(latency: Latency) -> None:
    latency.rate()


def test_each_model_is_timed_and_its_time_accounted_for(
    bench: Bench, latency: Latency, reference: Reference, checks: Checks, build_model: str
) -> None:
    series = latency.measure(build_model)
    declared = bench.combination.build.models.get(build_model)
    if declared is None or not declared.for_npu:
        return
    estimate = reference.estimate(build_model)
    if estimate:
        seconds = sorted(series.seconds)
        median = seconds[len(seconds) // 2]
        seen = f"median {median * 1e3:.3f} ms"
        near = estimate / 2 <= median <= estimate * 2
        checks(
            catalogue.VELA_ESTIMATE,
            near,
            expected=f"Vela's estimate, {estimate * 1e3:.3f} ms",
            seen=seen,
            subject=build_model,
        )


@pytest.mark.needs("signed-result", "trusted-results")
def test_the_signed_ticks_span_the_work(
    bench: Bench, device: Device, verifier: Verifier, latency: Latency, build_model: str
) -> None:
    def once() -> tuple[Inference, SignedResult]:
        inference = device.infer_input(bytes(bench.description.input_bytes))
        return inference, verifier.result(inference, subject=build_model)

    latency.signed_ticks(*once(), name=build_model, again=once)
