"""Choices of numbers in each line: data among offsets, counters, times and the text at the side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfm_harness.verify.leaks.tokens import Bytes, Flags, Ints, Tokens

__all__ = ["Choice", "Choices"]

_COLUMNS = 4
"""So many numbers from the beginning of each line are columns that are read alone."""
_ORDINALS = ("first", "second", "third", "fourth")


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of some of the numbers.

    Attributes:
        words: a description of the chosen numbers.
        flag: the chosen numbers have this bit in `Choices.bits`, and are read in the order of the text; 0: all numbers.
        some: the indices of the chosen numbers, if they are read in another order; else None.
    """

    words: str
    flag: int
    some: Ints | None = None

    def flags(self, bits: Bytes) -> Flags:
        """Which numbers the choice takes, by their bits."""
        found: Flags = bits & np.uint8(self.flag) == self.flag
        return found

    def taken(self, bits: Bytes) -> Flags | Ints:
        """The chosen numbers among all numbers, as flags or indices."""
        return self.flags(bits) if self.some is None else self.some


@dataclass(frozen=True)
class Choices:
    """All choices, without those that equal an earlier one.

    In a column, lines of one kind are read together, even if other lines stand between them.

    Attributes:
        bits: for each number, a bit for each choice that takes it in the order of the text.
        choices: all choices.
    """

    bits: Bytes
    choices: tuple[Choice, ...]

    @classmethod
    def of(cls, found: Tokens, *, dumps: bool = False, columns: bool = True) -> Choices:
        """The choices among all numbers of a text.

        Args:
            found: the numbers.
            dumps: also choose the longest row of numbers of one width in each line.
            columns: also choose odd and even numbers, single columns and the like. If False, the only choices are all
                numbers, and all but each line's first.
        """
        everything = np.ones(len(found), np.bool_)
        seen: list[Flags] = [everything]
        choices = [Choice("", 0)] if len(found) else []
        for words, flags in _in_order(found, dumps=dumps) if columns else [_all_but_first(found)]:
            if flags.any() and not any(np.array_equal(flags, before) for before in seen):
                choices.append(Choice(words, 1 << len(seen) - 1))
                seen.append(flags)
        ordered: list[Ints] = []
        for words, flags in _columns(found) if columns else ():
            some = np.flatnonzero(flags)
            kinds = found.kind[some]
            if (kinds[1:] >= kinds[:-1]).all():
                if any(np.array_equal(flags, before) for before in seen):
                    continue
            else:
                some = some[np.argsort(kinds, kind="stable")]
            if len(some) and not any(np.array_equal(some, before) for before in ordered):
                ordered.append(some)
                choices.append(Choice(words, 0, some))
        bits = np.zeros(len(found), np.uint8)
        for rank, flags in enumerate(seen[1:]):
            bits |= flags.view(np.uint8) << np.uint8(rank)
        return cls(bits, tuple(choices))


def _all_but_first(found: Tokens) -> tuple[str, Flags]:
    """All numbers but each line's first, which may be an offset or a time."""
    return ", without each line's first number", ~found.first


def _in_order(found: Tokens, *, dumps: bool) -> Iterator[tuple[str, Flags]]:
    first = found.first
    yield _all_but_first(found)
    yield ", each line's last number", found.last
    yield ", without each line's first two numbers", found.column > 1
    yield ", behind each line's last word", found.behind
    if dumps:
        yield ", each line's numbers of one width", found.uniform
        yield ", each line's numbers of one width without its first", found.uniform & ~first
    odd = found.column & 1 != 0
    apart = ~(first & found.last)
    yield ", each line's odd numbers", ~odd & apart
    yield ", each line's even numbers", odd & apart


def _columns(found: Tokens) -> Iterator[tuple[str, Flags]]:
    for column in range(_COLUMNS):
        yield f", each line's {_ORDINALS[column]} number", found.column == column
    yield ", each line's last number, by lines of one kind", found.last
