"""Talks to firmware that answers each line with a line."""

from __future__ import annotations

import re

from tfm_harness.boards.base import Board
from tfm_harness.console.base import Mark, Match

__all__ = ["ask_line", "wait_until_ready"]


def ask_line(board: Board, line: str, *, console: str = "ns", timeout: float = 10.0) -> str:
    """Send a line. Returns the next line that comes, without its end.

    Raises:
        InfrastructureError: nothing came in `timeout` seconds, or the console is closed.
    """
    port = board.console(console)
    mark = port.mark()
    port.write(line.encode() + b"\n")
    found = port.wait_for(re.compile(rb"([^\n]*)\n"), timeout=timeout, since=mark)
    return (found.groups[0] or b"").decode("utf-8", "replace")


def wait_until_ready(
    board: Board,
    pattern: bytes | re.Pattern[bytes],
    *,
    since: Mark | None = None,
    console: str = "ns",
    timeout: float = 20.0,
) -> Match:
    """Wait until the firmware prints that it has started.

    Args:
        pattern: the text that it prints.
        since: only later bytes count (default: all bytes of the console).

    Raises:
        InfrastructureError: the text did not come in `timeout` seconds.
    """
    return board.console(console).wait_for(pattern, timeout=timeout, since=since or Mark(0))
