"""Intel HEX and Motorola S-records, read strictly: every record's checksum, no byte twice, bounded gaps.

Intel Hexadecimal Object File Format Specification, revision A (1988); the S-record format of Motorola's manuals.
"""

from __future__ import annotations

import re

__all__ = ["looks_like_ihex", "looks_like_srec", "read_ihex", "read_srec"]

MAX_SPAN = 64 << 20
"""The most bytes that a file may span, from its first address to its last."""
_IHEX = re.compile(r":[0-9A-Fa-f]{10,}")
_SREC = re.compile(r"S[0-9][0-9A-Fa-f]{4,}")
_ERASED = b"\xff"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def looks_like_ihex(text: str) -> bool:
    """Whether the first line is an Intel HEX record."""
    lines = _lines(text)
    return bool(lines) and _IHEX.fullmatch(lines[0]) is not None


def looks_like_srec(text: str) -> bool:
    """Whether the first line is an S-record."""
    lines = _lines(text)
    return bool(lines) and _SREC.fullmatch(lines[0]) is not None


def read_ihex(text: str) -> tuple[int, bytes]:
    """The first address, and all bytes from there; gaps read as erased flash (0xFF).

    Raises:
        ValueError: a broken record, a missing end record, a byte given twice, or too wide a span.
    """
    base, pieces, ended = 0, [], False
    for number, line in enumerate(_lines(text), 1):
        if ended:
            raise ValueError(f"line {number}: a record behind the end record")
        try:
            record = bytes.fromhex(line.removeprefix(":"))
        except ValueError:
            record = b""
        if not line.startswith(":") or len(record) < 5 or len(record) != record[0] + 5:
            raise ValueError(f"line {number}: no whole record")
        if sum(record) & 0xFF:
            raise ValueError(f"line {number}: its checksum is wrong")
        at, kind, content = int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        if kind == 0:
            pieces.append((base + at, content))
        elif kind == 1:
            ended = True
        elif kind == 2 and len(content) == 2:
            base = int.from_bytes(content, "big") << 4
        elif kind == 4 and len(content) == 2:
            base = int.from_bytes(content, "big") << 16
        elif kind not in {3, 5}:
            raise ValueError(f"line {number}: record type {kind}")
    if not ended:
        raise ValueError("the end record is missing: the file is cut")
    return _join(pieces)


def read_srec(text: str) -> tuple[int, bytes]:
    """As `read_ihex`, for S-records.

    Raises:
        ValueError: as there.
    """
    pieces, ended = [], False
    for number, line in enumerate(_lines(text), 1):
        try:
            record = bytes.fromhex(line[2:])
        except ValueError:
            record = b""
        if _SREC.fullmatch(line) is None or not record or len(record) != record[0] + 1:
            raise ValueError(f"line {number}: no whole record")
        if sum(record) & 0xFF != 0xFF:
            raise ValueError(f"line {number}: its checksum is wrong")
        kind = int(line[1])
        if kind in {1, 2, 3}:
            pieces.append((int.from_bytes(record[1 : kind + 2], "big"), record[kind + 2 : -1]))
        ended = ended or kind in {7, 8, 9}
    if not ended:
        raise ValueError("the end record is missing: the file is cut")
    return _join(pieces)


def _join(pieces: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    pieces = sorted(piece for piece in pieces if piece[1])
    if not pieces:
        raise ValueError("it holds no data")
    first, last = pieces[0][0], pieces[-1][0] + len(pieces[-1][1])
    if last - first > MAX_SPAN:
        raise ValueError(f"its data spans {last - first} bytes from {first:#x}: more than one image")
    out = bytearray(_ERASED * (last - first))
    end = first
    for at, content in pieces:
        if at < end:
            raise ValueError(f"address {at:#x} is given twice")
        out[at - first : at - first + len(content)] = content
        end = at + len(content)
    return first, bytes(out)
