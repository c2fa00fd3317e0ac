"""PSA initial attestation: the token speaks of this board, this boot, these images, this caller."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from tfm_harness import Bench, Check, Checks, Device, ResetKind, Verifier
from tfm_harness.protocol.smp import status_of
from tfm_harness.verify import CoseMessage, PublicKey, cbor, record_signature

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


SIZE_EXACT = Check(
    id="attestation.size-exact",
    title="a buffer of the announced size takes the token, and one byte less does not",
    requirement="PSA Attestation API 1.0 s.3.2.3 (the size of the token for that challenge)",
)
REFERENCE = "tfm-harness-reference"
LABELS = {10, 256, 265, 268, *range(2394, 2401), *range(-75010, -74999)}
"""Claims of both PSA profiles (RFC 9783 s.4, s.5.2)."""
COMPONENTS = (2399, -75006)
ORDER = Check(
    id="attestation.component-order",
    title="the components of the software stand in the order that is documented",
    requirement="docs/protocol.md, Identity; RFC 9783 s.4.4.1 (the order of the boot)",
)
FORM = Check(
    id="attestation.form-documented",
    title="the token's headers, claims and components hold what is documented and no more; its heads are the shortest",
    requirement="docs/protocol.md, Identity; RFC 8949 s.4.1",
)
ZEROS = Check(
    id="attestation.signature-zeros",
    title="a signature whose r or s begins with zeros has both halves at their place",
    requirement="RFC 9053 s.2.1 (both numbers have the length of the curve's order)",
)
TRIES = 8192
"""Challenges tried for it: none of them leads there with probability 1e-14."""
TOKEN_FRESH = Check(
    id="attestation.same-challenge-new-state",
    title="the same challenge again gives a token of the present state, not the earlier token",
    requirement="RFC 9783 s.4.1.1, s.5.1.2; RFC 9334 s.10",
)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_a_token_tells_the_truth_for_every_challenge_size(device: Device, verifier: Verifier, size: int) -> None:
    """Every byte of the challenge is another one, so that none can be dropped, repeated or moved unseen."""
    announced = device.test_commands.attest_size(size)
    for challenge in (bytes(range(size)), bytes(range(255, 255 - size, -1)), bytes(size), b"\xff" * size):
        _, token = device.attest(challenge)
        verifier.token(challenge, token, announced_size=announced, subject=f"{size} bytes, {challenge[:4].hex()}...")


@pytest.mark.parametrize("size", [32, 48, 64])
def test_the_announced_size_is_exact(device: Device, checks: Checks, size: int) -> None:
    announced = device.test_commands.attest_size(size)
    token = device.test_commands.attest(bytes(size), buffer=announced)
    checks.equal(SIZE_EXACT, len(token), announced, subject=f"challenge of {size} bytes")
    status = status_of(device.test_commands.attest, bytes(size), buffer=announced - 1)
    checks.equal(SIZE_EXACT, status, BUFFER_TOO_SMALL, subject=f"challenge of {size} bytes, one byte less")


@pytest.mark.needs("known-secrets")
@pytest.mark.parametrize("half", [pytest.param(0, id="r"), pytest.param(1, id="s")])
def test_signatures_whose_numbers_begin_with_zeros(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier, half: int
) -> None:
    """The host knows the key, and so which challenge leads to one of the signatures, one in 256, that begin so."""
    challenge, token = device.attest(bytes(range(32)))
    parsed = verifier.token(challenge, token, subject="a usual one")
    key, private = bench.trust.key("iak"), bench.trust.private_key("iak")
    if parsed.message is None or not isinstance(key, PublicKey) or private is None:
        pytest.skip("not covered: no token that verifies, or no key that the host knows")

    def signed(message: CoseMessage) -> bytes:
        digest = record_signature(message, key).digest
        signature = private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True))
        return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))

    for number in range(TRIES):
        other = number.to_bytes(len(challenge), "big")
        wanted = signed(replace(parsed.message, payload=parsed.message.payload.replace(challenge, other)))
        if wanted[32 * half] == 0:
            break
    else:
        pytest.skip(f"not covered: no signature of {TRIES} begins with a zero byte")
    made = verifier.token(*device.attest(other), subject=f"{'rs'[half]} begins with zeros")
    seen = made.message.signature if made.message is not None else b""
    checks.equal(ZEROS, seen.hex(), wanted.hex(), subject="rs"[half])


@pytest.mark.needs("models")
def test_the_same_challenge_shows_what_is_now(device: Device, checks: Checks, verifier: Verifier) -> None:
    """A token that was kept for its challenge would hide a change of model, or a reset."""
    challenge = bytes(range(32))
    seen: dict[bytes, str] = {}

    def judge(subject: str) -> None:
        token = device.attest(challenge)[1]
        parsed = verifier.token(challenge, token, subject=subject)
        payload = parsed.message.payload if parsed.message is not None else token
        first = seen.setdefault(payload, subject)
        checks(TOKEN_FRESH, first == subject, expected="a new token", seen=f"the one of {first}", subject=subject)

    judge("first")
    valid = {entry.name for entry in device.test_commands.models() if entry.status == 0 and not entry.active}
    for name in sorted(valid):
        device.select_model(name)
        judge(f"model {name}")
    device.reset(ResetKind.WARM)
    judge("after a warm reset")


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


def test_the_components_stand_in_the_order_of_the_boot(
    bench: Bench, device: Device, verifier: Verifier, checks: Checks
) -> None:
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: this firmware promises no order of its components")
    parsed = verifier.token(*device.attest(), subject="order")
    checks.equal(
        ORDER,
        [component.type for component in parsed.software_components],
        ["SPE", "NSPE", "MODEL"],
        subject="components",
    )
    message = parsed.message
    if message is not None:
        checks.equal(FORM, (message.protected, message.unprotected), ({1: -7}, {}), subject="both headers")
        decoded = cbor.decode(message.payload)
        claims = decoded.value if isinstance(decoded.value, dict) else {}
        checks.equal(FORM, [label for label in claims if label not in LABELS], [], subject="claims of no profile")
        components = next((claims[label] for label in COMPONENTS if label in claims), [])
        keys = (
            [sorted(one, key=str) for one in components if isinstance(one, dict)]
            if isinstance(components, list)
            else []
        )
        checks.equal(FORM, keys, [[1, 2, 4, 5]] * 3, subject="keys of each component")
        odd = (*message.oddities, *decoded.oddities)
        long = [one.offset for one in odd if one.kind == "preferred"]
        checks.equal(FORM, long, [], subject="places of longer heads")


@pytest.mark.needs("models")
def test_the_token_follows_the_active_model(bench: Bench, device: Device, verifier: Verifier) -> None:
    for entry in device.test_commands.models():
        if entry.status == 0 and entry.slot < 4 and entry.name in bench.combination.build.models:
            device.select_model(entry.name)
            verifier.token(*device.attest(), subject=f"model {entry.name}")


def test_other_challenge_sizes_are_refused(device: Device, checks: Checks) -> None:
    """All sizes up to 128, and those that look right when only the low bits of the length are kept."""
    right = {32, 48, 64}
    wrapped = [256 + size for size in sorted(right)] + [512 + 32, 1024 + 48, 2048 + 64]
    for size in [size for size in range(129) if size not in right] + wrapped:
        status = status_of(device.attest, bytes(size))
        checks.equal(SIZE_REFUSED, status, INVALID_ARGUMENT, subject=f"{size} bytes")
    for size in [0, 31, 33, 47, 49, 63, 65, *wrapped, (1 << 16) + 32, (1 << 31) + 48, (1 << 32) - 1, (1 << 32) + 64]:
        status = status_of(device.test_commands.attest_size, size)
        checks.equal(SIZE_REFUSED, status, INVALID_ARGUMENT, subject=f"size asked for {size} bytes")


def test_a_small_buffer_is_refused(device: Device, checks: Checks) -> None:
    _, token = device.attest(bytes(32))
    for size in (0, 1, len(token) - 1):
        status = status_of(device.test_commands.attest, bytes(32), buffer=size)
        # TF-M refuses a buffer of no bytes as an argument that makes no sense, which is as safe.
        safe = {BUFFER_TOO_SMALL} if size else {BUFFER_TOO_SMALL, INVALID_ARGUMENT}
        checks(
            SMALL_BUFFER, status in safe, expected=" or ".join(map(str, sorted(safe))), seen=status,
            subject=f"{size} of {len(token)} bytes",
        )  # fmt: skip


def test_a_buffer_is_offered_up_to_its_limit(device: Device, checks: Checks) -> None:
    """Sizes beyond the driver's own buffer, also those that look right when only 32 bits are kept."""
    token = device.test_commands.attest(bytes(32), buffer=2048)
    checks.equal(SMALL_BUFFER, len(token), device.test_commands.attest_size(32), subject="2048 bytes offered")
    for size in (2049, 4096, 65536, (1 << 32) - 1, 1 << 32, (1 << 32) + 1024, (1 << 64) - 1):
        status = status_of(device.test_commands.attest, bytes(32), buffer=size)
        checks.equal(SMALL_BUFFER, status, INVALID_ARGUMENT, subject=f"{size} bytes offered")
