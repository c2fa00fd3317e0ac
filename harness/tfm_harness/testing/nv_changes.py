"""Finds changes in kept memory, and selects some of many states, for tests of power cuts."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["changed_words", "spread"]


def spread(count: int, most: int) -> Sequence[int]:
    """At most `most` (two or more) of the numbers 0 to `count` - 1, evenly spread, both ends included."""
    if count <= most:
        return range(count)
    return sorted({round(n * (count - 1) / (most - 1)) for n in range(most)})


def changed_words(before: bytes, after: bytes, base: int, *, page: int) -> list[int]:
    """Addresses of 32-bit words that differ: in each page the first, the last and one in between.

    Args:
        before: an area of memory, whole words.
        after: the same area later.
        base: the area's address.
        page: bytes of a page, a multiple of four.
    """
    found: list[int] = []
    for begin in range(0, len(before), page):
        if before[begin : begin + page] != after[begin : begin + page]:
            end = min(begin + page, len(before))
            words = [at for at in range(begin, end, 4) if before[at : at + 4] != after[at : at + 4]]
            found += [base + words[n] for n in spread(len(words), 3)]
    return found
