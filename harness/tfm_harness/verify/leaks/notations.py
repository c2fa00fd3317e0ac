"""What bytes a text may mean: every reading of it as numbers, dumps and encodings.

Each reading is a stream of bytes with the places in the text where they came from. Readings are generous: a wrong
one gives noise, and noise does not hold eight bytes of a secret in a row.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

__all__ = ["Reading", "readings", "words"]


@dataclass(slots=True)
class Reading:
    """One reading of a text: the bytes it means, and where each piece of them stood."""

    notation: str
    data: bytearray = field(default_factory=bytearray)
    _starts: list[int] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)

    def add(self, piece: bytes, place: int) -> None:
        """Bytes that stood at `place` of the text."""
        self._starts.append(len(self.data))
        self._places.append(place)
        self.data += piece

    def place(self, at: int) -> int:
        """Where in the text byte `at` of the stream came from."""
        return self._places[max(0, bisect_right(self._starts, at) - 1)]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    prefixed: bool
    place: int
    first: bool  # of its line
    last: bool


_HEX = re.compile(rb"(?<![0-9A-Za-z])(0[xX])?([0-9A-Fa-f]+)(?:[uUlLhH]{0,3})(?![0-9A-Za-z])")
_LONG_HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
_DECIMAL = re.compile(rb"(?<![0-9A-Za-z.])(-?[0-9]{1,20})(?:[uUlL]{0,3})(?![0-9A-Za-z])")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{11,}")
_BASE32 = re.compile(rb"[A-Za-z2-7]{13,}")
_BINARY = re.compile(rb"(?<![0-9A-Za-z])(?:0b)?([01]{8})(?![0-9A-Za-z])")
_OCTAL = re.compile(rb"\\([0-3]?[0-7]{1,2})")
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[0-3][0-7]{2}|[0abfnrtv\\'\"])")
_SIMPLE = {b"0": 0, b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11, b"\\": 92, b"'": 39, b'"': 34}


def readings(text: bytes) -> Iterator[Reading]:
    """Every reading of `text` but the raw one."""
    plain = text.replace(b"\\x", b"  ")  # as long as before, so that places stay right
    tokens = list(_tokens(plain, _HEX))
    yield from _hex_readings(tokens)
    for shift in (0, 1):
        found = Reading("hexadecimal, run together")
        for match in _LONG_HEX.finditer(text):
            digits = match[0][shift:]
            found.add(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()), match.start())
        yield found
    yield from _decimal_readings(list(_tokens(text, _DECIMAL)))
    yield from _based("base64", text.translate(_URL_SAFE), _BASE64, 4, _decode64)
    yield from _based("base32", text.upper(), _BASE32, 8, _decode32)
    yield _matches("binary digits", text, _BINARY, 2)
    yield _matches("octal escapes", text, _OCTAL, 8)
    yield _unescaped(text)


def words(text: bytes) -> list[tuple[int, bytes]]:
    """Every 32-bit number in hexadecimal: its place, and its bytes, most significant first."""
    return [
        (token.place, int(token.text, 16).to_bytes(4, "big"))
        for token in _tokens(text, _HEX)
        if len(token.text) == 8 or (token.prefixed and 5 <= len(token.text) <= 8)
    ]


def _tokens(text: bytes, pattern: re.Pattern[bytes]) -> Iterator[_Token]:
    place = 0
    for line in text.splitlines(keepends=True):
        matches = list(pattern.finditer(line))
        for number, match in enumerate(matches):
            prefix = match[1] if pattern is _HEX else None
            digits = match[2] if pattern is _HEX else match[1]
            yield _Token(
                digits.decode(), prefix is not None, place + match.start(), number == 0, number == len(matches) - 1
            )
        place += len(line)


_Choice = Callable[[_Token], bool]
_CHOICES: tuple[tuple[str, _Choice], ...] = (
    ("", lambda _: True),
    (", without each line's first number", lambda token: not token.first),
    (", each line's last number", lambda token: token.last),
)
_STYLES: tuple[tuple[str, _Choice], ...] = (("", lambda _: True), (", those with 0x", lambda token: token.prefixed))


def _hex_readings(tokens: list[_Token]) -> Iterator[Reading]:
    for choice, chosen in _CHOICES:
        some = [token for token in tokens if chosen(token)]
        yield _joined(f"hexadecimal{choice}", some)
        for style, fits in _STYLES:
            styled = [token for token in some if fits(token)]
            for size in (1, 2, 4, 8):
                # Without 0x a number is as wide as it is written; with it leading zeros may be missing.
                numbers = [(t.place, int(t.text, 16)) for t in styled if _width(t, size, style != "")]
                yield from _numbers(f"hexadecimal numbers of {size} bytes{choice}{style}", numbers, size)


def _width(token: _Token, size: int, prefixed: bool) -> bool:
    digits = len(token.text)
    if size == 1:
        return digits <= 2
    return digits <= 2 * size if prefixed else digits == 2 * size


def _joined(notation: str, tokens: list[_Token]) -> Reading:
    found = Reading(notation)
    for token in tokens:
        if len(token.text) % 2 == 0:
            found.add(bytes.fromhex(token.text), token.place)
    return found


def _decimal_readings(tokens: list[_Token]) -> Iterator[Reading]:
    for choice, chosen in _CHOICES:
        numbers = [(token.place, int(token.text)) for token in tokens if chosen(token)]
        for size in (1, 2, 4, 8):
            fitting = [(at, n % (1 << 8 * size)) for at, n in numbers if -(1 << 8 * size - 1) <= n < 1 << 8 * size]
            if size > 2:  # a small number among large ones is a counter or an index
                fitting = [(at, n) for at, n in fitting if n >= 1 << 4 * size]
            yield from _numbers(f"decimal numbers of {size} bytes{choice}", fitting, size)


def _numbers(notation: str, numbers: list[tuple[int, int]], size: int) -> Iterator[Reading]:
    if len(numbers) * size < 8:
        return
    for order in ("big", "little")[: 1 if size == 1 else 2]:
        found = Reading(notation)
        for place, number in numbers:
            found.add(number.to_bytes(size, "big" if order == "big" else "little"), place)
        yield found


def _based(
    notation: str, text: bytes, pattern: re.Pattern[bytes], group: int, decode: Callable[[bytes], bytes]
) -> Iterator[Reading]:
    for shift in range(group):
        found = Reading(notation)
        for match in pattern.finditer(text):
            digits = match[0][shift:]
            found.add(decode(digits[: len(digits) // group * group]), match.start() + shift)
            found.add(b"\0\xff" * 4, match.end())  # runs do not belong together
        yield found


def _decode64(digits: bytes) -> bytes:
    return binascii.a2b_base64(digits)


def _decode32(digits: bytes) -> bytes:
    try:
        return base64.b32decode(digits)
    except binascii.Error:  # letters that base32 has not
        return b""


def _matches(notation: str, text: bytes, pattern: re.Pattern[bytes], base: int) -> Reading:
    found = Reading(notation)
    for match in pattern.finditer(text):
        found.add(bytes([int(match[1], base)]), match.start())
    return found


def _unescaped(text: bytes) -> Reading:
    found = Reading("a string with escapes")
    at = 0
    for match in _ESCAPE.finditer(text):
        if match.start() > at:
            found.add(text[at : match.start()], at)
        code = match[1]
        value = int(code[1:], 16) if code[:1] == b"x" else _SIMPLE.get(code)
        found.add(bytes([int(code, 8) if value is None else value]), match.start())
        at = match.end()
    found.add(text[at:], at)
    return found


_URL_SAFE = bytes.maketrans(b"-_", b"+/")
