"""Results that only who knows the board's key can read."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from functools import partial

import pytest
from tfm_harness import (
    Bench,
    Burned,
    Check,
    Checks,
    Device,
    Inference,
    ResetKind,
    Stimulus,
    Verifier,
    VirtualBoard,
)
from tfm_harness.protocol.smp import Command, status_of
from tfm_harness.testing import NoObjectError, with_object
from tfm_harness.verify import SignedResult, parse_encrypted, reference_symmetric_key

pytestmark = pytest.mark.needs(
    "encrypted-result", "infer", "signed-result", "nonce", "trusted-results", "known-secrets"
)

OPAQUE = Check(
    id="storage.result-opaque",
    title="an encrypted result shows nothing of what it encrypts: no nonce, no digest, no output",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets); RFC 9052 s.5",
)
RISES = Check(
    id="storage.result-nonce-rises",
    title="the nonces of encrypted results rise, over resets and cold starts",
    requirement="docs/protocol.md, Encrypted result; SP 800-38D s.8.2.1",
)
BOUND = Check(
    id="storage.result-bound",
    title="an encrypted result is bound to its request and its board: it decrypts with no other nonce or key",
    requirement="RFC 9052 s.4.3; PSA Security Model 1.1 s.4.3",
)
FORM = Check(
    id="storage.result-form",
    title="the headers hold the algorithm and the nonce alone, and the nonce is the counter of the result",
    requirement="docs/protocol.md, Encrypted result",
)
IDENTITY = Check(
    id="storage.no-identity-no-key",
    title="without an identity nothing is encrypted",
    requirement="PSA Security Model 1.1 s.5.2 (provisioning); docs/protocol.md, OTP area",
)
REFUSED = Check(
    id="storage.result-refused",
    title="a request that gets no signed result gets no encrypted one either",
    requirement="docs/protocol.md, infer; PSA Firmware Framework 1.0 s.4.3",
)
BAD_STATE, INVALID_ARGUMENT, DOES_NOT_EXIST = -137, -135, -140
REFERENCE = "tfm-harness-reference"
COUNTER_OWNER, COUNTER_UID = 261, 0x7465734C
"""Partition and object of the results' counter in the reference firmware."""


def some_input(bench: Bench, seed: int) -> bytes:
    """One input tensor's bytes; another for each seed."""
    return hashlib.shake_128(b"storage %d" % seed).digest(bench.description.input_bytes)


def nonce_of(message: bytes) -> int:
    """The message's nonce as a number; -1 where it has none."""
    found = parse_encrypted(message).nonce
    return -1 if found is None else int.from_bytes(found, "big")


def formed(checks: Checks, message: bytes, result: SignedResult | None, subject: str) -> None:
    """The headers are the documented ones, and AES-GCM's nonce is the counter of the result inside."""
    form = parse_encrypted(message)
    headers = (form.protected, sorted(form.unprotected, key=str))
    checks.equal(FORM, headers, ({1: 1}, [5]), subject=f"headers, {subject}")
    if result is not None:
        checks.equal(FORM, nonce_of(message), result.counter, subject=f"AES-GCM's nonce, {subject}")


def test_an_encrypted_result_holds_the_signed_one(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier
) -> None:
    for seed, size in ((1, 8), (2, 23), (3, 24), (5, 63), (6, 64)):
        nonce = hashlib.shake_128(b"nonce %d" % seed).digest(size)
        inference = device.infer_input(some_input(bench, seed), nonce=nonce, encrypted=True)
        message = inference.answer.message
        result = verifier.encrypted_result(inference, subject=f"nonce of {size} bytes")
        formed(checks, message, result, f"nonce of {size} bytes")
        shown = [nonce, bytes(hashlib.sha256(some_input(bench, seed)).digest())]
        shown += [output.data for output in result.outputs if len(output.data) >= 8] if result else []
        seen = [piece.hex() for piece in shown if piece in message]
        checks(OPAQUE, not seen, expected="none of it", seen=", ".join(seen), subject=f"nonce of {size} bytes")
    plain = device.infer_input(some_input(bench, 4))
    verifier.result(plain, subject="the next one, not encrypted")
    checks.equal(OPAQUE, plain.answer.message[:1], b"\xd2", subject="without `enc` a COSE_Sign1")


