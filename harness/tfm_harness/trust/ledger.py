"""The signature ledger on disk: ECDSA r values of all runs, so that a repeat over months is found.

One small SQLite file. Only public values are kept: key thumbprint, r, s, digest of what was signed,
and where it was seen.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tfm_harness.errors import InfrastructureError
from tfm_harness.verify.signatures import Reuse, SignatureLedger, SignatureRecord

__all__ = ["FileLedger"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS signatures (
    key BLOB NOT NULL, r BLOB NOT NULL, s BLOB NOT NULL, digest BLOB NOT NULL, algorithm INTEGER NOT NULL,
    place TEXT NOT NULL, PRIMARY KEY (key, r)
) WITHOUT ROWID
"""


class FileLedger(SignatureLedger):
    """A `SignatureLedger` that remembers over runs; safe for several runs at once.

    Use as a context manager. Each new signature is stored at once, so a killed run forgets nothing.

    Raises:
        InfrastructureError: the file cannot be opened, or is no ledger (kind ``ledger``).
    """

    def __init__(self, path: Path, *, timeout: float = 30.0) -> None:
        super().__init__()
        self.path = path
        self._own: set[tuple[bytes, bytes]] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            try:
                # The default rollback journal survives SIGKILL and leaves no side files behind.
                self._database.execute(_SCHEMA)
            except sqlite3.Error:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"the signature ledger cannot be used: {error}", kind="ledger", where=str(self.path),
            hint="move the file away to begin a new ledger; the old one still proves what it holds",
        )  # fmt: skip

    def add(self, record: SignatureRecord) -> Reuse | None:
        """Store `record`; the earlier one with the same key and r over another message, if any."""
        try:
            inserted = self._database.execute(
                "INSERT OR IGNORE INTO signatures VALUES (?, ?, ?, ?, ?, ?)",
                (record.key, record.r, record.s, record.digest, record.algorithm, record.where),
            ).rowcount
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if inserted:
            self._own.add((record.key, record.r))
        known = self._known(record)
        return Reuse(known, record) if known is not None and known.digest != record.digest else None

    def earlier(self, record: SignatureRecord) -> SignatureRecord | None:
        """The record of the same message that another run stored."""
        if (record.key, record.r) in self._own:
            return None
        known = self._known(record)
        return known if known is not None and known.digest == record.digest else None

    def _known(self, record: SignatureRecord) -> SignatureRecord | None:
        try:
            row = self._database.execute(
                "SELECT s, digest, algorithm, place FROM signatures WHERE key = ? AND r = ?", (record.key, record.r)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return SignatureRecord(record.key, record.r, *row) if row else None

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM signatures").fetchone()
        return int(count)

    def extend(self, records: Iterable[SignatureRecord]) -> list[Reuse]:
        """`add` for several records."""
        return [reuse for reuse in map(self.add, records) if reuse is not None]

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
