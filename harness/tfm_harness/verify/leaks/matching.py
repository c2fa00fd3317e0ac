"""Many windows at once in a stream of bytes: a table of hashes finds candidates, and each is then compared whole.

What is compared first are the differences (exclusive or) of neighbouring bytes: they stay the same when all bytes are
combined with one constant, so that inverted bytes, flipped signs and a simple disguise need no windows of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from tfm_harness.verify.leaks.tokens import Bytes, Ints

__all__ = ["Index", "Window", "WordIndex", "likely"]

_ANCHOR = 8
"""Bytes by which a window is found: seven differences of neighbours."""
_DIFFERENCES = np.uint64(0x00FF_FFFF_FFFF_FFFF)
_CHUNK = 1 << 16
"""Places looked at in one go: what fits into a CPU's cache."""
_KNOWN: Final = {0x00: "", 0x80: "sign bits flipped", 0xFF: "inverted"}
"""Constants that bytes are often combined with: int8 shown as uint8 with another zero point is 0x80."""
_DISGUISED = 12
"""Bytes that must be there where the constant is another one: 256 constants are to be told from chance."""
_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)  # Knuth's multiplicative hashing: 2**64 over the golden ratio
_FACTOR_DIFFERENCES = _FACTOR << np.uint64(8)
"""The same for the lower seven bytes alone."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a secret in one of its forms.

    Attributes:
        secret: number of the secret.
        form: in words.
        data: the whole secret in that form.
        at, size: where in it the piece is.
        disguised: also where every byte is combined with some constant.
    """

    secret: int
    form: str
    data: bytes
    at: int
    size: int
    disguised: bool = False

    def shown(self, constant: int) -> str:
        """The form, with the constant that every byte was combined with."""
        words = _KNOWN.get(constant, f"each byte XOR {constant:#04x}")
        return ", ".join(filter(None, (self.form, words)))


class Index:
    """Windows, to be found in any number of streams."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = list(windows)
        anchors = [_anchor(window.data[window.at : window.at + window.size]) for window in self._windows]
        self._offsets = [offset for offset, _ in anchors]
        keys = np.array([key for _, key in anchors], np.uint64)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        bits = min(24, max(16, (64 * len(keys)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[(self._keys * _FACTOR_DIFFERENCES) >> self._shift] = True

    def find(self, stream: Bytes) -> Iterator[tuple[Window, int, int]]:
        """The first place of each secret and form that is there: a window, where it begins, and the constant."""
        found: set[tuple[int, str]] = set()
        for places, numbers in self._candidates(stream):
            here: list[tuple[int, int, Window]] = []
            for number in np.unique(numbers):
                window = self._windows[self._order[number]]
                if (window.secret, window.form) in found:
                    continue
                hit = self._first(stream, places[numbers == number], int(self._order[number]))
                if hit is not None:
                    here.append((*hit, window))
            for at, constant, window in sorted(here, key=lambda hit: hit[0]):
                if (window.secret, window.form) not in found:
                    found.add((window.secret, window.form))
                    yield window, at, constant

    def _candidates(self, stream: Bytes) -> Iterator[tuple[Ints, Ints]]:
        """Places whose seven differences are some window's, with the windows' numbers in the order of keys."""
        count = len(stream) - _ANCHOR + 1
        if count <= 0 or not len(self._keys):
            return
        data = np.zeros(len(stream), np.uint8)
        np.bitwise_xor(stream[1:], stream[:-1], out=data[:-1])
        values: npt.NDArray[np.uint64] = np.ndarray((count,), np.dtype("<u8"), data.data, strides=(1,))
        for start in range(0, count, _CHUNK):
            chunk = values[start : start + _CHUNK]
            hashed = chunk * _FACTOR_DIFFERENCES
            hashed >>= self._shift
            places = np.flatnonzero(self._table.take(hashed.view(np.int64), mode="clip"))
            if not len(places):
                continue
            some = chunk[places] & _DIFFERENCES
            first = np.searchsorted(self._keys, some, "left")
            there = self._keys[np.minimum(first, len(self._keys) - 1)] == some
            if not there.any():
                continue
            places, first, some = places[there], first[there], some[there]
            behind = np.searchsorted(self._keys, some, "right")
            while len(places):
                yield places + start, first
                first = first + 1
                here = first < behind
                places, first, behind = places[here], first[here], behind[here]

    def _first(self, stream: Bytes, places: Ints, number: int) -> tuple[int, int] | None:
        """The first of the places at which the whole window stands, and the constant that it is combined with."""
        window = self._windows[number]
        wanted = np.frombuffer(window.data, np.uint8, window.size, window.at)
        begins = places - self._offsets[number]
        begins = begins[(begins >= 0) & (begins + window.size <= len(stream))]
        for start in range(0, len(begins), 4096):
            part = begins[start : start + 4096]
            combined = stream[part[:, None] + np.arange(window.size)] ^ wanted
            for at in part[(combined == combined[:, :1]).all(axis=1)]:
                constant = int(stream[at]) ^ int(wanted[0])
                if constant in _KNOWN or (
                    window.disguised and _extent(stream, int(at), window, constant) >= _DISGUISED
                ):
                    return int(at), constant
        return None


def likely(size: int) -> float:
    """How likely a window of so many bytes is found by chance at one place of one stream of random bytes."""
    return float(len(_KNOWN) / 256.0**size + (256 - len(_KNOWN)) / 256.0 ** max(size, _DISGUISED))


def _extent(stream: Bytes, at: int, window: Window, constant: int) -> int:
    """How many bytes of the secret stand there, those before and behind the window included."""
    before = min(at, window.at)
    size = min(len(window.data) - window.at, len(stream) - at) + before
    same = stream[at - before : at - before + size] ^ np.uint8(constant) == np.frombuffer(
        window.data, np.uint8, size, window.at - before
    )
    first = before - int(np.argmin(np.append(same[:before][::-1], False)))
    return int(np.argmin(np.append(same[before:], False))) + before - first


def _anchor(data: bytes) -> tuple[int, int]:
    """The eight bytes of a window with the most different differences: where they are, and the differences."""
    steps = bytes(one ^ other for one, other in pairwise(data))
    size = _ANCHOR - 1
    best = max(range(len(steps) - size + 1), key=lambda at: (len(set(steps[at : at + size])), -at))
    return best, int.from_bytes(steps[best : best + size], "little")


class WordIndex:
    """32-bit words, each of one secret."""

    def __init__(self, words: dict[int, int]) -> None:
        self._secret = words
        self._words = np.array(sorted(words), np.uint32)
        self._table = np.zeros(1 << 16, np.bool_)
        self._table[self._words & np.uint32(0xFFFF)] = True

    def find(self, values: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int, int]]:
        """Where, which word, of which secret."""
        some = np.flatnonzero(self._table[values & values.dtype.type(0xFFFF)])
        for at in some[np.isin(values[some], self._words)]:
            word = int(values[at])
            yield int(at), word, self._secret[word]
