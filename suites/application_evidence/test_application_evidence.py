"""Evidence of firmware with a protocol of its own: signed results without a nonce, an application token, its keys."""

from __future__ import annotations

import math
import struct

import pytest
from tfm_harness.boards.base import ResetKind
from tfm_harness.findings import Check, Severity
from tfm_harness.plugin.bench import Bench
from tfm_harness.plugin.checks import Checks
from tfm_harness.plugin.device import Device
from tfm_harness.plugin.reference import Reference
from tfm_harness.plugin.verifier import Verifier
from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver
from tfm_harness.verify.results import ResultExpectations, verify_result

pytestmark = pytest.mark.needs("infer", "signed-result", "app-token", "trusted-results")

MODEL = "tflm_sine"
DEGREES = (0.0, 45.0, 90.0, 180.0, 359.0)
TOKEN_STABLE = Check(
    id="token.stable",
    title="two application tokens of one firmware make the same claims",
    requirement="RFC 9334 s.8.1 (evidence describes the state of the target environment)",
)
INPUT_BOUND = Check(
    id="result.input-bound",
    title="a result says which input it was computed from",
    requirement="RFC 9334 s.8.1; result profile",
    dev=Severity.INFO,
    validation=Severity.WARNING,
)
SIGNED_IS_PLAIN = Check(
    id="result.signed-is-plain",
    title="the signed value is the one the firmware shows for the same input",
    requirement="result profile",
)


def as_input(degrees: float) -> bytes:
    """The firmware's input: one little-endian float32, in degrees."""
    return struct.pack("<f", degrees)


def carried_value(message: bytes) -> float:
    """The output in a CBOR or signed message: claim -80000, a byte string with a little-endian float32.

    NaN where there is none, which equals nothing.
    """
    head = bytes.fromhex("3a0001387f44")
    value = message.partition(head)[2][:4]
    return float(struct.unpack("<f", value)[0]) if len(value) == 4 else math.nan


def shell(device: Device) -> ZephyrShellDriver:
    """The shell's own client."""
    if not isinstance(device.client, ZephyrShellDriver):
        pytest.skip("not covered: the firmware has no Zephyr shell")
    return device.client


def test_results_are_signed_and_counted(device: Device, verifier: Verifier, checks: Checks) -> None:
    for degrees in DEGREES:
        result = verifier.result(device.infer_input(as_input(degrees)), subject=f"{degrees:g} degrees")
    bound = result.profile.rule("input_digest") is not None
    checks(INPUT_BOUND, bound, expected="a digest of the input", seen=f"profile {result.profile.name} has none")
    verifier.relations()


@pytest.mark.needs("cold-reset")
def test_results_over_resets(device: Device, verifier: Verifier) -> None:
    """Counters that repeat and signatures that share their secret number show over cold boots."""
    verifier.result(device.infer_input(as_input(45)), subject="first boot")
    device.reset(ResetKind.COLD)
    verifier.result(device.infer_input(as_input(90)), subject="after a cold start")
    verifier.relations()


def test_the_signed_value_is_the_plain_one(device: Device, checks: Checks) -> None:
    client = shell(device)
    for form in ("CBOR", "SIGN1"):
        for inference in client.infer_values(MODEL, 45, form=form):
            carried = carried_value(inference.message)
            near = abs(carried - inference.value) < 1e-6  # it is printed with six decimals
            checks(SIGNED_IS_PLAIN, near, expected=inference.value, seen=carried, subject=form)


def test_the_values_are_the_references(bench: Bench, device: Device, reference: Reference, checks: Checks) -> None:
    """Every whole degree, bit for bit, with the quantisation rule that the build declares."""
    client = shell(device)
    build = bench.pair.build
    if MODEL not in build.models:
        pytest.skip(f"not covered: the build names no file for model {MODEL}")
    import numpy as np
    from tfm_harness.parity.compare import compare
    from tfm_harness.parity.quantise import dequantise, quantise
    from tfm_harness.parity.vacuity import check_vacuity

    model, info = reference.model(MODEL)
    found = client.infer_values(MODEL, 0, 359, 1)
    values = np.array([carried_value(entry.message) for entry in found], dtype=np.float32)
    degrees = np.array([entry.degrees for entry in found], dtype=np.float32)
    radians = (degrees * np.float32(np.pi) / np.float32(180)).reshape(-1, *info.inputs[0].shape)
    inputs = [quantise(radians, info.inputs[0], build.quantisation(MODEL))]
    outputs = reference.engine.run(model, inputs, name=info.name)
    expected = dequantise(outputs[0], info.outputs[0]).astype(np.float32).reshape(-1, 1)
    compare([expected], [values.reshape(-1, 1)], build.parity.granted(build.document), checks.report, model=MODEL)
    check_vacuity(inputs, outputs, checks.report, subject=MODEL)


def test_the_application_token(bench: Bench, device: Device, checks: Checks) -> None:
    client = shell(device)
    key = bench.trust.key("result")
    assert key is not None, "trusted-results is among the needs"
    tokens = [
        verify_result(
            client.app_token(),
            profile="linaro-cai-token",
            keys=[key],
            expected=ResultExpectations(),
            report=checks.report,
            subject=f"token {number}",
        )
        for number in range(2)
    ]
    messages = [token.message.payload if token.message is not None else b"" for token in tokens]
    checks.equal(TOKEN_STABLE, messages[1], messages[0])


def test_public_keys_are_the_trusted_ones(device: Device, verifier: Verifier) -> None:
    for role in ("result", "client"):
        verifier.public_key(role, device.public_key(role))


@pytest.mark.needs("csr")
def test_signing_requests(device: Device, verifier: Verifier) -> None:
    for role in ("result", "client"):
        verifier.csr(role, device.csr(role))
