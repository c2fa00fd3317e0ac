"""The order in which people expect names: ``board.2`` before ``board.10``."""

from __future__ import annotations

import re

__all__ = ["natural"]

NaturalKey = tuple[str | tuple[int, str], ...]


def natural(name: str) -> NaturalKey:
    """A key for `sorted`: numbers within names by their value, everything else by its characters.

    Args:
        name: any text.
    """
    # Words and numbers alternate, so that words compare with words. Digits stay text: there may be thousands of them.
    pieces = re.split(r"([0-9]+)", name)
    return tuple(_value(piece) if place % 2 else piece for place, piece in enumerate(pieces))


def _value(digits: str) -> tuple[int, str]:
    plain = digits.lstrip("0")
    return len(plain), plain
