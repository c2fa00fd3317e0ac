"""A verdict on one piece of evidence, for people and as stable JSON.

The JSON (``schema`` tells its version) is described in docs/verification.md; its keys do not
change within a version, new ones may be added.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from tfm_harness.findings import Finding, Report, Severity, Status
from tfm_harness.safe_text import safe, safe_json
from tfm_harness.verify.claims import lifecycle_name
from tfm_harness.verify.csr import CertificationRequest
from tfm_harness.verify.keys import PublicKey, VerificationKey
from tfm_harness.verify.mcuboot import McubootImage
from tfm_harness.verify.result_values import OutputTensor
from tfm_harness.verify.signed_result import SignedResult
from tfm_harness.verify.token import PsaToken

__all__ = ["SCHEMA", "content_of", "render_json", "render_text"]

SCHEMA = "tfm-harness/verify/1"
_ORDER = (Status.FAILED, Status.WAIVED, Status.NOTED)
_HEADINGS = {Status.FAILED: "failed", Status.WAIVED: "waived", Status.NOTED: "noted"}


def _plain(value: object) -> object:
    """A value as JSON can hold it: byte strings in hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, OutputTensor):
        return {
            "data": value.data.hex(), "type": value.type, "shape": list(value.shape), "scale": value.scale,
            "zero_point": value.zero_point,
        }  # fmt: skip
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):  # noqa: PLR0124 -- NaN is no JSON
        return value
    return str(value)


def _key(key: VerificationKey | None) -> object:
    if key is None:
        return None
    shown: dict[str, object] = {"kind": str(key), "thumbprint": key.thumbprint.hex()}
    if isinstance(key, PublicKey):
        shown |= {"curve": key.curve.name, "x": key.x.hex(), "y": key.y.hex()}
    return shown


def _token(token: PsaToken) -> dict[str, object]:
    return {
        "kind": "psa-token",
        "verified": token.verified,
        "key": _key(token.key),
        "profile": token.profile.name if token.profile else None,
        "instance_id_scheme": token.instance_id_scheme,
        "claims": [{"name": n, "label": _plain(label), "value": _plain(v)} for n, label, v in token.named_claims()],
    }


def _result(result: SignedResult) -> dict[str, object]:
    rules = {rule.label: rule for rule in result.profile.claims}
    claims = []
    for label, value in result.claims.items():
        rule = rules.get(label) if not isinstance(label, bytes) else None
        read = result.values.get(rule.role or rule.name) if rule else None
        shown = _plain(read) if read is not None else _plain(value)
        claims.append({"name": rule.name if rule else "?", "label": _plain(label), "value": shown})
    return {
        "kind": "result",
        "verified": result.verified,
        "key": _key(result.key),
        "profile": result.profile.name,
        "counter": result.counter,
        "claims": claims,
    }


def _image(image: McubootImage) -> dict[str, object]:
    claimed = image.hash_tlv
    return {
        "kind": "image",
        "version": ".".join(map(str, image.version[:3])) + f"+{image.version[3]}",
        "offset": image.start,
        "payload_size": len(image.payload),
        "hash": {"algorithm": claimed[0], "value": claimed[1].hex()} if claimed else None,
        "signer_ids": sorted(signer.hex() for signer in image.signer_ids),
        "security_counter": image.security_counter,
        "tlvs": [
            {"type": t.type, "size": len(t.value), "offset": t.offset, "protected": t.protected} for t in image.tlvs
        ],
    }


def _csr(request: CertificationRequest) -> dict[str, object]:
    return {
        "kind": "csr",
        "subject": [list(pair) for pair in request.subject],
        "key": _key(request.key),
        "signature_algorithm": request.algorithm,
        "attributes": list(request.attributes or ()),
    }


_CONTENT: tuple[tuple[type, Callable[..., dict[str, object]]], ...] = (
    (PsaToken, _token),
    (SignedResult, _result),
    (McubootImage, _image),
    (CertificationRequest, _csr),
    (PublicKey, lambda key: {"kind": "key", "key": _key(key)}),
)


@runtime_checkable
class DescribesItself(Protocol):
    """Content that another package judges: it makes its own JSON, with its ``kind``."""

    def to_json(self) -> dict[str, object]:
        """A JSON-ready mapping."""


def content_of(content: object) -> object:
    """The content of the evidence as JSON data; None when nothing could be read."""
    if isinstance(content, list):
        return [content_of(item) for item in content]
    if isinstance(content, DescribesItself):
        return content.to_json()
    if isinstance(content, PsaToken | SignedResult) and content.message is None:
        return None
    return next((make(content) for kind, make in _CONTENT if isinstance(content, kind)), None)


