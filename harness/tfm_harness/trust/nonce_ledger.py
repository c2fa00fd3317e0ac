"""The ledger of nonces on disk: what AES-GCM encrypted in a run, on any of its boards and by any of its processes.

One small SQLite file. Of a key only its name is kept (`tfm_harness.verify.nonces`), of a message its digest.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from tfm_harness.errors import InfrastructureError
from tfm_harness.verify.nonces import NonceLedger, NonceRecord

__all__ = ["FileNonceLedger"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS nonces (
    key BLOB NOT NULL, nonce BLOB NOT NULL, digest BLOB NOT NULL, place TEXT NOT NULL, PRIMARY KEY (key, nonce)
) WITHOUT ROWID
"""


class FileNonceLedger(NonceLedger):
    """A `NonceLedger` that several processes share.

    Use as a context manager. Each new nonce is stored at once, so a killed run forgets nothing.

    Raises:
        InfrastructureError: the file cannot be opened, or is no ledger (kind ``ledger``).
    """

    def __init__(self, path: Path, *, timeout: float = 30.0) -> None:
        super().__init__()
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            try:
                self._database.execute(_SCHEMA)
            except sqlite3.Error:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"the ledger of nonces cannot be used: {error}", kind="ledger", where=str(self.path),
            hint="move the file away to begin a new ledger; the old one still proves what it holds",
        )  # fmt: skip

    def add(self, record: NonceRecord) -> NonceRecord | None:
        """Store `record`; the earlier one with the same key and nonce over another message, if any."""
        try:
            self._database.execute(
                "INSERT OR IGNORE INTO nonces VALUES (?, ?, ?, ?)",
                (record.key, record.nonce, record.digest, record.where),
            )
            digest, place = self._database.execute(
                "SELECT digest, place FROM nonces WHERE key = ? AND nonce = ?", (record.key, record.nonce)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return None if digest == record.digest else NonceRecord(record.key, record.nonce, digest, place)

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM nonces").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
