"""What the host knows beforehand about a PSA token, and the comparison with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfm_harness.errors import ConfigError
from tfm_harness.verify import cbor
from tfm_harness.verify.checks import attestation as check
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.judge import Judge, matches, show
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.profiles_psa import LEGACY, P1, RFC9783, ClaimProfile

__all__ = ["PSA_PROFILES", "TokenExpectations", "check_expected", "check_sizes"]

PSA_PROFILES = frozenset({RFC9783.value, LEGACY.value, P1.value})
"""Profile values that name a PSA token."""
CALLERS = (None, "non-secure", "secure")
"""The kinds of caller that may have asked for a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExpectations:
    """What the host knows beforehand about a token; None means: not known, not compared.

    Attributes:
        profiles: accepted values of the profile claim.
        implementation_id: 32 bytes.
        instance_id: 33 bytes, or all forms that count (`PublicKey.instance_ids` of the board's key).
        certification_reference: the whole text.
        verification_service: the whole text.
        lifecycle: accepted values of the lifecycle claim (16 bit).
        caller: ``non-secure`` (client id below zero) or ``secure`` (above).
        client_id: the exact client id.
        boot_seed: the boot seed, where the host can compute it.
        components: the flashed images; see `tfm_harness.verify.images.expected_components`.
        announced_size: the answer of psa_initial_attest_get_token_size for this challenge's length, bytes.
        max_size: the firmware's PSA_INITIAL_ATTEST_MAX_TOKEN_SIZE.
        other_keys: further keys of the device by name; a finding names one that signed in place of the trusted key.
    """

    profiles: frozenset[str] = PSA_PROFILES
    implementation_id: bytes | None = None
    instance_id: bytes | frozenset[bytes] | None = None
    certification_reference: str | None = None
    verification_service: str | None = None
    lifecycle: frozenset[int] | None = None
    caller: str | None = None
    client_id: int | None = None
    boot_seed: bytes | None = None
    components: tuple[ExpectedComponent, ...] | None = None
    announced_size: int | None = None
    max_size: int | None = None
    other_keys: Mapping[str, PublicKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an expectation that would be compared wrongly.

        Raises:
            ConfigError: a caller of another name (kind ``expectation``).
        """
        if self.caller not in CALLERS:
            raise ConfigError(
                "a caller is non-secure or secure", kind="expectation", expected="non-secure, secure", seen=self.caller
            )


def check_expected(
    claims: Mapping[int | str | bytes, cbor.CborValue], profile: ClaimProfile, expected: TokenExpectations, judge: Judge
) -> None:
    """Compare claims with what the host knows of them."""
    for role, wanted, which in (
        ("implementation_id", expected.implementation_id, check.IMPLEMENTATION_ID_EXPECTED),
        ("instance_id", expected.instance_id, check.INSTANCE_ID_EXPECTED),
        ("certification_reference", expected.certification_reference, check.CERTIFICATION_EXPECTED),
        ("verification_service_indicator", expected.verification_service, check.VSI_EXPECTED),
        ("boot_seed", expected.boot_seed, check.BOOT_SEED_EXPECTED),
    ):
        if wanted is not None:
            seen = claims.get(profile.labels.get(role, -1))
            judge.judge(which, matches(seen, wanted), expected=show(wanted), seen=seen, show=show)
    if expected.lifecycle is not None:
        seen = claims.get(profile.labels["security_lifecycle"])
        wanted_text = ", ".join(f"{v:#06x}" for v in sorted(expected.lifecycle))
        held = type(seen) is int and seen in expected.lifecycle
        judge.judge(
            check.LIFECYCLE_EXPECTED, held, expected=wanted_text, seen=f"{seen:#06x}" if type(seen) is int else seen
        )
    if expected.caller is not None or expected.client_id is not None:
        _check_caller(claims.get(profile.labels.get("client_id", 0)), expected, judge)


def _check_caller(seen: cbor.CborValue, expected: TokenExpectations, judge: Judge) -> None:
    if expected.client_id is not None:
        held = type(seen) is int and seen == expected.client_id
        wanted = str(expected.client_id)
    else:
        held = type(seen) is int and (seen < 0 if expected.caller == "non-secure" else seen > 0)
        wanted = f"{'below' if expected.caller == 'non-secure' else 'above'} zero for a {expected.caller} caller"
    judge.judge(check.CLIENT_ID_CALLER, held, expected=wanted, seen=seen, show=show)


def check_sizes(token: bytes, expected: TokenExpectations, judge: Judge) -> None:
    """Compare the token's size with what was announced, and with the firmware's limit."""
    for limit, which in ((expected.announced_size, check.SIZE_ANNOUNCED), (expected.max_size, check.SIZE_MAX)):
        if limit is not None:
            judge.judge(which, len(token) <= limit, expected=f"at most {limit} bytes", seen=f"{len(token)} bytes")
