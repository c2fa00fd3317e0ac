"""Numbers of a text as bytes: hexadecimal, decimal, octal and binary, of every width, in all lines or in columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tfm_harness.verify.leaks.columns import all_but_first, choices
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

_LONG_HEX = 16
_LONG_BITS = 64
_LONG_DECIMAL = 24
"""Digits that eight bytes need."""
_MOST_DIGITS = 20
_LEAST_BIG, _MOST_BIG = 21, 1300
"""Digits of a number that is wider than 64 bits: of up to 4,300 bits."""


def hex_readings(found: Tokens) -> Iterator[Reading]:
    """Hexadecimal numbers."""
    short = found.length <= 16
    worth = np.zeros(len(found), np.uint64)
    worth[short] = found.only(short).values(16)
    for choice, some in choices(found, dumps=True):
        length, start = found.length[some], found.start[some]
        even = length % 2 == 0
        yield _pairs(f"hexadecimal{choice}", found.text, start[even], length[even])
        if not even.all():
            yield from _nibbles(f"hexadecimal digits{choice}", found.text, start, length)
        prefixed = found.prefixed[some]
        signed = np.where(found.negative[some] & prefixed, np.uint64(0) - worth[some], worth[some])
        for style, styled in (("", np.True_), (", those with 0x", prefixed)):
            if style and not prefixed.any():
                continue
            for size in (1, 2, 4, 8):
                # Without 0x a number is as wide as it is written; with it leading zeros may be missing.
                fits = styled & (length <= 2 * size if style or size == 1 else length == 2 * size)
                notation = f"hexadecimal numbers of {size} bytes{choice}{style}"
                yield from _numbers(notation, start[fits], signed[fits], size)


def hex_run_together(block: Text) -> Iterator[Reading]:
    """Hexadecimal digits, whatever stands before and behind them."""
    start, end = runs(block.kinds & HEX != 0, _LONG_HEX)
    for shift in (0, 1):
        yield _pairs("hexadecimal, run together", block.raw, start + shift, (end - start - shift) // 2 * 2)


def decimal_readings(found: Tokens) -> Iterator[Reading]:
    """Decimal numbers, with and without signs."""
    found = found.only(found.length <= _MOST_DIGITS)
    value = found.values(10)
    # 20 digits may be more than 2**64 - 1; the carry shows in what all but the last digit are worth.
    long = np.flatnonzero(found.length == _MOST_DIGITS)
    if len(long):
        head = found.take(long)
        most = replace(head, length=head.length - 1).values(10)
        fitting = np.ones(len(found), np.bool_)
        fitting[long] = (most < 1844674407370955161) | ((most == 1844674407370955161) & (value[long] % 10 <= 5))
        found, value = found.only(fitting), value[fitting]
    shown = np.where(found.negative, np.uint64(0) - value, value)
    fits = {size: _fits(value, found.negative, size) for size in (1, 2, 4, 8)}
    for choice, some in choices(found):
        for size in (1, 2, 4, 8):
            here = some[fits[size][some]]
            yield from _numbers(f"decimal numbers of {size} bytes{choice}", found.start[here], shown[here], size)


def _fits(worth: Numbers, negative: Flags, size: int) -> Flags:
    """Which decimal numbers may be integers of `size` bytes."""
    bits = np.uint64(8 * size - 1)
    low = worth >> bits if size == 8 else worth >> (bits + np.uint64(1))
    fits: Flags = np.where(negative, worth <= np.uint64(1) << bits, low == 0) if size < 8 else (~negative | (low == 0))
    if size > 2:  # a small number among large ones is a counter or an index
        fits &= negative | (worth >> np.uint64(4 * size) != 0)
    return fits


def decimals_run_together(block: Text) -> Iterator[Reading]:
    """Three digits a byte, and one number for all of a secret."""
    start, end = runs(block.kinds & DECIMAL != 0, _LEAST_BIG)
    if not len(start):
        return
    for shift in range(3):
        at = spread(start + shift, (end - start - shift) // 3 * 3)
        digits = (block.raw[at] - 0x30).reshape(-1, 3).astype(np.uint16)
        three = digits[:, 0] * 100 + digits[:, 1] * 10 + digits[:, 2]
        yield Reading("decimal digits, run together", three.astype(np.uint8), at[::3])
    data = bytearray()
    places: list[Ints] = []
    for first, behind in zip(start, end, strict=True):
        if behind - first <= _MOST_BIG:
            value = int(block.raw[first:behind].tobytes())
            shown = value.to_bytes((value.bit_length() + 7) // 8 + 1, "big")
            data += shown
            places.append(np.full(len(shown), first))
    if places:
        yield Reading("one decimal number", np.frombuffer(bytes(data), np.uint8), np.concatenate(places))


def octal_readings(found: Tokens) -> Iterator[Reading]:
    """Octal numbers with their leading zeros."""
    for choice, some in (("", np.arange(len(found))), all_but_first(found)):
        for size, digits in ((1, (3, 4)), (2, (6, 7)), (4, (11, 12))):
            numbers = found.take(some[np.isin(found.length[some], digits)])
            values = numbers.values(8)
            fits = values >> np.uint64(8 * size) == 0
            yield from _numbers(f"octal numbers of {size} bytes{choice}", numbers.start[fits], values[fits], size)


def binary_readings(block: Text, found: Tokens) -> Iterator[Reading]:
    """Numbers of binary digits, those with 0b too, in groups of any size, and run together.

    Args:
        block: the text.
        found: its hexadecimal numbers.
    """
    text = found.text
    start, length = found.start, found.length
    marked = (length > 2) & (text[start] == 0x30) & (text[np.minimum(start + 1, len(text) - 1)] == 0x62)
    marked_behind = (length % 4 == 1) & (length > 1) & (text[start + length - 1] | 0x20 == 0x62)
    start, length = start + 2 * marked, length - 2 * marked - marked_behind
    some = np.flatnonzero(((length >= 4) | (length == 1)) & (text[start] | 1 == 0x31) & ~found.prefixed)
    start, length = start[some], length[some]
    at = spread(start, length)
    other = np.append(0, np.cumsum(text[at] | 1 != 0x31))
    ends = np.cumsum(length)
    binary = other[ends] == other[ends - length]
    start, length = start[binary], length[binary]
    eight = start[length == 8]
    if len(eight):
        digits = text[eight[:, None] + np.arange(8)] - 0x30
        yield Reading("binary digits", np.packbits(digits, axis=1).reshape(-1), eight)
    for groups in (start[length > 1], length[length > 1]), (start[length == 1], length[length == 1]):
        whole = spread(*groups)
        if len(whole) >= _LONG_BITS:
            yield from _bits("binary digits in groups", text, whole, np.array([0]), np.array([len(whole)]))
    start, end = runs(block.raw | 1 == 0x31, _LONG_BITS)
    if len(start):
        yield from _bits("binary digits, run together", block.raw, np.arange(len(block.raw)), start, end)


def _bits(notation: str, text: Bytes, at: Ints, start: Ints, end: Ints) -> Iterator[Reading]:
    """Stretches of the binary digits that stand at `at`, from each place of a byte."""
    for shift in range(8):
        some = at[spread(start + shift, (end - start - shift) // 8 * 8)]
        yield Reading(notation, np.packbits(text[some] & 1), some[::8])


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


def _nibbles(notation: str, text: Bytes, start: Ints, length: Ints) -> Iterator[Reading]:
    """All digits in a row, however they are grouped."""
    digits, at = digits_of(text, start, length)
    for shift in (0, 1):
        some = digits[shift : shift + (len(digits) - shift) // 2 * 2]
        yield Reading(notation, _joined(some), at[shift::2])
