"""Console bytes for people."""

from __future__ import annotations

from tfm_harness.safe_text import safe

__all__ = ["last_lines", "printable"]


def printable(data: bytes) -> str:
    """Text that does nothing when it is shown; NUL bytes, which some firmware prints between lines, are left out."""
    return safe(data.replace(b"\x00", b""))


def last_lines(data: bytes, lines: int, width: int = 200) -> str:
    """The last `lines` lines of `data`, printable, each cut at `width` characters."""
    kept = printable(data).rstrip("\n").split("\n")[-lines:]
    return "\n".join(line if len(line) <= width else line[: width - 3] + "..." for line in kept)
