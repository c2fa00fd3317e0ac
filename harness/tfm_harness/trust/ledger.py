"""The signature ledger on disk: ECDSA r values of all runs, so that a repeat over months is found.

It is one small SQLite file with public values only: key thumbprint, r, s, digest of the signed
bytes, and where the signature was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tfm_harness.trust.ledger_file import LedgerFile
from tfm_harness.verify.signatures import Reuse, SignatureLedger, SignatureRecord

__all__ = ["FileLedger"]


class FileLedger(LedgerFile, SignatureLedger):
    """A `SignatureLedger` that is kept over runs; several runs may use it at the same time.

    Use as a context manager. Each new signature is stored at once, so a killed run forgets nothing.

    Raises:
        InfrastructureError: the file cannot be opened, or is no ledger (kind ``ledger``).
    """

    what = "signature ledger"
    table = "signatures"
    columns = (
        "key BLOB NOT NULL, r BLOB NOT NULL, s BLOB NOT NULL, digest BLOB NOT NULL, algorithm INTEGER NOT NULL,"
        " place TEXT NOT NULL, PRIMARY KEY (key, r)"
    )

    def __init__(self, path: Path, *, timeout: float = 30.0) -> None:
        super().__init__(path, timeout=timeout)
        self._own: set[tuple[bytes, bytes]] = set()

    def add(self, record: SignatureRecord) -> Reuse | None:
        """Store `record`; returns the earlier one with the same key and r but another message, if any."""
        with self._asked() as database:
            inserted = database.execute(
                "INSERT OR IGNORE INTO signatures VALUES (?, ?, ?, ?, ?, ?)",
                (record.key, record.r, record.s, record.digest, record.algorithm, record.where),
            ).rowcount
        if inserted:
            self._own.add((record.key, record.r))
        known = self._known(record)
        return Reuse(known, record) if known is not None and known.digest != record.digest else None

    def earlier(self, record: SignatureRecord) -> SignatureRecord | None:
        """The record of the same message that another run stored; None when there is none."""
        if (record.key, record.r) in self._own:
            return None
        known = self._known(record)
        return known if known is not None and known.digest == record.digest else None

    def _known(self, record: SignatureRecord) -> SignatureRecord | None:
        with self._asked() as database:
            row = database.execute(
                "SELECT s, digest, algorithm, place FROM signatures WHERE key = ? AND r = ?", (record.key, record.r)
            ).fetchone()
        return SignatureRecord(record.key, record.r, *row) if row else None

    def extend(self, records: Iterable[SignatureRecord]) -> list[Reuse]:
        """Call `add` for several records."""
        return [reuse for reuse in map(self.add, records) if reuse is not None]
