"""Evidence of firmware with a protocol of its own: signed results without a nonce, an application token, its keys."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Device,
    Reference,
    Report,
    ResetKind,
    Severity,
    Verifier,
    ZephyrShellDriver,
)
from tfm_harness.protocol.zephyr_shell import (
    INPUTS_KEPT,
    MODELS_LISTED,
    PRINTED,
    SIGNED_IS_PLAIN,
    TOKEN_MODEL,
    TOKEN_STABLE,
    parse,
    plain_value,
    signed_value,
)
from tfm_harness.verify import (
    ResultExpectations,
    ResultObservation,
    SignedResult,
    check_result_relations,
    verify_result,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

pytestmark = pytest.mark.needs("infer", "signed-result", "app-token", "trusted-results")

MODEL = "tflm_sine"
DEGREES = (0.0, 45.0, 90.0, 180.0, 359.0)
FRACTIONS = (0.125, 0.375, 1.625, 123.456789)
CIRCLE = (*(float(degrees) for degrees in range(0, 360, 15)), *FRACTIONS, 359.0)
MOST_FRACTIONS = 16  # of a table: each is asked for twice
INPUT_BOUND = Check(
    id="result.input-bound",
    title="a result says which input it was computed from",
    requirement="RFC 9334 s.8.1; result profile",
    dev=Severity.INFO,
    validation=Severity.WARNING,
)


def as_input(degrees: float) -> bytes:
    """The firmware's input: one little-endian float32, in degrees."""
    return struct.pack("<f", degrees)


def verified(bench: Bench, report: Report, message: bytes, profile: str, subject: str) -> SignedResult:
    """A message judged with the key that is trusted for results."""
    key = bench.trust.key("result")
    assert key is not None, "trusted-results is among the needs"
    return verify_result(
        message, profile=profile, keys=[key], expected=ResultExpectations(), report=report, subject=subject
    )


def models_of(client: ZephyrShellDriver) -> tuple[str, ...]:
    """The models that the device lists as active."""
    return tuple(entry.label for entry in parse.models(client.run("infer model")) if entry.status == "Active")


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


def test_the_signed_value_is_the_plain_one(bench: Bench, device: Device, checks: Checks) -> None:
    """Each model over the whole circle, fractions too: verified payload, text and unsigned map say one value."""
    client = shell(device)
    signed: list[SignedResult] = []
    for model in models_of(client):
        for degrees in CIRCLE:
            plain = client.infer_values(model, degrees, form="CBOR")
            shown = client.infer_values(model, degrees, form="SIGN1")
            signed += says_one_value(bench, checks, model, plain, shown)
    judge_together(signed, checks.report)


@pytest.mark.thorough
def test_every_whole_degree_is_signed_as_it_is_shown(bench: Bench, device: Device, checks: Checks) -> None:
    """All whole degrees, in one request for each form."""
    client = shell(device)
    signed: list[SignedResult] = []
    for model in models_of(client):
        plain = client.infer_values(model, 0, 359, 1, form="CBOR")
        shown = client.infer_values(model, 0, 359, 1, form="SIGN1")
        signed += says_one_value(bench, checks, model, plain, shown)
    judge_together(signed, checks.report)


def judge_together(results: Sequence[SignedResult], report: Report) -> None:
    """All results of one boot: counters rise by one, and no secret number comes twice."""
    check_result_relations(
        [ResultObservation(result=result, request=index) for index, result in enumerate(results)], report
    )


def says_one_value(
    bench: Bench, checks: Checks, model: str, plain: Sequence[parse.Inference], signed: Sequence[parse.Inference]
) -> list[SignedResult]:
    """Unsigned map, verified payload and text of each of these; the results in their order."""
    results = []
    for unsigned, shown in zip(plain, signed, strict=True):
        subject = f"{model} at {shown.degrees:g} degrees"
        results.append(verified(bench, checks.report, shown.message, "linaro-cai", subject))
        value = signed_value(results[-1])
        wanted = plain_value(unsigned.message)
        checks(SIGNED_IS_PLAIN, value == wanted, expected=wanted, seen=value, subject=f"{subject}, CBOR")
        near = abs(wanted - unsigned.value) <= PRINTED
        checks(SIGNED_IS_PLAIN, near, expected=unsigned.value, seen=wanted, subject=f"{subject}, text of CBOR")
        near = abs(value - shown.value) <= PRINTED
        checks(SIGNED_IS_PLAIN, near, expected=shown.value, seen=value, subject=f"{subject}, text")
    return results


def expected_values(bench: Bench, reference: Reference, report: Report, name: str, inputs: Floats) -> Floats:
    """What a model makes of inputs in degrees: its interpreter, table or library, with the build's input conversion."""
    from tfm_harness.parity import check_vacuity, interpreted_values, reference_values

    build = bench.combination.build
    declared = build.models[name]
    factor = declared.degrees_factor
    if declared.reference is not None and declared.reference.tells_values:
        return reference_values(declared.reference, inputs, factor=factor, time_limit=build.parity.time_limit)
    model, info = reference.model(name)
    values, quantised, outputs = interpreted_values(
        inputs, info, lambda tensors: reference.engine.run(model, tensors, name=info.name), factor=factor,
        rule=build.quantisation(name),
    )  # fmt: skip
    check_vacuity(quantised, outputs, report, subject=name)
    return values


