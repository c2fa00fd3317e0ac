"""A strict CBOR decoder for evidence (RFC 8949); `encode` comes from `tfm_harness.verify.cbor_encoder`.

It accepts integers, byte and text strings, arrays, maps, floats, the simple values
false, true, null and undefined. It refuses, with the byte offset: indefinite lengths,
duplicate map keys, map keys that are not integers or strings, tags (the caller reads the one
outer tag itself), other simple values, trailing bytes, invalid UTF-8, nesting and sizes beyond
the limits. A length is compared with the bytes that are left before anything is allocated, so
memory stays within a small multiple of the message's own size.

Legal but unusual encodings (longer integers than needed, maps not in bytewise order: RFC 8949
s.4.2.1) are reported as oddities, not refused: RFC 9783 s.5 wants a variation-tolerant verifier.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from tfm_harness.errors import ProductError
from tfm_harness.verify.cbor_encoder import encode, head
from tfm_harness.verify.cbor_shapes import Shapes

__all__ = [
    "MAX_DEPTH",
    "MAX_SIZE",
    "UNDEFINED",
    "CborError",
    "CborValue",
    "Decoded",
    "Oddity",
    "Undefined",
    "decode",
    "decode_item",
    "decode_range",
    "encode",
    "head",
    "read_head",
]

MAX_SIZE = 65536
"""Largest message in bytes: a hundred times a real token."""
MAX_DEPTH = 16
"""Deepest nesting: a PSA token needs 3, a signed result 4."""


class Undefined(enum.Enum):
    """The CBOR simple value ``undefined`` (RFC 8949 s.3.3), which Python lacks."""

    UNDEFINED = "undefined"


UNDEFINED = Undefined.UNDEFINED

type_names = ("unsigned integer", "negative integer", "byte string", "text string", "array", "map", "tag", "simple")

CborValue = (
    int | bytes | str | float | bool | None | Undefined | list["CborValue"] | dict["int | str | bytes", "CborValue"]
)


class CborError(ProductError):
    """The bytes are not CBOR that this decoder accepts.

    Attributes:
        rule: the rule that is broken: ``well-formed``, ``definite``, ``unique-keys``, ``map-keys``,
            ``tags``, ``trailing`` or ``limits``; the suffix of the check id ``cbor.<rule>``.
        offset: byte offset in the whole message.
    """

    def __init__(self, rule: str, offset: int, message: str) -> None:
        super().__init__(message, kind=f"cbor-{rule}", where=f"byte {offset}")
        self.rule = rule
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Oddity:
    """A legal encoding that a deterministic encoder would not have made.

    `kind` is ``preferred`` (a longer head than needed) or ``map-order``.
    """

    kind: str
    offset: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded value and the oddities of its encoding."""

    value: CborValue
    oddities: tuple[Oddity, ...] = ()


