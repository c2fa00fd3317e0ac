"""What bytes a text may mean: every reading of it as numbers, dumps and encodings.

Each reading is a stream of bytes with the places in the text where they came from. Readings are generous: a wrong
one gives noise, and noise does not hold eight bytes of a secret in a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tfm_harness.verify.leaks.tokens import (
    BASE32,
    BASE64,
    DECIMAL,
    END_OF_LINE,
    HEX,
    OCTAL,
    Bytes,
    Flags,
    Ints,
    Numbers,
    Text,
    Tokens,
    digits_of,
    runs,
    spread,
)
from tfm_harness.verify.leaks.wrappings import rounded, unmarked, written_out

__all__ = ["WORDS", "Reading", "readings"]

WORDS = "single 32-bit words"

_LONG_HEX, _LONG_BASE64, _LONG_BASE32 = 16, 11, 13
_LONG_BITS = 64
_LONG_BASE85 = 20  # characters for sixteen bytes: less stands in any log
"""Characters that eight bytes need."""
_MOST_DIGITS = 20
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[0-3]?[0-7]{1,2}|[abfnrtv\\'\"])")
_SIMPLE = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11, b"\\": 92, b"'": 39, b'"': 34}


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a text.

    Attributes:
        notation: in words.
        data: the bytes it means.
        places: where in the text each `width` bytes of them stood.
    """

    notation: str
    data: Bytes
    places: Ints
    width: int = 1

    def place(self, at: int) -> int:
        """Where in the text byte `at` of the stream came from."""
        return int(self.places[min(at // self.width, len(self.places) - 1)])


def readings(text: bytes) -> Iterator[Reading]:
    """Every reading of `text` but the raw one; that of single 32-bit words last.

    Its bytes are words of eight hexadecimal digits, or of five at least behind 0x, most significant byte first.
    """
    for reading in _all(text):
        if len(reading.data) >= 8:
            yield reading


def _all(text: bytes) -> Iterator[Reading]:
    block = Text(text)
    raw, of = block.raw, block.kinds
    bare = unmarked(text)  # of the same length
    plain = block if bare is text else Text(bare)
    found = plain.tokens(HEX)
    yield from _hex_readings(found)
    start, end = runs(of & HEX != 0, _LONG_HEX)
    for shift in (0, 1):
        yield _pairs("hexadecimal, run together", raw, start + shift, (end - start - shift) // 2 * 2)
    whole = rounded(text)
    for some in (block,) if whole is text else (block, Text(whole)):
        decimal = some.tokens(DECIMAL)
        yield from _decimal_readings(decimal.only(decimal.length <= _MOST_DIGITS))
    yield from _octal_readings(block.tokens(OCTAL))
    yield from _based("base64", raw, runs(of & BASE64 != 0, _LONG_BASE64), 6)
    yield from _base64_over_lines(raw, of)
    yield from _uuencoded(raw, of)
    yield from _base85(raw)
    yield from _based("base32", raw, runs(of & BASE32 != 0, _LONG_BASE32), 5)
    yield _binary(found)
    yield from _bits_run_together(raw)
    if b"\\" in text:
        yield _unescaped(text)
    for name, data, places in written_out(text):
        yield Reading(name, np.frombuffer(data, np.uint8), places)
    words = found.only((found.length == 8) | (found.prefixed & (found.length >= 5) & (found.length <= 8)))
    yield Reading(WORDS, words.values(16).astype(">u4").view(np.uint8), words.start, 4)


def _choices(found: Tokens) -> Iterator[tuple[str, Tokens]]:
    """Which numbers of each line are data, and which are offsets, counters and the text at the side."""
    seen: list[Flags] = []
    for words, chosen in (
        ("", np.ones(len(found), np.bool_)),
        (", without each line's first number", ~found.first),
        (", each line's last number", found.last),
        (", each line's numbers of one width", found.uniform),
        (", each line's numbers of one width without its first", found.uniform & ~found.first),
    ):
        if chosen.any() and not any(np.array_equal(chosen, before) for before in seen):
            seen.append(chosen)
            yield words, found.only(chosen)


def _hex_readings(found: Tokens) -> Iterator[Reading]:
    for choice, some in _choices(found):
        even = some.only(some.length % 2 == 0)
        yield _pairs(f"hexadecimal{choice}", even.text, even.start, even.length)
        if len(even) != len(some):
            yield from _nibbles(f"hexadecimal digits{choice}", some)
        for style, styled in (("", some), (", those with 0x", some.only(some.prefixed))):
            for size in (1, 2, 4, 8):
                # Without 0x a number is as wide as it is written; with it leading zeros may be missing.
                fits = styled.length <= 2 * size if style or size == 1 else styled.length == 2 * size
                numbers = styled.only(fits)
                notation = f"hexadecimal numbers of {size} bytes{choice}{style}"
                yield from _numbers(notation, numbers.start, numbers.values(16), size)


def _decimal_readings(found: Tokens) -> Iterator[Reading]:
    value = found.values(10)
    # 20 digits may be more than 2**64 - 1; the carry shows in what all but the last digit are worth.
    long = found.length == _MOST_DIGITS
    if long.any():
        head = found.only(long)
        most = replace(head, length=head.length - 1).values(10)
        fitting = ~long
        fitting[long] = (most < 1844674407370955161) | ((most == 1844674407370955161) & (value[long] % 10 <= 5))
        found, value = found.only(fitting), value[fitting]
    for choice, chosen in (
        ("", np.ones(len(found), np.bool_)),
        (", without each line's first number", ~found.first),
        (", each line's last number", found.last),
    ):
        some, worth = found.only(chosen), value[chosen]
        for size in (1, 2, 4, 8):
            bits = np.uint64(8 * size - 1)
            low = worth >> bits if size == 8 else worth >> (bits + np.uint64(1))
            fits = (
                np.where(some.negative, worth <= np.uint64(1) << bits, low == 0)
                if size < 8
                else (~some.negative | (low == 0))
            )
            if size > 2:  # a small number among large ones is a counter or an index
                fits &= some.negative | (worth >> np.uint64(4 * size) != 0)
            shown = np.where(some.negative, np.uint64(0) - worth, worth)
            yield from _numbers(f"decimal numbers of {size} bytes{choice}", some.start[fits], shown[fits], size)


def _octal_readings(found: Tokens) -> Iterator[Reading]:
    for choice, chosen in (("", np.ones(len(found), np.bool_)), (", without each line's first number", ~found.first)):
        some = found.only(chosen)
        for size, digits in ((1, (3, 4)), (2, (6, 7)), (4, (11, 12))):
            numbers = some.only(np.isin(some.length, digits))
            values = numbers.values(8)
            fits = values >> np.uint64(8 * size) == 0
            yield from _numbers(f"octal numbers of {size} bytes{choice}", numbers.start[fits], values[fits], size)


def _numbers(notation: str, places: Ints, values: Numbers, size: int) -> Iterator[Reading]:
    if len(values) * size < 8:
        return
    for order in (">", "<")[: 1 if size == 1 else 2]:
        yield Reading(notation, values.astype(f"{order}u{size}").view(np.uint8), places, size)


def _pairs(notation: str, text: Bytes, start: Ints, length: Ints) -> Reading:
    digits, at = digits_of(text, start, length)
    return Reading(notation, _joined(digits), at[::2])


def _joined(digits: Bytes) -> Bytes:
    """Two digits are a byte."""
    joined: Bytes = (digits[::2] << 4 | digits[1::2]).astype(np.uint8)
    return joined


def _nibbles(notation: str, found: Tokens) -> Iterator[Reading]:
    """All digits in a row, however they are grouped."""
    digits, at = digits_of(found.text, found.start, found.length)
    for shift in (0, 1):
        some = digits[shift : shift + (len(digits) - shift) // 2 * 2]
        yield Reading(notation, _joined(some), at[shift::2])


def _based(
    notation: str,
    text: Bytes,
    found: tuple[Ints, Ints],
    bits: int,
    alphabet: Bytes | None = None,
    places: Ints | None = None,
) -> Iterator[Reading]:
    """Base64 (6 bits a character) or base32 (5): at each character of a group a secret's first byte may begin."""
    start, end = found
    if not len(start):
        return
    group, wide = (4, 3) if bits == 6 else (8, 5)
    table = alphabet if alphabet is not None else _SIX if bits == 6 else _FIVE
    for shift in range(group):
        at = spread(start + shift, np.maximum(end - start - shift, 0) // group * group)
        digits = table[text[at]].reshape(-1, group)
        value = np.zeros(len(digits), np.uint64)
        for column in range(group):
            value = value << np.uint64(bits) | digits[:, column]
        data = np.empty((len(digits), wide), np.uint8)
        for column in range(wide):
            data[:, column] = value >> np.uint64(8 * (wide - 1 - column)) & np.uint64(0xFF)
        stood = at[::group] if places is None else places[at[::group]]
        yield Reading(notation, data.reshape(-1), stood, wide)


def _base64_over_lines(text: Bytes, of: Bytes) -> Iterator[Reading]:
    """Lines of nothing but base64, read as one."""
    start, end = runs(of & END_OF_LINE == 0, 4)
    body = end - (text[end - 1] == 0x3D)  # without the padding
    body -= (text[body - 1] == 0x3D) & (body > start)
    other = np.append(np.flatnonzero(of & BASE64 == 0), len(text))
    pure = other[np.searchsorted(other, start)] >= body
    neighbours = np.zeros(len(start), np.bool_)
    if len(start) > 1:
        neighbours[1:] |= pure[:-1]
        neighbours[:-1] |= pure[1:]
    pure &= neighbours
    at = spread(start[pure], (body - start)[pure])
    joined = text[at]
    if len(joined) >= _LONG_BASE64:
        whole = np.array([0]), np.array([len(joined)])
        yield from _based("base64 over lines", joined, whole, 6, places=at)


def _binary(found: Tokens) -> Reading:
    """Numbers of eight binary digits, those with 0b too."""
    text = found.text
    start = found.start + np.where(
        (found.length == 10) & (text[np.minimum(found.start + 1, len(text) - 1)] == 0x62), 2, 0
    )
    start = start[(found.length - (start - found.start) == 8) & ~found.prefixed]
    digits = text[start[:, None] + np.arange(8)] - 0x30 if len(start) else np.zeros((0, 8), np.uint8)
    binary = (digits <= 1).all(axis=1)
    return Reading("binary digits", np.packbits(digits[binary], axis=1).reshape(-1), start[binary])


def _bits_run_together(text: Bytes) -> Iterator[Reading]:
    start, end = runs(text | 1 == 0x31, _LONG_BITS)
    for shift in range(8) if len(start) else ():
        at = spread(start + shift, (end - start - shift) // 8 * 8)
        yield Reading("binary digits, run together", np.packbits(text[at] & 1), at[::8])


def _uuencoded(text: Bytes, of: Bytes) -> Iterator[Reading]:
    """Lines of uuencode: a character for the number of bytes, and four for each three of them."""
    start, end = runs(of & END_OF_LINE == 0, 4)
    size = (text[start].astype(np.int64) - 0x20) & 0x3F
    fits = (size > 0) & (size <= 45) & (end - start == 1 + (size + 2) // 3 * 4)
    if fits.any():
        at = spread(start[fits] + 1, (end - start - 1)[fits])
        yield from _based("uuencode", text[at], (np.array([0]), np.array([len(at)])), 6, _UU, at)


def _base85(text: Bytes) -> Iterator[Reading]:
    """Five characters are four bytes: Ascii85, and the alphabets of RFC 1924 (Python, git) and of ZeroMQ."""
    for name, table in _EIGHTY_FIVE.items():
        start, end = runs(table[text] < 85, _LONG_BASE85)
        for shift in range(5) if len(start) else ():
            at = spread(start + shift, (end - start - shift) // 5 * 5)
            digits = table[text[at]].reshape(-1, 5)
            value = np.zeros(len(digits), np.uint64)
            for column in range(5):
                value = value * np.uint64(85) + digits[:, column]
            yield Reading(name, value.astype(np.uint32).astype(">u4").view(np.uint8), at[::5], 4)


def _unescaped(text: bytes) -> Reading:
    """Strings with escapes, as C and Python write them. Lines without any are left out."""
    data, places = bytearray(), []
    offset = 0
    for line in text.split(b"\n"):
        if b"\\" in line:
            at = 0
            for match in _ESCAPE.finditer(line):
                code = match[1]
                value = int(code[1:], 16) if code[:1] == b"x" else _SIMPLE.get(code)
                plain = line[at : match.start()]
                data += plain
                data.append(int(code, 8) & 0xFF if value is None else value)
                places += [*range(offset + at, offset + match.start()), offset + match.start()]
                at = match.end()
            data += line[at:]
            places += range(offset + at, offset + len(line))
        offset += len(line) + 1
    return Reading("a string with escapes", np.frombuffer(bytes(data), np.uint8), np.array(places, np.int64))


def _alphabet(letters: bytes) -> Bytes:
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(letters, np.uint8)] = np.arange(len(letters))
    return table


_UU: Bytes = (np.arange(256) - 0x20 & 0x3F).astype(np.uint8)
_LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_EIGHTY_FIVE = {
    "Ascii85": _alphabet(bytes(range(0x21, 0x76))),
    "base85": _alphabet(_LETTERS + b"!#$%&()*+-;<=>?@^_`{|}~"),
    "Z85": _alphabet(_LETTERS[:10] + _LETTERS[36:] + _LETTERS[10:36] + b".-:+=^!/*?&<>()[]{}@%$#"),
}
_SIX, _FIVE = _alphabet(_LETTERS[10:] + _LETTERS[:10] + b"+/"), _alphabet(_LETTERS[10:36] + b"234567")
_SIX[[ord("-"), ord("_")]] = 62, 63
_FIVE[ord("a") : ord("z") + 1] = np.arange(26)
