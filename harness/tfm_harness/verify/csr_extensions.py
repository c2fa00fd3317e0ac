"""The extensions that a certification request asks for (RFC 2985 s.5.4.2), and those that no CA should grant."""

from __future__ import annotations

from tfm_harness.verify import der as asn1
from tfm_harness.verify.der import DerError, Element, children, read, read_oid

__all__ = ["extension_problems"]

BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"
SUBJECT_KEY_ID = "2.5.29.14"
KNOWN_EXTENSIONS = {BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID}
CA_USAGES = 0x06
"""keyCertSign (bit 5) and cRLSign (bit 6) in the first byte of a KeyUsage."""


def extension_problems(element: Element) -> list[str]:
    """What is wrong with one Extensions value.

    Raises:
        DerError: the bytes are no Extensions value, or not DER.
    """
    problems: list[str] = []
    seen: set[str] = set()
    for extension in children(element.require(asn1.SEQUENCE, "the extensions")):
        parts = children(extension.require(asn1.SEQUENCE, "an extension"))
        if not 2 <= len(parts) <= 3:
            raise DerError(extension.start, f"{len(parts)} parts in an extension")
        oid = read_oid(parts[0])
        if oid in seen:
            problems.append(f"extension {oid} twice")
        seen.add(oid)
        critical = len(parts) == 3 and asn1.read_boolean(parts[1], "critical")
        if len(parts) == 3 and not critical:
            problems.append(f"extension {oid} writes out that it is not critical, which DER leaves out")
        value = parts[-1].require(asn1.OCTET_STRING, "an extension's value")
        if oid == BASIC_CONSTRAINTS and _asks_for_ca(value):
            problems.append("basicConstraints asks for a CA")
        elif oid == KEY_USAGE and _key_usage(value) & CA_USAGES:
            problems.append("keyUsage asks for keyCertSign or cRLSign")
        elif critical and oid not in KNOWN_EXTENSIONS:
            problems.append(f"critical extension {oid} is not understood")
    return problems


def _asks_for_ca(value: Element) -> bool:
    inner = read(value.data, value.content_at, value.end).require(asn1.SEQUENCE, "basicConstraints")
    return any(part.tag == asn1.BOOLEAN and asn1.read_boolean(part, "cA") for part in children(inner))


def _key_usage(value: Element) -> int:
    bits = read(value.data, value.content_at, value.end).require(asn1.BIT_STRING, "keyUsage").content
    return bits[1] if len(bits) > 1 else 0
