"""Numbers in a text: their places, their notation and their values. A whole block is read at once, in numpy."""

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
_KIND_OF = _KINDS.tobytes()
_LETTER, _HEX = 1, 2
_CLASS_OF = np.where(_KINDS & HEX, _HEX, np.where(_KINDS & ALNUM, _LETTER, 0)).astype(np.uint8).tobytes()
"""For `bytes.translate`: the class of each character (other, a letter that is no hexadecimal digit, a digit)."""
_SHAPE: Bytes = np.where(
    (_KINDS & ALNUM != 0) & (_KINDS & HEX == 0), (np.arange(256) & 0x1F) + ((np.arange(256) & 0x20) ^ 0x20), 0
).astype(np.uint8)
"""A number below 64 for each letter that is no hexadecimal digit."""
_SUFFIXES = 3
"""The most letters that may follow a number as its suffix."""
_AROUND = 4
_SHAPED = 10
"""The number of letters of a line that give its kind."""
_DIGITS = np.zeros(256, np.uint8)
for _value, _character in enumerate(b"0123456789abcdef"):
    _DIGITS[[_character, bytes([_character]).upper()[0]]] = _value


def runs(flags: Flags, least: int = 1) -> tuple[Ints, Ints]:
    """Start and end of each stretch of at least `least` true flags."""
    done = 1
    while done < least:  # where so many flags in a row are true
        more = min(done, least - done)
        flags = flags[: max(len(flags) - more, 0)] & flags[more:]
        done += more
    padded = np.zeros(len(flags) + 2, np.bool_)
    padded[1:-1] = flags
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return edges[::2], edges[1::2] + (least - 1)


def spread(start: Ints, length: Ints) -> Ints:
    """The indices of all characters of these stretches, one after the other."""
    total = int(length.sum())
    before = np.cumsum(length) - length
    found: Ints = np.repeat(start - before, length) + np.arange(total)
    return found


def digits_of(text: Bytes, start: Ints, length: Ints) -> Bytes:
    """The values of all hexadecimal digits of these stretches."""
    found: Bytes = _DIGITS[text[spread(start, length)]]
    return found


@dataclass(frozen=True)
class Tokens:
    """Numbers of one base, in the order of the text.

    Attributes:
        block: the text that holds the numbers.
        start, length: of the digits, without prefix and suffix.
        prefixed: whether the number is written with 0x.
        negative: whether a minus precedes the number.
        line: the number of its line.
        most: its largest digit.
    """

    block: Text
    start: Ints
    length: Ints
    prefixed: Flags
    negative: Flags
    line: Ints
    most: Bytes

    def __len__(self) -> int:
        return len(self.start)

    def only(self, chosen: Flags) -> Tokens:
        """The numbers whose flag is set."""
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def take(self, some: Ints) -> Tokens:
        """The numbers with these indices, in this order."""
        return Tokens(
            self.block,
            self.start[some],
            self.length[some],
            self.prefixed[some],
            self.negative[some],
            self.line[some],
            self.most[some],
        )

    def of(self, kind: int) -> Tokens:
        """Those of the hexadecimal numbers that can also be decimal (`kind` is `DECIMAL`) or octal (`OCTAL`)."""
        return self.only(~self.prefixed & (self.most < (10 if kind == DECIMAL else 8)))

    def values(self, base: int) -> Numbers:
        """The values of the numbers, modulo 2**64. Each has at most 20 digits."""
        found = np.zeros(len(self), np.uint64)
        for length in np.flatnonzero(np.bincount(self.length)):
            chosen = np.flatnonzero(self.length == length)
            start = self.start[chosen]
            value = np.zeros(len(chosen), np.uint64)
            for column in range(int(length)):
                value *= np.uint64(base)
                value += _DIGITS[self.block.raw[start + column]]
            found[chosen] = value
        return found

    @cached_property
    def first(self) -> Flags:
        """Which numbers are the first of their line."""
        found = np.ones(len(self), np.bool_)
        np.not_equal(self.line[1:], self.line[:-1], out=found[1:])
        return found

    @cached_property
    def last(self) -> Flags:
        """Which numbers are the last of their line."""
        return np.append(self.first[1:], True)[: len(self)]

    @cached_property
    def column(self) -> Ints:
        """The number's position in its line, from 0."""
        begins = np.flatnonzero(self.first)
        return np.arange(len(self)) - np.repeat(begins, np.diff(np.append(begins, len(self))))

    @cached_property
    def behind(self) -> Flags:
        """Which numbers are followed in their line by no letter that is not a hexadecimal digit."""
        return self.start > self.block.last_letter[self.line]

    @cached_property
    def kind(self) -> Numbers:
        """A hash of the line: equal for lines with the same letters other than hexadecimal digits."""
        return self.block.line_kinds[self.line]

    @cached_property
    def uniform(self) -> Flags:
        """Whether a number belongs to its line's longest run of neighbours of one width: the columns of a dump."""
        if not len(self):
            return np.zeros(0, np.bool_)
        begins = self.first.copy()
        begins[1:] |= self.length[1:] != self.length[:-1]
        at = np.flatnonzero(begins)
        counts = np.diff(np.append(at, len(self)))
        of_line = np.flatnonzero(self.first[at])
        most = np.maximum.reduceat(counts, of_line)
        longest = np.repeat(most, np.diff(np.append(of_line, len(at))))
        return np.repeat((counts == longest) & (counts > 1), counts)  # a number alone is no row