@pytest.mark.needs("memory-dump", "memory-map")
def test_what_is_encrypted_was_never_outside_of_the_secure_side(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier
) -> None:
    """The digest of an input that came once is in this result alone, and nowhere in the caller's memory."""
    size = bench.description.input_bytes
    data = secrets.token_bytes(size)
    verifier.encrypted_result(device.infer_input(data, encrypted=True))
    digest = hashlib.sha256(data).digest()
    for region in bench.memory_map.owned_by("nonsecure"):
        at = bench.board.read_memory(region.at, region.size).find(digest)
        seen = f"its input digest at {region.at + at:#x}"
        checks(OPAQUE, at < 0, expected="nothing of the signed result", seen=seen, subject=region.name)


def test_encrypted_results_are_refused_where_signed_ones_are(bench: Bench, device: Device, checks: Checks) -> None:
    """Another model than asked for, nonces and inputs of a wrong length; for each source of the input."""
    data, model = some_input(bench, 5), device.describe().model_id
    host: dict[str, object] = {"nonce": bytes(16), "src": 1, "in": data, "enc": 1}
    window: dict[str, object] = {"nonce": bytes(64), "src": 0, "enc": 1}
    other = {"mid": model[:31] + bytes([model[31] ^ 1])} if model else {}

    def refused(asked: dict[str, object], wanted: int, subject: str) -> None:
        status = status_of(device.test_commands.ask, Command.INFER, asked)
        bench.asked_results += status == 0
        checks.equal(REFUSED, status, wanted, subject=subject)

    refused(host | {"in": data + b"\0"}, INVALID_ARGUMENT, "an input that is a byte too long")
    sources = {"the host's input": host}
    if not bench.missing(["sensor", "stimulus", "sensor-model"]):
        device.test_commands.sample("clear")
        refused(window, BAD_STATE, "no window")
        device.fill_window()
        refused(window | {"in": data}, INVALID_ARGUMENT, "an input beside the window")
        sources["the sensor's window"] = window
    for words, right in sources.items():
        refused(right | {"nonce": bytes(7)}, INVALID_ARGUMENT, f"a nonce of 7 bytes, {words}")
        refused(right | {"nonce": bytes(65)}, INVALID_ARGUMENT, f"a nonce of 65 bytes, {words}")
        if other:
            refused(right | other, DOES_NOT_EXIST, f"another model, {words}")


@pytest.mark.needs("sensor", "stimulus", "sensor-model")
def test_an_encrypted_result_of_the_sensor(
    device: Device, stimulus: Stimulus, checks: Checks, verifier: Verifier
) -> None:
    stimulus.set("mag.x", 30.0)
    for size in (8, 64):
        subject = f"a window, nonce of {size} bytes"
        inference = device.infer_window(nonce=bytes(range(size)), encrypted=True)
        result = verifier.encrypted_result(inference, subject=subject)
        formed(checks, inference.answer.message, result, subject)


@pytest.mark.needs("warm-reset", "cold-reset")
def test_no_nonce_comes_twice(bench: Bench, device: Device, checks: Checks, verifier: Verifier) -> None:
    """Results that are not encrypted stand between them, and resets."""
    before = -1
    for kind in (None, ResetKind.WARM, ResetKind.COLD):
        if kind is not None:
            device.reset(kind)
        for seed in range(2):
            inference = device.infer_input(some_input(bench, seed), encrypted=True)
            verifier.encrypted_result(inference)
            number = nonce_of(inference.answer.message)
            checks(
                RISES, number > before, expected=f"above {before}", seen=number, subject=f"after {kind or 'nothing'}"
            )
            before = number


