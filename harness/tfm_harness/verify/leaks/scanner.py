"""The scanner: secrets in, then any number of outputs and memory dumps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tfm_harness.verify.leaks.notations import readings, words
from tfm_harness.verify.leaks.secrets import Secret, windows

__all__ = ["Leak", "Scanner"]

_FEW = 3000
"""Up to so many windows each is searched for by itself; more are looked up at every place."""
_NEAR = 2048
"""Single words of a secret count together when they stand within so many characters."""
_WORD = 4
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]{11,}")
_GAP = bytes(64)


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
        self._by_size: dict[int, dict[bytes, tuple[Secret, str, int]]] = {}
        self._words: dict[bytes, Secret] = {}
        for secret in secrets:
            found = list(windows(secret))
            if not found:
                raise ValueError(f"{secret.name}: too regular to be told from chance")
            index = self._by_size.setdefault(secret.window, {})
            for window, form, at in found:
                index.setdefault(window, (secret, form, at))
            if secret.every_form and len(secret.data) <= 64:
                for at in range(0, len(secret.data) - _WORD + 1, _WORD):
                    word = secret.data[at : at + _WORD]
                    if len(set(word)) > 2:
                        self._words |= {word: secret, word[::-1]: secret}

    def scan(self, data: bytes, *, text: bool = True) -> list[Leak]:
        """Everything found in `data`, once for each secret and notation.

        Args:
            data: an output, or memory.
            text: read it as text too; else only what is printable in it.
        """
        leaks = {(leak.secret, leak.notation): leak for leak in self._raw(data)}
        for leak in self._text(data) if text else self._text_in(data):
            leaks.setdefault((leak.secret, leak.notation), leak)
        return list(leaks.values())

    def _text_in(self, memory: bytes) -> Iterator[Leak]:
        """What is printable in memory, read as one text of several lines."""
        places: list[tuple[int, int]] = []
        joined = bytearray()
        for match in _TEXT.finditer(memory):
            places.append((len(joined), match.start()))
            joined += match[0] + b"\n"
        for leak in self._text(bytes(joined)):
            before, start = max((pair for pair in places if pair[0] <= leak.at), default=(0, 0))
            yield replace(leak, at=start + leak.at - before)

    def _raw(self, data: bytes) -> Iterator[Leak]:
        for size, index in self._by_size.items():
            if len(index) <= _FEW:
                yield from self._search(data, index, size, "raw", lambda at: at)
            else:
                start = 0
                for piece in data.split(_GAP):  # memory is mostly zeros
                    yield from self._look_up(piece, index, size, "raw", start)
                    start += len(piece) + len(_GAP)

    def _text(self, text: bytes) -> list[Leak]:
        found: list[Leak] = []
        for reading in readings(text):
            stream = bytes(reading.data)
            for size, index in self._by_size.items():
                if len(stream) < size:
                    continue
                if len(index) <= _FEW:
                    found += self._search(stream, index, size, reading.notation, reading.place)
                else:
                    leaks = self._look_up(stream, index, size, reading.notation, 0)
                    found += [replace(leak, at=reading.place(leak.at)) for leak in leaks]
        return [*found, *self._scattered(text)]

    @staticmethod
    def _search(
        data: bytes,
        index: dict[bytes, tuple[Secret, str, int]],
        size: int,
        notation: str,
        place: Callable[[int], int],
    ) -> Iterator[Leak]:
        for window, (secret, form, part) in index.items():
            at = data.find(window)
            if at >= 0:
                yield Leak(
                    secret=secret.name,
                    notation=f"{notation}, {form}" if form else notation,
                    at=place(at),
                    length=size,
                    part=part,
                )

    @staticmethod
    def _look_up(
        data: bytes, index: dict[bytes, tuple[Secret, str, int]], size: int, notation: str, start: int
    ) -> Iterator[Leak]:
        for at in range(len(data) - size + 1):
            hit = index.get(data[at : at + size])
            if hit is not None:
                secret, form, part = hit
                yield Leak(
                    secret=secret.name,
                    notation=f"{notation}, {form}" if form else notation,
                    at=start + at,
                    length=size,
                    part=part,
                )
                return  # one piece is enough; what is leaked is known

    def _scattered(self, text: bytes) -> Iterator[Leak]:
        """Two different words of a secret near each other, whatever stands between them."""
        seen: dict[str, tuple[int, bytes]] = {}
        for place, word in words(text):
            secret = self._words.get(word)
            if secret is None:
                continue
            before = seen.get(secret.name)
            if before is not None and before[1] != word and place - before[0] <= _NEAR:
                yield Leak(secret=secret.name, notation="single 32-bit words", at=before[0], length=2 * _WORD, part=0)
            seen[secret.name] = (place, word)