class Text:
    """A block of text, divided into stretches of letters and digits.

    Attributes:
        raw: the characters.
        kinds: for each character the kinds to which it belongs, as bits.
        ends: where its lines end.
    """

    def __init__(self, text: bytes) -> None:
        self.raw: Bytes = np.frombuffer(text, np.uint8)
        self.kinds: Bytes = np.frombuffer(text.translate(_KIND_OF), np.uint8)
        self.ends = np.flatnonzero(self.kinds & END_OF_LINE != 0)
        self._classes: Bytes = np.frombuffer(text.translate(_CLASS_OF), np.uint8)

    @cached_property
    def _letters(self) -> Ints:
        """The offsets of letters that are no hexadecimal digits."""
        return np.flatnonzero(self._classes == _LETTER)

    @cached_property
    def _letters_before(self) -> Ints:
        """For each line, the count of such letters before its end."""
        return np.searchsorted(self._letters, np.append(self.ends, len(self.raw)))

    @cached_property
    def last_letter(self) -> Ints:
        """For each line, the offset of its last such letter, or -1."""
        before = self._letters_before
        last: Ints = np.append(-1, self._letters)[before]
        last[1:][before[1:] == before[:-1]] = -1
        return last

    @cached_property
    def line_kinds(self) -> Numbers:
        """For each line, a hash of its first letters that are no hexadecimal digits."""
        letters, behind = self._letters, self._letters_before
        at = np.append(0, behind[:-1])
        found = np.zeros(len(behind), np.uint64)
        if not len(letters):
            return found
        for rank in range(_SHAPED):  # shifted by its rank, so that the order counts
            shape = _SHAPE[self.raw[letters.take(at, mode="clip")]].astype(np.uint64)
            shape[at >= behind] = 0
            found += shape << np.uint64(6 * rank)
            at += 1
        return found

    def numbers(self) -> Tokens:
        """All hexadecimal numbers (decimal and octal ones among them) that touch no letter and no further digit."""
        raw = self.raw
        first, end = runs(self._classes == _HEX)
        around = np.zeros(len(raw) + 2 * _AROUND, np.uint8)  # padded, so that indices beyond both ends are valid
        around[_AROUND : len(raw) + _AROUND] = self._classes
        at = around[_AROUND:]
        before, behind = around[first + (_AROUND - 1)], at[end]
        # Before a number is nothing or 0x, after it nothing or a suffix.
        prefixed = before == _LETTER
        some = np.flatnonzero(prefixed)
        some = some[(raw[first[some] - 1] | 0x20 == 0x78) & (around[first[some] + (_AROUND - 3)] == 0)]
        some = some[(first[some] >= 2) & (raw[first[some] - 2] == 0x30)]
        prefixed[:] = False
        prefixed[some] = True
        suffix = np.zeros(len(first), np.int64)
        some = np.flatnonzero((behind == _LETTER) & ((before == 0) | prefixed))
        if len(some):
            place = end[some]
            letters = [
                (self.kinds.take(place + n, mode="clip") & SUFFIX != 0) & (at[place + n] != 0) for n in range(_SUFFIXES)
            ]
            for count in range(1, _SUFFIXES + 1):
                fits = (at[place + count] == 0) & np.logical_and.reduce(letters[:count])
                suffix[some[fits]] = count
        chosen = np.flatnonzero(((before == 0) | prefixed) & ((behind == 0) | (suffix > 0)))
        first, end, prefixed, suffix = first[chosen], end[chosen], prefixed[chosen], suffix[chosen]
        word = first - 2 * prefixed
        some = np.flatnonzero(suffix)
        if len(some):
            first[some] += self._assembler(first[some], end[some], end[some] + suffix[some])
        negative = np.zeros(len(first), np.bool_)
        if len(first):
            minus = np.flatnonzero((raw[word - 1] == 0x2D) & (word > 0))
            negative[minus] = around[word[minus] + (_AROUND - 2)] == 0
        length: Ints = end - first
        digits = digits_of(raw, first, length)
        most = np.maximum.reduceat(digits, np.cumsum(length) - length) if len(length) else digits
        counts = np.diff(np.concatenate(([0], np.searchsorted(first, self.ends), [len(first)])))
        line = np.repeat(np.arange(len(counts)), counts)
        return Tokens(self, first, length, prefixed, negative, line, most)

    def _assembler(self, first: Ints, end: Ints, behind: Ints) -> Ints:
        """1 for each number such as an assembler's 0C9h, whose leading zero only marks it as a number, and is no digit.

        A zero alone (0h) is a digit.

        Args:
            first, end: of the digits.
            behind: where the suffix ends.
        """
        zeros = np.zeros(len(first), np.int64)
        for place in range(_SUFFIXES):
            last = behind - 1 - place
            begin = first + zeros
            even = ((last + 1 - begin) % 2 == 0) & (end - begin > 1)
            zeros += (
                (last >= end) & (self.raw[last] | 0x20 == 0x68) & (self.raw[np.minimum(begin, end - 1)] == 0x30) & even
            )
        return zeros
