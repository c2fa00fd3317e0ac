"""What bytes are wrapped in: colours, characters of markup, compression, and a text inside of another encoding."""

from __future__ import annotations

import contextlib
import html
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import numpy as np

from tfm_harness.verify.leaks.tokens import Bytes, Flags, Ints

__all__ = ["bare_decimals", "inflated", "printable", "unmarked", "without_colours", "written_out"]

_COLOUR: Final = re.compile(  # ECMA-48 (sections 5.4, 8.3.89) and, of terminals before it, the choice of characters
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]{0,256}(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\^-~])"
)
_PREFIXES: Final = ((b"\\x", 2), (b"\\u00", 4), (b"#x", 2), (b"'h", 2))
"""What stands before hexadecimal digits in strings, markup and Verilog, and would make them part of a word."""
_ROUND: Final = re.compile(rb"(?<=[0-9])\.0+(?![0-9.])")
_ROUND_ROW: Final = re.compile(rb"(?:[0-9]\.0+[^0-9]{1,4}[0-9]{0,2}){4}")

_SHOWN: Final = re.compile(rb" '(?:\\[0-7]{1,3}|\\.|[^\\\n])'")
"""The character that GDB shows behind a byte: ``-55 '\\311'``."""

_STREAM: Final = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")  # gzip (RFC 1952) and zlib (RFC 1950)
_LARGEST: Final = 4 << 20  # bytes of one compressed stream that are looked at
_LEAST: Final = 8
_STEP: Final = 16
_MOST_STREAMS: Final = 4096
_MOST: Final = 32 << 20  # bytes of all streams of one text: it may be made to burst

Written = Callable[[bytes], bytes]


def _blank_behind_a_digit(found: re.Match[bytes]) -> bytes:
    return b" " * len(found[0]) if found.string[max(found.start() - 1, 0)] in b"0123456789" else found[0]


def _visible(found: bytes) -> bytes:
    meta, rest = (0x80, found[2:]) if found[:2] == b"M-" and len(found) > 2 else (0, found)
    return bytes([meta | (rest[1] ^ 0x40 if rest[:1] == b"^" and len(rest) == 2 else rest[0])])


def _quoted(found: bytes) -> bytes:
    return b"" if found[-1:] == b"\n" else bytes([int(found, 16)])


def _json(found: bytes) -> bytes:
    if found[:1] == b"u":
        return bytes([int(found[1:], 16)])
    return {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(found, found)


def _markup(found: bytes) -> bytes:
    shown = html.unescape(f"&{found.decode()};")
    with contextlib.suppress(ValueError):  # html follows Windows-1252 between 128 and 159
        return bytes([int(b"0" + found[1:], 0) if found[1:2] == b"x" else int(found[1:])])
    return shown.encode("latin-1", "replace")


def _latin(found: bytes) -> bytes:
    return bytes([(found[0] & 3) << 6 | found[1] & 0x3F])


_ESCAPES: Final[tuple[tuple[str, bytes, re.Pattern[bytes], Written], ...]] = (
    ("percent encoding", b"%", re.compile(rb"%(?:25)*([0-9A-Fa-f]{2})"), lambda found: bytes([int(found, 16)])),
    ("quoted-printable", b"=", re.compile(rb"=([0-9A-Fa-f]{2}|[ \t]*\r?\n)"), _quoted),
    ("a string with \\u", b"\\u", re.compile(rb"\\{1,8}(u00[0-9A-Fa-f]{2})|\\([bfnrt\"\\/])"), _json),
    ("markup", b"&#", re.compile(rb"&(#x?[0-9A-Fa-f]{1,4}|amp|lt|gt|quot);"), _markup),
    ("characters of cat -v", b"M-", re.compile(rb"(M-\^[?-_]|M-[ -~]|\^[?-_])"), _visible),
    ("Latin-1 as UTF-8", b"\xc2", re.compile(rb"([\xc2\xc3][\x80-\xbf])"), _latin),
)
"""Name, what a text must hold for it, what is replaced, and by what."""


@cache
def _dense(pattern: re.Pattern[bytes]) -> re.Pattern[bytes]:
    """Three of them near each other: eight bytes of a secret have more, and an ``x=00`` in a log has fewer."""
    return re.compile(rb"[^\n]{0,6}".join([b"(?:" + pattern.pattern + b")"] * 3))  # groups are not asked for


def without_colours(text: bytes) -> tuple[bytes, Ints | None]:
    """A text without a terminal's control sequences, and where each of its characters stood; None: it had none."""
    if b"\x1b" not in text:
        return text, None
    kept = np.ones(len(text), np.bool_)
    for found in _COLOUR.finditer(text):
        kept[found.start() : found.end()] = False
    places = np.flatnonzero(kept)
    return np.frombuffer(text, np.uint8)[places].tobytes(), places


def unmarked(text: bytes) -> bytes:
    """A text of the same length with blanks for what marks hexadecimal digits in strings and markup."""
    for prefix, size in _PREFIXES:
        if prefix in text:
            text = text.replace(prefix, b" " * size)
    return text


def bare_decimals(text: bytes) -> bytes:
    """A text of the same length with blanks for what is no number of its own.

    The decimals of numbers such as 12.0, where several stand in a row, and the characters that debuggers show.
    """
    if b".0" in text and _ROUND_ROW.search(text):
        text = _ROUND.sub(lambda found: b" " * len(found[0]), text)
    if b" '" in text:
        text = _SHOWN.sub(_blank_behind_a_digit, text)
    return text


def written_out(text: bytes) -> Iterator[tuple[str, bytes, Ints]]:
    """A text with each kind of escaped characters as bytes: the kind, the bytes, and where each stood."""
    for name, holds, pattern, written in _ESCAPES:
        if holds not in text or not _dense(pattern).search(text):
            continue
        data, places, at = bytearray(), [], 0
        for found in pattern.finditer(text):
            data += text[at : found.start()]
            places.append(np.arange(at, found.start()))
            value = written(found[found.lastindex or 0])
            data += value
            places.append(np.full(len(value), found.start()))
            at = found.end()
        if at:
            data += text[at:]
            places.append(np.arange(at, len(text)))
            yield name, bytes(data), np.concatenate(places)


def inflated(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What is compressed by gzip or zlib: where each stream begins, and its content, as far as it is whole."""
    whole = 0
    for number, found in enumerate(_STREAM.finditer(data)):
        if number >= _MOST_STREAMS or whole >= _MOST:
            return
        packed = data[found.start() : found.start() + _LARGEST]
        stream, content = zlib.decompressobj(31 if packed[0] == 0x1F else 15), bytearray()
        with contextlib.suppress(zlib.error):  # damaged, or cut: what came before counts
            for at in range(0, len(packed), _STEP):
                content += stream.decompress(packed[at : at + _STEP], _LARGEST)
                if stream.eof or len(content) >= _LARGEST:
                    break
        whole += len(content)
        if len(content) >= _LEAST:
            yield found.start(), bytes(content)


def printable(data: Bytes) -> Flags:
    """Which bytes are characters that stand in a text."""
    shown: Flags = (data >= 0x20) & (data < 0x7F) | (data == 9) | (data == 10) | (data == 13)
    return shown