def _finding(report: Report, finding: Finding) -> dict[str, object]:
    waiver = report.waiver_for(finding)
    shown: dict[str, object] = {
        "id": finding.id,
        "status": report.status(finding).value,
        "severity": finding.check.severity(report.policy).label,
        "title": finding.check.title,
        "requirement": finding.check.requirement,
        "expected": finding.expected,
        "seen": finding.seen,
        "where": finding.where,
        "subject": finding.subject,
    }
    if waiver is not None:
        shown["waiver"] = {"finding": waiver.finding, "reason": waiver.reason, "where": waiver.where}
    return shown


def _counts(report: Report) -> dict[str, int]:
    return {status.value: len(report.by_status(status)) for status in Status}


def render_json(evidence: str, report: Report, content: object) -> str:
    """The verdict as one JSON object."""
    return (
        safe_json(
            {
                "schema": SCHEMA,
                "evidence": evidence,
                "verdict": "pass" if report.ok else "fail",
                "policy": report.policy.value,
                "counts": _counts(report),
                "findings": [_finding(report, finding) for finding in report],
                "content": content_of(content),
            },
            indent=2,
        )
        + "\n"
    )


def render_text(evidence: str, report: Report, content: object) -> str:
    """The verdict for a reviewer: findings first, then the content with names."""
    counts = _counts(report)
    verdict = "PASS" if report.ok else "FAIL"
    summary = ", ".join(
        f"{counts[s.value]} {_HEADINGS.get(s, 'held')}" for s in (Status.PASSED, *_ORDER) if counts[s.value]
    )
    lines = [f"{evidence}: {verdict} under policy {report.policy.value} ({summary})"]
    for status in _ORDER:
        found = sorted(report.by_status(status), key=lambda f: -int(f.check.severity(report.policy)))
        if found:
            lines += ["", f"{_HEADINGS[status]}:"]
        for finding in found:
            lines += _text_finding(report, finding)
    for item in content if isinstance(content, list) else [content]:
        lines += _text_content(item)
    return "\n".join(lines) + "\n"


def _text_finding(report: Report, finding: Finding) -> list[str]:
    severity = finding.check.severity(report.policy)
    mark = f" [{severity.label}]" if severity is not Severity.FAILURE else ""
    subject = f"{finding.subject}: " if finding.subject else ""
    lines = [f"  {finding.id}{mark}  {subject}{finding.check.title} ({finding.check.requirement})"]
    details = (("expected", finding.expected), ("seen", finding.seen), ("where", finding.where))
    lines += [f"      {label + ':':<9} {_printable(text)}" for label, text in details if text]
    waiver = report.waiver_for(finding)
    if waiver is not None:
        lines.append(f"      waived:   {waiver.reason}" + (f" ({waiver.where})" if waiver.where else ""))
    return lines


def _text_content(content: object) -> list[str]:
    shown = content_of(content)
    if not isinstance(shown, dict):
        return []
    lines = [""]
    if "verified" in shown:
        key = getattr(content, "key", None)
        lines.append(f"claims, signed by {key}:" if key else "claims, NOT VERIFIED: anyone may have written them:")
        for claim in shown.pop("claims"):
            lines += _text_claim(str(claim["name"]), claim["label"], claim["value"])
    else:
        lines.append(f"{shown.pop('kind')}:")
    for name in (
        "profile",
        "instance_id_scheme",
        "counter",
        "version",
        "hash",
        "signer_ids",
        "security_counter",
        "subject",
        "key",
        "commands",
        "boots",
        "signed",
        "plain",
    ):
        if shown.get(name) not in (None, []) and "verified" not in shown:
            lines.append(f"  {name.replace('_', ' ')}: {_printable(json.dumps(shown[name]))}")
    if "verified" in shown:
        lines.append(f"profile: {shown['profile'] or 'none'}")
    for name in ("not_covered", "damaged"):
        found = shown.get(name)
        lines += [f"  {name.replace('_', ' ')}: {_printable(str(item))}" for item in found or () if item]
    return lines


def _text_claim(name: str, label: object, value: object) -> list[str]:
    title = _printable(f"  {name.replace('_', ' ')} ({label})")
    if name == "security_lifecycle" and isinstance(value, int):
        return [f"{title}: {value:#06x} ({lifecycle_name(value)})"]
    if isinstance(value, list):
        return [f"{title}:", *(f"    {_printable(json.dumps(item))}" for item in value)]
    return [f"{title}: {_printable(str(value))}"]


def _printable(text: str) -> str:
    """The text on one line, without anything that a terminal or a CI system acts on: evidence is untrusted."""
    return safe(text).replace("\n", "\\x0a").replace("\t", "\\x09")
