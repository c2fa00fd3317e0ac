"""Bytes written in letters: base64, base32, base85 and uuencode, in one piece, in groups and over lines."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.tokens import BASE32, BASE64, HEX, Bytes, Flags, Ints, Text, runs, spread

__all__ = ["base_readings"]

_LONG = {6: 11, 5: 13}
"""The number of characters that eight bytes need, by the bits of one character."""
_LONG_BASE85 = 20  # characters for sixteen bytes; shorter stretches occur in any log
_SHORT_GROUP, _LONG_GROUP = 3, 16
_APART = 4
_LEAST_LINE = 4
_ONLY_HEX = 64
"""A stretch of so many hexadecimal digits and nothing else is read neither as base64 nor as base32hex.

Of random keys of 32 bytes, one in 2**65 has only such digits in base64, and one in 2**51 in base32hex.
"""
_LEAST_UU, _MOST_UU = 8, 61
"""The fewest bytes and the most characters of a line of uuencode that words precede."""
_MOST_CUT = 4
"""The most blanks that may have been cut from the end of a line of uuencode."""


def base_readings(block: Text) -> Iterator[Reading]:
    """Every reading of a text in one of these encodings."""
    raw, of = block.raw, block.kinds
    base64 = np.zeros(0, np.int64), np.zeros(0, np.int64)
    digits = runs(of & HEX != 0, _ONLY_HEX)
    for name, kind, bits in (("base64", BASE64, 6), ("base32", BASE32, 5)):
        here = of & kind != 0
        long = runs(here, _LONG[bits])
        yield from _based(name, raw, _outside(long, digits) if bits == 6 else _one_case(raw, *long), bits)
        start, end = runs(here)
        yield from _grouped(name, block, start, end, bits)
        if bits == 6:
            yield from _over_lines(block, start, end)
            base64 = start, end
    further = np.frombuffer(raw.tobytes().translate(_FURTHER), np.uint8)
    yield from _uuencoded(block, further & _WORD_BEFORE != 0)
    five = _outside(runs(further & _BASE32HEX != 0, _LONG[5]), digits)
    yield from _based("base32hex", raw, _one_case(raw, *five), 5, _FIVE_HEX)
    for rank, (name, table) in enumerate(_EIGHTY_FIVE.items()):
        # Twenty characters that base64 has as well are base85 in only one run of a thousand.
        yield from _base85(name, table, raw, *_outside(runs(further & 1 << rank != 0, _LONG_BASE85), base64))


def _inside(start: Ints, end: Ints, first: Ints, behind: Ints) -> Flags:
    """Which stretches lie inside a stretch from `first` to `behind`."""
    if not len(first):
        return np.zeros(len(start), np.bool_)
    at = np.searchsorted(first, start, "right") - 1
    found: Flags = (at >= 0) & (behind[at] >= end)
    return found


def _outside(found: tuple[Ints, Ints], others: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """The stretches that lie inside none of the others."""
    rest = ~_inside(*found, *others)
    return found[0][rest], found[1][rest]


def _one_case(text: Bytes, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The stretches that do not mix capitals and small letters, and hold other characters than digits."""
    if not len(start):
        return start, end
    at = spread(start, end - start)
    first = np.cumsum(end - start) - (end - start)
    characters = text[at]
    small = np.logical_or.reduceat(characters >= 0x61, first)
    capital = np.logical_or.reduceat((characters >= 0x41) & (characters < 0x5B), first)
    one = small != capital
    return start[one], end[one]


