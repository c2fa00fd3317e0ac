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
    labels = profile.labels
    _check_nonce(claims.get(labels["nonce"]), labels["nonce"], judge, challenge, present=labels["nonce"] in claims)
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


def _check_nonce(value: CborValue, label: int, judge: Judge, challenge: bytes | None, *, present: bool) -> None:
    where = (label, "nonce")
    if present:
        held = isinstance(value, bytes) and len(value) in HASH_SIZES
        judge.judge(
            check.NONCE_SIZE,
            held,
            expected="one byte string of 32, 48 or 64 bytes",
            seen=value,
            show=_kind,
            where=where,
        )
    judge.judge(check.CHALLENGE_GIVEN, challenge is not None, expected="the challenge that was sent", seen="none given")
    if challenge is not None:
        held = isinstance(value, bytes) and value == challenge
        shown = _show if isinstance(value, bytes) else _kind
        judge.judge(check.NONCE_CHALLENGE, held, expected=challenge.hex(), seen=value, show=shown, where=where)


def _check_identity(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    label = profile.labels["instance_id"]
    if label in claims:
        value = claims[label]
        held = isinstance(value, bytes) and len(value) == 33 and value[0] == 1
        judge.judge(
            check.INSTANCE_ID_FORMAT, held, expected="33 bytes, the first 0x01", seen=value, show=_show,
            where=(label, "instance id"),
        )  # fmt: skip
    label = profile.labels["implementation_id"]
    if label in claims:
        value = claims[label]
        where = (label, "implementation id")
        held = isinstance(value, bytes) and len(value) == 32
        judge.judge(
            check.IMPLEMENTATION_ID_SIZE,
            held,
            expected="a byte string of 32 bytes",
            seen=value,
            show=_kind,
            where=where,
        )
        judge.judge(
            check.DUMMY_IMPLEMENTATION_ID, value != DUMMY_IMPLEMENTATION_ID, expected="the product's own",
            seen="TF-M's dummy", where=where,
        )  # fmt: skip
    label = profile.labels.get("client_id", 0)
    if label in claims and label:
        value = claims[label]
        held = type(value) is int and -(1 << 31) <= value < 1 << 31 and value != 0
        judge.judge(
            check.CLIENT_ID_RANGE, held, expected="a 32-bit signed integer, not 0", seen=value, show=_show,
            where=(label, "client id"),
        )  # fmt: skip


def _check_state(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    label = profile.labels["security_lifecycle"]
    if label in claims:
        value = claims[label]
        where = (label, "security lifecycle")
        held = type(value) is int and 0 <= value <= 0xFFFF and value >> 8 in LIFECYCLES
        judge.judge(
            check.LIFECYCLE_RANGE, held, expected="0x0000..0x60ff in a defined state", seen=value,
            show=_show_lifecycle, where=where,
        )  # fmt: skip
        trusted = type(value) is int and value >> 8 in TRUSTED_LIFECYCLES
        judge.judge(
            check.LIFECYCLE_TRUSTED, trusted, expected="0x30xx (secured) or 0x40xx (non-PSA-RoT debug)", seen=value,
            show=_show_lifecycle, where=where,
        )  # fmt: skip
    label = profile.labels.get("boot_seed", 0)
    if label in claims and label:
        value = claims[label]
        low, high = profile.boot_seed
        where = (label, "boot seed")
        held = isinstance(value, bytes) and low <= len(value) <= high
        wanted = "8 to 32 bytes" if low != high else "32 bytes"
        judge.judge(check.BOOT_SEED_SIZE, held, expected=wanted, seen=value, show=_kind, where=where)
        judge.judge(
            check.DUMMY_BOOT_SEED, value != DUMMY_BOOT_SEED, expected="a random value", seen="TF-M's constant a0..bf",
            where=where,
        )  # fmt: skip


def _check_texts(claims: Claims, profile: ClaimProfile, judge: Judge) -> None:
    label = profile.labels.get("certification_reference", 0)
    if label in claims and label:
        value = claims[label]
        where = (label, "certification reference")
        held = isinstance(value, str) and profile.certification.fullmatch(value) is not None
        judge.judge(
            check.CERTIFICATION_FORMAT,
            held,
            expected=profile.certification.pattern,
            seen=value,
            show=_show,
            where=where,
        )
        judge.judge(
            check.DUMMY_CERTIFICATION, value != DUMMY_CERTIFICATION, expected="the product's own",
            seen=DUMMY_CERTIFICATION, where=where,
        )  # fmt: skip
    label = profile.labels["verification_service_indicator"]
    if label in claims:
        value = claims[label]
        held = isinstance(value, str) and bool(value)
        judge.judge(check.VSI_TEXT, held, expected="text, not empty", seen=value, show=_show, where=(label, "VSI"))
    for role, which in (("platform_config", check.CCA_CONFIG), ("hash_algorithm", check.CCA_HASH)):
        label = profile.labels.get(role, 0)
        if label in claims and label:
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
