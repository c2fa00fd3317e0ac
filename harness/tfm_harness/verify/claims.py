"""The rules of each claim of a PSA token (RFC 9783 s.4), by profile."""

from __future__ import annotations

from collections.abc import Mapping

from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.checks import attestation as check
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.profiles_psa import P1, ClaimProfile

__all__ = ["LIFECYCLES", "check_claims", "lifecycle_name"]

HASH_SIZES = (32, 48, 64)
"""Sizes of PSA hash values in bytes (RFC 9783 s.6, psa-hash-type)."""

LIFECYCLES = {
    0x00: "unknown",
    0x10: "assembly and test",
    0x20: "PSA RoT provisioning",
    0x30: "secured",
    0x40: "non-PSA-RoT debug",
    0x50: "recoverable PSA-RoT debug",
    0x60: "decommissioned",
}
"""Major lifecycle states, bits 15..8 (RFC 9783 s.4.3.1)."""

TRUSTED_LIFECYCLES = frozenset({0x30, 0x40})
"""States in which a verifier may trust the PSA RoT (RFC 9783 s.4.3.1)."""

DUMMY_IMPLEMENTATION_ID = bytes.fromhex("aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd")
DUMMY_CERTIFICATION = "0604565272829-10010"
DUMMY_BOOT_SEED = bytes(range(0xA0, 0xC0))
"""What TF-M's dummy provisioning writes."""

Claims = Mapping[int | str | bytes, CborValue]


def lifecycle_name(value: object) -> str:
    """Name of a lifecycle value's major state."""
    return LIFECYCLES.get(value >> 8, "undefined") if type(value) is int and value >= 0 else "undefined"


def _show_lifecycle(value: object) -> str:
    return f"{value:#06x} ({lifecycle_name(value)})" if type(value) is int else _show(value)


def check_claims(claims: Claims, profile: ClaimProfile, judge: Judge, *, challenge: bytes | None) -> None:
    """Judge every claim by the rules of `profile`; all findings, not only the first."""
    _check_labels(claims, profile, judge)
    _check_nonce(claims, profile.labels["nonce"], judge, challenge)
    _check_identity(claims, profile, judge)
    _check_state(claims, profile, judge)
    _check_texts(claims, profile, judge)
    _check_software(claims, profile, judge)


_LABEL_RULES = (check.CLAIM_KEYS, check.MANDATORY, check.FOREIGN_LABELS, check.UNKNOWN_CLAIMS)


