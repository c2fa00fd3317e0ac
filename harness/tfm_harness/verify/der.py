"""A strict reader of DER (X.690 s.10), for structures that general libraries refuse as a whole.

It says *what* is wrong and where, so that a signing request that OpenSSL accepts and
`cryptography` refuses gets a finding instead of an exception.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfm_harness.errors import ProductError

__all__ = [
    "DerError",
    "Element",
    "children",
    "ecdsa_signature",
    "read",
    "read_boolean",
    "read_integer",
    "read_oid",
    "read_set",
    "read_string",
]

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, BOOLEAN = 0x30, 0x31, 2, 3, 4, 5, 6, 1
PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
"""The alphabet of PrintableString (X.680 s.41.4)."""
STRING_TYPES = {0x0C: "UTF8String", 0x13: "PrintableString", 0x16: "IA5String"}


class DerError(ProductError):
    """The bytes are not strict DER, at a byte offset of the whole structure."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message, kind="der", where=f"byte {offset}")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Element:
    """One element: tag byte, offsets of its head, of its content and of the byte after it, and all bytes."""

    tag: int
    start: int
    content_at: int
    end: int
    data: bytes

    @property
    def content(self) -> bytes:
        """The content's bytes."""
        return self.data[self.content_at : self.end]

    @property
    def encoded(self) -> bytes:
        """Head and content."""
        return self.data[self.start : self.end]

    def require(self, tag: int, what: str) -> Element:
        """This element, if it has the tag.

        Raises:
            DerError: it has another.
        """
        if self.tag != tag:
            raise DerError(self.start, f"{what} has tag {self.tag:#04x} in place of {tag:#04x}")
        return self


def ecdsa_signature(halves: bytes) -> bytes:
    """Ecdsa-Sig-Value (RFC 3279 s.2.2.3) of a signature r || s: two unsigned big-endian numbers of the same length."""
    half = len(halves) // 2
    r, s = halves[:half].lstrip(b"\x00"), halves[half:].lstrip(b"\x00")
    if r[:1] >= b"\x80" or not r:  # integers in DER have a sign
        r = b"\x00" + r
    if s[:1] >= b"\x80" or not s:
        s = b"\x00" + s
    length = len(r) + len(s) + 4
    form = b"\x30%c\x02%c%b\x02%c%b" if length < 0x80 else b"\x30\x81%c\x02%c%b\x02%c%b"
    return form % (length, len(r), r, len(s), s)


def read(data: bytes, pos: int, end: int) -> Element:
    """Read the element at `pos`.

    Raises:
        DerError: truncated, or not DER: a high tag number, an indefinite or over-long length.
    """
    if end - pos < 2:
        raise DerError(pos, "the structure ends where an element should begin")
    tag, first = data[pos], data[pos + 1]
    if tag & 0x1F == 0x1F:
        raise DerError(pos, "a tag number above 30")
    content = pos + 2
    length = first
    if first == 0x80:
        raise DerError(pos + 1, "an indefinite length, which is BER and not DER")
    if first > 0x80:
        count = first & 0x7F
        if count > 4 or content + count > end:
            raise DerError(pos + 1, "a length of more than four bytes, or cut off")
        length = int.from_bytes(data[content : content + count], "big")
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise DerError(pos + 1, "a length with more bytes than needed, which is BER and not DER")
        content += count
    if content + length > end:
        raise DerError(pos + 1, f"an element of {length} bytes where {end - content} are left")
    return Element(tag, pos, content, content + length, data)


def children(parent: Element, *, limit: int = 64) -> list[Element]:
    """The elements inside a constructed one.

    Raises:
        DerError: they are not DER, or more than `limit`.
    """
    found: list[Element] = []
    pos = parent.content_at
    while pos < parent.end:
        if len(found) == limit:
            raise DerError(pos, f"more than {limit} elements")
        element = read(parent.data, pos, parent.end)
        found.append(element)
        pos = element.end
    return found


def read_oid(element: Element) -> str:
    """An object identifier in dotted form.

    Raises:
        DerError: not one.
    """
    content = element.require(OID, "an object identifier").content
    if not content or content[-1] & 0x80 or len(content) > 64:
        raise DerError(element.start, "an object identifier that is empty, cut off or too long")
    arcs: list[int] = []
    value = 0
    fresh = True
    for byte in content:
        if fresh and byte == 0x80:
            raise DerError(element.start, "an object identifier with a padded arc")
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def read_integer(element: Element, what: str) -> int:
    """An INTEGER (X.690 s.8.3).

    Raises:
        DerError: another tag, no content, or more bytes than needed.
    """
    content = element.require(INTEGER, what).content
    if not content or (len(content) > 1 and content[0] in {0x00, 0xFF} and (content[0] ^ content[1]) < 0x80):
        raise DerError(element.start, f"{what} is an integer without content, or with more bytes than needed")
    return int.from_bytes(content, "big", signed=True)


def read_boolean(element: Element, what: str) -> bool:
    """A BOOLEAN (X.690 s.11.1).

    Raises:
        DerError: another tag, or another content than 00 or FF.
    """
    content = element.require(BOOLEAN, what).content
    if content not in {b"\x00", b"\xff"}:
        raise DerError(element.start, f"{what} is {content.hex() or 'empty'}; true is FF in DER")
    return content == b"\xff"


def read_set(element: Element, what: str) -> list[Element]:
    """The elements of a SET OF that is not empty, in ascending order (X.690 s.11.6).

    Raises:
        DerError: another tag, nothing in it, or another order.
    """
    found = children(element.require(SET, what))
    if not found:
        raise DerError(element.start, f"{what} is an empty set")
    encodings = [item.encoded for item in found]
    if encodings != sorted(encodings):
        raise DerError(element.start, f"{what} is a set that is not in ascending order, which is BER and not DER")
    return found


def read_string(element: Element) -> tuple[str, str]:
    """The text of a string element, and what is wrong with its type, its alphabet or its content (not printable)."""
    name = STRING_TYPES.get(element.tag)
    text = element.content.decode("utf-8", errors="replace")
    if name is None:
        return text, f"has string type {element.tag:#04x}"
    if not text or not text.isprintable() or "\ufffd" in text:
        return text, f"is empty or no printable text: {element.content[:32].hex()}"
    if (name == "PrintableString" and not set(text) <= PRINTABLE) or (name == "IA5String" and not text.isascii()):
        return text, f"has characters that no {name} has: {element.content[:32].hex()}"
    return text, ""
