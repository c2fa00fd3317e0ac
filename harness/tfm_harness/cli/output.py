"""How commands write to the terminal: nothing that a user, a file or a device wrote acts on it.

Commands write by these functions alone (a test holds them to it).
"""

from __future__ import annotations

import sys

from tfm_harness.safe_text import safe

__all__ = ["say", "warn", "write", "write_exactly"]


def say(text: object) -> None:
    """A line on standard output, made safe."""
    write(f"{text}\n")


def warn(text: object) -> None:
    """A line on standard error, made safe."""
    sys.stderr.write(f"{safe(str(text))}\n")
    sys.stderr.flush()


def write(text: str, *, flush: bool = False) -> None:
    """Text with its own line ends on standard output, made safe."""
    sys.stdout.write(safe(text))
    if flush:
        sys.stdout.flush()


def write_exactly(text: str) -> None:
    """A file's content on standard output, for a program or a file: as it is.

    Whoever calls this has seen to it that nothing of a record's text acts on a terminal.
    """
    sys.stdout.write(text)
