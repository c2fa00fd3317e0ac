"""The device's numbers are the reference interpreter's, bit for bit."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Device, Reference, Stimulus, Verifier

pytestmark = pytest.mark.needs("infer")

WIRE_BYTES = 64_000
"""Inputs of a model that go over the wire unless the build says how many vectors: seconds on an emulated UART."""
LEAST = 32
"""Vectors of a model at least, however large its input."""
QUICK_SHARE, QUICK_LEAST = 4, 16
"""The quick selection sends one vector of so many, but so many at least."""


@pytest.mark.needs("batch", "models")
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["few", "all"]
)
def test_many_inputs_give_the_references_outputs(
    bench: Bench, reference: Reference, build_model: str, every: bool
) -> None:
    declared = bench.combination.build.parity
    _, info = reference.model(build_model)
    most = declared.vectors
    if "vectors" not in declared.model_fields_set:
        most = min(most, max(LEAST, WIRE_BYTES // max(info.input_bytes, 1)))
    reference.agrees(build_model, count=most if every else min(most, max(QUICK_LEAST, most // QUICK_SHARE)))


@pytest.mark.needs("sensor", "stimulus", "sensor-model", "signed-result", "trusted-results")
@pytest.mark.parametrize("trace", ["idle", "vibration", "tamper"])
def test_sensor_to_result(
    device: Device, stimulus: Stimulus, verifier: Verifier, reference: Reference, trace: str
) -> None:
    stimulus.play(f"{trace}.csv")
    inference = device.infer_window()
    verifier.result(inference)
    reference.matches(inference)


@pytest.mark.needs("signed-result", "trusted-results", "models")
def test_the_signed_outputs_are_the_references(
    device: Device, verifier: Verifier, reference: Reference, build_model: str
) -> None:
    """What is signed is what was computed, for every model."""
    _, info = reference.model(build_model)
    for step in (1, 5):
        inference = device.infer_input(bytes((n * step * 7) & 0xFF for n in range(info.input_bytes)))
        verifier.result(inference, subject=build_model)
        reference.matches(inference, subject=build_model)
