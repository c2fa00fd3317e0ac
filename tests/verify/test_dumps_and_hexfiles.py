"""Dumps and records at the edges of what is read."""

from __future__ import annotations

import pytest
from tfm_harness.verify.dumps import read_dump
from tfm_harness.verify.hexfiles import read_ihex, read_srec

BASE = 0x1000_0010
PIECES = {BASE: b"abc", BASE + 16: b"defgh", BASE + 0x20: b"i", BASE + 0x21: b"jk", BASE + 0x1_0000: b"l"}
CONTENT = b"abc".ljust(16, b"\xff") + b"defgh".ljust(16, b"\xff") + b"ijk".ljust(0xFFE0, b"\xff") + b"l"


def intel(pieces: dict[int, bytes]) -> str:
    def record(kind: int, at: int, content: bytes) -> str:
        body = bytes([len(content), at >> 8, at & 0xFF, kind]) + content
        return f":{body.hex()}{-sum(body) & 0xFF:02x}"

    rows = []
    for at, content in pieces.items():
        rows += [record(4, 0, (at >> 16).to_bytes(2, "big")), record(0, at & 0xFFFF, content)]
    return "\n".join([*rows, record(1, 0, b"")])


def motorola(pieces: dict[int, bytes]) -> str:
    def record(kind: int, at: int, content: bytes) -> str:
        body = bytes([len(content) + 5]) + at.to_bytes(4, "big") + content
        return f"S{kind}{body.hex()}{~sum(body) & 0xFF:02X}"

    return "\n".join([*(record(3, at, content) for at, content in pieces.items()), record(7, 0, b"")])


@pytest.mark.parametrize("backwards", [False, True])
def test_gaps_between_records_are_erased_flash(backwards: bool) -> None:
    """Wherever the first byte is, and in whatever order the records stand."""
    pieces = dict(reversed(PIECES.items())) if backwards else PIECES
    assert read_ihex(intel(pieces)) == read_srec(motorola(pieces)) == (BASE, CONTENT)


@pytest.mark.parametrize("wide", [6, 7, 8])
def test_an_offset_without_a_mark_has_six_digits_or_more(wide: int) -> None:
    """Then groups of more than one byte are bytes all the same."""
    rows = (b"ABCDEFGH", b"IJKLMNOP")
    text = "\n".join(f"{8 * at:0{wide}x} {row.hex(' ', 2)}  {row.decode()}" for at, row in enumerate(rows))
    assert read_dump(text) == b"".join(rows)


def test_an_offset_far_behind_the_first_is_told() -> None:
    with pytest.raises(ValueError, match="offset 7fffffff is too large"):
        read_dump("00000000: 41 42 43 44  ABCD\n7fffffff: 45 46  EF")
