"""Removes wrappings of bytes: colours, markup characters, compression, and text inside another encoding."""

from __future__ import annotations

import contextlib
import html
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Final

import numpy as np

from tfm_harness.verify.leaks.tokens import Bytes, Flags, Ints

__all__ = ["bare_decimals", "colours", "inflated", "printable", "unmarked", "written_out"]

_COLOUR: Final = re.compile(  # ECMA-48 (sections 5.4, 8.3.89) and, of terminals before it, the choice of characters
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]{0,256}(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\^-~])"
)
_PREFIXES: Final = ((b"\\x", 2), (b"\\u00", 4), (b"#x", 2), (b"'h", 2))
"""Marks before hexadecimal digits in strings, markup and Verilog, which would make the digits part of a word."""
_ROUND: Final = re.compile(rb"(?<=[0-9])\.0+(?![0-9.])")
_ROUND_ROW: Final = re.compile(rb"(?:[0-9]\.0+[^0-9]{1,4}[0-9]{0,2}){4}")

_SHOWN: Final = re.compile(rb" '(?:\\[0-7]{1,3}|\\.|[^\\\n])'")
"""The character that GDB shows after a byte: ``-55 '\\311'``."""

_LEVEL: Final[Flags] = np.isin(np.arange(256), [0x01, 0x5E, 0x9C, 0xDA])
"""The second byte of zlib's streams (RFC 1950); those of gzip begin with 1f 8b 08 (RFC 1952)."""
_CHUNK: Final = 1 << 18
_LARGEST: Final = 4 << 20  # the most bytes of one compressed stream that are read
_LEAST: Final = 8
_STEP: Final = 16
_MOST_STREAMS: Final = 4096
_MOST: Final = 32 << 20  # the most bytes of all streams of one text: a stream may be made to grow without end

_DIGIT: Final[Flags] = (np.arange(256) >= 0x30) & (np.arange(256) < 0x3A)
_IN_ROW, _ROW = 4, 256

Spans = list[tuple[int, int]]
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


def _any_of(characters: bytes) -> Flags:
    return np.isin(np.arange(256), np.frombuffer(characters, np.uint8))


_HEX_DIGIT: Final = _any_of(b"0123456789abcdefABCDEF")
_ESCAPES: Final[tuple[tuple[str, bytes, Flags, re.Pattern[bytes], Written], ...]] = (
    (
        "percent encoding",
        b"%",
        _HEX_DIGIT,
        re.compile(rb"%(?:25)*([0-9A-Fa-f]{2})"),
        lambda found: bytes([int(found, 16)]),
    ),
    (
        "quoted-printable",
        b"=",
        _HEX_DIGIT | _any_of(b" \t\r\n"),
        re.compile(rb"=([0-9A-Fa-f]{2}|[ \t]*\r?\n)"),
        _quoted,
    ),
    (
        "a string with \\u",
        b"\\",
        _any_of(b'\\ubfnrt"/'),
        re.compile(rb"\\{1,8}(u00[0-9A-Fa-f]{2})|\\([bfnrt\"\\/])"),
        _json,
    ),
    ("markup", b"&", _any_of(b"#alqg"), re.compile(rb"&(#x?[0-9A-Fa-f]{1,4}|amp|lt|gt|quot);"), _markup),
    (
        "characters of cat -v",
        b"M^",
        _any_of(bytes(range(0x3F, 0x60)) + b"-"),
        re.compile(rb"(M-\^[?-_]|M-[ -~]|\^[?-_])"),
        _visible,
    ),
    (
        "Latin-1 as UTF-8",
        b"\xc2\xc3",
        _any_of(bytes(range(0x80, 0xC0))),
        re.compile(rb"([\xc2\xc3][\x80-\xbf])"),
        _latin,
    ),
)
"""For each kind: name, first characters, possible second characters, pattern that is replaced, and replacement."""
_HOLDS: Final = {"a string with \\u": b"\\u", "markup": b"&#", "characters of cat -v": b"M-"}
"""Characters that a text of this kind always holds as well."""
_CROWD: Final = 64
"""The greatest distance between the first and the last of three escapes that count as dense."""
_REACH: Final = 4096
"""The number of characters around such escapes that are read."""


@cache
def _dense(pattern: re.Pattern[bytes]) -> re.Pattern[bytes]:
    """Matches three escapes near each other: eight bytes of a secret have more, an ``x=00`` in a log has fewer."""
    return re.compile(rb"[^\n]{0,6}".join([b"(?:" + pattern.pattern + b")"] * 3))  # the numbers of groups are not used


def colours(text: bytes) -> list[tuple[int, int]]:
    """Start and end of each of a terminal's control sequences in a text."""
    return [found.span() for found in _COLOUR.finditer(text)] if b"\x1b" in text else []


