"""Reads the same numbers in many choices; data that several choices need is computed once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tfm_harness.verify.leaks.columns import Choice, Choices
from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.tokens import Bytes, Flags, Ints, Numbers, Tokens, digits_of, spread

__all__ = ["LEAST", "Column", "Digits", "joined"]

LEAST = 8
"""The fewest bytes of a reading: fewer bytes are no piece of a secret."""


class _Some:
    """Those of all numbers whose flag is set."""

    def __init__(self, found: Tokens, choices: Choices, flags: Flags) -> None:
        self._flags, self._every = flags, bool(flags.all())
        some = slice(None) if self._every else np.flatnonzero(flags)
        self._start, self._length, self._bits = found.start[some], found.length[some], choices.bits[some]
        self._rank: npt.NDArray[np.int32] | None = None
        self._seen: list[Flags | Ints] = []

    def _in_order(self, some: Ints) -> Ints:
        """The indices, among these numbers, of those numbers of `some` that belong to them."""
        if self._every:
            return some
        if self._rank is None:
            self._rank = np.cumsum(self._flags, dtype=np.int32)
        found: Ints = self._rank[some[self._flags[some]]].astype(np.int64) - 1
        return found

    def _chosen(self, choice: Choice) -> Flags | Ints | None:
        """The numbers that a choice takes; None where an earlier choice took the same ones."""
        if choice.some is None:
            some: Flags | Ints = choice.flags(self._bits)
        else:
            some = self._in_order(choice.some)
            if (some[1:] > some[:-1]).all():
                flags = np.zeros(len(self._bits), np.bool_)
                flags[some] = True
                some = flags
        if any(some.dtype == before.dtype and np.array_equal(some, before) for before in self._seen):
            return None
        self._seen.append(some)
        return some


class Digits(_Some):
    """The digits of hexadecimal numbers, in pairs or one by one."""

    def __init__(self, found: Tokens, choices: Choices, flags: Flags, width: int) -> None:
        """`width` digits make one byte of the stream: two, or one that is later joined with its neighbour."""
        super().__init__(found, choices, flags)
        digits = digits_of(found.block.raw, self._start, self._length)
        self._data = joined(digits) if width == 2 else digits
        self._size = self._length // width
        self._bits_of_data = np.repeat(self._bits, self._size)
        self._begin: Ints | None = None

    def _stream(self, choice: Choice, some: Flags | Ints) -> Bytes:
        if choice.some is None:
            return self._data[choice.flags(self._bits_of_data)] if choice.flag else self._data
        if self._begin is None:
            self._begin = np.cumsum(self._size) - self._size
        some = np.flatnonzero(some) if some.dtype == np.bool_ else some
        found: Bytes = self._data[spread(self._begin[some], self._size[some])]
        return found

    def _places(self, some: Flags | Ints, shift: int) -> Ints:
        return spread(self._start[some], self._length[some])[shift::2]

    def pairs(self, notation: str, choice: Choice) -> Iterator[Reading]:
        """Read two digits as a byte, in numbers with an even number of digits."""
        some = self._chosen(choice)
        if some is not None:
            yield Reading(notation, self._stream(choice, some), lambda: self._places(some, 0))

    def nibbles(self, notation: str, choice: Choice) -> Iterator[Reading]:
        """Read all digits in a row, whatever their groups."""
        some = self._chosen(choice)
        if some is not None:
            digits = self._stream(choice, some)
            both: Bytes = digits[:-1] << np.uint8(4) | digits[1:]
            yield Reading(notation, both[::2], lambda: self._places(some, 0))
            yield Reading(notation, both[1::2], lambda: self._places(some, 1))


class Column(_Some):
    """Numbers of one size in bytes."""

    def __init__(self, found: Tokens, choices: Choices, fits: Flags, values: Numbers, size: int) -> None:
        """`fits` flags the numbers that belong to the column; `values` holds the values of all numbers."""
        super().__init__(found, choices, fits)
        self.size = size
        some = values if self._every else values[fits]
        self._orders = [some.astype(f"{order}u{size}") for order in (">", "<")[: 1 if size == 1 else 2]]

    def readings(self, notation: str, choice: Choice) -> Iterator[Reading]:
        """The chosen numbers as bytes, in both byte orders."""
        if len(self._start) * self.size < LEAST:
            return
        some = self._chosen(choice)
        if some is None:
            return
        for values in self._orders:
            data = values if choice.some is None and not choice.flag else values[some]
            if len(data) * self.size >= LEAST:
                yield Reading(notation, data.view(np.uint8), lambda: self._start[some], self.size)


def joined(digits: Bytes) -> Bytes:
    """Join every two digits into a byte."""
    found: Bytes = digits[::2] << np.uint8(4) | digits[1::2]
    return found