def _check_labels(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    if claims.keys() <= profile.own and profile.required <= claims.keys() and profile is not P1:
        judge.passed_all(_LABEL_RULES)
        return
    bad = [label for label in claims if isinstance(label, bytes)]
    judge.judge(check.CLAIM_KEYS, not bad, expected="integers or text", seen=bad, show=_listed)
    labels = profile.labels
    missing = [role for role in profile.mandatory if labels[role] not in claims]
    if (
        profile is P1
        and labels["software_components"] not in claims
        and labels["no_software_measurements"] not in claims
    ):
        missing.append("software_components or no_software_measurements")
    if missing:
        shown = ", ".join(f"{role} ({labels[role]})" if role in labels else role for role in missing)
        judge.failed(check.MANDATORY, expected=f"the mandatory claims of {profile.name}", seen=f"without {shown}")
    else:
        judge.passed(check.MANDATORY)
    foreign = [label for label in claims if label in profile.foreign]
    judge.judge(check.FOREIGN_LABELS, not foreign, expected=profile.name, seen=foreign, show=_listed)
    unknown = [label for label in claims if label not in profile.own and label not in profile.foreign]
    judge.judge(check.UNKNOWN_CLAIMS, not unknown, expected="none", seen=unknown, show=_listed)


def _listed(value: object) -> str:
    return ", ".join(f"{item!r}" for item in value)[:200] if isinstance(value, list) else ""


_ABSENT = object()
"""Stands for the value of a claim that is absent: it breaks every rule about values."""

# Most tokens keep all rules. If all rules of a group hold, they are recorded together, else one by one.
_NONCE_RULES = (check.NONCE_SIZE, check.CHALLENGE_GIVEN, check.NONCE_CHALLENGE)
_IDENTITY_RULES = (
    check.INSTANCE_ID_FORMAT, check.IMPLEMENTATION_ID_SIZE, check.DUMMY_IMPLEMENTATION_ID, check.CLIENT_ID_RANGE,
)  # fmt: skip
_STATE_RULES = (check.LIFECYCLE_RANGE, check.LIFECYCLE_TRUSTED, check.BOOT_SEED_SIZE, check.DUMMY_BOOT_SEED)
_TEXT_RULES = (check.CERTIFICATION_FORMAT, check.DUMMY_CERTIFICATION)


def _check_nonce(claims: Claims, label: int, judge: Judge, challenge: bytes | None) -> None:
    value = claims.get(label, _ABSENT)
    sized = isinstance(value, bytes) and len(value) in HASH_SIZES
    fresh = isinstance(value, bytes) and value == challenge
    if sized and fresh:
        judge.passed_all(_NONCE_RULES)
        return
    where = (label, "nonce")
    if value is not _ABSENT:
        judge.judge(
            check.NONCE_SIZE,
            sized,
            expected="one byte string of 32, 48 or 64 bytes",
            seen=value,
            show=_kind,
            where=where,
        )
    if challenge is None:
        judge.not_given(check.CHALLENGE_GIVEN, "the challenge that was sent")
        return
    judge.passed(check.CHALLENGE_GIVEN)
    seen = None if value is _ABSENT else value
    shown = _show if isinstance(seen, bytes) else _kind
    judge.judge(check.NONCE_CHALLENGE, fresh, expected=challenge.hex(), seen=seen, show=shown, where=where)


def _check_identity(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    labels = profile.labels
    instance = claims.get(labels["instance_id"], _ABSENT)
    implementation = claims.get(labels["implementation_id"], _ABSENT)
    client = claims.get(labels["client_id"], _ABSENT) if "client_id" in labels else _ABSENT
    formed = isinstance(instance, bytes) and len(instance) == 33 and instance[0] == 1
    sized = isinstance(implementation, bytes) and len(implementation) == 32
    own = implementation != DUMMY_IMPLEMENTATION_ID
    in_range = type(client) is int and -(1 << 31) <= client < 1 << 31 and client != 0
    if formed and sized and own and in_range:
        judge.passed_all(_IDENTITY_RULES)
        return
    if instance is not _ABSENT:
        judge.judge(
            check.INSTANCE_ID_FORMAT, formed, expected="33 bytes, the first 0x01", seen=instance, show=_show,
            where=(labels["instance_id"], "instance id"),
        )  # fmt: skip
    if implementation is not _ABSENT:
        where = (labels["implementation_id"], "implementation id")
        judge.judge(
            check.IMPLEMENTATION_ID_SIZE,
            sized,
            expected="a byte string of 32 bytes",
            seen=implementation,
            show=_kind,
            where=where,
        )
        judge.judge(check.DUMMY_IMPLEMENTATION_ID, own, expected="the product's own", seen="TF-M's dummy", where=where)
    if client is not _ABSENT:
        judge.judge(
            check.CLIENT_ID_RANGE, in_range, expected="a 32-bit signed integer, not 0", seen=client, show=_show,
            where=(labels["client_id"], "client id"),
        )  # fmt: skip


def _check_state(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    labels = profile.labels
    state = claims.get(labels["security_lifecycle"], _ABSENT)
    seed = claims.get(labels["boot_seed"], _ABSENT) if "boot_seed" in labels else _ABSENT
    low, high = profile.boot_seed
    in_range = type(state) is int and 0 <= state <= 0xFFFF and state >> 8 in LIFECYCLES
    trusted = type(state) is int and state >> 8 in TRUSTED_LIFECYCLES
    sized = isinstance(seed, bytes) and low <= len(seed) <= high
    random = seed != DUMMY_BOOT_SEED
    if in_range and trusted and sized and random:
        judge.passed_all(_STATE_RULES)
        return
    if state is not _ABSENT:
        where = (labels["security_lifecycle"], "security lifecycle")
        judge.judge(
            check.LIFECYCLE_RANGE, in_range, expected="0x0000..0x60ff in a defined state", seen=state,
            show=_show_lifecycle, where=where,
        )  # fmt: skip
        judge.judge(
            check.LIFECYCLE_TRUSTED, trusted, expected="0x30xx (secured) or 0x40xx (non-PSA-RoT debug)", seen=state,
            show=_show_lifecycle, where=where,
        )  # fmt: skip
    if seed is not _ABSENT:
        where = (labels["boot_seed"], "boot seed")
        wanted = "8 to 32 bytes" if low != high else "32 bytes"
        judge.judge(check.BOOT_SEED_SIZE, sized, expected=wanted, seen=seed, show=_kind, where=where)
        judge.judge(
            check.DUMMY_BOOT_SEED, random, expected="a random value", seen="TF-M's constant a0..bf", where=where
        )


def _check_texts(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    labels = profile.labels
    reference = (
        claims.get(labels["certification_reference"], _ABSENT) if "certification_reference" in labels else _ABSENT
    )
    formed = isinstance(reference, str) and profile.certification.fullmatch(reference) is not None
    own = reference != DUMMY_CERTIFICATION
    if formed and own:
        judge.passed_all(_TEXT_RULES)
    elif reference is not _ABSENT:
        where = (labels["certification_reference"], "certification reference")
        judge.judge(
            check.CERTIFICATION_FORMAT,
            formed,
            expected=profile.certification.pattern,
            seen=reference,
            show=_show,
            where=where,
        )
        judge.judge(check.DUMMY_CERTIFICATION, own, expected="the product's own", seen=DUMMY_CERTIFICATION, where=where)
    label = labels["verification_service_indicator"]
    if label in claims:
        value = claims[label]
        held = isinstance(value, str) and bool(value)
        judge.judge(check.VSI_TEXT, held, expected="text, not empty", seen=value, show=_show, where=(label, "VSI"))
    if profile.is_psa:
        return
    for role, which in (("platform_config", check.CCA_CONFIG), ("hash_algorithm", check.CCA_HASH)):
        label = labels[role]
        if label in claims:
            value = claims[label]
            held = bool(value) and isinstance(value, bytes if role == "platform_config" else str)
            judge.judge(which, held, expected="present and not empty", seen=value, show=_show, where=(label, role))


def _check_software(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    label = profile.labels["software_components"]
    none_label = profile.labels.get("no_software_measurements", 0)
    if none_label in claims and none_label:
        value = claims[none_label]
        held = type(value) is int and value == 1 and label not in claims
        beside = " beside software components" if label in claims else ""
        judge.judge(check.NO_SW, held, expected="1, and no software components", seen=_show(value) + beside)
    if label not in claims:
        return
    components = claims[label]
    where = (label, "software components")
    held = isinstance(components, list) and bool(components) and all(isinstance(c, dict) for c in components)
    if not judge.judge(
        check.SW_LIST, held, expected="a non-empty array of maps", seen=components, show=_kind, where=where
    ):
        return
    assert isinstance(components, list)  # noqa: S101 -- for the type checker; judged just above
    problems: dict[str, list[str]] = {}
    for index, component in enumerate(components):
        if isinstance(component, dict):
            _component_problems(component, index, problems)
    if not problems:
        judge.passed_all(_SW_CHECKS_P1 if profile is P1 else _SW_CHECKS)
        return
    absent = problems.get("absent", [])
    for which in _SW_CHECKS_P1 if profile is P1 else _SW_CHECKS:
        found = problems.get(which.id, [])
        if which is (check.SW_SIGNER_P1 if profile is P1 else check.SW_SIGNER):
            found = found + absent
        judge.judge(which, not found, expected=which.title, seen="; ".join(found)[:300], where=where)


_SW_CHECKS = (check.SW_MEASUREMENT, check.SW_SIGNER, check.SW_TEXT, check.SW_KEYS)
_SW_CHECKS_P1 = (*_SW_CHECKS, check.SW_SIGNER_P1)


def _component_problems(component: Claims, index: int, problems: dict[str, list[str]]) -> None:
    measurement = component.get(2)
    if not isinstance(measurement, bytes) or len(measurement) not in HASH_SIZES:
        seen = _kind(measurement) if 2 in component else "absent"
        problems.setdefault(check.SW_MEASUREMENT.id, []).append(f"component {index}: {seen}")
    if 5 not in component:
        problems.setdefault("absent", []).append(f"component {index}: signer id absent")
    else:
        signer = component[5]
        if not isinstance(signer, bytes) or len(signer) not in HASH_SIZES:
            problems.setdefault(check.SW_SIGNER.id, []).append(f"component {index}: {_kind(signer)}")
    for key in component:
        if key in {1, 4, 6}:
            if not isinstance(component[key], str):
                problems.setdefault(check.SW_TEXT.id, []).append(
                    f"component {index} key {key}: {_kind(component[key])}"
                )
        elif key not in {2, 5}:
            problems.setdefault(check.SW_KEYS.id, []).append(f"component {index}: key {key!r}")


def _kind(value: object) -> str:
    if isinstance(value, bytes):
        return f"byte string of {len(value)} bytes"
    if isinstance(value, list | dict):
        return f"{'array' if isinstance(value, list) else 'map'} of {len(value)}"
    return _show(value)


def _show(value: object) -> str:
    return value.hex()[:200] if isinstance(value, bytes) else f"{value!r}"[:120]
