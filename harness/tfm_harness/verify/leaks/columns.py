"""Which numbers of each line are data, and which are offsets, counters, times and the text at the side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfm_harness.verify.leaks.tokens import Flags, Ints, Tokens

__all__ = ["all_but_first", "choices"]

_COLUMNS = 4
"""So many numbers from the beginning of each line are each looked at alone."""
_ORDINALS = ("first", "second", "third", "fourth")


def all_but_first(found: Tokens) -> tuple[str, Ints]:
    """Without offsets and times that stand first."""
    return ", without each line's first number", np.flatnonzero(found.column > 0)


def choices(found: Tokens, *, dumps: bool = False) -> Iterator[tuple[str, Ints]]:
    """Each choice that differs from those before: in words, and the numbers it takes, in their order.

    Columns are read line by line, lines of one kind together: what other lines say between them does not matter.

    Args:
        found: all numbers.
        dumps: also the longest row of numbers of one width in each line.
    """
    everything = np.arange(len(found))
    if not len(found):
        return
    yield "", everything
    seen: list[Ints] = [everything]
    for words, some in _other(found, dumps=dumps):
        if len(some) and not any(len(some) == len(before) and np.array_equal(some, before) for before in seen):
            seen.append(some)
            yield words, some


def _other(found: Tokens, *, dumps: bool) -> Iterator[tuple[str, Ints]]:
    def at(flags: Flags) -> Ints:
        return np.flatnonzero(flags)

    first = found.column == 0
    yield all_but_first(found)
    yield ", each line's last number", at(found.last)
    yield ", without each line's first two numbers", at(found.column > 1)
    yield ", behind each line's last word", at(found.behind)
    if dumps:
        yield ", each line's numbers of one width", at(found.uniform)
        yield ", each line's numbers of one width without its first", at(found.uniform & ~first)
    for begin, words in enumerate(("odd", "even")):
        yield f", each line's {words} numbers", at((found.column & 1 == begin) & ~(first & found.last))
    for column in range(_COLUMNS):
        yield f", each line's {_ORDINALS[column]} number", _by_line(found, at(found.column == column))
    yield ", each line's last number, by lines of one kind", _by_line(found, at(found.last))


def _by_line(found: Tokens, some: Ints) -> Ints:
    """Lines of one kind together."""
    ordered: Ints = some[np.argsort(found.kind[some], kind="stable")]
    return ordered
