"""Recognises damaged names: a name that lost a part on the line, or got other bytes inserted."""

from __future__ import annotations

import re

__all__ = ["is_torn", "whole"]

_NO_NAME = re.compile(r"[^\w .:,/()'\[\]-]|\[\d|<\w+>")
"""Text that no suite's or case's name contains: a byte that is not text, or the beginning of a log line."""


def is_torn(one: str, other: str) -> bool:
    """Whether one of two names is the other with a piece missing in one place, or with foreign text inserted."""
    shorter, longer = sorted((one, other), key=len)
    if not shorter or one == other:
        return False
    front = _common(shorter, longer)
    back = _common(shorter[front:][::-1], longer[front:][::-1])
    if front + back == 0:
        return False
    rest = len(shorter) - front - back
    if rest == 0:
        return True
    # A piece was replaced: only noise shows that this is not a different name.
    return any(_NO_NAME.search(name[front : len(name) - back]) is not None for name in (one, other))


def whole(one: str, other: str) -> str:
    """The undamaged one of two such names: the one without foreign bytes, else the longer one."""
    clean = [name for name in (one, other) if _NO_NAME.search(name) is None]
    return max(clean or (one, other), key=len)


def _common(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
