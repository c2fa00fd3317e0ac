"""The attestation profiles that the verifier knows, as data: labels, mandatory claims, sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tfm_harness.verify.cbor import CborValue

__all__ = ["CCA", "CCA_TAG", "LEGACY", "P1", "PROFILES", "RFC9783", "ClaimProfile", "identify"]


@dataclass(frozen=True, eq=False)
class ClaimProfile:
    """One profile of the token.

    Attributes:
        name: short name for people and JSON.
        value: the value of the profile claim.
        labels: role to claim label.
        mandatory: roles of claims that must be present.
        boot_seed: smallest and largest boot seed in bytes.
        certification: pattern of the certification reference.
        foreign: labels that belong to another profile's encoding of the same claims.
        is_psa: False for Arm CCA platform tokens.
    """

    name: str
    value: str
    labels: Mapping[str, int]
    mandatory: tuple[str, ...]
    boot_seed: tuple[int, int]
    certification: re.Pattern[str]
    foreign: frozenset[int]
    is_psa: bool = True

    @cached_property
    def own(self) -> frozenset[int]:
        """The labels of this profile."""
        return frozenset(self.labels.values())

    @cached_property
    def required(self) -> frozenset[int]:
        """The labels of the mandatory claims."""
        return frozenset(self.labels[role] for role in self.mandatory)


_RFC_LABELS = {
    "nonce": 10,
    "instance_id": 256,
    "profile": 265,
    "boot_seed": 268,
    "client_id": 2394,
    "security_lifecycle": 2395,
    "implementation_id": 2396,
    "certification_reference": 2398,
    "software_components": 2399,
    "verification_service_indicator": 2400,
}
_P1_LABELS = {
    "profile": -75000,
    "client_id": -75001,
    "security_lifecycle": -75002,
    "implementation_id": -75003,
    "boot_seed": -75004,
    "certification_reference": -75005,
    "software_components": -75006,
    "no_software_measurements": -75007,
    "nonce": -75008,
    "instance_id": -75009,
    "verification_service_indicator": -75010,
}
_CCA_LABELS = {
    **{
        role: label
        for role, label in _RFC_LABELS.items()
        if role not in {"boot_seed", "client_id", "certification_reference"}
    },
    "platform_config": 2401,
    "hash_algorithm": 2402,
}
_DRAFT_SEED = 2397
_EAN_AND_SERIAL = re.compile(r"[0-9]{13}-[0-9]{5}", re.ASCII)
_COMMON = ("nonce", "instance_id", "client_id", "security_lifecycle", "implementation_id")
_P1_SET = frozenset(_P1_LABELS.values())

RFC9783 = ClaimProfile(
    "RFC 9783", "tag:psacertified.org,2023:psa#tfm", _RFC_LABELS, (*_COMMON, "profile", "software_components"),
    (8, 32), _EAN_AND_SERIAL, _P1_SET | {_DRAFT_SEED},
)  # fmt: skip
LEGACY = ClaimProfile(
    "PSA 2.0.0 (legacy)", "http://arm.com/psa/2.0.0", {**_RFC_LABELS, "boot_seed": _DRAFT_SEED},
    (*_COMMON, "profile", "software_components"), (8, 32), _EAN_AND_SERIAL, _P1_SET | {268},
)  # fmt: skip
P1 = ClaimProfile(
    "PSA_IOT_PROFILE_1", "PSA_IOT_PROFILE_1", _P1_LABELS, (*_COMMON, "boot_seed"), (32, 32),
    re.compile(r"[0-9]{13}(-[0-9]{5})?", re.ASCII), frozenset(_RFC_LABELS.values()) | {_DRAFT_SEED},
)  # fmt: skip
_CCA_MANDATORY = (
    "nonce", "instance_id", "profile", "security_lifecycle", "implementation_id", "software_components",
    "platform_config", "hash_algorithm",
)  # fmt: skip
CCA = ClaimProfile(
    "Arm CCA platform 1.0.0", "http://arm.com/CCA-SSD/1.0.0", _CCA_LABELS, _CCA_MANDATORY, (8, 32), _EAN_AND_SERIAL,
    _P1_SET, is_psa=False,
)  # fmt: skip
CCA_TAG = ClaimProfile(
    "Arm CCA platform (tag URI)", "tag:arm.com,2023:cca_platform#1.0.0", _CCA_LABELS, _CCA_MANDATORY, (8, 32),
    _EAN_AND_SERIAL, _P1_SET, is_psa=False,
)  # fmt: skip

PROFILES = {profile.value: profile for profile in (RFC9783, LEGACY, P1, CCA, CCA_TAG)}
"""The profiles by the value of the profile claim."""


def identify(claims: Mapping[int | str | bytes, CborValue]) -> tuple[ClaimProfile, str]:
    """The profile whose rules apply, and what is wrong with the token's profile claim.

    An unknown or missing profile is judged by the layout its labels suggest, so that one run
    lists every finding. The second item is empty when the profile claim is right.
    """
    value: CborValue
    fits: tuple[ClaimProfile, ...]
    if 265 in claims:
        value, fits = claims[265], _RFC_LAYOUT
    elif -75000 in claims:
        value, fits = claims[-75000], (P1,)
    else:
        looks_p1 = _looks_p1(claims)
        if looks_p1 and -75008 in claims:
            return P1, ""  # the claim is optional there (RFC 9783 s.4.6)
        return (P1 if looks_p1 and any(label in claims for label in _P1_SET) else RFC9783), "no profile claim"
    profile = PROFILES.get(value) if isinstance(value, str) else None
    if profile is not None and profile in fits:
        return profile, ""
    guess = P1 if _looks_p1(claims) else RFC9783
    return guess, f"{value!r}"[:120] if profile is None else f"{value!r} under another profile's label"[:120]


_RFC_LAYOUT = (RFC9783, LEGACY, CCA, CCA_TAG)


def _looks_p1(claims: Mapping[int | str | bytes, CborValue]) -> bool:
    return not any(label in claims for label in (10, 256, 265, 2394, 2395, 2396))
