"""The last part of a byte stream, bounded, and searches that look at each byte only as often as needed."""

from __future__ import annotations

import re
from typing import Final

from tfm_harness.console.base import Match

__all__ = ["OVERLAP", "Search", "Window"]

OVERLAP: Final = 64 << 10
"""The longest match of a regular expression that is still found if it arrives in pieces."""


class Window:
    """The last `limit` to 2 * `limit` bytes of a stream.

    Attributes:
        start: the stream's offset of the first byte held.
        end: the stream's length so far.
        data: the bytes held.
    """

    __slots__ = ("_limit", "data", "end", "start")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.start = 0
        self.end = 0
        self.data = bytearray()

    def append(self, chunk: memoryview) -> None:
        """Add received bytes; drop the oldest beyond the limit."""
        self.data += chunk
        self.end += len(chunk)
        if len(self.data) > 2 * self._limit:
            drop = len(self.data) - self._limit
            del self.data[:drop]
            self.start += drop

    def slice(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from the stream's offset `start`, which must be held."""
        first = start - self.start
        return bytes(memoryview(self.data)[first : first + size])


class Search:
    """One search over a growing stream; `position` is how far it has searched."""

    __slots__ = ("_literal", "_overlap", "_pattern", "origin", "position")

    def __init__(self, pattern: bytes | re.Pattern[bytes], origin: int) -> None:
        self._literal = pattern if isinstance(pattern, bytes) else None
        self._pattern = None if isinstance(pattern, bytes) else pattern
        self._overlap = max(len(pattern) - 1, 0) if isinstance(pattern, bytes) else OVERLAP
        self.origin = origin
        self.position = origin

    def scan(self, data: bytes | bytearray, start: int) -> Match | None:
        """Search `data`, which begins at the stream's offset `start` and ends at the stream's present end."""
        first = max(self.position - start, 0)
        found: Match | None = None
        if self._literal is not None:
            at = data.find(self._literal, first)
            if at >= 0:
                found = Match(self._literal, start + at, start + at + len(self._literal))
        elif self._pattern is not None:
            hit = self._pattern.search(data, first)
            if hit is not None:
                groups = tuple(None if group is None else bytes(group) for group in hit.groups())
                found = Match(bytes(hit[0]), start + hit.start(), start + hit.end(), groups)
        if found is None:
            self.position = max(self.origin, self.position, start + len(data) - self._overlap)
        return found
