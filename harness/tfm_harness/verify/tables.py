"""The catalogue of checks as tables, for the documentation and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tfm_harness.findings import Check
from tfm_harness.verify.catalogue import ALL, AREAS

__all__ = ["peer_table", "render_checks", "severity_table"]

_AREA_TITLES = {
    "cbor": "Encoding (CBOR)",
    "cose": "Envelope (COSE_Sign1, COSE_Mac0)",
    "encryption": "Encrypted messages (COSE_Encrypt0)",
    "attestation": "PSA attestation tokens",
    "image": "MCUboot images",
    "result": "Signed results",
    "key": "Keys",
    "csr": "Certification requests",
    "certificate": "Certificates",
    "debug": "Debug port",
}
_PEER_AREAS = {"cbor", "cose", "attestation", "key"}


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def severity_table() -> str:
    """Markdown: every check by area with clause, severities and whether a waiver may excuse it."""
    parts = []
    for area in AREAS:
        parts.append(f"### {_AREA_TITLES[area.area]}\n\n")
        parts.append(_row(("check", "what must hold", "requirement", "dev", "validation", "production", "waivable")))
        parts.append(_row(("---",) * 7))
        parts.extend(_severity_row(check) for check in area)
        parts.append("\n")
    return "".join(parts)


def _severity_row(check: Check) -> str:
    severities = (check.dev.label, check.validation.label, check.production.label)
    return _row((f"`{check.id}`", check.title, check.requirement, *severities, "yes" if check.waivable else "no"))


def peer_table() -> str:
    """Markdown: each check of tokens and their envelope against iat-verifier and Veraison."""
    parts = [_row(("check", "what must hold", "iat-verifier", "Veraison", "tfm-harness")), _row(("---",) * 5)]
    for area in AREAS:
        if area.area in _PEER_AREAS:
            parts.extend(
                _row((f"`{c.id}`", c.title, c.notes["iat-verifier"], c.notes["veraison"], _ours(c))) for c in area
            )
    return "".join(parts)


def _ours(check: Check) -> str:
    labels = list(dict.fromkeys((check.dev.label, check.validation.label, check.production.label)))
    return "yes" if labels == ["failure"] else f"yes ({' / '.join(labels)})"


def render_checks(form: str) -> str:
    """All checks as ``text``, ``markdown`` or ``json``."""
    if form == "markdown":
        return severity_table()
    if form == "json":
        return json.dumps([_as_json(check) for check in ALL], indent=2) + "\n"
    width = max(len(check.id) for check in ALL)
    lines = [f"{'check'.ljust(width)}  dev/validation/production        what must hold (requirement)"]
    for check in ALL:
        severities = f"{check.dev.label}/{check.validation.label}/{check.production.label}"
        lines.append(f"{check.id.ljust(width)}  {severities.ljust(25)}  {check.title} ({check.requirement})")
    return "\n".join(lines) + "\n"


def _as_json(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "title": check.title,
        "requirement": check.requirement,
        "severity": {
            "dev": check.dev.label,
            "validation": check.validation.label,
            "production": check.production.label,
        },
        "waivable": check.waivable,
        "peers": dict(check.notes),
    }
