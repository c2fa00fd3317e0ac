"""Checks that a whole structure is strict DER (X.690 s.8 to s.11): every element of it, to the last bit.

General libraries also accept some BER: a certificate with a changed bit that they ignore would stay valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tfm_harness.verify import der as asn1
from tfm_harness.verify.der import DerError, Element, children, read

__all__ = ["check_der", "check_signature_value", "whole_octets"]

_MAX_DEPTH = 24
_MAX_ELEMENTS = 4096
_CONSTRUCTED, _CLASS, _CONTEXT = 0x20, 0xC0, 0x80
_UTC = re.compile(rb"[0-9]{12}Z")
_GENERALIZED = re.compile(rb"[0-9]{14}Z")


def check_der(data: bytes, what: str, *, texts: bool = True) -> Element:
    """The one element that `data` holds, after every element inside it was checked.

    Args:
        data: the encoding.
        what: its name, for errors.
        texts: whether the alphabet of strings counts; False where another check judges them.

    Raises:
        DerError: some of it is not DER, or bytes follow.
    """
    outer = read(data, 0, len(data))
    if outer.end != len(data):
        raise DerError(outer.end, f"{len(data) - outer.end} byte(s) after {what}")
    _Walk(texts=texts).check(outer, 0)
    return outer


def whole_octets(element: Element, what: str) -> bytes:
    """The octets of a BIT STRING that holds whole octets: a signature, a public key (RFC 5280 s.4.1.1.3, s.4.1.2.7).

    Raises:
        DerError: another tag, or bits that are not used.
    """
    content = element.require(asn1.BIT_STRING, what).content
    if not content or content[0] != 0:
        raise DerError(element.content_at, f"{what} is no whole number of octets")
    return content[1:]


def check_signature_value(signature: bytes, what: str) -> None:
    """An ECDSA-Sig-Value (RFC 3279 s.2.2.3): a SEQUENCE of two positive INTEGERs, and nothing else.

    Raises:
        DerError: it is not.
    """
    outer = check_der(signature, what).require(asn1.SEQUENCE, what)
    numbers = [asn1.read_integer(part, what) for part in children(outer, limit=3)]
    if len(numbers) != 2 or min(numbers) <= 0:
        raise DerError(outer.start, f"{what} is not two positive integers")


class _Walk:
    def __init__(self, *, texts: bool) -> None:
        self.count = 0
        self.texts = texts

    def check(self, element: Element, depth: int) -> None:
        self.count += 1
        if depth > _MAX_DEPTH or self.count > _MAX_ELEMENTS:
            raise DerError(element.start, "deeper or with more elements than a certificate needs")
        if element.tag & _CLASS == _CONTEXT and element.tag & _CONSTRUCTED:
            self._inside(element, depth)
        elif element.tag & _CLASS == 0:
            self._universal(element, depth)

    def _inside(self, element: Element, depth: int) -> list[Element]:
        found = children(element, limit=_MAX_ELEMENTS)
        for child in found:
            self.check(child, depth + 1)
        return found

    def _universal(self, element: Element, depth: int) -> None:
        if element.tag in {asn1.SEQUENCE, asn1.SET}:
            found = self._inside(element, depth)
            if element.tag == asn1.SET and found:
                asn1.read_set(element, "a set")
            return
        rule = _PRIMITIVE.get(element.tag)
        if rule is _text and not self.texts:
            return
        if rule is None:
            raise DerError(
                element.start, f"an element with tag {element.tag:#04x}, which no certificate or request has"
            )
        rule(element)


def _bits(element: Element) -> None:
    content = element.content
    if not content or content[0] > 7 or (len(content) == 1 and content[0]):
        raise DerError(element.content_at, "a bit string without a right number of unused bits")
    if content[0] and content[-1] & ((1 << content[0]) - 1):
        raise DerError(element.end - 1, "a bit string whose unused bits are not zero, which is BER and not DER")


def _null(element: Element) -> None:
    if element.content:
        raise DerError(element.content_at, "a NULL with content")


def _time(form: re.Pattern[bytes]) -> Callable[[Element], None]:
    def check(element: Element) -> None:
        if form.fullmatch(element.content) is None:
            raise DerError(element.content_at, f"a time that is not in DER's form: {element.content[:20]!r}")

    return check


def _text(element: Element) -> None:
    """Check the alphabet of the string's type; other checks judge what the text says."""
    content, name = element.content, asn1.STRING_TYPES.get(element.tag, "")
    text = content.decode("utf-8", errors="replace")
    wrong = "\ufffd" in text if name == "UTF8String" else not text.isascii()
    if wrong or (name == "PrintableString" and not set(text) <= asn1.PRINTABLE):
        raise DerError(element.content_at, f"a text with octets that no {name} has")


def _any(_: Element) -> None:
    """Accept any octets: OCTET STRING, and the old string types of X.520, which only a CA's name has."""


def _integer(element: Element) -> None:
    asn1.read_integer(element, "an integer")


def _boolean(element: Element) -> None:
    asn1.read_boolean(element, "a boolean")


def _oid(element: Element) -> None:
    asn1.read_oid(element)


_PRIMITIVE: Mapping[int, Callable[[Element], None]] = {
    asn1.BOOLEAN: _boolean,
    asn1.INTEGER: _integer,
    asn1.BIT_STRING: _bits,
    asn1.OCTET_STRING: _any,
    asn1.NULL: _null,
    asn1.OID: _oid,
    0x12: _any,
    0x14: _any,
    0x1C: _any,
    0x1E: _any,
    0x0C: _text,
    0x13: _text,
    0x16: _text,
    0x17: _time(_UTC),
    0x18: _time(_GENERALIZED),
}
