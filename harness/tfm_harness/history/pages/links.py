"""The path of each page. A name that a device or a user chose never becomes a path unchanged."""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["anchor", "board_page", "firmware_page", "grid_page", "night_page", "run_page", "slug", "test_page"]

_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_OTHER: Final = re.compile(r"[^a-z0-9_-]+")
DIGITS: Final = 16
"""The number of digits of a firmware's digest in the name of its page."""


def slug(name: str) -> str:
    """A file's name for any text: lower-case letters, digits, ``-`` and ``_``; two texts never get the same name.

    Longer names, and names with other characters, get a digest, so that no file system confuses two of them.
    """
    if _PLAIN.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    words = _OTHER.sub("-", name.lower()).strip("-")[-40:].strip("-")
    return f"{words}.{digest}" if words else digest


def night_page(night: str) -> str:
    """A night's page."""
    return f"night/{slug(night)}.html"


def test_page(test: str) -> str:
    """A test's page."""
    return f"test/{slug(test)}.html"


test_page.__test__ = False  # type: ignore[attr-defined] # not a test, whatever its name


def board_page(board: str) -> str:
    """A board's page."""
    return f"board/{slug(board)}.html"


def firmware_page(digest: str) -> str:
    """A firmware's page."""
    return f"firmware/{digest[:DIGITS]}.html"


def run_page(run_id: int, test: str = "") -> str:
    """A run's page, at a test if one is given."""
    return f"run/{run_id}.html" + (f"#{anchor(test)}" if test else "")


def grid_page(number: int) -> str:
    """A page of the grid, counted from 1."""
    return "grid.html" if number == 1 else f"grid/{number}.html"


def anchor(test: str) -> str:
    """The place of a test on a run's page."""
    return "t-" + hashlib.sha256(test.encode("utf-8", "backslashreplace")).hexdigest()[:12]
