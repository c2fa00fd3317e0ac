"""What a token says, by name."""

from __future__ import annotations

import pytest
from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.profiles_psa import CCA, LEGACY, P1, RFC9783, ClaimProfile, identify
from tfm_harness.verify.psa_token import PsaToken

TYPES: dict[str, type[bytes | int | str]] = {
    "nonce": bytes,
    "instance_id": bytes,
    "implementation_id": bytes,
    "boot_seed": bytes,
    "client_id": int,
    "security_lifecycle": int,
    "certification_reference": str,
    "verification_service_indicator": str,
}
VALUES: tuple[CborValue, ...] = (b"\x01", 7, "text", True, None, [1], {1: 2})


@pytest.mark.parametrize("profile", [RFC9783, LEGACY, P1, CCA])
@pytest.mark.parametrize("role", TYPES)
def test_a_claim_is_given_by_its_name_when_it_has_its_type(role: str, profile: ClaimProfile) -> None:
    """Under the token's own profile; nothing without one, or where the claim is missing or of another type."""
    label = profile.labels.get(role)
    for value in VALUES:
        claims: dict[int | str | bytes, CborValue] = {} if label is None else {label: value}
        right = label is not None and type(value) is TYPES[role]
        assert getattr(PsaToken(raw=b"", profile=profile, claims=claims), role) == (value if right else None)
        assert getattr(PsaToken(raw=b"", claims=claims), role) is None
    assert getattr(PsaToken(raw=b"", profile=profile), role) is None


@pytest.mark.parametrize("label", [10, 256, 265, 2394, 2395, 2396])
def test_one_claim_of_the_rfc_s_labels_makes_it_the_rfc_s_layout(label: int) -> None:
    """Where the profile that is named is none that is known: of P1's labels alone, P1's."""
    claims: dict[int | str | bytes, CborValue] = {-75000: "of nobody", -75008: b"nonce", -75009: b"id"}
    assert identify(claims) == (P1, "'of nobody'")
    assert identify({**claims, label: "of nobody"}) == (RFC9783, "'of nobody'")
