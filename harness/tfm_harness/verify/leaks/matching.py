"""Finds many windows at once in streams of bytes: a table of hashes gives candidates, and each is then compared whole.

The first comparison is of the differences (exclusive or) of neighbouring bytes. They stay the same when all bytes are
combined with one constant, so inverted bytes, flipped signs and a simple disguise need no windows of their own.

Only every fourth place of a stream is looked up. A window of eight bytes has seven differences, so wherever it stands,
four of them in a row begin at such a place. Each window is therefore in the table four times, once for each alignment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from tfm_harness.verify.leaks.tokens import Bytes, Ints

__all__ = ["Index", "Window", "WordIndex", "likely"]

_ANCHOR = 8
"""The number of bytes that are compared before the whole window: they give seven differences of neighbours."""
_GRAM = 4
"""The number of differences that are looked up together, and the distance of the places that are looked up."""
_CHUNK = 1 << 17
"""The number of bytes that are searched at once; they fit into a CPU's cache."""
_KNOWN: Final = {0x00: "", 0x80: "sign bits flipped", 0xFF: "inverted"}
"""Constants that bytes are often combined with: int8 shown as uint8 with another zero point is 0x80."""
_DISGUISED = 12
"""The fewest bytes of a match with another constant: with 256 constants, chance matches are more frequent."""
_FACTOR, _SECOND_FACTOR = np.uint32(0x9E37_79B1), np.uint32(0x85EB_CA77)
"""Factors of Knuth's multiplicative hashing: a prime near 2**32 divided by the golden ratio, and another prime."""
_BITS, _SECOND_BITS = 16, 22
"""The fewest and the most bits of a hash that choose its place in the table."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a secret in one of its forms.

    Attributes:
        secret: number of the secret.
        form: the form's description.
        data: the whole secret in that form.
        at, size: offset of the piece in `data`, and its size in bytes.
        disguised: also find the window when every byte is combined with any constant.
    """

    secret: int
    form: str
    data: bytes
    at: int
    size: int
    disguised: bool = False

    def shown(self, constant: int) -> str:
        """The form's description, with the constant with which every byte was combined."""
        words = _KNOWN.get(constant, f"each byte XOR {constant:#04x}")
        return ", ".join(filter(None, (self.form, words)))


