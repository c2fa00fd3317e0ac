"""How commands write to the terminal: nothing that a user, a file or a device wrote acts on it.

Commands write by these functions alone (a test holds them to it).
"""

from __future__ import annotations

import sys
from typing import TextIO

from tfm_harness.safe_text import safe

__all__ = ["say", "warn", "write", "write_exactly"]


def say(text: object) -> None:
    """A line on standard output, made safe."""
    write(f"{text}\n")


def warn(text: object) -> None:
    """A line on standard error, made safe."""
    _put(sys.stderr, f"{safe(str(text))}\n", flush=True)


def write(text: str, *, flush: bool = False) -> None:
    """Text with its own line ends on standard output, made safe."""
    _put(sys.stdout, safe(text), flush=flush)


def write_exactly(text: str) -> None:
    """A file's content on standard output, for a program or a file: as it is.

    Whoever calls this has seen to it that nothing of a record's text acts on a terminal.
    """
    _put(sys.stdout, text)


def _put(stream: TextIO | None, text: str, *, flush: bool = False) -> None:
    """Write; a stream that whoever started the command has closed (`>&-`) is None, and takes nothing."""
    if stream is None:
        return
    stream.write(text)
    if flush:
        stream.flush()
