"""The scanner: secrets in, then any number of outputs and memory dumps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tfm_harness.verify.leaks.matching import Index, Window, WordIndex, likely
from tfm_harness.verify.leaks.notations import WORDS, Reading, readings
from tfm_harness.verify.leaks.secrets import WORD, Secret, telling, windows
from tfm_harness.verify.leaks.tokens import Bytes, runs, spread
from tfm_harness.verify.leaks.wrappings import inflated, printable, without_colours

__all__ = ["READINGS", "Leak", "Scanner"]

_NEAR = 2048
"""Single words of a secret count together when they stand within so many characters."""
_PRINTABLE = 11
_BLOCK = 1 << 20
_OVERLAP = 1 << 15
"""A secret that is spread over more of a text than this may be missed at the border of two blocks."""
_ALONE = re.compile(rb"(?<![0-9A-Za-z.])(?:0[xX])?([0-9A-Fa-f]{7,8})(?![0-9A-Za-z])")
_ALONE_DECIMAL = re.compile(rb"(?<![0-9A-Za-z.])(-?[0-9]{8,10})(?![0-9A-Za-z])")
_STRIDES = (2, 4, 8)
_WRAPPED = (
    "base64", "base32", "hexadecimal, run together", "hexadecimal, without", "hexadecimal, each line's last",
    "hexadecimal, each line's numbers", "percent encoding", "quoted-printable", "markup",
)  # fmt: skip
"""Notations in which frames and dumps are printed: what they hold may be a text itself, or compressed."""
_WIDE = 2  # bytes of a character in UTF-16
READINGS = 1024
"""More streams than one text is ever read as: for the calculation of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A piece of a secret that was found.

    Attributes:
        secret: its name.
        notation: how it stood there, in words.
        at: offset in what was searched.
        length: bytes of the secret known to be there.
        part: offset of the piece in the secret as it stood there.
    """

    secret: str
    notation: str
    at: int
    length: int
    part: int

    def __str__(self) -> str:
        return f"{self.length} bytes of {self.secret} at offset {self.at:#x}: {self.notation}"


class Scanner:
    """Looks for secrets.

    Raises:
        ValueError: a secret none of whose windows could be told from chance.
    """

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._names = [secret.name for secret in secrets]
        found: dict[bytes, Window] = {}
        single: dict[int, int] = {}
        for number, secret in enumerate(secrets):
            some = list(windows(secret))
            if not some:
                raise ValueError(f"{secret.name}: too regular to be told from chance")
            for form, data, at in some:
                disguised = secret.every_form and _varied(data[at : at + secret.window], secret.distinct)
                window = Window(number, form, data, at, secret.window, disguised)
                found.setdefault(data[at : at + secret.window], window)
            if secret.every_form and len(secret.data) <= 64:
                for at in range(0, len(secret.data) - WORD + 1, WORD):
                    word = secret.data[at : at + WORD]
                    if telling(word):
                        single |= {int.from_bytes(word, "big"): number, int.from_bytes(word, "little"): number}
        self._index = Index(list(found.values()))
        self._words = WordIndex(single)
        self._by_size = {size: sum(w.size == size for w in found.values()) for size in {s.window for s in secrets}}
        self._single = len(single)

    def scan(self, data: bytes, *, text: bool = True) -> list[Leak]:
        """Everything found in `data`, once for each secret and notation.

        Args:
            data: an output, or memory.
            text: read it as text too; else only what is printable in it.
        """
        leaks: dict[tuple[str, str], Leak] = {}
        for leak in self._everything(data, text=text):
            leaks.setdefault((leak.secret, leak.notation), leak)
        return list(leaks.values())

    def _everything(self, data: bytes, *, text: bool) -> Iterator[Leak]:
        array = np.frombuffer(data, np.uint8)
        yield from self._raw(array, memory=not text)
        yield from self._blocks(data) if text else self._text_in(array)
        for place, content in inflated(data):
            yield from self._inside(content, "compressed", place)
        if not text:
            for first in range(_WIDE):
                for leak in self._text_in(np.ascontiguousarray(array[first::_WIDE])):
                    yield replace(leak, at=first + leak.at * _WIDE, notation=f"{leak.notation}, in UTF-16")

    def _inside(self, data: bytes, wrapping: str, place: int) -> Iterator[Leak]:
        """What stands in something that was unwrapped, which began at `place`."""
        array = np.frombuffer(data, np.uint8)
        for found in (self._raw(array, memory=False), self._text_in(array, unwrap=False)):
            for leak in found:
                yield replace(leak, at=place, notation=f"{leak.notation}, {wrapping}")

    def chance(self, size: int) -> float:
        """An upper bound of how many leaks are found by chance in `size` bytes: far below one, or a hit means little.

        A key is drawn at random and does not know what is searched. So each of its windows of n bytes stands at a
        given place of a given stream with probability 256**-n, whatever stands there; and two of its words near each
        other with 2**-64 a pair. Windows of models and samples are no random numbers: for them it is an estimate.
        """
        streams = READINGS * size
        whole = sum(streams * count * likely(size_of) for size_of, count in self._by_size.items())
        pairs = size * self._single * _NEAR * 2 * (WORD * 4) / 2.0**64
        return whole + pairs

    def in_words(self, values: Iterable[int]) -> list[Leak]:
        """Secrets of which a word stands in one of a few 32-bit registers: one word is enough there."""
        array = np.array([value & 0xFFFF_FFFF for value in values], np.uint32)
        return [
            Leak(secret=self._names[secret], notation="a register", at=at, length=WORD, part=0)
            for at, _, secret in self._words.find(array)
        ]

    def alone_in(self, log: bytes) -> list[Leak]:
        """Secrets of which one word stands alone as a number in a log for people, a "fingerprint" for instance.

        Only for logs: a number of 32 bits is a word of ten keys by chance once in 2**24, and a log shows few numbers.
        """
        found = [(match, int(match[1], 16)) for match in _ALONE.finditer(log)]
        found += [(match, int(match[1])) for match in _ALONE_DECIMAL.finditer(log)]
        return [
            replace(leak, notation="a number", at=found[leak.at][0].start())
            for leak in self.in_words(value for _, value in found)
        ]

    # --- raw bytes -------------------------------------------------------------------------------

    def _raw(self, data: Bytes, *, memory: bool) -> Iterator[Leak]:
        for window, at, constant in self._index.find(data):
            yield self._leak(window, constant, "raw", data, at, at)
        if not memory:
            return
        for stride in _STRIDES:
            for first in range(stride):
                stream = np.ascontiguousarray(data[first::stride])
                for window, at, constant in self._index.find(stream):
                    yield self._leak(window, constant, f"raw, one byte in {stride}", stream, at, first + at * stride)
        for shift in range(WORD):
            some = data[shift : shift + (len(data) - shift) // WORD * WORD].view(np.dtype("<u4"))
            yield from self._near(
                ((shift + at * WORD, word, secret) for at, word, secret in self._words.find(some)),
                "single words in memory",
            )

    # --- text ------------------------------------------------------------------------------------

    def _text_in(self, memory: Bytes, *, unwrap: bool = True) -> Iterator[Leak]:
        """What is printable in memory, read as one text of several lines."""
        start, end = runs(printable(memory), _PRINTABLE)
        if not len(start):
            return
        at = spread(start, end - start + 1)  # and the character behind it, to become the end of a line
        joined = memory[np.minimum(at, len(memory) - 1)].copy()
        joined[np.cumsum(end - start + 1) - 1] = 0x0A
        for leak in self._blocks(joined.tobytes(), unwrap=unwrap):
            yield replace(leak, at=int(at[leak.at]))

    def _blocks(self, text: bytes, *, unwrap: bool = True) -> Iterator[Leak]:
        for start in range(0, max(len(text), 1), _BLOCK):
            before = max(0, start - _OVERLAP)
            block, places = without_colours(text[before : start + _BLOCK])
            for leak in self._text(block, unwrap=unwrap):
                yield replace(leak, at=before + (leak.at if places is None else int(places[leak.at])))

    def _text(self, text: bytes, *, unwrap: bool) -> Iterator[Leak]:
        if len(text) < _PRINTABLE:
            return
        for reading in readings(text):
            if reading.notation == WORDS:
                found = self._words.find(reading.data.view(">u4").astype(np.uint32))
                yield from self._near(((int(reading.places[at]), word, secret) for at, word, secret in found), WORDS)
                continue
            for window, at, constant in self._index.find(reading.data):
                yield self._leak(window, constant, reading.notation, reading.data, at, reading.place(at))
            if unwrap and reading.notation.startswith(_WRAPPED):
                yield from self._unwrapped(reading)

    def _unwrapped(self, reading: Reading) -> Iterator[Leak]:
        """A text, or compressed bytes, inside of what was printed."""
        for leak in self._text_in(reading.data, unwrap=False):
            yield replace(leak, at=reading.place(leak.at), notation=f"{leak.notation}, in {reading.notation}")
        for place, content in inflated(reading.data.tobytes()):
            yield from self._inside(content, f"compressed, in {reading.notation}", reading.place(place))

    def _near(self, hits: Iterable[tuple[int, int, int]], notation: str) -> Iterator[Leak]:
        """Two different words of a secret near each other, whatever stands between them."""
        seen: dict[int, tuple[int, int]] = {}
        for place, word, secret in hits:
            before = seen.get(secret)
            if before is not None and before[1] != word and place - before[0] <= _NEAR:
                yield Leak(secret=self._names[secret], notation=notation, at=before[0], length=2 * WORD, part=0)
            seen[secret] = (place, word)

    def _leak(self, window: Window, constant: int, notation: str, stream: Bytes, at: int, place: int) -> Leak:
        """With as much of the secret as stands there behind the window."""
        most = min(len(window.data) - window.at, len(stream) - at)
        shown = stream[at : at + most] ^ np.uint8(constant)
        rest = np.frombuffer(window.data, np.uint8, most, window.at) != shown
        form = window.shown(constant)
        length = int(np.argmax(rest)) if rest.any() else most
        return Leak(
            secret=self._names[window.secret],
            notation=f"{notation}, {form}" if form else notation,
            at=place,
            length=length,
            part=window.at,
        )


def _varied(window: bytes, distinct: float) -> bool:
    """Whether its differences tell it from chance too: those of bytes that count up stand in any table."""
    steps = {one ^ other for one, other in pairwise(window)}
    return len(steps) >= distinct * (len(window) - 1)