class Index:
    """Windows, to be found in any number of streams."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = list(windows)
        self._sizes = np.array([window.size for window in self._windows], np.int64)
        kinds: dict[tuple[int, str], int] = {}
        self._kinds = np.array([kinds.setdefault((w.secret, w.form), len(kinds)) for w in self._windows], np.int64)
        self._anchors = np.zeros((len(self._windows), _ANCHOR - 1), np.uint8)
        self._anchor_at = np.zeros(len(self._windows), np.int64)
        keys, owners, offsets = [], [], []
        for size in np.unique(self._sizes):
            numbers = np.flatnonzero(self._sizes == size)
            pieces = (self._windows[number] for number in numbers)
            joined = b"".join(window.data[window.at : window.at + window.size] for window in pieces)
            data = np.frombuffer(joined, np.uint8).reshape(-1, int(size))
            steps = data[:, 1:] ^ data[:, :-1]
            at, self._anchors[numbers] = _most_varied(steps, range(size - _ANCHOR + 1), _ANCHOR - 1)
            self._anchor_at[numbers] = at
            for alignment in range(_GRAM):
                at, grams = _most_varied(steps, range(alignment, size - _GRAM, _GRAM), _GRAM)
                keys.append(grams.view("<u4").reshape(-1))
                owners.append(numbers)
                offsets.append(at)
        every = np.concatenate([*keys, np.zeros(0, np.uint32)]).astype(np.uint32)
        order = np.argsort(every, kind="stable")
        self._keys = every[order]
        self._owner = np.concatenate([*owners, np.zeros(0, np.int64)])[order]
        self._offset = np.concatenate([*offsets, np.zeros(0, np.int64)])[order]
        bits = min(_SECOND_BITS, max(_BITS, (16 * len(every)).bit_length()))
        self._shift, self._second_shift = np.uint32(32 - bits), np.uint32(32 - _SECOND_BITS)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._keys * _FACTOR >> self._shift] = True
        self._second = np.zeros(1 << _SECOND_BITS, np.bool_)
        self._second[self._keys * _SECOND_FACTOR >> self._second_shift] = True

    def find(self, stream: Bytes) -> Iterator[tuple[Window, int, int]]:
        """The first place of each secret and form in the stream: the window, its offset, and the constant."""
        for _, window, at, constant in self.find_all([stream]):
            yield window, at, constant

    def find_all(self, streams: Sequence[Bytes]) -> Iterator[tuple[int, Window, int, int]]:
        """Like `find` for several streams at once; each result begins with the number of its stream."""
        if not streams or not len(self._keys):
            return
        joined = streams[0] if len(streams) == 1 else np.concatenate(streams)
        ends = np.cumsum([len(stream) for stream in streams])
        found: set[tuple[int, int]] = set()  # stream, and kind of secret and form
        for some, of_windows in self._candidates(joined):
            of = np.searchsorted(ends, some, "right")
            whole = some + self._sizes[of_windows] <= ends[of]
            begins, numbers, of = some[whole], of_windows[whole], of[whole]
            kinds = self._kinds[numbers]
            order = np.lexsort((begins, kinds, of))
            here: list[tuple[int, int, int, Window]] = []
            rows = np.stack((of, kinds, begins, numbers))[:, order].T.tolist()
            for (stream, kind), places in groupby(rows, key=itemgetter(0, 1)):
                if (stream, kind) in found:
                    continue
                first = int(ends[stream]) - len(streams[stream])
                for _, _, at, number in places:
                    window = self._windows[number]
                    constant = _combined(streams[stream], at - first, window)
                    if constant is not None:
                        found.add((stream, kind))
                        here.append((stream, at - first, constant, window))
                        break
            for stream, at, constant, window in sorted(here, key=itemgetter(0, 1)):
                yield stream, window, at, constant

    def _candidates(self, stream: Bytes) -> Iterator[tuple[Ints, Ints]]:
        """Places whose seven differences equal those of a window: the offset of the window, and its number."""
        for start in range(0, len(stream) - _GRAM, _CHUNK):
            part = stream[start : start + _CHUNK + 1]
            values = (part[1:] ^ part[:-1])[: (len(part) - 1) // _GRAM * _GRAM].view(np.dtype("<u4"))
            hashed = values * _FACTOR
            hashed >>= self._shift
            places = np.flatnonzero(self._table.take(hashed, mode="clip"))
            some = values[places]
            likely = np.flatnonzero(self._second[some * _SECOND_FACTOR >> self._second_shift])
            if not len(likely):
                continue
            places, some = places[likely], some[likely]
            first, behind = np.searchsorted(self._keys, some, "left"), np.searchsorted(self._keys, some, "right")
            while True:
                here = first < behind
                if not here.any():
                    break
                places, first, behind = places[here], first[here], behind[here]
                begins, numbers = places * _GRAM + start - self._offset[first], self._owner[first]
                inside = np.flatnonzero((begins >= 0) & (begins + self._sizes[numbers] <= len(stream)))
                begins, numbers = begins[inside], numbers[inside]
                shown = stream[(begins + self._anchor_at[numbers])[:, None] + np.arange(_ANCHOR)]
                same = ((shown[:, 1:] ^ shown[:, :-1]) == self._anchors[numbers]).all(axis=1)
                if same.any():
                    yield begins[same], numbers[same]
                first = first + 1


def _combined(stream: Bytes, at: int, window: Window) -> int | None:
    """The constant with which the whole window at this place is combined; None when the window is not there."""
    wanted = window.data[window.at : window.at + window.size]
    seen = stream[at : at + window.size].tobytes()
    constant = seen[0] ^ wanted[0]
    if (seen if constant == 0 else seen.translate(_xored(constant))) != wanted:
        return None
    known = constant in _KNOWN or (window.disguised and _extent(stream, at, window, constant) >= _DISGUISED)
    return constant if known else None


@cache
def _xored(constant: int) -> bytes:
    """The table with which `bytes.translate` combines every byte with a constant."""
    return bytes(byte ^ constant for byte in range(256))


def likely(size: int) -> float:
    """The probability that a window of `size` bytes is found by chance at one place of one stream of random bytes."""
    return float(len(_KNOWN) / 256.0**size + (256 - len(_KNOWN)) / 256.0 ** max(size, _DISGUISED))


def _extent(stream: Bytes, at: int, window: Window, constant: int) -> int:
    """How many bytes of the secret are at this place, bytes before and after the window included."""
    before = min(at, window.at)
    size = min(len(window.data) - window.at, len(stream) - at) + before
    same = stream[at - before : at - before + size] ^ np.uint8(constant) == np.frombuffer(
        window.data, np.uint8, size, window.at - before
    )
    first = before - int(np.argmin(np.append(same[:before][::-1], False)))
    return int(np.argmin(np.append(same[before:], False))) + before - first


def _most_varied(steps: Bytes, places: range, size: int) -> tuple[Ints, Bytes]:
    """For each row of differences, the `size` neighbours with the most variety: their position and their values."""
    best = np.zeros(len(steps), np.int64)
    most = np.full(len(steps), -1)
    for at in places:
        ordered = np.sort(steps[:, at : at + size], axis=1)
        different = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
        better = different > most
        best[better], most[better] = at, different[better]
    return best, np.take_along_axis(steps, best[:, None] + np.arange(size), axis=1)


class WordIndex:
    """32-bit words, each of one secret."""

    def __init__(self, words: dict[int, int]) -> None:
        self._secret = words
        self._words = np.array(sorted(words), np.uint32)
        self._table = np.zeros(1 << 16, np.bool_)
        self._table[self._words & np.uint32(0xFFFF)] = True

    def find(self, values: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int, int]]:
        """For each word that is found: its index in `values`, the word, and the number of its secret."""
        some = np.flatnonzero(self._table.take(values & values.dtype.type(0xFFFF), mode="clip"))
        for at in some[np.isin(values[some], self._words)]:
            word = int(values[at])
            yield int(at), word, self._secret[word]