def test_it_opens_with_nothing_else(bench: Bench, device: Device, checks: Checks, verifier: Verifier) -> None:
    inference = device.infer_input(some_input(bench, 9), encrypted=True)
    verifier.encrypted_result(inference)
    huk, nonce, message = bench.board.identity.huk, inference.answer.nonce, inference.answer.message
    assert huk is not None
    assert nonce is not None
    apart = verifier.apart()
    key = reference_symmetric_key(huk, "result-encryption")
    other = bytes([huk[0] ^ 1]) + huk[1:]
    tries = {
        "another request's nonce": (key, bytes(len(nonce))),
        "no external data": (key, b""),
        "the storage key": (reference_symmetric_key(huk, "storage"), nonce),
        "another board's key": (reference_symmetric_key(other, "result-encryption"), nonce),
        "an all-zero key": (bytes(16), nonce),
        "the key of an all-zero secret": (reference_symmetric_key(bytes(32), "result-encryption"), nonce),
    }
    for subject, (wrong, external) in tries.items():
        opened = apart.decrypted(message, wrong, external_aad=external)
        checks(BOUND, opened is None, expected="no plaintext", seen="the plaintext", subject=subject)


@pytest.mark.thorough
@pytest.mark.needs("provision", "nv-access", "cold-reset")
def test_another_board_has_another_key(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier, virtual: VirtualBoard
) -> None:
    """Two boards, the same request, the same counter: two keys, so that one nonce may come on both."""
    messages: list[bytes] = []
    with virtual.other_boards() as burn:
        for seed in (1, 2):
            burn(Burned(huk=hashlib.sha256(b"TEST_ONLY storage %d" % seed).digest()))
            inference = device.infer_input(some_input(bench, 1), nonce=bytes(range(16)), encrypted=True)
            verifier.encrypted_result(inference, subject=f"board {seed}")
            messages.append(inference.answer.message)
            other = reference_symmetric_key(
                hashlib.sha256(b"TEST_ONLY storage %d" % (3 - seed)).digest(), "result-encryption"
            )
            opened = verifier.apart().decrypted(inference.answer.message, other, external_aad=bytes(range(16)))
            checks(
                BOUND, opened is None, expected="no plaintext", seen="the plaintext", subject=f"board {seed}'s message"
            )
    checks(BOUND, messages[0] != messages[1], expected="two messages", seen="one", subject="two boards")


@pytest.mark.thorough
@pytest.mark.needs("provision", "cold-reset", "protected-storage")
def test_without_an_identity_nothing_is_encrypted(device: Device, checks: Checks, virtual: VirtualBoard) -> None:
    with virtual.burned(Burned(otp=bytes(256))):
        for subject, ask in (
            ("a result", lambda: device.infer_input(device.any_input(), encrypted=True)),
            ("an object", lambda: device.test_commands.ps_set(1, b"data")),
        ):
            status = status_of(ask)
            checks.equal(IDENTITY, status, BAD_STATE, subject=subject)


@pytest.mark.parametrize("value", [2, 255])
def test_another_kind_of_encryption_is_refused(device: Device, checks: Checks, value: int) -> None:
    request = {"nonce": bytes(16), "src": 1, "in": device.any_input(), "enc": value}
    status = status_of(device.test_commands.ask, Command.INFER, request)
    checks(OPAQUE, status == -135, expected="-135", seen=status, subject=f"enc {value}")


@pytest.mark.needs("nv-access", "cold-reset", "describe")
def test_the_nonce_is_as_wide_as_the_counter(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier, virtual: VirtualBoard
) -> None:
    """A nonce of fewer bits would come again when the counter has gone on by 2^8, 2^16 or 2^32."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware keeps its counter is not known")
    verifier.encrypted_result(device.infer_input(some_input(bench, 0), encrypted=True))
    counter = secrets.randbits(62) | 1 << 62 | 1 << 33 | 1 << 17 | 1 << 9  # another one in each run: no nonce twice
    with virtual.keeping():
        try:
            content = with_object(virtual.nv.read(), COUNTER_OWNER, COUNTER_UID, counter.to_bytes(8, "little"))
        except NoObjectError as error:
            pytest.skip(f"not covered: {error}")
        virtual.restart_with(content)
        asks: list[Callable[..., Inference]] = [partial(device.infer_input, some_input(bench, 1))] * 2
        if not bench.missing(["sensor", "stimulus", "sensor-model"]):
            asks[1] = device.infer_window
        for step, ask in enumerate(asks, 1):
            inference = ask(encrypted=True)
            verifier.apart().encrypted_result(inference)
            subject = f"{step} above counter {counter:#x}"
            checks.equal(FORM, nonce_of(inference.answer.message), counter + step, subject=subject)
