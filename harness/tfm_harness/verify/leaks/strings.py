"""Strings with escapes, and characters among numbers, as languages and dumps write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np

from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.tokens import Ints, Tokens

__all__ = ["string_readings"]

_ESCAPE: Final = re.compile(rb"\\(?:\\{0,7}(x[0-9A-Fa-f]{2}|[0-3]?[0-7]{1,2})|([abfnrtv\\'\"]))")
"""Matches an escape; in a string inside another string, an escape has more than one backslash."""
_SIMPLE: Final = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11, b"\\": 92, b"'": 39, b'"': 34}
_WRITTEN: Final = {code: bytes([value]) for code, value in _SIMPLE.items()}
"""The character that each escape stands for; further escapes are added when they are met."""
_OFFSET, _MOST_OFFSET, _CELL = 7, 12, 4
_OD: Final = re.compile(rb"((?: (?:[0-7]{3}|  [!-~ ]| \\[0abtnvfr]))+)[ ]*\r?(?:\n|$)")
"""Matches the cells of four characters that follow the offset in a line of ``od -c``."""


def string_readings(text: bytes, octal: Tokens) -> Iterator[Reading]:
    """Every reading of a text as strings, and as the characters of ``od -c``.

    Args:
        text: the text.
        octal: its octal numbers.
    """
    if b"\\" in text:
        yield _unescaped(text)
    if b"   " in text:
        starts = _od_lines(octal)
        if len(starts):
            yield _od(text, starts)


def _unescaped(text: bytes) -> Reading:
    """The reading of strings with escapes, as C and Python write them. Lines without escapes are left out."""
    data = b"".join([_ESCAPE.sub(_character, line) for line in text.split(b"\n") if b"\\" in line])
    return Reading("a string with escapes", np.frombuffer(data, np.uint8), partial(_escaped_places, text))


def _character(found: re.Match[bytes]) -> bytes:
    code = found[1] or found[2]
    written = _WRITTEN.get(code)
    if written is None:
        value = int(code[1:], 16) if code[:1] == b"x" else int(code, 8) & 0xFF
        written = _WRITTEN[code] = bytes([value])
    return written


def _escaped_places(text: bytes) -> Ints:
    places, offset = [], 0
    for line in text.split(b"\n"):
        if b"\\" in line:
            at = 0
            for match in _ESCAPE.finditer(line):
                places.append(np.arange(offset + at, offset + match.start() + 1))
                at = match.end()
            places.append(np.arange(offset + at, offset + len(line)))
        offset += len(line) + 1
    return np.concatenate(places)


def _od_lines(octal: Tokens) -> Ints:
    """Where the cells of lines of ``od -c`` may begin: after an offset, if a cell and another one or the end follow."""
    raw = octal.block.raw
    some = (octal.length >= _OFFSET) & (octal.length <= _MOST_OFFSET)
    end = (octal.start + octal.length)[some]
    end = end[end + _CELL < len(raw)]
    follows = raw[end + _CELL]
    cell = (raw[end + 1] == 0x20) | ((raw[end + 1] | 7 == 0x37) & (raw[end + 3] | 7 == 0x37))
    found: Ints = end[(raw[end] == 0x20) & cell & ((follows == 0x20) | (follows == 0x0A) | (follows == 0x0D))]
    return found


def _od(text: bytes, starts: Ints) -> Reading:
    data, places = bytearray(), []
    for start in starts.tolist():
        found = _OD.match(text, start)
        if found is None:
            continue
        cells = found[1]
        for at in range(0, len(cells) - 3, 4):
            cell = cells[at + 1 : at + 4]
            shown = cell.strip() or b" "
            if cell.isdigit():
                data.append(int(cell, 8) & 0xFF)
            else:
                data.append(_SIMPLE.get(shown[1:], 0) if shown[:1] == b"\\" and len(shown) == 2 else shown[-1])
            places.append(start + at)
    return Reading("characters of od", np.frombuffer(bytes(data), np.uint8), np.array(places, np.int64))
