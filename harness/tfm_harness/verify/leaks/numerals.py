"""Reads the numbers of a text as bytes: hexadecimal, decimal, octal and binary, of every width, by lines or columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tfm_harness.verify.leaks.chosen import LEAST, Column, Digits, joined
from tfm_harness.verify.leaks.columns import Choices
from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.tokens import (
    DECIMAL,
    HEX,
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

__all__ = [
    "binary_readings",
    "decimal_readings",
    "decimals_run_together",
    "hex_readings",
    "hex_run_together",
    "octal_readings",
]

_B = 0xB
"""The value of the hexadecimal digit B, which marks binary numbers (0b1010, 1010b)."""
_LONG_HEX = 16
_LONG_BITS = 64
_LONG_DECIMAL = 24
"""The number of decimal digits that eight bytes need."""
_MOST_DIGITS = 20
_LEAST_BIG, _MOST_BIG = 21, 1300
"""The fewest and the most digits of a decimal number that is wider than 64 bits; the most have about 4,300 bits."""


def hex_readings(found: Tokens) -> Iterator[Reading]:
    """Readings of hexadecimal numbers."""
    short = found.length <= 16
    worth = np.zeros(len(found), np.uint64)
    worth[short] = found.only(short).values(16)
    signed = np.where(found.negative & found.prefixed, np.uint64(0) - worth, worth)
    choices = Choices.of(found, dumps=True)
    even = found.length % 2 == 0
    pairs = Digits(found, choices, even, 2)
    digits = None if even.all() else Digits(found, choices, np.ones(len(found), np.bool_), 1)
    columns = []
    for style, styled in (("", None), (", those with 0x", found.prefixed)):
        for size in (1, 2, 4, 8) if styled is None or styled.any() else ():
            # Without 0x, a number is as wide as its digits; with 0x, leading zeros may be missing.
            fits = found.length == 2 * size if styled is None and size > 1 else found.length <= 2 * size
            fits = fits if styled is None else fits & styled
            columns.append((style, Column(found, choices, fits, signed, size)))
    for choice in choices.choices:
        yield from pairs.pairs(f"hexadecimal{choice.words}", choice)
        if digits is not None and not even[choice.taken(choices.bits)].all():
            yield from digits.nibbles(f"hexadecimal digits{choice.words}", choice)
        for style, column in columns:
            yield from column.readings(f"hexadecimal numbers of {column.size} bytes{choice.words}{style}", choice)


def hex_run_together(block: Text) -> Iterator[Reading]:
    """Readings of long rows of hexadecimal digits, whatever precedes and follows them."""
    start, end = runs(block.kinds & HEX != 0, _LONG_HEX)
    for shift in (0, 1) if len(start) else ():
        first, length = start + shift, (end - start - shift) // 2 * 2
        data = joined(digits_of(block.raw, first, length))
        yield Reading("hexadecimal, run together", data, partial(_every_second, first, length))


def _every_second(start: Ints, length: Ints) -> Ints:
    return spread(start, length)[::2]


def decimal_readings(found: Tokens) -> Iterator[Reading]:
    """Readings of decimal numbers, with and without signs."""
    fitting = found.length <= _MOST_DIGITS
    value = np.zeros(len(found), np.uint64)
    value[fitting] = found.only(fitting).values(10)
    # 20 digits may exceed 2**64 - 1; the value of all but the last digit shows it.
    long = np.flatnonzero(found.length == _MOST_DIGITS)
    if len(long):
        head = found.take(long)
        most = replace(head, length=head.length - 1).values(10)
        fitting[long] = (most < 1844674407370955161) | ((most == 1844674407370955161) & (value[long] % 10 <= 5))
    shown = np.where(found.negative, np.uint64(0) - value, value)
    choices = Choices.of(found)
    columns = [
        Column(found, choices, fitting & _fits(value, found.negative, size), shown, size) for size in (1, 2, 4, 8)
    ]
    for choice in choices.choices:
        for column in columns:
            yield from column.readings(f"decimal numbers of {column.size} bytes{choice.words}", choice)


def _fits(worth: Numbers, negative: Flags, size: int) -> Flags:
    """Which decimal numbers may be integers of `size` bytes."""
    bits = np.uint64(8 * size - 1)
    low = worth >> bits if size == 8 else worth >> (bits + np.uint64(1))
    fits: Flags = np.where(negative, worth <= np.uint64(1) << bits, low == 0) if size < 8 else (~negative | (low == 0))
    if size > 2:  # a small number among large ones is a counter or an index
        fits &= negative | (worth >> np.uint64(4 * size) != 0)
    return fits


def decimals_run_together(block: Text) -> Iterator[Reading]:
    """Readings of long rows of digits: three digits a byte, and one number for a whole secret."""
    start, end = runs(block.kinds & DECIMAL != 0, _LEAST_BIG)
    if not len(start):
        return
    for shift in range(3):
        at = spread(start + shift, (end - start - shift) // 3 * 3)
        digits = (block.raw[at] - 0x30).reshape(-1, 3).astype(np.uint16)
        three = digits[:, 0] * 100 + digits[:, 1] * 10 + digits[:, 2]
        yield Reading("decimal digits, run together", three.astype(np.uint8), at[::3])
    fits = end - start <= _MOST_BIG
    start, end = start[fits], end[fits]
    shown = [_whole_number(block.raw[first:behind].tobytes()) for first, behind in zip(start, end, strict=True)]
    if shown:
        places = np.repeat(start, [len(each) for each in shown])
        yield Reading("one decimal number", np.frombuffer(b"".join(shown), np.uint8), places)


def _whole_number(digits: bytes) -> bytes:
    """The bytes of a decimal number, with a zero before the first."""
    value = int(digits)
    return value.to_bytes((value.bit_length() + 7) // 8 + 1, "big")


def octal_readings(found: Tokens) -> Iterator[Reading]:
    """Readings of octal numbers with their leading zeros."""
    choices = Choices.of(found, columns=False)
    for size, digits in ((1, (3, 4)), (2, (6, 7)), (4, (11, 12))):
        some = np.flatnonzero((found.length == digits[0]) | (found.length == digits[1]))
        if len(some) * size < LEAST:
            continue
        values, fits = np.zeros(len(found), np.uint64), np.zeros(len(found), np.bool_)
        values[some] = found.take(some).values(8)
        fits[some] = values[some] >> np.uint64(8 * size) == 0
        column = Column(found, choices, fits, values, size)
        for choice in choices.choices:
            yield from column.readings(f"octal numbers of {size} bytes{choice.words}", choice)


def binary_readings(block: Text, found: Sequence[Tokens]) -> Iterator[Reading]:
    """Readings of binary digits (with 0b as well), in groups of any size and run together.

    Args:
        block: the text.
        found: the hexadecimal numbers of the text.
    """
    for some in found:
        yield from _binary_numbers(some)
    start, end = runs(block.raw | 1 == 0x31, _LONG_BITS)
    if len(start):
        at = spread(start, end - start)
        ends = np.cumsum(end - start)
        yield from _bits("binary digits, run together", block.raw, at, ends - (end - start), ends)


def _binary_numbers(found: Tokens) -> Iterator[Reading]:
    start, length = _binary(found)
    text = found.block.raw
    eight = start[length == 8]
    if len(eight):
        digits = text[eight[:, None] + np.arange(8)] - 0x30
        yield Reading("binary digits", np.packbits(digits, axis=1).reshape(-1), eight)
    for groups in (start[length > 1], length[length > 1]), (start[length == 1], length[length == 1]):
        if groups[1].sum() >= _LONG_BITS:
            whole = spread(*groups)
            yield from _bits("binary digits in groups", text, whole, np.array([0]), np.array([len(whole)]))


def _binary(found: Tokens) -> tuple[Ints, Ints]:
    """Start and length of the numbers of binary digits: 1010, 0b1010 and 1010b."""
    text = found.block.raw
    some = np.flatnonzero(~found.prefixed & (found.most <= _B) & (text[found.start] | 1 == 0x31))
    start, length, most = found.start[some], found.length[some], found.most[some]
    marked = np.flatnonzero((most == _B) & (length > 2))
    if len(marked):
        before = (text[start[marked]] == 0x30) & (text[start[marked] + 1] == 0x62)
        last = text[start[marked] + length[marked] - 1] | 0x20
        behind = (length[marked] % 4 == 1) & (last == 0x62)
        start[marked] += 2 * before
        length[marked] -= 2 * before + behind
        rest = digits_of(text, start[marked], length[marked])
        most[marked] = np.maximum.reduceat(rest, np.cumsum(length[marked]) - length[marked])
    binary = (most <= 1) & ((length >= 4) | (length == 1))
    return start[binary], length[binary]


def _bits(notation: str, text: Bytes, at: Ints, start: Ints, end: Ints) -> Iterator[Reading]:
    """Readings of the binary digits at `at`, once for each bit at which a byte may begin."""
    for shift in range(8):
        some = at[spread(start + shift, (end - start - shift) // 8 * 8)]
        yield Reading(notation, np.packbits(text[some] & 1), some[::8])
