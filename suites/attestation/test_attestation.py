"""PSA initial attestation: the token speaks of this board, this boot, these images, this caller."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, Refused, ResetKind, Verifier

pytestmark = pytest.mark.needs("psa-token", "trusted-iak")

INVALID_ARGUMENT = -135
BUFFER_TOO_SMALL = -138

SIZE_REFUSED = Check(
    id="attestation.challenge-size-refused",
    title="a challenge of another size than 32, 48 or 64 bytes is refused",
    requirement="PSA Attestation API 1.0 s.3.2.2 (PSA_ERROR_INVALID_ARGUMENT)",
)
SMALL_BUFFER = Check(
    id="attestation.small-buffer-refused",
    title="a buffer too small for the token is refused",
    requirement="PSA Attestation API 1.0 s.3.2.2 (PSA_ERROR_BUFFER_TOO_SMALL)",
)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_a_token_tells_the_truth_for_every_challenge_size(device: Device, verifier: Verifier, size: int) -> None:
    challenge, token = device.attest(bytes(range(size)))
    verifier.token(challenge, token, announced_size=device.lab.attest_size(size))


def test_tokens_of_one_boot_differ_in_the_nonce_only(device: Device, verifier: Verifier) -> None:
    for number in range(3):
        verifier.token(*device.attest(), subject=f"token {number}")
    verifier.relations()


@pytest.mark.needs("reset")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.needs(f"{kind}-reset"), id=str(kind)) for kind in ResetKind]
)
def test_tokens_over_resets_keep_the_identity_and_change_the_boot_seed(
    device: Device, verifier: Verifier, kind: ResetKind
) -> None:
    for number in range(3):
        verifier.token(*device.attest(), subject=f"boot {number}, {kind} resets")
        device.reset(kind)
    verifier.token(*device.attest(), subject="last boot")
    verifier.relations()


@pytest.mark.needs("models")
def test_the_token_follows_the_active_model(bench: Bench, device: Device, verifier: Verifier) -> None:
    for entry in device.lab.models():
        if entry.status == 0 and entry.slot < 4 and entry.name in bench.combination.build.models:
            device.select_model(entry.name)
            verifier.token(*device.attest(), subject=f"model {entry.name}")


@pytest.mark.parametrize("size", [0, 31, 33, 47, 49, 63, 65])
def test_other_challenge_sizes_are_refused(device: Device, checks: Checks, size: int) -> None:
    status: int | None = 0
    try:
        device.attest(bytes(size))
    except Refused as refused:
        status = refused.status
    checks.equal(SIZE_REFUSED, status, INVALID_ARGUMENT, subject=f"{size} bytes")


def test_a_small_buffer_is_refused(device: Device, checks: Checks) -> None:
    _, token = device.attest(bytes(32))
    for size in (0, 1, len(token) - 1):
        status: int | None = 0
        try:
            device.lab.attest(bytes(32), buffer=size)
        except Refused as refused:
            status = refused.status
        checks.equal(SMALL_BUFFER, status, BUFFER_TOO_SMALL, subject=f"{size} of {len(token)} bytes")
