"""The known word that a misspelt word probably means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """The known word most similar to `word`; None if none is similar."""
    by_lower = {item.lower(): item for item in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str:
    """``; did you mean 'that'?`` for the nearest known word; empty when none is like it."""
    near = nearest(word, known, cutoff=cutoff)
    return f"; did you mean {near!r}?" if near else ""
