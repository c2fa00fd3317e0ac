"""A block of a longer text, without a terminal's control sequences."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from tfm_harness.verify.leaks.tokens import Ints
from tfm_harness.verify.leaks.wrappings import colours

__all__ = ["Block"]


class Block:
    """A part of a text. It holds no copy of it, so that any number of blocks can be kept."""

    def __init__(self, whole: bytes, start: int, end: int, place: Callable[[int], int]) -> None:
        """`place` converts an offset in the whole text into an offset in the searched data."""
        self._whole, self._start, self._end, self._place = whole, start, end, place

    def text(self) -> bytes:
        """The characters of the block, without control sequences."""
        part = self._whole[self._start : self._end]
        if not len(self._cuts[0]):
            return part
        pieces, at = [], 0
        for first, behind in zip(*(cuts.tolist() for cuts in self._cuts), strict=True):
            pieces.append(part[at:first])
            at = behind
        return b"".join([*pieces, part[at:]])

    def place(self, at: int) -> int:
        """The offset, in the searched data, of the character at index `at` of the block's text."""
        start, end = self._cuts
        behind = np.cumsum(end - start)
        cut = int(np.searchsorted(start - behind + (end - start), at, "right"))
        return self._place(self._start + at + (int(behind[cut - 1]) if cut else 0))

    @cached_property
    def _cuts(self) -> tuple[Ints, Ints]:
        """Start and end of each part that is left out."""
        spans = colours(self._whole[self._start : self._end])
        found = np.array(spans, np.int64).reshape(-1, 2)
        return found[:, 0], found[:, 1]
