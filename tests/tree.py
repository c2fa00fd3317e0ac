"""The project's own files, without what is built: other stages of ``make test`` build while tests run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["own_files"]

_MADE = frozenset({"build", "out", "__pycache__", ".venv", ".hypothesis", "site"})


def own_files(folder: Path, suffix: str) -> Iterator[Path]:
    """Files below a folder with that suffix, in order; folders that come and go are not entered."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _MADE)
        yield from (Path(place) / name for name in sorted(names) if name.endswith(suffix))
