"""Collects data that was inside other data (text in dumps, compressed data), so that it is searched together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from tfm_harness.verify.leaks.block import Block
from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.tokens import Bytes, Ints, runs
from tfm_harness.verify.leaks.wrappings import inflated, printable

__all__ = ["LEAST", "Content", "Printable", "Unwrapped", "places_of"]

Readings = Callable[[bytes], Iterable[Reading]]

LEAST = 11
"""The fewest characters that eight bytes need in any notation."""
_CHUNK = 1 << 18
_MOST = 1 << 20
"""The most bytes that are collected before they are searched."""


@dataclass(frozen=True, slots=True)
class Printable:
    """The stretches of printable characters in bytes, as one text of several lines.

    Attributes:
        text: the stretches as lines, each with its line end.
        start: the offset of each stretch in the bytes.
        line: the offset of each stretch's line in the text.
    """

    text: bytes
    start: Ints
    line: Ints

    @classmethod
    def of(cls, data: Bytes) -> Printable:
        """The stretches of at least eleven printable characters."""
        starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for at in range(0, len(data) - LEAST + 1, _CHUNK):
            start, end = runs(printable(data[at : at + _CHUNK + LEAST - 1]), LEAST)
            starts.append(start + at)
            ends.append(end + at)
        start, end = np.concatenate(starts), np.concatenate(ends)
        if len(start):  # join the parts of a stretch that extends over several chunks
            apart = np.append(True, start[1:] >= end[:-1])
            start, end = start[apart], end[np.append(apart[1:], True)]
        size = end - start + 1
        pieces = [data[first:behind].tobytes() for first, behind in zip(start.tolist(), end.tolist(), strict=True)]
        return cls(b"\n".join([*pieces, b""]), start, np.cumsum(size) - size)

    def place(self, at: int) -> int:
        """The offset in the bytes of the character at index `at` of the text."""
        number = int(np.searchsorted(self.line, at, "right")) - 1
        return int(self.start[number] + at - self.line[number])


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that were found inside other data.

    Attributes:
        data: the bytes.
        shown: the text in them.
        words: how they were wrapped.
        block, number: the block of text, and the number of its reading, that held them; None: the searched data itself.
        begin: the offset of the whole content there, for compressed bytes, which have no offsets of their own.
    """

    data: Bytes
    shown: Printable
    words: str
    block: Block | None = None
    number: int = 0
    begin: int | None = None


@dataclass(slots=True)
class Unwrapped:
    """The contents that were found inside wrappings. All texts are searched as one text, and all streams together.

    Attributes:
        streams: the contents whose bytes are searched as well as their text.
    """

    streams: list[Content] = field(default_factory=list)
    _texts: list[Content] = field(default_factory=list)
    _size: int = 0

    @property
    def full(self) -> bool:
        """Whether the contents should be searched before more is added."""
        return self._size >= _MOST

    def add(self, reading: Reading, block: Block, number: int) -> None:
        """Add the text in a reading, and the compressed data in it."""
        shown = Printable.of(reading.data)
        if shown.text:
            self._text(Content(_NOTHING, shown, f", in {reading.notation}", block, number))
        for at, content in inflated(reading.data):
            self.add_inflated(content, at, f", compressed, in {reading.notation}", block, number)

    def add_inflated(self, content: bytes, at: int, words: str, block: Block | None = None, number: int = 0) -> None:
        """Add decompressed bytes, as bytes and as text."""
        data = np.frombuffer(content, np.uint8)
        found = Content(data, Printable.of(data), words, block, number, at)
        self.streams.append(found)
        self._size += len(data)
        if found.shown.text:
            self._text(found)

    def _text(self, content: Content) -> None:
        self._texts.append(content)
        self._size += len(content.shown.text)

    def clear(self) -> None:
        """Forgets everything."""
        self.streams, self._texts, self._size = [], [], 0

    def text(self) -> tuple[bytes, Callable[[int], tuple[Content, int]]]:
        """All texts as one, and a function that gives the content, and the offset in it, for an offset in that text."""
        texts = self._texts
        begins = np.cumsum([0] + [len(content.shown.text) for content in texts])

        def origin(at: int) -> tuple[Content, int]:
            content = texts[number := int(np.searchsorted(begins, at, "right")) - 1]
            return content, content.shown.place(at - int(begins[number]))

        return b"".join(content.shown.text for content in texts), origin


def places_of(found: list[tuple[Content, int]], readings: Readings) -> list[int]:
    """Convert offsets in contents into offsets in the searched data. Readings are not kept: blocks are read again."""
    places = [at if content.begin is None else content.begin for content, at in found]
    wanted: dict[Block, dict[int, list[int]]] = {}
    for hit, (content, _) in enumerate(found):
        if content.block is not None:
            wanted.setdefault(content.block, {}).setdefault(content.number, []).append(hit)
    for block, numbers in wanted.items():
        for number, reading in enumerate(readings(block.text())):
            for hit in numbers.get(number, ()):
                places[hit] = block.place(reading.place(places[hit]))
    return places


_NOTHING: Bytes = np.zeros(0, np.uint8)
