"""Appraisal of a token by a CoRIM alone, which holds the trust anchor and the reference values."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfm_harness.evidence.checks import COMPONENTS_ENDORSED, TRUST_ANCHOR
from tfm_harness.evidence.corim import Corim, ReferenceValue
from tfm_harness.findings import Report
from tfm_harness.verify.cose import EnvelopeError, parse
from tfm_harness.verify.token import PsaToken, TokenExpectations, verify_psa_token

__all__ = ["Appraisal", "appraise"]


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A token judged by endorsements; the findings are in the report.

    Attributes:
        endorsed: whether every software component has a reference value; None when there are none to compare.
    """

    token: PsaToken
    endorsed: bool | None
    report: Report = field(repr=False)


def appraise(data: bytes, corim: Corim, report: Report, *, challenge: bytes | None = None) -> Appraisal:
    """Judge a token: the CoRIM's anchor for its instance must verify it, its components must have reference values.

    Args:
        data: the token as received.
        corim: the endorsements.
        report: gets the findings.
        challenge: the challenge that was sent; without it freshness is not judged, and a finding says so.
    """
    instance = _claimed_instance(data)
    anchor = next((one for one in corim.trust_anchors if one.instance_id == instance), None)
    report.add(
        TRUST_ANCHOR, anchor is not None, expected="an instance id that the CoRIM has a key for",
        seen=instance.hex() if instance else "a token that names no instance",
    )  # fmt: skip
    if anchor is None:
        return Appraisal(PsaToken(data), None, report)
    expected = TokenExpectations(implementation_id=anchor.implementation_id, instance_id=anchor.instance_id)
    token = verify_psa_token(data, keys=[anchor.key], challenge=challenge, expected=expected, report=report)
    values = [value for value in corim.reference_values if value.implementation_id == token.implementation_id]
    if not values:
        return Appraisal(token, None, report)
    strangers = [
        f"{one.type or 'a component'} {(one.measurement or b'').hex()[:16]}"
        for one in token.software_components
        if not any(_fits(value, one.type, one.measurement, one.version, one.signer_id) for value in values)
    ]
    held = not strangers and bool(token.software_components)
    report.add(
        COMPONENTS_ENDORSED, held, expected="a reference value for each software component",
        seen=", ".join(strangers) or ("no software components" if not held else ""),
    )  # fmt: skip
    return Appraisal(token, held, report)


def _claimed_instance(data: bytes) -> bytes | None:
    """The instance id of a token that is not verified yet; it only chooses the key to try."""
    from tfm_harness.verify.cbor import CborError, decode
    from tfm_harness.verify.profiles_psa import identify

    try:
        claims = decode(parse(data).payload).value
    except (CborError, EnvelopeError):
        return None
    if not isinstance(claims, dict):
        return None
    profile, _ = identify(claims)
    found = claims.get(profile.labels["instance_id"])
    return found if isinstance(found, bytes) else None


def _fits(
    value: ReferenceValue, kind: str | None, measurement: bytes | None, version: str | None, signer: bytes | None
) -> bool:
    return (
        value.digest == measurement
        and value.signer_id == signer
        and value.type in {None, kind}
        and value.version in {None, version}
    )
