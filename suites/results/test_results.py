"""Signed inference results: fresh, bound to the request, the board, the model and the input."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, Refused, ResetKind, Stimulus, Verifier

pytestmark = pytest.mark.needs("infer", "signed-result", "nonce", "trusted-results")

NONCE_SIZE_REFUSED = Check(
    id="result.nonce-size-refused",
    title="a nonce outside 8 to 64 bytes is refused",
    requirement="RFC 9711 s.4.1",
)
INPUT_SIZE_REFUSED = Check(
    id="result.input-size-refused",
    title="an input that is not one input tensor long is refused",
    requirement="PSA Firmware Framework 1.0 s.4.3 (services validate their input vectors)",
)
MODEL_MISMATCH_REFUSED = Check(
    id="result.model-mismatch-refused",
    title="an inference asked of another model than the active one is refused",
    requirement="docs/protocol.md, infer",
)


def host_input(bench: Bench, seed: int) -> bytes:
    """One input tensor's bytes; another for each seed."""
    size = bench.description.input_bytes
    return bytes((seed * 37 + n * 11) & 0xFF for n in range(size))


def test_a_result_of_a_host_input_is_signed_fresh_and_bound(bench: Bench, device: Device, verifier: Verifier) -> None:
    verifier.result(device.infer_input(host_input(bench, 1)))


@pytest.mark.needs("sensor", "stimulus", "sensor-model")
def test_a_result_of_the_sensor_is_signed_fresh_and_bound(
    device: Device, stimulus: Stimulus, verifier: Verifier
) -> None:
    stimulus.set("mag.x", 30.0)
    stimulus.set("temp", 31.5)
    verifier.result(device.infer_window())


@pytest.mark.parametrize("size", [8, 32, 64])
def test_the_nonce_is_bound_at_every_allowed_size(bench: Bench, device: Device, verifier: Verifier, size: int) -> None:
    verifier.result(device.infer_input(host_input(bench, size), nonce=bytes(range(size))))


@pytest.mark.parametrize("size", [0, 7, 65])
def test_other_nonce_sizes_are_refused(bench: Bench, device: Device, checks: Checks, size: int) -> None:
    try:
        device.infer_input(host_input(bench, size), nonce=bytes(size))
    except Refused as refused:
        checks.refused(NONCE_SIZE_REFUSED, refused, subject=f"{size} bytes")
    else:
        checks.refused(NONCE_SIZE_REFUSED, None, subject=f"{size} bytes")


@pytest.mark.parametrize("change", [-1, 1])
def test_inputs_of_a_wrong_size_are_refused(bench: Bench, device: Device, checks: Checks, change: int) -> None:
    data = host_input(bench, 1)
    wrong = data[:-1] if change < 0 else data + b"\0"
    try:
        device.infer_input(wrong)
    except Refused as refused:
        checks.refused(INPUT_SIZE_REFUSED, refused, subject=f"{len(wrong)} bytes")
    else:
        checks.refused(INPUT_SIZE_REFUSED, None, subject=f"{len(wrong)} bytes")


@pytest.mark.needs("models")
def test_a_result_of_another_model_is_not_given(bench: Bench, device: Device, checks: Checks) -> None:
    other = next(
        (entry.name for entry in device.test_commands.models() if not entry.active and entry.status == 0), None
    )
    if other is None:
        pytest.skip("not covered: the device holds one model only")
    try:
        device.infer_input(host_input(bench, 1), model=other)
    except Refused as refused:
        checks.refused(MODEL_MISMATCH_REFUSED, refused)
    else:
        checks.refused(MODEL_MISMATCH_REFUSED, None)


def test_results_together_show_no_replay_and_rising_counters(bench: Bench, device: Device, verifier: Verifier) -> None:
    for number in range(8):
        verifier.result(device.infer_input(host_input(bench, number)), subject=f"result {number}")
    verifier.relations()


@pytest.mark.needs("psa-token", "trusted-iak")
def test_result_and_token_name_one_instance_id(bench: Bench, device: Device, verifier: Verifier) -> None:
    verifier.result(device.infer_input(host_input(bench, 1)))
    challenge, token = device.attest()
    verifier.token(challenge, token)
    verifier.relations()


@pytest.mark.needs("reset", "warm-reset")
def test_the_counter_goes_on_over_a_warm_reset(bench: Bench, device: Device, verifier: Verifier) -> None:
    for number in range(3):
        verifier.result(device.infer_input(host_input(bench, number)), subject=f"result {number}")
    device.reset(ResetKind.WARM)
    for number in range(3):
        verifier.result(device.infer_input(host_input(bench, 10 + number)), subject=f"result {number} after the reset")
    verifier.relations()


@pytest.mark.needs("reset", "cold-reset", "nonvolatile")
def test_the_counter_goes_on_over_a_cold_start(bench: Bench, device: Device, verifier: Verifier) -> None:
    verifier.result(device.infer_input(host_input(bench, 1)), subject="before")
    device.reset(ResetKind.COLD)
    verifier.result(device.infer_input(host_input(bench, 2)), subject="after")
    verifier.relations()
