"""Bytes written in letters: base64, base32, base85 and uuencode, in one piece, in groups and over lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.tokens import BASE32, BASE64, END_OF_LINE, HEX, Bytes, Flags, Ints, Text, runs, spread

__all__ = ["base_readings"]

_LONG = {6: 11, 5: 13}
"""Characters that eight bytes need, by the bits of one."""
_LONG_BASE85 = 20  # characters for sixteen bytes: less stands in any log
_SHORT_GROUP, _LONG_GROUP = 3, 16
_APART = 4
_LEAST_UU = 8


def base_readings(block: Text) -> Iterator[Reading]:
    """Every reading of a text as one of these."""
    raw, of = block.raw, block.kinds
    for name, kind, bits in (("base64", BASE64, 6), ("base32", BASE32, 5)):
        start, end = runs(of & kind != 0)
        long = end - start >= _LONG[bits]
        found = start[long], end[long]
        yield from _based(name, raw, found if bits == 6 else _one_case(raw, *found), bits)
        yield from _grouped(name, block, start, end, bits)
    yield from _over_lines(raw, of)
    yield from _uuencoded(raw, of)
    yield from _based("base32hex", raw, _one_case(raw, *runs(_FIVE_HEX[raw] < 32, _LONG[5])), 5, _FIVE_HEX)
    yield from _base85(raw, of)


def _one_case(text: Bytes, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Those that do not mix capitals and small letters, and are more than digits."""
    if not len(start):
        return start, end
    at = spread(start, end - start)
    first = np.cumsum(end - start) - (end - start)
    small = np.add.reduceat((text[at] >= 0x61).astype(np.int64), first)
    letters = np.add.reduceat((text[at] >= 0x41).astype(np.int64), first)
    one = ((small == 0) | (small == letters)) & (letters > 0)
    return start[one], end[one]


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


def _grouped(name: str, block: Text, start: Ints, end: Ints, bits: int) -> Iterator[Reading]:
    """Groups of one size with a few characters between them; the last one may be shorter."""
    size = end - start
    near = start[1:] - end[:-1] <= _APART
    same = near & (size[1:] == size[:-1]) & (size[1:] >= _SHORT_GROUP) & (size[1:] <= _LONG_GROUP)
    first, last = runs(same, 2)
    between = end[last] - start[first] - (last - first + 1) * size[first]
    digits = block.count(start[first], end[last], HEX) == between.astype(np.uint64)
    shorter = np.append(near & (size[1:] < size[:-1]), False)[last]
    long = ((last - first + 1) * size[first] >= _LONG[bits]) & ~digits  # hexadecimal dumps are not meant
    first, count = first[long], (last - first + 1 + shorter)[long]
    if not len(first):
        return
    groups = spread(first, count)
    at = spread(start[groups], size[groups])
    ends = np.cumsum(np.add.reduceat(size[groups], np.cumsum(count) - count))
    found = np.append(0, ends[:-1]), ends
    yield from _based(f"{name} in groups", block.raw[at], found, bits, places=at)


def _over_lines(text: Bytes, of: Bytes) -> Iterator[Reading]:
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
    if len(joined) >= _LONG[6]:
        whole = np.array([0]), np.array([len(joined)])
        yield from _based("base64 over lines", joined, whole, 6, places=at)


def _uuencoded(text: Bytes, of: Bytes) -> Iterator[Reading]:
    """Lines of uuencode: a character for the number of bytes, and four for each three of them.

    Words may stand before it, and blanks at its end, which are zeros, may have been cut.
    """
    line_start, line_end = runs(of & END_OF_LINE == 0, 4)
    words = np.flatnonzero(_BEFORE[text]) + 1
    of_word = np.searchsorted(line_start, words, "right") - 1
    inside: Flags = (of_word >= 0) & (words < line_end[of_word]) if len(line_start) else np.zeros(len(words), np.bool_)
    start = np.append(line_start, words[inside])
    line = np.append(np.arange(len(line_start)), of_word[inside])
    size = (text[start].astype(np.int64) - 0x20) & 0x3F
    missing = 1 + (size + 2) // 3 * 4 - (line_end[line] - start)
    fits = (size > 0) & (size <= 45) & (missing >= 0) & (missing <= 2)
    fits &= (np.arange(len(start)) < len(line_start)) | (size >= _LEAST_UU)
    line, which = np.unique(line[fits], return_index=True)  # of one line the whole, or the first that fits
    start = start[fits][which]
    if len(start):
        at = spread(start + 1, line_end[line] - start - 1)
        yield from _based("uuencode", text[at], (np.array([0]), np.array([len(at)])), 6, _UU, at)


def _base85(text: Bytes, of: Bytes) -> Iterator[Reading]:
    """Five characters are four bytes: Ascii85, and the alphabets of RFC 1924 (Python, git) and of ZeroMQ."""
    for name, table in _EIGHTY_FIVE.items():
        start, end = runs(table[text] < 85, _LONG_BASE85)
        if len(start):
            # Twenty characters without one that base64 lacks are no base85, but for one run in a thousand.
            other = np.append(np.flatnonzero(of & BASE64 == 0), len(text))
            some = other[np.searchsorted(other, start)] < end
            start, end = start[some], end[some]
        for shift in range(5) if len(start) else ():
            at = spread(start + shift, (end - start - shift) // 5 * 5)
            digits = table[text[at]].reshape(-1, 5)
            value = np.zeros(len(digits), np.uint64)
            for column in range(5):
                value = value * np.uint64(85) + digits[:, column]
            yield Reading(name, value.astype(np.uint32).astype(">u4").view(np.uint8), at[::5], 4)


def _alphabet(letters: bytes) -> Bytes:
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(letters, np.uint8)] = np.arange(len(letters))
    return table


_UU: Bytes = (np.arange(256) - 0x20 & 0x3F).astype(np.uint8)
_BEFORE: Flags = np.isin(np.arange(256), np.frombuffer(b" \t:>])|", np.uint8))
"""What stands between a line's first words and the rest."""
_LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_EIGHTY_FIVE = {
    "Ascii85": _alphabet(bytes(range(0x21, 0x76))),
    "base85": _alphabet(_LETTERS + b"!#$%&()*+-;<=>?@^_`{|}~"),
    "Z85": _alphabet(_LETTERS[:10] + _LETTERS[36:] + _LETTERS[10:36] + b".-:+=^!/*?&<>()[]{}@%$#"),
}
_SIX, _FIVE = _alphabet(_LETTERS[10:] + _LETTERS[:10] + b"+/"), _alphabet(_LETTERS[10:36] + b"234567")
_FIVE_HEX = _alphabet(_LETTERS[:32])
_SIX[[ord("-"), ord("_")]] = 62, 63
_FIVE[ord("a") : ord("z") + 1] = np.arange(26)
_FIVE_HEX[ord("a") : ord("v") + 1] = np.arange(10, 32)
