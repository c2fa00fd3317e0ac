"""Without an identity nothing is signed: OTP and entropy that are empty, or damaged in any field."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import (
    Bench,
    Burned,
    Check,
    Checks,
    Console,
    Device,
    InfrastructureError,
    Mark,
    ModelUpdates,
    Refused,
    Verifier,
    VirtualBoard,
    make_otp,
)
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import flip

pytestmark = pytest.mark.needs("describe", "known-secrets", "provision", "cold-reset", "infer")

REFERENCE = "tfm-harness-reference"
BAD_STATE = -137
LINE = 5.0
"""Seconds for a line, once the device has answered."""

STATE = Check(
    id="provisioning.otp-state",
    title="an empty or damaged one-time-programmable area is called what it is",
    requirement="docs/protocol.md, OTP area",
)
NO_SIGNATURE = Check(
    id="provisioning.no-identity-no-signature",
    title="without a whole identity, or without entropy, no signing service answers",
    requirement="PSA Security Model 1.1 s.5.2 (provisioning); docs/protocol.md, OTP area",
)
ISOLATED = Check(
    id="provisioning.no-identity-isolated",
    title="without a whole identity secure memory and peripherals are closed as always",
    requirement="PSA Security Model 1.1 s.4.5, s.5.2",
)
VERIFIED = Check(
    id="provisioning.no-identity-verified",
    title="without a whole identity models that the trusted key has not signed are refused as always",
    requirement="PSA Security Model 1.1 s.5.4; docs/protocol.md, OTP area (the key that is built in)",
)
INVALID_SIGNATURE = -149
DIGEST_AT = 0xE0


def sealed(body: bytes) -> bytes:
    """An area with the digest that fits its content."""
    return body[:DIGEST_AT] + hashlib.sha256(body[:DIGEST_AT]).digest()


def changed(area: bytes, at: int, value: bytes) -> bytes:
    """The area with other bytes at an offset."""
    return area[:at] + value + area[at + len(value) :]


RIGHT = make_otp(
    huk=bytes(range(1, 33)),
    lifecycle=0x3000,
    implementation_id=bytes(32),
    certification_reference="1234567890123-12345",
)
FIELDS = {
    "magic": 0, "version": 4, "size": 6, "lifecycle": 8, "reserved": 0xC, "HUK": 0x10, "HUK, last byte": 0x2F,
    "implementation id": 0x30, "certification reference": 0x50, "verification service": 0x64, "image key": 0xA0,
    "model key": 0xC0, "model key, last byte": 0xDF, "digest": 0xE0, "digest, last byte": 0xFF,
}  # fmt: skip
AREAS: dict[str, tuple[str, bytes]] = {
    "zeros": ("empty", bytes(256)),
    "ones": ("empty", b"\xff" * 256),
    **{f"one bit of {name}": ("corrupt", changed(RIGHT, at, bytes([RIGHT[at] ^ 1]))) for name, at in FIELDS.items()},
    "sealed: another magic": ("corrupt", sealed(changed(RIGHT, 0, b"TFMX"))),
    "sealed: version 0": ("corrupt", sealed(changed(RIGHT, 4, b"\0\0"))),
    "sealed: version 2": ("corrupt", sealed(changed(RIGHT, 4, b"\2\0"))),
    "sealed: size 255": ("corrupt", sealed(changed(RIGHT, 6, b"\xff\0"))),
    "sealed: lifecycle of 17 bits": ("corrupt", sealed(changed(RIGHT, 8, b"\0\x30\1\0"))),
    "sealed: reserved not zero": ("corrupt", sealed(changed(RIGHT, 0xC, b"\1"))),
    "sealed: text that is not ASCII": ("corrupt", sealed(changed(RIGHT, 0x50, b"\xe9"))),
    "sealed: text with a control character": ("corrupt", sealed(changed(RIGHT, 0x64, b"a\x1fb"))),
    "sealed: text with a DEL": ("corrupt", sealed(changed(RIGHT, 0x64, b"a\x7fb"))),
    "sealed: text behind its end": ("corrupt", sealed(changed(RIGHT, 0x9F, b"x"))),
    "sealed: certification reference, a digit more": ("corrupt", sealed(changed(RIGHT, 0x63, b"6"))),
    "sealed: certification reference with a letter": ("corrupt", sealed(changed(RIGHT, 0x5C, b"a"))),
    "all but one byte zero": ("corrupt", changed(bytes(256), 0x80, b"\1")),
    "the first half": ("corrupt", RIGHT[:128] + bytes(128)),
    "one bit of the digest, assembly and test": ("corrupt", flip(0xFF)(sealed(changed(RIGHT, 8, b"\0\x10")))),
}
WATCHED = ("ones", "the first half")
"""One that is empty and one that is damaged: whether what needs no identity holds."""
QUICK = ("zeros", "ones", "one bit of HUK", "one bit of digest, last byte", "sealed: version 2")


def nothing_is_signed(device: Device, checks: Checks, subject: str) -> None:
    """Every service that signs, or shows a key that follows from the secret."""
    requests: dict[str, Callable[[], object]] = {
        "infer": lambda: device.infer_input(device.client.any_input()),
        "attest": device.attest,
        "result key": lambda: device.public_key("result"),
        "attestation key": lambda: device.public_key("iak"),
        "request for the result key": lambda: device.csr("result"),
        "request for the client key": lambda: device.csr("client"),
    }
    for name, ask in requests.items():
        if "no entropy" in subject and name in {"result key", "attestation key"}:
            continue  # keys follow from the secret alone; a request is signed
        status = status_of(ask)
        checks.equal(NO_SIGNATURE, status, BAD_STATE, subject=f"{subject}: {name}")


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(QUICK, id="some"),
        pytest.param(tuple(name for name in AREAS if name not in QUICK), id="others", marks=pytest.mark.thorough),
    ],
)
def test_without_a_whole_identity_nothing_is_signed(
    bench: Bench,
    device: Device,
    checks: Checks,
    verifier: Verifier,
    virtual: VirtualBoard,
    names: tuple[str, ...],
) -> None:
    with virtual.fuses() as burn:
        for name in names:
            state, area = AREAS[name]
            since = secure_console(bench)
            burn(Burned(otp=area), answers=False)
            # The image's key in these areas is no real one: a device that takes a damaged area for whole does not boot.
            said = f"a device that says {state!r}"
            if checks(STATE, bench.answers(), expected=said, seen="no answer", subject=name):
                said_of_it = device.describe().raw
                checks.equal(STATE, said_of_it.get("otp"), state, subject=name)
                checks.equal(STATE, said_of_it.get("uuid"), "", subject=f"{name}: no UUID, which boards would share")
                if bench.description.firmware == REFERENCE:
                    checks.equal(STATE, said_of_it.get("life"), 0, subject=f"{name}: the lifecycle is unknown")
                    told = "trace" in str(said_of_it.get("feat"))
                    checks.equal(STATE, told, False, subject=f"{name}: offers what assembly and test alone may do")
                said_on(since, checks, f"[SPE] OTP {state}: no identity, signing refused", name)
                nothing_is_signed(device, checks, name)
                if name in WATCHED:
                    nothing_is_opened(bench, checks, name)
                    models_are_verified(bench, device, checks, verifier, name)


def secure_console(bench: Bench) -> tuple[Console, Mark] | None:
    """The reference firmware's secure console, and where it is now; None where its lines are not known."""
    console = bench.board.consoles.get("secure")
    if bench.description.firmware != REFERENCE or console is None:
        return None
    return console, console.mark()


