"""Console bytes for people."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["last_lines", "printable"]

_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")


def printable(data: bytes) -> str:
    """Text without terminal control; bytes that are no UTF-8 are shown as hexadecimal escapes."""
    return _CONTROL.sub("", data.decode("utf-8", "backslashreplace").replace("\r\n", "\n"))


def last_lines(data: bytes, lines: int, width: int = 200) -> str:
    """The last `lines` lines of `data`, printable, each cut at `width` characters."""
    kept = printable(data).rstrip("\n").split("\n")[-lines:]
    return "\n".join(line if len(line) <= width else line[: width - 3] + "..." for line in kept)
