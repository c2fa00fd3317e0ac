"""The last lines of a console for people: log, never the rest of a frame."""

from __future__ import annotations

from pathlib import Path

from tfm_harness.protocol.smp.frame import encode_frame
from tfm_harness.protocol.smp.text import log_tail
from tfm_harness.testing import MemoryConsole


def test_a_tail_that_begins_inside_a_frame_shows_no_piece_of_it(tmp_path: Path) -> None:
    console = MemoryConsole(lambda _: b"", tmp_path / "ns.log", "ns")
    frame = encode_frame(bytes(8) + bytes(range(200)))
    console.push(b"[NS] long ago\n")
    while console.received < 70_000:
        console.push(frame)
    console.push(b"[NS] ready\n")
    assert log_tail(console, 6) == "[NS] ready"


def test_a_short_log_is_shown_from_its_first_line(tmp_path: Path) -> None:
    console = MemoryConsole(lambda _: b"", tmp_path / "ns.log", "ns")
    console.push(b"[NS] first\n[NS] second")
    assert log_tail(console, 6) == "[NS] first\n[NS] second"
