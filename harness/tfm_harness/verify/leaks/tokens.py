"""Numbers in a text: where they stand, how they are written, what they are worth. A whole block at once, in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Bytes", "Flags", "Ints", "Numbers", "Text", "Tokens", "digits_of", "runs", "spread"]

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]

ALNUM, HEX, DECIMAL, OCTAL, SUFFIX, END_OF_LINE, BASE64, BASE32 = (1 << n for n in range(8))


def _table() -> Bytes:
    table = np.zeros(256, np.uint8)
    for kind, characters in (
        (ALNUM, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        (HEX, b"0123456789ABCDEFabcdef"),
        (DECIMAL, b"0123456789"),
        (OCTAL, b"01234567"),
        (SUFFIX, b"uUlLhH"),
        (END_OF_LINE, b"\r\n"),
        (BASE64, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/-_"),
        (BASE32, b"234567ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    ):
        table[np.frombuffer(characters, np.uint8)] |= kind
    return table


_KINDS = _table()
_SHAPE: Bytes = np.where(
    (_KINDS & ALNUM != 0) & (_KINDS & HEX == 0), (np.arange(256) & 0x1F) + ((np.arange(256) & 0x20) ^ 0x20), 0
).astype(np.uint8)
"""A number below 64 for each letter that is no hexadecimal digit."""
_SHAPED = 10
"""Letters of a line that tell its kind."""
_FIELD = {HEX: np.uint64(0), DECIMAL: np.uint64(16), OCTAL: np.uint64(32)}
_COUNTED = sum(
    ((_KINDS & kind == 0).astype(np.uint64) << _FIELD[kind] for kind in (HEX, DECIMAL, OCTAL)),
    (_KINDS & END_OF_LINE != 0).astype(np.uint64) << np.uint64(48),
)
_DIGITS = np.zeros(256, np.uint8)
for _value, _character in enumerate(b"0123456789abcdef"):
    _DIGITS[[_character, bytes([_character]).upper()[0]]] = _value


def runs(flags: Flags, least: int = 1) -> tuple[Ints, Ints]:
    """Start and end of each stretch of at least `least` true flags."""
    padded = np.zeros(len(flags) + 2, np.bool_)
    padded[1:-1] = flags
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    start, end = edges[::2], edges[1::2]
    if least > 1:
        long = end - start >= least
        start, end = start[long], end[long]
    return start, end


def spread(start: Ints, length: Ints) -> Ints:
    """The indices of all characters of these stretches, one after the other."""
    total = int(length.sum())
    before = np.cumsum(length) - length
    found: Ints = np.repeat(start - before, length) + np.arange(total)
    return found


def digits_of(text: Bytes, start: Ints, length: Ints) -> tuple[Bytes, Ints]:
    """The values of all hexadecimal digits of these stretches, and where each stood."""
    at = spread(start, length)
    found: Bytes = _DIGITS[text[at]]
    return found, at


@dataclass(frozen=True, slots=True)
class Tokens:
    """Numbers of one base, in the order of the text.

    Attributes:
        start, length: of the digits, without prefix and suffix.
        prefixed: written with 0x.
        negative: a minus stands before it.
        column: which one of its line, among numbers of this base, from 0.
        last: of its line.
        behind: no letter that is no hexadecimal digit follows in its line.
        kind: of its line: equal for lines with the same letters beside hexadecimal ones.
        uniform: one of the longest row of numbers of one width in its line: the columns of a dump.
    """

    text: Bytes
    start: Ints
    length: Ints
    prefixed: Flags
    negative: Flags
    column: Ints
    last: Flags
    behind: Flags
    kind: Numbers
    uniform: Flags

    def __len__(self) -> int:
        return len(self.start)

    def only(self, chosen: Flags) -> Tokens:
        """Those that were chosen."""
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def take(self, some: Ints) -> Tokens:
        """These, in this order."""
        return Tokens(
            self.text,
            self.start[some],
            self.length[some],
            self.prefixed[some],
            self.negative[some],
            self.column[some],
            self.last[some],
            self.behind[some],
            self.kind[some],
            self.uniform[some],
        )

    def values(self, base: int) -> Numbers:
        """What they are worth, modulo 2**64. At most 20 digits each."""
        found = np.zeros(len(self), np.uint64)
        for length in np.unique(self.length):
            chosen = np.flatnonzero(self.length == length)
            digits = _DIGITS[self.text[self.start[chosen][:, None] + np.arange(length)]]
            value = np.zeros(len(chosen), np.uint64)
            for column in range(int(length)):
                value = value * np.uint64(base) + digits[:, column]
            found[chosen] = value
        return found


class Text:
    """A block of text, divided into stretches of letters and digits.

    Attributes:
        raw: the characters.
        kinds: for each the kinds it belongs to, as bits.
    """

    def __init__(self, text: bytes) -> None:
        self.raw: Bytes = np.frombuffer(text, np.uint8)
        self.kinds: Bytes = _KINDS[self.raw]
        self._start, self._end = runs((self.kinds & ALNUM) != 0)
        # How many characters are of none of these kinds, and ends of lines: four counters of 16 bits, counted up in
        # one go. Only differences over less than 65,536 characters, and between neighbours, are ever looked at.
        self._count = np.zeros(len(self.raw) + 1, np.uint64)
        np.cumsum(_COUNTED[self.raw], out=self._count[1:])
        before = self.raw[np.maximum(self._start - 1, 0)]
        further = self.kinds[np.maximum(self._start - 2, 0)]
        self._negative = (before == 0x2D) & (self._start > 0) & ((further & ALNUM == 0) | (self._start < 2))
        self._ends = np.flatnonzero(self.kinds & END_OF_LINE)
        self._line: Ints = np.searchsorted(self._ends, self._start)

    @cached_property
    def _line_words(self) -> tuple[Numbers, Ints]:
        """For each line a hash of its first letters that are no hexadecimal digits, and where the last one stands."""
        letters = np.flatnonzero(_SHAPE[self.raw])
        line = np.searchsorted(self._ends, letters)
        begins = np.flatnonzero(np.append(True, line[1:] != line[:-1])) if len(line) else line
        rank = np.arange(len(line)) - np.repeat(begins, np.diff(np.append(begins, len(line))))
        some = rank < _SHAPED
        found = np.zeros(len(self._ends) + 1, np.uint64)
        # What is added up differs for each place, so that the order counts.
        part = _SHAPE[self.raw[letters[some]]].astype(np.uint64) << (np.uint64(6) * rank[some].astype(np.uint64))
        np.add.at(found, line[some], part)
        last = np.full(len(found), -1)
        last[line] = letters  # of several the last one stays
        return found, last

    def count(self, start: Ints, end: Ints, kind: int) -> Numbers:
        """How many characters of each stretch are not of this kind. Shorter stretches than 65,536 only."""
        found: Numbers = (self._count[end] - self._count[start]) >> _FIELD[kind] & np.uint64(0xFFFF)
        return found

    def tokens(self, kind: int) -> Tokens:
        """All numbers of a kind (`HEX`, `DECIMAL`, `OCTAL`) that no letter or further digit touches."""
        start, end = self._start, self._end
        some = np.flatnonzero((self.kinds[start] & kind != 0) & (end - start < 0xFFFF))
        start, end, line, negative = start[some], end[some], self._line[some], self._negative[some]
        prefixed = np.zeros(len(start), np.bool_)
        if kind == HEX:
            second = self.raw[np.minimum(start + 1, len(self.raw) - 1)] | 0x20
            prefixed = (end - start > 2) & (self.raw[start] == 0x30) & (second == 0x78)
            start = start + 2 * prefixed
        for _ in range(3):
            more = (end - start > 1) & (self.kinds[end - 1] & SUFFIX != 0)
            if not more.any():
                break
            # An assembler's 0C9h: the zero says that it is a number.
            start = start + (
                more & (self.raw[end - 1] | 0x20 == 0x68) & (self.raw[start] == 0x30) & ((end - start) % 2 == 0)
            )
            end = end - more
        good = np.flatnonzero(self.count(start, end, kind) == 0)
        start, length, line = start[good], (end - start)[good], line[good]
        new = np.ones(len(start) + 1, np.bool_)
        new[1:-1] = line[1:] != line[:-1]
        uniform = _uniform(length, new[:-1])
        begins = np.flatnonzero(new[:-1])
        column = np.arange(len(start)) - np.repeat(begins, np.diff(np.append(begins, len(start))))
        kinds, words = self._line_words
        behind = start > words[line]
        return Tokens(
            self.raw, start, length, prefixed[good], negative[good], column, new[1:], behind, kinds[line], uniform
        )  # fmt: skip


def _uniform(length: Ints, first: Flags) -> Flags:
    """Which belong to the longest row of neighbours of one width in their line; one alone is no row."""
    if not len(length):
        return np.zeros(0, np.bool_)
    begins = first.copy()
    begins[1:] |= length[1:] != length[:-1]
    at = np.flatnonzero(begins)
    counts = np.diff(np.append(at, len(length)))
    of_line = np.flatnonzero(first[at])
    most = np.maximum.reduceat(counts, of_line)
    longest = np.repeat(most, np.diff(np.append(of_line, len(at))))
    return np.repeat((counts == longest) & (counts > 1), counts)
