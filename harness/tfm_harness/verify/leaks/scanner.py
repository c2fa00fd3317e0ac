"""The scanner: it is made of secrets, and searches any number of outputs and memory dumps for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, pairwise

import numpy as np

from tfm_harness.verify.leaks.block import Block
from tfm_harness.verify.leaks.matching import Index, Window, WordIndex, likely
from tfm_harness.verify.leaks.notations import WORDS, Reading, readings
from tfm_harness.verify.leaks.secrets import WORD, Secret, telling, windows
from tfm_harness.verify.leaks.tokens import Bytes
from tfm_harness.verify.leaks.unwrapped import LEAST, Content, Printable, Unwrapped, places_of
from tfm_harness.verify.leaks.wrappings import inflated

__all__ = ["READINGS", "Leak", "Scanner"]

_NEAR = 2048
"""Single words of a secret count together when they are at most so many characters apart."""
_BLOCK = 1 << 20
_SLICE = 8 << 20
_OVERLAP = 1 << 15
"""The overlap of blocks; a secret spread over more characters may be missed at the border of two blocks."""
_ALONE = re.compile(rb"(?<![0-9A-Za-z.])(?:0[xX])?([0-9A-Fa-f]{7,8})(?![0-9A-Za-z])")
_ALONE_DECIMAL = re.compile(rb"(?<![0-9A-Za-z.])(-?[0-9]{8,10})(?![0-9A-Za-z])")
_BATCH = 4 << 20
"""The bytes of readings that are searched together."""
_STRIDES = (2, 4, 8)
_WRAPPED = (
    "base64", "base32", "hexadecimal, run together", "hexadecimal, without", "hexadecimal, each line's last",
    "hexadecimal, each line's numbers", "percent encoding", "quoted-printable", "markup",
)  # fmt: skip
"""Notations in which frames and dumps are printed: their bytes may be text again, or compressed."""
_LARGE = 256  # bytes, more than any key
_WIDE = 2  # bytes of a character in UTF-16
READINGS = 1024
"""An upper bound of the streams as which one text is read, for the calculation of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A piece of a secret that was found.

    Attributes:
        secret: the secret's name.
        notation: the notation in which the piece was found, in words.
        at: offset in the searched data.
        length: bytes of the secret that are known to be there.
        part: offset of the piece in the secret, in the form that was found.
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
        ValueError: no window of a secret could be told from chance.
    """

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._names = [secret.name for secret in secrets]
        found: dict[bytes, Window] = {}
        single: dict[int, int] = {}
        for number, secret in enumerate(secrets):
            some = (_windows_of_model if len(secret.data) > _LARGE else _windows_of)(secret)
            if not some:
                raise ValueError(f"{secret.name}: too regular to be told from chance")
            for form, data, at, piece, disguised in some:
                if piece not in found:
                    found[piece] = Window(number, form, data, at, secret.window, disguised)
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
        """All leaks in `data`, one for each secret and notation.

        Args:
            data: an output, or memory.
            text: read all of it as text as well; else only its printable stretches are read as text.
        """
        leaks: dict[tuple[str, str], Leak] = {}
        for leak in self._everything(data, text=text):
            leaks.setdefault((leak.secret, leak.notation), leak)
        return list(leaks.values())

    def _everything(self, data: bytes, *, text: bool) -> Iterator[Leak]:
        array, inner = np.frombuffer(data, np.uint8), Unwrapped()
        yield from self._raw(array, memory=not text)
        if text:
            yield from self._blocks(data, inner, int)
        else:
            yield from self._text_in(array, inner, int)
        for place, content in inflated(array):
            inner.add_inflated(content, place, ", compressed")
            if inner.full:
                yield from self._within(inner)
        yield from self._within(inner)
        if not text:
            for first in range(_WIDE):
                wide = np.ascontiguousarray(array[first::_WIDE])
                some = chain(self._text_in(wide, inner, partial(_in_wide, first)), self._within(inner))
                yield from (replace(leak, notation=f"{leak.notation}, in UTF-16") for leak in some)

    def _within(self, inner: Unwrapped) -> Iterator[Leak]:
        """The leaks in the unwrapped data, which is dropped afterwards."""
        found: dict[tuple[str, str], tuple[Leak, Content, int]] = {}
        for number, window, at, constant in self._index.find_all([content.data for content in inner.streams]):
            content = inner.streams[number]
            leak = self._leak(window, constant, "raw", content.data, at, at)
            found.setdefault((leak.secret, leak.notation + content.words), (leak, content, at))
        text, origin = inner.text()
        for leak in self._blocks(text, None, int):
            content, at = origin(leak.at)
            found.setdefault((leak.secret, leak.notation + content.words), (leak, content, at))
        places = places_of([(content, at) for _, content, at in found.values()], readings)
        for ((_, notation), (leak, _, _)), place in zip(found.items(), places, strict=True):
            yield replace(leak, notation=notation, at=place)
        inner.clear()

    def chance(self, size: int) -> float:
        """An upper bound of the leaks found by chance in `size` bytes; a hit means something if it is far below one.

        A key is drawn at random, independently of the searched data. So each of its windows of n bytes matches at a
        given place of a given stream with probability 256**-n, whatever the data; and two of its words match near each
        other with 2**-64 a pair. Windows of models and samples are not random: for them the bound is an estimate.
        """
        streams = READINGS * size
        whole = sum(streams * count * likely(size_of) for size_of, count in self._by_size.items())
        pairs = size * self._single * _NEAR * 2 * (WORD * 4) / 2.0**64
        return whole + pairs

    def in_words(self, values: Iterable[int]) -> list[Leak]:
        """A leak for each 32-bit register that holds a word of a secret: among a few registers, one word is enough."""
        array = np.array([value & 0xFFFF_FFFF for value in values], np.uint32)
        return [
            Leak(secret=self._names[secret], notation="a register", at=at, length=WORD, part=0)
            for at, _, secret in self._words.find(array)
        ]

    def alone_in(self, log: bytes) -> list[Leak]:
        """A leak for each number in a log for people that is one word of a secret, a "fingerprint" for instance.

        Only for logs, which show few numbers: a 32-bit number equals a word of ten keys by chance once in 2**24.
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
        for start in range(0, len(data), _SLICE):
            part = data[start : start + _SLICE + _OVERLAP]
            for stride in _STRIDES:
                for first in range(stride):
                    stream = np.ascontiguousarray(part[first::stride])
                    for window, at, constant in self._index.find(stream):
                        place = start + first + at * stride
                        yield self._leak(window, constant, f"raw, one byte in {stride}", stream, at, place)
        for shift in range(WORD):
            some = data[shift : shift + (len(data) - shift) // WORD * WORD].view(np.dtype("<u4"))
            yield from self._near(
                ((shift + at * WORD, word, secret) for at, word, secret in self._words.find(some)),
                "single words in memory",
            )

    # --- text ------------------------------------------------------------------------------------

    def _text_in(self, memory: Bytes, inner: Unwrapped, place: Callable[[int], int]) -> Iterator[Leak]:
        """Search the printable stretches of memory, as one text of several lines."""
        shown = Printable.of(memory)
        yield from self._blocks(shown.text, inner, lambda at: place(shown.place(at)))

    def _blocks(self, text: bytes, inner: Unwrapped | None, place: Callable[[int], int]) -> Iterator[Leak]:
        """Search a text block by block.

        Args:
            text: the text.
            inner: collects text and compressed data inside the readings; None: they are not searched.
            place: converts an offset in the text into an offset in the searched data.
        """
        for start in range(0, len(text), _BLOCK):
            block = Block(text, max(0, start - _OVERLAP), start + _BLOCK, place)
            yield from self._text(block, inner)
            if inner is not None and inner.full:
                yield from self._within(inner)

    def _text(self, block: Block, inner: Unwrapped | None) -> Iterator[Leak]:
        text = block.text()
        if len(text) < LEAST:
            return
        batch: list[Reading] = []
        size = 0
        for number, reading in enumerate(readings(text)):
            if reading.notation == WORDS:
                found = self._words.find(reading.data.view(">u4").astype(np.uint32))
                here = ((block.place(reading.place(at * WORD)), word, secret) for at, word, secret in found)
                yield from self._near(here, WORDS)
                continue
            batch.append(reading)
            if inner is not None and reading.notation.startswith(_WRAPPED):
                inner.add(reading, block, number)
            size += len(reading.data)
            if size >= _BATCH:
                yield from self._in_readings(batch, block)
                batch, size = [], 0
        yield from self._in_readings(batch, block)

    def _in_readings(self, batch: list[Reading], block: Block) -> Iterator[Leak]:
        for number, window, at, constant in self._index.find_all([reading.data for reading in batch]):
            reading = batch[number]
            yield self._leak(window, constant, reading.notation, reading.data, at, block.place(reading.place(at)))

    def _near(self, hits: Iterable[tuple[int, int, int]], notation: str) -> Iterator[Leak]:
        """A leak for two different words of a secret near each other, whatever is between them."""
        seen: dict[int, tuple[int, int]] = {}
        for place, word, secret in hits:
            before = seen.get(secret)
            if before is not None and before[1] != word and place - before[0] <= _NEAR:
                yield Leak(secret=self._names[secret], notation=notation, at=before[0], length=2 * WORD, part=0)
            seen[secret] = (place, word)

    def _leak(self, window: Window, constant: int, notation: str, stream: Bytes, at: int, place: int) -> Leak:
        """The leak at a window, with as many bytes of the secret as follow the window there."""
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


def _in_wide(first: int, at: int) -> int:
    return first + at * _WIDE


def _windows_of(secret: Secret) -> tuple[tuple[str, bytes, int, bytes, bool], ...]:
    """The windows of a secret: as `windows`, with the window's bytes, and whether they are looked for in disguise."""
    return tuple(
        (form, data, at, piece, secret.every_form and _varied(piece, secret.distinct))
        for form, data, at in windows(secret)
        for piece in [data[at : at + secret.window]]
    )


_windows_of_model = lru_cache(maxsize=8)(_windows_of)
"""Models have thousands of windows, and the same ones are looked for in each lifecycle."""


def _varied(window: bytes, distinct: float) -> bool:
    """Whether a window's differences also tell it from chance: those of bytes that count up are in any table."""
    steps = {one ^ other for one, other in pairwise(window)}
    return len(steps) >= distinct * (len(window) - 1)