def _based(
    notation: str,
    text: Bytes,
    found: tuple[Ints, Ints],
    bits: int,
    alphabet: Bytes | None = None,
    places: Ints | None = None,
) -> Iterator[Reading]:
    """Base64 (6 bits a character) or base32 (5); a secret's first byte may begin at each character of a group."""
    start, end = found
    if not len(start):
        return
    group = 4 if bits == 6 else 8
    # Each stretch is filled up to whole groups with the characters after it; groups with such characters are left out.
    size = end - start
    groups = -(-size // group)
    at = np.minimum(spread(start, groups * group), len(text) - 1)
    table = alphabet if alphabet is not None else _SIX if bits == 6 else _FIVE
    digits = np.append(table[text[at]], np.zeros(group - 1, np.uint8))
    columns = _joined(digits, bits)
    last = np.cumsum(groups) - 1
    for shift in range(group):
        data = np.empty((int(groups.sum()), len(columns)), np.uint8)
        for number, column in enumerate(columns):
            data[:, number] = column[shift::group]
        missing = groups - (size - shift) // group  # at the end of each stretch, two at most
        whole = np.ones(len(data), np.bool_)
        whole[last[missing > 0]] = False
        whole[last[missing > 1] - 1] = False
        data = data[whole]
        yield Reading(notation, data.reshape(-1), partial(_stood, at, places, shift, group, whole), len(columns))


def _stood(at: Ints, places: Ints | None, shift: int, group: int, whole: Flags) -> Ints:
    """The place of each whole group of characters in the text."""
    first: Ints = at[shift::group]
    first = first[whole[: len(first)]]
    return first if places is None else places[first]


def _joined(digits: Bytes, bits: int) -> list[Bytes]:
    """One array for each byte of a group: the byte of the group that begins at each digit."""
    group = 4 if bits == 6 else 8
    count = len(digits) - group + 1
    columns = []
    for first in range(0, bits * group, 8):
        number, above = divmod(first, bits)
        column = np.zeros(count, np.uint8)
        left = 8 - bits + above  # the digit is shifted left by so many bits
        while left > -bits:
            digit = digits[number : number + count]
            column |= digit << np.uint8(left) if left >= 0 else digit >> np.uint8(-left)
            number, left = number + 1, left - bits
        columns.append(column)
    return columns


def _grouped(name: str, block: Text, start: Ints, end: Ints, bits: int) -> Iterator[Reading]:
    """Groups of one size with a few characters between them; the last one may be shorter."""
    size = end - start
    near = start[1:] - end[:-1] <= _APART
    same = near & (size[1:] == size[:-1]) & (size[1:] >= _SHORT_GROUP) & (size[1:] <= _LONG_GROUP)
    first, last = runs(same, 2)
    long = (last - first + 1) * size[first] >= _LONG[bits]
    first, last = first[long], last[long]
    if not len(first):
        return
    shorter = np.append(near & (size[1:] < size[:-1]), False)[last]
    count = last - first + 1
    groups = spread(first, count)
    characters = block.kinds[spread(start[groups], size[groups])]
    length = count * size[first]
    digits = np.bitwise_and.reduceat(characters, np.cumsum(length) - length) & HEX != 0
    first, count = first[~digits], (count + shorter)[~digits]  # leave out hexadecimal dumps
    if not len(first):
        return
    groups = spread(first, count)
    at = spread(start[groups], size[groups])
    ends = np.cumsum(np.add.reduceat(size[groups], np.cumsum(count) - count))
    found = np.append(0, ends[:-1]), ends
    yield from _based(f"{name} in groups", block.raw[at], found, bits, places=at)


def _long_lines(block: Text) -> tuple[Ints, Ints]:
    """Start and end of each line that is long enough to be searched."""
    start, end = np.append(0, block.ends + 1), np.append(block.ends, len(block.raw))
    long = end - start >= _LEAST_LINE
    return start[long], end[long]


def _over_lines(block: Text, first: Ints, behind: Ints) -> Iterator[Reading]:
    """Lines that hold nothing but base64, joined and read as one.

    Args:
        block: the text.
        first, behind: start and end of each stretch of base64's characters.
    """
    text = block.raw
    start, end = _long_lines(block)
    if not len(start):
        return
    body = end - (text[end - 1] == 0x3D)  # without the padding
    body -= (text[body - 1] == 0x3D) & (body > start)
    pure = _inside(start, body, first, behind)
    neighbours = np.zeros(len(start), np.bool_)
    neighbours[1:] |= pure[:-1]
    neighbours[:-1] |= pure[1:]
    pure &= neighbours
    at = spread(start[pure], (body - start)[pure])
    if len(at) >= _LONG[6]:
        yield from _based("base64 over lines", text[at], (np.array([0]), np.array([len(at)])), 6, places=at)


def _uuencoded(block: Text, before: Flags) -> Iterator[Reading]:
    """Lines of uuencode: one character for the number of bytes, then four characters for every three bytes.

    Words may precede the data in a line. Blanks at the end (they mean zeros) may have been cut, at most one group.

    Args:
        block: the text.
        before: which characters of the text may precede the data.
    """
    text = block.raw
    line_start, line_end = _long_lines(block)
    if not len(line_start):
        return
    words = np.flatnonzero(before[:-1]) + 1
    words = words[_SIZES[text[words]] >= _LEAST_UU]
    # In each line, keep the words that are near enough to its end.
    behind = np.searchsorted(words, line_end)
    count = behind - np.searchsorted(words, np.maximum(line_start, line_end - _MOST_UU))
    words = words[spread(behind - count, count)]
    line = np.repeat(np.arange(len(line_start)), count)
    start = np.concatenate((line_start, words))
    line = np.concatenate((np.arange(len(line_start)), line))
    need = _UU_NEEDS[text[start]].astype(np.int64)
    missing = need - (line_end[line] - start)
    fits = (need > 0) & (missing >= 0) & (missing <= _MOST_CUT)
    # In each line, keep the first start that fits: a later one is read as a part of it.
    line, which = np.unique(line[fits], return_index=True)
    start = start[fits][which]
    if len(start):
        at = spread(start + 1, line_end[line] - start - 1)
        yield from _based("uuencode", text[at], (np.array([0]), np.array([len(at)])), 6, _UU, at)


def _base85(name: str, table: Bytes, text: Bytes, start: Ints, end: Ints) -> Iterator[Reading]:
    """Base85, five characters for four bytes: Ascii85, and the alphabets of RFC 1924 (Python, git) and of ZeroMQ."""
    if not len(start):
        return
    length = end - start
    begin = np.cumsum(length) - length
    digits = np.append(table[text[spread(start, length)]].astype(np.uint32), np.zeros(4, np.uint32))
    value = digits[:-4].copy()
    for column in range(1, 5):
        value *= np.uint32(85)
        value += digits[column : len(value) + column]
    value = value.byteswap()
    for shift in range(5):
        groups = (length - shift) // 5
        rank = np.arange(groups.sum()) - np.repeat(np.cumsum(groups) - groups, groups)
        data = value[np.repeat(begin + shift, groups) + 5 * rank].view(np.uint8)
        yield Reading(name, data, partial(_fives, start + shift, groups), 4)


def _fives(start: Ints, groups: Ints) -> Ints:
    return spread(start, groups * 5)[::5]


def _alphabet(letters: bytes) -> Bytes:
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(letters, np.uint8)] = np.arange(len(letters))
    return table


_UU: Bytes = (np.arange(256) - 0x20 & 0x3F).astype(np.uint8)
_SIZES = np.arange(256) - 0x20 & 0x3F
_UU_NEEDS = np.where((_SIZES > 0) & (_SIZES <= 45), 1 + (_SIZES + 2) // 3 * 4, 0).astype(np.uint8)
"""The number of characters that follow in a line of uuencode, by the line's first character."""
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
_BASE32HEX, _WORD_BEFORE = 8, 16
_FURTHER = (
    sum((table < 85).astype(np.uint8) << rank for rank, table in enumerate(_EIGHTY_FIVE.values()))
    + (_FIVE_HEX < 32).astype(np.uint8) * np.uint8(_BASE32HEX)
    + np.isin(np.arange(256), np.frombuffer(b" \t:>])|", np.uint8)).astype(np.uint8) * np.uint8(_WORD_BEFORE)
).tobytes()
"""For `bytes.translate`: the alphabets of base85 and base32hex, and the characters that may precede a line's data."""