def unmarked(text: bytes) -> tuple[bytes, bool] | None:
    """A text of the same length in which blanks replace the marks of hexadecimal digits in strings and markup.

    Returns:
        The text, and whether it is the whole text (else only the parts near such marks are left); None without marks.
    """
    raw = np.frombuffer(text, np.uint8)
    places = []
    for prefix, size in _PREFIXES:
        if prefix[:1] in text:  # searching one rare character is much quicker than searching two
            found = _starts(raw, prefix)
            found = found[found + size < len(raw)]
            places.append(found[_HEX_DIGIT[raw[found + size]]])
    if not places:
        return None
    spans = _crowded(np.sort(np.concatenate(places)), 2, _REACH // 2, len(text))
    if not spans:
        return None
    for prefix, size in _PREFIXES:
        if prefix in text:
            text = text.replace(prefix, b" " * size)
    return _only(text, spans)


def bare_decimals(text: bytes) -> bytes | None:
    """A text of the same length in which blanks replace characters that hide numbers; None when it has none of them.

    These are the decimals of numbers such as 12.0, if several are in a row, and the characters that debuggers show.
    Only the parts near them are left.
    """
    raw, found = np.frombuffer(text, np.uint8), text
    places = [np.zeros(0, np.int64)]
    if b".0" in text:
        at = _starts(raw, b".0")
        if any(_ROUND_ROW.search(text, *span) for span in _crowded(at, _IN_ROW, _ROW, len(text))):
            found = _ROUND.sub(lambda found: b" " * len(found[0]), found)
            places.append(at)
    if b" '" in text:
        at = _starts(raw, b" '")
        at = at[(at > 0) & _DIGIT[raw[at - 1]]]
        if len(at):
            found = _SHOWN.sub(_blank_behind_a_digit, found)
            places.append(at)
    spans = _crowded(np.sort(np.concatenate(places)), 2, _REACH, len(text))
    return _only(found, spans)[0] if spans and found != text else None


def written_out(text: bytes) -> Iterator[tuple[str, bytes, Callable[[], Ints]]]:
    """For each kind of escapes in a text: the kind, the text with them as bytes, and a function for their places."""
    raw = np.frombuffer(text, np.uint8)
    for name, firsts, second, pattern, written in _ESCAPES:
        if all(firsts[at : at + 1] not in text for at in range(len(firsts))):
            continue
        flags = raw[:-1] == firsts[0]
        for other in firsts[1:]:
            flags |= raw[:-1] == other
        at = np.flatnonzero(flags)
        at = at[second[raw[at + 1]]]
        spans = _crowded(at, 3, _CROWD, len(text))
        holds = _HOLDS.get(name, firsts[:0])
        spans = [span for span in spans if text.find(holds, *span) >= 0 and _dense(pattern).search(text, *span)]
        if spans:
            pieces = [pattern.sub(partial(_replaced, written), text[start:end]) for start, end in spans]
            yield name, b"".join(pieces), partial(_places, text, spans, pattern, written)


def _replaced(written: Written, found: re.Match[bytes]) -> bytes:
    return written(found[found.lastindex or 0])


def _places(text: bytes, spans: Spans, pattern: re.Pattern[bytes], written: Written) -> Ints:
    """The offset in the text of each byte of the written-out text."""
    places = []
    for start, end in spans:
        at = start
        for found in pattern.finditer(text[start:end]):
            begin = start + found.start()
            places += [np.arange(at, begin), np.full(len(_replaced(written, found)), begin)]
            at = start + found.end()
        places.append(np.arange(at, end))
    return np.concatenate(places)


def _starts(raw: Bytes, two: bytes) -> Ints:
    """The offsets of these two characters; for a longer mark, its first two are enough to find its neighbourhood."""
    return np.flatnonzero((raw[:-1] == two[0]) & (raw[1:] == two[1]))


def _crowded(at: Ints, count: int, near: int, size: int) -> Spans:
    """Stretches of a text around places of which `count` stand within `near` characters."""
    crowd = np.flatnonzero(at[count - 1 :] - at[: len(at) - count + 1] <= near) if len(at) >= count else at[:0]
    if not len(crowd):
        return []
    start = np.maximum(at[crowd] - _REACH, 0)
    end = np.minimum(at[crowd + count - 1] + _REACH, size)
    new = np.append(True, start[1:] > end[:-1])
    return list(zip(start[new].tolist(), end[np.append(new[1:], True)].tolist(), strict=True))


def _only(text: bytes, spans: Spans) -> tuple[bytes, bool]:
    """The text with blanks outside these stretches, and False; if they are more than half, the text itself and True."""
    if sum(end - start for start, end in spans) > len(text) // 2:
        return text, True
    pieces, at = [], 0
    for start, end in spans:
        pieces += [b" " * (start - at), text[start:end]]
        at = end
    return b"".join([*pieces, b" " * (len(text) - at)]), False


def inflated(data: Bytes) -> Iterator[tuple[int, bytes]]:
    """Data that is compressed by gzip or zlib: where each stream begins, and its content up to the first damage."""
    whole, view = 0, memoryview(np.ascontiguousarray(data).data)
    for number, start in enumerate(_streams(data)):
        if number >= _MOST_STREAMS or whole >= _MOST:
            return
        packed = view[start : start + _LARGEST]
        stream, content = zlib.decompressobj(31 if packed[0] == 0x1F else 15), bytearray()
        with contextlib.suppress(zlib.error):  # damaged, or cut off: the content before that counts
            for at in range(0, len(packed), _STEP):
                content += stream.decompress(packed[at : at + _STEP], _LARGEST)
                if stream.eof or len(content) >= _LARGEST:
                    break
        whole += len(content)
        if len(content) >= _LEAST:
            yield start, bytes(content)


def _streams(data: Bytes) -> Iterator[int]:
    """The offsets at which a stream may begin."""
    for start in range(0, len(data) - 2, _CHUNK):
        part = data[start : start + _CHUNK + 2]
        first, second = part[:-2], part[1:-1]
        zlib_like = np.flatnonzero(first == 0x78)
        gzip_like = np.flatnonzero((first == 0x1F) & (second == 0x8B) & (part[2:] == 0x08))
        found = np.append(zlib_like[_LEVEL[second[zlib_like]]], gzip_like)
        yield from (np.sort(found) + start).tolist()


def printable(data: Bytes) -> Flags:
    """Which bytes are printable characters, tabs or line ends."""
    shown: Flags = (data - np.uint8(0x20) < 0x5F) | (data == 9) | (data == 10) | (data == 13)
    return shown
