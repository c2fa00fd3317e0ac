"""Where memory that is kept has changed, and some of many states of it: for tests of power cuts."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["changed_words", "spread"]


def spread(count: int, most: int) -> Sequence[int]:
    """At most `most` (two or more) of the numbers 0 to `count` - 1, at even distances, the ends among them."""
    if count <= most:
        return range(count)
    return sorted({round(n * (count - 1) / (most - 1)) for n in range(most)})


def changed_words(before: bytes, after: bytes, base: int, *, page: int) -> list[int]:
    """Addresses of 32-bit words that differ: in each page of so many bytes the first, the last and one between.

    Args:
        before: an area of memory, whole words.
        after: the same area later.
        base: the area's address.
        page: bytes, a multiple of four.
    """
    found: list[int] = []
    for begin in range(0, len(before), page):
        if before[begin : begin + page] != after[begin : begin + page]:
            end = min(begin + page, len(before))
            words = [at for at in range(begin, end, 4) if before[at : at + 4] != after[at : at + 4]]
            found += [base + words[n] for n in spread(len(words), 3)]
    return found
