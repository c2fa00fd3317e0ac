"""A fast way for messages that look like one decoded before: messages of one firmware differ in few bytes.

The decoder never looks into the content of a byte string that is no map key. Of a number of a given size it only asks
whether a shorter form is possible. So two messages of the same length that differ only in such contents and numbers
have the same structure, and if one has no oddity, the other has none. A shape is a message that the decoder accepted,
with the places of these contents and numbers. Another message that equals it everywhere else (heads, map keys, texts,
small numbers) bit by bit needs no decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfm_harness.verify.cbor_encoder import head

__all__ = ["Shape", "Shapes", "shape_of"]

_MOST, _LONGEST = 16, 4096
"""The number of shapes that are kept, and the size in bytes of the longest message of which a shape is made."""
_MOST_PATIENCE = 1024
_Make = Callable[[bytes], Any]


class _OddError(Exception):
    """A number has a longer form than needed; the careful decoder must report it."""


@dataclass(slots=True)
class Shape:
    """What messages of one form share.

    Attributes:
        mask: a number that has 1 at all bits that must be equal; the message is read as one little-endian number.
        fixed: the values of these bits.
        make: makes the decoded value of a message.
        patience: after so many messages of this length with other shapes, a newer shape replaces this one.
    """

    mask: int
    fixed: int
    make: _Make
    patience: int = 1
    misses: int = 0


class Shapes:
    """The latest shapes, one for each message length. Threads may share them: at worst a shape is made twice."""

    def __init__(self) -> None:
        self._by_length: dict[int, Shape] = {}

    def decode(self, message: bytes) -> Any:  # noqa: ANN401 - a CBOR value
        """The decoded value when the shape is known (such a message has no oddities); else None."""
        shape = self._by_length.get(len(message))
        if shape is None:
            return None
        if int.from_bytes(message, "little") & shape.mask == shape.fixed:
            try:
                return shape.make(message)
            except _OddError:
                return None
        shape.misses += 1
        return None

    def learn(self, message: bytes, value: object) -> None:
        """Keep the shape of a message that the decoder accepted without oddities and decoded to `value`."""
        if len(message) > _LONGEST:
            return
        before = self._by_length.get(len(message))
        if before is not None and before.misses < before.patience:
            return
        shape = shape_of(message, value)
        if shape is None:
            return
        if before is not None:  # the messages have many shapes: to make each of these would only cost time
            shape.patience = min(2 * before.patience, _MOST_PATIENCE)
        elif len(self._by_length) >= _MOST:
            self._by_length.clear()
        self._by_length[len(message)] = shape


def shape_of(message: bytes, value: object) -> Shape | None:
    """The shape of a message without oddities that decodes to `value`; None when no shape can be made of it."""
    free: list[tuple[int, int]] = []
    made = _walk(message, value, 0, free)
    if made is None or made[0] != len(message):
        return None
    mask = bytearray(b"\xff" * len(message))
    for start, stop in free:
        mask[start:stop] = bytes(stop - start)
    number = int.from_bytes(mask, "little")
    return Shape(number, int.from_bytes(message, "little") & number, made[1])


def _walk(message: bytes, value: object, at: int, free: list[tuple[int, int]]) -> tuple[int, _Make] | None:
    """The end of the value that begins at `at`, and a function that makes it; places that may differ go to `free`."""
    if isinstance(value, bytes):
        start = at + len(head(2, len(value)))
        stop = start + len(value)
        free.append((start, stop))
        return stop, lambda data: data[start:stop]
    if type(value) is int:
        return _walk_number(value, at, free)
    if isinstance(value, list):
        return _walk_list(message, value, at, free)
    if isinstance(value, dict):
        return _walk_map(message, value, at, free)
    size = {0xF9: 3, 0xFA: 5, 0xFB: 9}.get(message[at]) if isinstance(value, float) else _fixed_size(value)
    return None if size is None else (at + size, lambda _: value)


def _fixed_size(value: object) -> int | None:
    """The size in bytes of a map key, a text or a simple value in its shortest form; None for anything else."""
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int):
        return len(head(0, value if value >= 0 else -1 - value))
    if isinstance(value, str | bytes):
        length = len(value.encode() if isinstance(value, str) else value)
        return len(head(3, length)) + length
    return None


def _walk_number(value: int, at: int, free: list[tuple[int, int]]) -> tuple[int, _Make]:
    stop = at + len(head(0, value if value >= 0 else -1 - value))
    if stop == at + 1:
        return stop, lambda _: value
    start, smallest, negative = at + 1, {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[stop - at - 1], value < 0
    free.append((start, stop))

    def make(data: bytes) -> int:
        number = int.from_bytes(data[start:stop], "big")
        if number < smallest:
            raise _OddError
        return -1 - number if negative else number

    return stop, make


def _walk_list(message: bytes, items: list[object], at: int, free: list[tuple[int, int]]) -> tuple[int, _Make] | None:
    at += len(head(4, len(items)))
    makers: list[_Make] = []
    for item in items:
        made = _walk(message, item, at, free)
        if made is None:
            return None
        at, make = made
        makers.append(make)
    return at, lambda data: [make(data) for make in makers]


def _walk_map(
    message: bytes, pairs: dict[object, object], at: int, free: list[tuple[int, int]]
) -> tuple[int, _Make] | None:
    at += len(head(5, len(pairs)))
    fixed: dict[object, object] = {}  # a copy, in the message's order: the owner of `pairs` may change it
    strings: list[tuple[object, int, int]] = []
    makers: list[tuple[object, _Make]] = []
    for key, value in pairs.items():
        size = _fixed_size(key)
        made = None if size is None else _walk(message, value, at + size, free)
        if made is None:
            return None
        at, make = made
        fixed[key] = None
        if isinstance(value, bytes):  # hashes and such, the most common value of all, without a call for each
            strings.append((key, at - len(value), at))
        elif isinstance(value, list | dict | int):
            makers.append((key, make))
        else:
            fixed[key] = value

    def build(data: bytes) -> dict[object, object]:
        made = fixed.copy()
        for key, start, stop in strings:
            made[key] = data[start:stop]
        for key, make in makers:
            made[key] = make(data)
        return made

    return at, build
