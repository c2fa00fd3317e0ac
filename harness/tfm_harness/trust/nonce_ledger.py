"""The ledger of nonces on disk: every AES-GCM encryption of a run, from all its boards and processes.

It is one small SQLite file. It keeps only the name of a key (`tfm_harness.verify.nonces`) and the digest of a message.
"""

from __future__ import annotations

from tfm_harness.trust.ledger_file import LedgerFile
from tfm_harness.verify.nonces import NonceLedger, NonceRecord

__all__ = ["FileNonceLedger"]


class FileNonceLedger(LedgerFile, NonceLedger):
    """A `NonceLedger` that several processes share.

    Use as a context manager. Each new nonce is stored at once, so a killed run forgets nothing.

    Raises:
        InfrastructureError: the file cannot be opened, or is no ledger (kind ``ledger``).
    """

    what = "ledger of nonces"
    table = "nonces"
    columns = (
        "key BLOB NOT NULL, nonce BLOB NOT NULL, digest BLOB NOT NULL, place TEXT NOT NULL, PRIMARY KEY (key, nonce)"
    )

    def add(self, record: NonceRecord) -> NonceRecord | None:
        """Store `record`; returns the earlier one with the same key and nonce but another message, if any."""
        with self._asked() as database:
            database.execute(
                "INSERT OR IGNORE INTO nonces VALUES (?, ?, ?, ?)",
                (record.key, record.nonce, record.digest, record.where),
            )
            digest, place = database.execute(
                "SELECT digest, place FROM nonces WHERE key = ? AND nonce = ?", (record.key, record.nonce)
            ).fetchone()
        return None if digest == record.digest else NonceRecord(record.key, record.nonce, digest, place)
