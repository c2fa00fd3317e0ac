"""Log text of a console, without the frames that share its UART."""

from __future__ import annotations

from tfm_harness.console.base import Console, Mark
from tfm_harness.console.text import last_lines
from tfm_harness.protocol.smp.frame import CONTINUE, START

__all__ = ["log_tail"]

_TAIL_BYTES = 1 << 16
_WIDTH = 160


def log_tail(console: Console, lines: int) -> str:
    """The last log lines of a console, without frames, which reports show decoded."""
    begin = max(0, console.received - _TAIL_BYTES)
    data = console.read_from(Mark(begin), limit=_TAIL_BYTES)
    if begin and b"\n" in data:
        data = data.partition(b"\n")[2]  # the rest of a line, perhaps of a frame
    text = b"\n".join(line for line in data.split(b"\n") if not line.startswith((START, CONTINUE)))
    return last_lines(text, lines, _WIDTH)
