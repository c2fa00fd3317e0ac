"""Console bytes for people."""

from __future__ import annotations

from tfm_harness.safe_text import safe

__all__ = ["last_lines", "printable"]


def printable(data: bytes) -> str:
    """Text that is safe to show, without the NUL bytes that some firmware prints between lines."""
    return safe(data.replace(b"\x00", b""))


def last_lines(data: bytes, lines: int, width: int = 200) -> str:
    """The last `lines` lines of `data`, printable, each cut at `width` characters."""
    size = lines * width
    while True:
        begin = data.rfind(b"\n", 0, max(len(data) - size, 0)) + 1
        kept = printable(data[begin:]).rstrip("\n").split("\n")
        if not begin or (kept[-1] and len(kept) >= lines):
            break
        size *= 4  # empty lines at the end do not count
    return "\n".join(line if len(line) <= width else line[: width - 3] + "..." for line in kept[-lines:])