def said_on(since: tuple[Console, Mark] | None, checks: Checks, line: str, subject: str) -> None:
    """The line is on the console since then. The device has answered already, so the line comes within a moment."""
    if since is None:
        return
    console, mark = since
    with contextlib.suppress(InfrastructureError):
        console.wait_for(f"{line}\n".encode(), timeout=LINE, since=mark)
    seen = console.read_from(mark).decode("ascii", "backslashreplace")
    checks(STATE, line in seen, expected=line, seen=seen[-400:], subject=f"{subject}: said on the secure console")


def nothing_is_opened(bench: Bench, checks: Checks, subject: str) -> None:
    """Nothing is open that is closed on a sound board: an attacker can damage the fuses."""
    if bench.missing(["probe", "memory-map"]) or bench.probes.resets:
        return
    tried, reached = bench.probes.read_of_secure()
    seen = f"no fault at {', '.join(map(hex, reached[:8]))}"
    checks(ISOLATED, not reached, expected=f"{tried} faults", seen=seen, subject=subject)


def models_are_verified(bench: Bench, device: Device, checks: Checks, verifier: Verifier, subject: str) -> None:
    """By the key that is built in."""
    if bench.missing(["update", "models", "file-model-signing-key", "factory-reset"]):
        return
    updates = ModelUpdates(bench, device, checks, verifier)
    other = ec.generate_private_key(ec.SECP256R1())
    for words, image in (
        ("not signed", updates.image(ahead=1, key=None, named_key=updates.key.public_key())),
        ("another key", updates.image(ahead=1, key=other, named_key=updates.key.public_key())),
        ("a changed byte", flip(ModelUpdates.HEADER_SIZE + 64)(updates.image(ahead=1))),
    ):
        updates.refuse(VERIFIED, image, INVALID_SIGNATURE, subject=f"{words}, {subject}")


def test_without_entropy_nothing_is_signed(bench: Bench, device: Device, checks: Checks, virtual: VirtualBoard) -> None:
    """The device's identity follows from its secret alone, so it is told all the same."""

    def identity() -> tuple[object, ...]:
        found: list[object] = [device.describe().uuid]
        for name in ("result", "iak"):
            try:
                found.append(device.public_key(name).hex())
            except Refused as refused:
                found.append(refused.status)
        return tuple(found)

    known = identity()
    with virtual.fuses() as burn:
        for name, area in {
            "zeros": bytes(64),
            "another magic": b"TFMX" + bytes(4) + bytes(range(32)) + bytes(24),
        }.items():
            since = secure_console(bench)
            burn(Burned(entropy=area))
            said_on(since, checks, "[SPE] no entropy: no boot seed, signing refused", f"no entropy, {name}")
            said = device.describe().raw.get("seed")
            checks.equal(STATE, said, b"", subject=f"no entropy, {name}: no boot seed, which boots would share")
            checks.equal(STATE, identity(), known, subject=f"no entropy, {name}: UUID and keys")
            nothing_is_signed(device, checks, f"no entropy, {name}")
