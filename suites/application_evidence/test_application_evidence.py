"""Evidence of firmware with a protocol of its own: signed results without a nonce, an application token, its keys."""

from __future__ import annotations

import struct

import pytest

from harness.boards.base import ResetKind
from harness.errors import BenchError
from harness.findings import Check, Severity
from harness.plugin.bench import Bench
from harness.plugin.checks import Checks
from harness.plugin.device import Device
from harness.plugin.verifier import Verifier
from harness.protocol.zephyr_shell import ZephyrShellDriver
from harness.verify.results import ResultExpectations, verify_result

pytestmark = pytest.mark.needs("infer", "signed-result", "app-token", "trusted-results")

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
    port=Severity.WARNING,
)
SIGNED_IS_PLAIN = Check(
    id="result.signed-is-plain",
    title="the signed value is the one the firmware shows for the same input",
    requirement="result profile",
)


def as_input(degrees: float) -> bytes:
    """The firmware's input: one little-endian float32, in degrees."""
    return struct.pack("<f", degrees)


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


def test_results_over_resets(device: Device, verifier: Verifier) -> None:
    """Counters that repeat and signatures that share their secret number show over cold boots."""
    verifier.result(device.infer_input(as_input(45)), subject="first boot")
    try:
        device.reset(ResetKind.COLD)
    except BenchError as error:
        if error.kind != "no-reset-control":
            raise
        pytest.skip("not covered: this board cannot be reset from here")
    verifier.result(device.infer_input(as_input(90)), subject="after a cold start")
    verifier.relations()


def test_the_signed_value_is_the_plain_one(device: Device, checks: Checks) -> None:
    client = shell(device)
    for form in ("CBOR", "SIGN1"):
        for inference in client.infer_values("tflm_sine", 45, form=form):
            # The value stands in both as the byte string of claim -80000, little-endian float32.
            value = struct.pack("<f", inference.value)
            head = bytes.fromhex("3a0001387f44")
            place = inference.message.find(head)
            carried = inference.message[place + len(head) : place + len(head) + 4] if place >= 0 else b""
            near = len(carried) == 4 and abs(struct.unpack("<f", carried)[0] - inference.value) < 1e-6
            checks(SIGNED_IS_PLAIN, near, expected=value.hex(), seen=carried.hex() or "no claim -80000", subject=form)


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
