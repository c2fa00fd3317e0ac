"""The keys that each board showed, over all boards and processes of a run: two boards with one key are clones.

One small SQLite file in the run's folder; only thumbprints of public keys and names of boards are kept.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tfm_harness.errors import InfrastructureError

__all__ = ["remember_key"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (thumbprint BLOB NOT NULL, board TEXT NOT NULL, PRIMARY KEY (thumbprint, board))
"""
_OTHERS = "SELECT board FROM keys WHERE thumbprint = ? AND board != ? ORDER BY board"
_ANY = "SELECT 1 FROM keys WHERE board != ? LIMIT 1"


def remember_key(path: Path, *, board: str, thumbprint: bytes, timeout: float = 30.0) -> tuple[str, ...] | None:
    """Remember that `board` has a key, and find the other boards of the run that have the same key.

    Returns:
        Names of these boards; None when no other board has shown a key yet, so that there is nothing to compare.

    Raises:
        InfrastructureError: the file cannot be used (kind ``board-keys``).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as database:
            database.execute(_SCHEMA)
            database.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (thumbprint, board))
            if database.execute(_ANY, (board,)).fetchone() is None:
                return None
            return tuple(str(name) for (name,) in database.execute(_OTHERS, (thumbprint, board)))
    except (OSError, sqlite3.Error) as error:
        raise InfrastructureError(
            f"the keys of this run's boards cannot be kept: {error}", kind="board-keys", where=str(path)
        ) from error