def described_models(bench: Bench, client: ZephyrShellDriver) -> list[str]:
    """The models that the device lists and the build describes; skips as not covered without any."""
    described = [name for name in models_of(client) if name in bench.combination.build.models]
    if not described:
        pytest.skip("not covered: the build describes no reference for any model of the device")
    return described


def fractions_told(bench: Bench, name: str) -> tuple[float, ...]:
    """Inputs between whole degrees for which the build tells a model's value: any, or those of a table."""
    from tfm_harness.parity import read_table

    declared = bench.combination.build.models[name].reference
    if declared is None or declared.kind != "table":
        return FRACTIONS
    inputs, _ = read_table(declared.source)
    return tuple(value for value in inputs.tolist() if 0 <= value < 360 and not value.is_integer())[:MOST_FRACTIONS]


def test_the_values_are_the_references(bench: Bench, device: Device, reference: Reference, checks: Checks) -> None:
    """Every whole degree of every described model: bit for bit, as the build declares."""
    client = shell(device)
    build = bench.combination.build
    listed = models_of(client)
    missing = [name for name in build.models if name not in listed]
    checks(MODELS_LISTED, not missing, expected="every model of the build", seen=f"no {', '.join(missing)}")
    import numpy as np
    from tfm_harness.parity import compare

    granted = build.parity.granted(build.document)
    for name in described_models(bench, client):
        found = client.infer_values(name, 0, 359, 1)
        values = np.array([plain_value(entry.message) for entry in found], dtype=np.float32)
        inputs = np.array([entry.degrees for entry in found], dtype=np.float32)
        checks.equal(INPUTS_KEPT, inputs.tolist(), [float(degrees) for degrees in range(360)], subject=name)
        expected = expected_values(bench, reference, checks.report, name, np.arange(360, dtype=np.float32))
        compare([expected.reshape(-1, 1)], [values.reshape(-1, 1)], granted, checks.report, model=name)


def test_values_between_whole_degrees_are_the_references(
    bench: Bench, device: Device, reference: Reference, checks: Checks
) -> None:
    """Inputs that are no whole degrees, unsigned and signed: bit for bit, as the build declares."""
    client = shell(device)
    build = bench.combination.build
    told = {name: fractions_told(bench, name) for name in described_models(bench, client)}
    if not any(told.values()):
        pytest.skip(f"not covered: no reference tells a value between whole degrees for {', '.join(told)}")
    import numpy as np
    from tfm_harness.parity import compare

    granted = build.parity.granted(build.document)
    for name in filter(told.get, told):
        fractions = np.array(told[name], dtype=np.float32)
        expected = expected_values(bench, reference, Report(), name, fractions).reshape(-1, 1)
        for form in ("CBOR", "SIGN1"):
            messages = [client.infer_values(name, float(degrees), form=form)[0].message for degrees in fractions]
            read = [
                plain_value(message)
                if form == "CBOR"
                else signed_value(verified(bench, Report(), message, "linaro-cai", name))
                for message in messages
            ]
            shown = np.array(read, dtype=np.float32).reshape(-1, 1)
            compare([expected], [shown], granted, checks.report, model=name, subject=f"{name}, fractions, {form}")


def test_every_reference_tells_values_between_whole_degrees(bench: Bench, device: Device) -> None:
    """A table without lines for such inputs leaves them unjudged: it is named as not covered."""
    without = [name for name in described_models(bench, shell(device)) if not fractions_told(bench, name)]
    if without:
        pytest.skip(f"not covered: the table of {', '.join(without)} has no value between whole degrees")


def test_every_listed_model_has_a_reference(bench: Bench, device: Device) -> None:
    """A model that the device offers and the build does not describe is named as not covered."""
    without = [name for name in models_of(shell(device)) if name not in bench.combination.build.models]
    if without:
        pytest.skip(f"not covered: the build describes no reference for {', '.join(without)}, which the device lists")


def test_the_application_token(bench: Bench, device: Device, checks: Checks) -> None:
    client = shell(device)
    tokens = [
        verified(bench, checks.report, client.app_token(), "linaro-cai-token", f"token {number}") for number in range(2)
    ]
    messages = [token.message.payload if token.message is not None else b"" for token in tokens]
    checks.equal(TOKEN_STABLE, messages[1], messages[0])
    if MODEL in bench.combination.build.models and bench.combination.build.models[MODEL].deployed is not None:
        digest = hashlib.md5(bench.trust.model_bytes(MODEL), usedforsecurity=False).hexdigest()
        for number, token in enumerate(tokens):
            claimed = token.values.get("tflm_model") if token.verified else None
            checks.equal(TOKEN_MODEL, claimed, digest, subject=f"token {number}")


def test_public_keys_are_the_trusted_ones(device: Device, verifier: Verifier) -> None:
    for role in ("result", "client"):
        verifier.public_key(role, device.public_key(role))


@pytest.mark.needs("csr")
def test_signing_requests(device: Device, verifier: Verifier) -> None:
    for role in ("result", "client"):
        verifier.csr(role, device.csr(role))
