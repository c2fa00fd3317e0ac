"""Strings with escapes, and characters among numbers, as languages and dumps write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.tokens import Tokens

__all__ = ["string_readings"]

_ESCAPE: Final = re.compile(rb"\\(?:\\{0,7}(x[0-9A-Fa-f]{2}|[0-3]?[0-7]{1,2})|([abfnrtv\\'\"]))")
"""A string inside of another one has more than one backslash."""
_SIMPLE: Final = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11, b"\\": 92, b"'": 39, b'"': 34}
_OFFSET: Final = 7
_OD: Final = re.compile(rb"(?<![0-7])[0-7]{7,12}((?: (?:[0-7]{3}|  [!-~ ]| \\[0abtnvfr]))+)[ ]*\r?(?:\n|$)")
"""A line of ``od -c``: an offset, and cells of four characters."""


def string_readings(text: bytes, octal: Tokens) -> Iterator[Reading]:
    """Every reading of a text as strings, and as the characters of ``od -c``.

    Args:
        text: the text.
        octal: its octal numbers.
    """
    if b"\\" in text:
        yield _unescaped(text)
    if b"   " in text and (octal.length >= _OFFSET).any():
        yield _od(text)


def _unescaped(text: bytes) -> Reading:
    """Strings with escapes, as C and Python write them. Lines without any are left out."""
    data, places = bytearray(), []
    offset = 0
    for line in text.split(b"\n"):
        if b"\\" in line:
            at = 0
            for match in _ESCAPE.finditer(line):
                code = match[1] or match[2]
                value = int(code[1:], 16) if code[:1] == b"x" else _SIMPLE.get(code)
                data += line[at : match.start()]
                data.append(int(code, 8) & 0xFF if value is None else value)
                places.append(np.arange(offset + at, offset + match.start() + 1))
                at = match.end()
            data += line[at:]
            places.append(np.arange(offset + at, offset + len(line)))
        offset += len(line) + 1
    return Reading("a string with escapes", np.frombuffer(bytes(data), np.uint8), np.concatenate(places))


def _od(text: bytes) -> Reading:
    data, places = bytearray(), []
    for found in _OD.finditer(text):
        cells = found[1]
        for at in range(0, len(cells) - 3, 4):
            cell = cells[at + 1 : at + 4]
            shown = cell.strip() or b" "
            if cell.isdigit():
                data.append(int(cell, 8) & 0xFF)
            else:
                data.append(_SIMPLE.get(shown[1:], 0) if shown[:1] == b"\\" and len(shown) == 2 else shown[-1])
            places.append(found.start(1) + at)
    return Reading("characters of od", np.frombuffer(bytes(data), np.uint8), np.array(places, np.int64))
