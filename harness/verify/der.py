"""A strict reader of DER (X.690 s.10), for structures that general libraries refuse as a whole.

Tells *what* is wrong and where, so that a signing request that OpenSSL takes and
`cryptography` refuses gets a finding instead of an exception.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import DeviceFault

__all__ = ["DerError", "Element", "children", "read", "read_oid"]

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, BOOLEAN = 0x30, 0x31, 2, 3, 4, 5, 6, 1
STRING_TYPES = {0x0C: "UTF8String", 0x13: "PrintableString", 0x16: "IA5String"}


class DerError(DeviceFault):
    """Bytes that are no strict DER, at a byte offset of the whole structure."""

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
        """This element, when it has the tag.

        Raises:
            DerError: it has another.
        """
        if self.tag != tag:
            raise DerError(self.start, f"{what} has tag {self.tag:#04x} in place of {tag:#04x}")
        return self


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