def decode(data: bytes, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Decoded:
    """Decode exactly one data item that fills `data`.

    Raises:
        CborError: with the rule that broke and the byte offset.
    """
    return decode_range(data, 0, len(data), max_size=max_size, max_depth=max_depth)


def decode_range(data: bytes, start: int, end: int, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Decoded:
    """Decode the one item in ``data[start:end]``; offsets in errors count from the start of `data`.

    Raises:
        CborError: with the rule that broke and the byte offset.
    """
    if end - start > max_size:
        raise CborError("limits", start, f"{end - start} bytes, more than the limit of {max_size}")
    message = data[start:end]
    known: CborValue = _SHAPES.decode(message) if max_depth == MAX_DEPTH else None
    if known is not None:
        return Decoded(known)
    odd: list[Oddity] = []
    value, stop = _item(data, start, end, max_depth, odd)
    if stop != end:
        raise CborError("trailing", stop, f"{end - stop} byte(s) after the end of the data item")
    if not odd and max_depth == MAX_DEPTH:
        _SHAPES.learn(message, value)
    return Decoded(value, tuple(odd))


def decode_item(
    data: bytes, pos: int, end: int, odd: list[Oddity], *, max_depth: int = MAX_DEPTH
) -> tuple[CborValue, int]:
    """Decode the item that begins at `pos`; the value and the offset after it.

    Raises:
        CborError: with the rule that broke and the byte offset.
    """
    return _item(data, pos, end, max_depth, odd)


def read_head(data: bytes, pos: int, end: int, odd: list[Oddity]) -> tuple[int, int, int]:
    """Read one head (RFC 8949 s.3): major type, argument, offset after it.

    A longer argument than needed is added to `odd`. The head's content is not looked at.

    Raises:
        CborError: truncated, reserved or indefinite.
    """
    if pos >= end:
        raise CborError("well-formed", pos, "the message ends where a data item should begin")
    initial = data[pos]
    major = initial >> 5
    info = initial & 31
    if info < 24:
        return major, info, pos + 1
    if info > 27:
        _refuse_info(major, info, pos)
    stop = pos + 1 + (1 << (info - 24))
    if stop > end:
        raise CborError("well-formed", pos, "the message ends inside a length or number")
    argument = int.from_bytes(data[pos + 1 : stop], "big")
    if argument < _SMALLEST[info - 24] and major != 7:
        odd.append(Oddity("preferred", pos))
    return major, argument, stop


_SHAPES = Shapes()
_SMALLEST = (24, 0x100, 0x10000, 0x100000000)


def _refuse_info(major: int, info: int, pos: int) -> None:
    if info < 31:
        raise CborError("well-formed", pos, f"reserved additional information {info} (RFC 8949 s.3)")
    if 2 <= major <= 5:
        raise CborError("definite", pos, f"{type_names[major]} of indefinite length")
    what = "break code outside an indefinite-length item" if major == 7 else f"indefinite {type_names[major]}"
    raise CborError("well-formed", pos, what)


def _item(data: bytes, pos: int, end: int, depth: int, odd: list[Oddity]) -> tuple[CborValue, int]:
    # One function with the common heads inline: this is the hot path of every verdict.
    start = pos
    if pos >= end:
        raise CborError("well-formed", pos, "the message ends where a data item should begin")
    initial = data[pos]
    info = initial & 31
    major = initial >> 5
    pos += 1
    if info < 24:
        argument = info
    elif info == 24 and pos < end and data[pos] > 23:
        argument = data[pos]
        pos += 1
    elif info == 25 and pos + 1 < end and data[pos]:
        argument = data[pos] << 8 | data[pos + 1]
        pos += 2
    else:
        major, argument, pos = read_head(data, start, end, odd)
    if major == 2 or major == 3:  # noqa: PLR1714 -- measured: twice as fast as a membership test
        stop = pos + argument
        if stop > end:
            raise CborError("well-formed", start, f"{type_names[major]} of {argument} bytes, {end - pos} left")
        if major == 2:
            return data[pos:stop], stop
        try:
            return data[pos:stop].decode(), stop
        except UnicodeDecodeError as error:
            raise CborError("well-formed", pos + error.start, "text string is not UTF-8") from None
    if major == 0:
        return argument, pos
    if major == 1:
        return -1 - argument, pos
    if major == 5:
        if argument * 2 > end - pos:
            raise CborError("well-formed", start, f"map of {argument} pairs, {end - pos} bytes left")
        if depth == 0:
            raise CborError("limits", start, "nested too deeply")
        return _map(data, pos, end, depth - 1, odd, pairs=argument)
    if major == 4:
        if argument > end - pos:
            raise CborError("well-formed", start, f"array of {argument} items, {end - pos} bytes left")
        if depth == 0:
            raise CborError("limits", start, "nested too deeply")
        items: list[CborValue] = []
        for _ in range(argument):
            item, pos = _item(data, pos, end, depth - 1, odd)
            items.append(item)
        return items, pos
    if major == 6:
        raise CborError("tags", start, f"tag {argument} where none is allowed")
    return _simple(data, start, info, argument, pos)


def _map(data: bytes, pos: int, end: int, depth: int, odd: list[Oddity], *, pairs: int) -> tuple[CborValue, int]:
    start = pos
    result: dict[int | str | bytes, CborValue] = {}
    previous = b""
    ordered = True
    for _ in range(pairs):
        key_at = pos
        key: CborValue
        initial = data[pos] if pos < end else 0x80
        if initial < 24:
            key = initial
            pos += 1
        elif initial == 0x19 and pos + 2 < end and data[pos + 1]:
            key = data[pos + 1] << 8 | data[pos + 2]
            pos += 3
        else:
            if initial >= 0x80 and pos < end:  # neither integer nor string
                _refuse_key(data, pos, end)
            key, pos = _item(data, pos, end, 0, odd)
        if key in result:
            raise CborError("unique-keys", key_at, f"map key {_shown(key)} appears twice")
        encoded = data[key_at:pos]
        if encoded < previous:
            ordered = False
        previous = encoded
        # Hashes, the most common value of all, inline: byte strings of 24 to 255 bytes.
        if pos + 1 < end and data[pos] == 0x58 and data[pos + 1] > 23 and pos + 2 + data[pos + 1] <= end:
            value_at = pos + 2
            pos = value_at + data[pos + 1]
            result[key] = data[value_at:pos]  # type: ignore[index]  # an integer or a string
        else:
            result[key], pos = _item(data, pos, end, depth, odd)  # type: ignore[index]  # same
    if not ordered:
        odd.append(Oddity("map-order", start))
    return result, pos


def _refuse_key(data: bytes, pos: int, end: int) -> None:
    # Python would take 1, 1.0 and True for the same key; only integers and strings name claims
    # and header parameters (RFC 9052 s.1.4, RFC 8392 s.2).
    major, argument, _ = read_head(data, pos, end, [])
    if major == 6:
        raise CborError("tags", pos, f"tag {argument} where none is allowed")
    raise CborError("map-keys", pos, f"{type_names[major]} as a map key; integers and strings are allowed")


def _simple(data: bytes, start: int, info: int, argument: int, pos: int) -> tuple[CborValue, int]:
    if info in (25, 26, 27):
        form = (">e", ">f", ">d")[info - 25]
        number: float = struct.unpack_from(form, data, start + 1)[0]
        return number, pos
    if info == 24 and argument < 32:
        raise CborError("well-formed", start, f"simple value {argument} in two bytes (RFC 8949 s.3.3)")
    known: dict[int, CborValue] = {20: False, 21: True, 22: None, 23: UNDEFINED}
    if argument not in known:
        raise CborError("well-formed", start, f"unassigned simple value {argument}")
    return known[argument], pos


def _shown(key: object) -> str:
    return key.hex() if isinstance(key, bytes) else repr(key)[:80]
