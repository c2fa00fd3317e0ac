"""Many windows at once in streams of bytes: a table of hashes finds candidates, and each is then compared whole.

What is compared first are the differences (exclusive or) of neighbouring bytes: they stay the same when all bytes are
combined with one constant, so that inverted bytes, flipped signs and a simple disguise need no windows of their own.

Of a stream only every fourth place is looked up: a window of eight bytes has seven differences, so four of them in a
row begin at such a place wherever it stands. Each window is therefore in the table four times, once for each alignment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from tfm_harness.verify.leaks.tokens import Bytes, Ints

__all__ = ["Index", "Window", "WordIndex", "likely"]

_ANCHOR = 8
"""Bytes that are compared before a window is compared whole: seven differences of neighbours."""
_GRAM = 4
"""Differences that are looked up, and the distance of the places where they are."""
_CHUNK = 1 << 17
"""Bytes looked at in one go: what fits into a CPU's cache."""
_KNOWN: Final = {0x00: "", 0x80: "sign bits flipped", 0xFF: "inverted"}
"""Constants that bytes are often combined with: int8 shown as uint8 with another zero point is 0x80."""
_XORED: Final = tuple(bytes(byte ^ constant for byte in range(256)) for constant in range(256))
"""For each constant: what `bytes.translate` wants to combine every byte with it."""
_DISGUISED = 12
"""Bytes that must be there where the constant is another one: 256 constants are to be told from chance."""
_FACTOR, _SECOND_FACTOR = np.uint32(0x9E37_79B1), np.uint32(0x85EB_CA77)
"""Knuth's multiplicative hashing: a prime next to 2**32 over the golden ratio, and another one."""
_BITS, _SECOND_BITS = 16, 22
"""At least and at most so many bits of a hash choose its place in the table."""


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
        """The first place of each secret and form that is there: a window, where it begins, and the constant."""
        for _, window, at, constant in self.find_all([stream]):
            yield window, at, constant

    def find_all(self, streams: Sequence[Bytes]) -> Iterator[tuple[int, Window, int, int]]:
        """The same of several streams in one go: the number of the stream before."""
        if not streams or not len(self._keys):
            return
        joined = streams[0] if len(streams) == 1 else np.concatenate(streams)
        ends = np.cumsum([len(stream) for stream in streams])
        found: set[tuple[int, int]] = set()  # stream, and kind of secret and form
        for some, of_windows in self._candidates(joined):
            whole = some + self._sizes[of_windows] <= ends[np.searchsorted(ends, some, "right")]
            begins, numbers = some[whole], of_windows[whole]
            of, kinds = np.searchsorted(ends, begins, "right"), self._kinds[numbers]
            order = np.lexsort((begins, kinds, of))
            here: list[tuple[int, int, int, Window]] = []
            rows = np.stack((of, kinds, begins, numbers))[:, order].T.tolist()
            for (stream, kind), places in groupby(rows, key=itemgetter(0, 1)):
                if (stream, kind) in found:
                    continue
                first = ends[stream] - len(streams[stream])
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
        """Places whose seven differences are those of some window: where that begins, and its number."""
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
    """The constant that the whole window at this place is combined with; None where it does not stand there."""
    wanted = window.data[window.at : window.at + window.size]
    seen = stream[at : at + window.size].tobytes()
    constant = seen[0] ^ wanted[0]
    if (seen if constant == 0 else seen.translate(_XORED[constant])) != wanted:
        return None
    known = constant in _KNOWN or (window.disguised and _extent(stream, at, window, constant) >= _DISGUISED)
    return constant if known else None


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


def _most_varied(steps: Bytes, places: range, size: int) -> tuple[Ints, Bytes]:
    """For each row of differences the `size` most different ones: their positions and their values."""
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
        """Where, which word, of which secret."""
        some = np.flatnonzero(self._table.take(values & values.dtype.type(0xFFFF), mode="clip"))
        for at in some[np.isin(values[some], self._words)]:
            word = int(values[at])
            yield int(at), word, self._secret[word]
