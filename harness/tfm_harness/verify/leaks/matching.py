"""Many windows at once in a stream of bytes: a table of hashes finds candidates, and each is then compared whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfm_harness.verify.leaks.tokens import Bytes, Ints

__all__ = ["Index", "Window", "WordIndex"]

_ANCHOR = 8
_CHUNK = 1 << 16
"""Places looked at in one go: what fits into a CPU's cache."""
_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)  # Knuth's multiplicative hashing: 2**64 over the golden ratio


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a secret in one of its forms.

    Attributes:
        secret: number of the secret.
        form: in words.
        data: the whole secret in that form.
        at, size: where in it the piece is.
    """

    secret: int
    form: str
    data: bytes
    at: int
    size: int


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
        self._table[(self._keys * _FACTOR) >> self._shift] = True

    def find(self, stream: Bytes) -> Iterator[tuple[Window, int]]:
        """The first place of each secret and form that is there: a window, and where it begins."""
        found: set[tuple[int, str]] = set()
        for places, numbers in self._candidates(stream):
            here: list[tuple[int, Window]] = []
            for number in np.unique(numbers):
                window = self._windows[self._order[number]]
                if (window.secret, window.form) in found:
                    continue
                at = self._first(stream, places[numbers == number], int(self._order[number]))
                if at is not None:
                    here.append((at, window))
            for at, window in sorted(here, key=lambda hit: hit[0]):
                if (window.secret, window.form) not in found:
                    found.add((window.secret, window.form))
                    yield window, at

    def _candidates(self, stream: Bytes) -> Iterator[tuple[Ints, Ints]]:
        """Places whose eight bytes are some window's, with the windows' numbers in the order of keys."""
        data = np.ascontiguousarray(stream)
        count = len(data) - _ANCHOR + 1
        if count <= 0 or not len(self._keys):
            return
        values: npt.NDArray[np.uint64] = np.ndarray((count,), np.dtype("<u8"), data.data, strides=(1,))
        for start in range(0, count, _CHUNK):
            chunk = values[start : start + _CHUNK].astype(np.uint64)
            places = np.flatnonzero(self._table[(chunk * _FACTOR) >> self._shift])
            if not len(places):
                continue
            some = chunk[places]
            first = np.searchsorted(self._keys, some, "left")
            behind = np.searchsorted(self._keys, some, "right")
            while True:
                here = first < behind
                if not here.any():
                    break
                places, first, behind = places[here], first[here], behind[here]
                yield places + start, first
                first = first + 1

    def _first(self, stream: Bytes, places: Ints, number: int) -> int | None:
        """The first of the places at which the whole window stands."""
        window = self._windows[number]
        wanted = np.frombuffer(window.data, np.uint8, window.size, window.at)
        begins = places - self._offsets[number]
        begins = begins[(begins >= 0) & (begins + window.size <= len(stream))]
        for start in range(0, len(begins), 4096):
            part = begins[start : start + 4096]
            same = (stream[part[:, None] + np.arange(window.size)] == wanted).all(axis=1)
            if same.any():
                return int(part[same][0])
        return None


def _anchor(data: bytes) -> tuple[int, int]:
    """The eight bytes of a window with the most different ones: where they are, and their value."""
    best = max(range(len(data) - _ANCHOR + 1), key=lambda at: (len(set(data[at : at + _ANCHOR])), -at))
    return best, int.from_bytes(data[best : best + _ANCHOR], "little")


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
