"""Nonces of AES-GCM seen under one key: a repeated nonce reveals the key stream and the authentication key.

Two messages with one nonce under one key are encrypted with the same key stream, and the difference of their tags
gives GHASH's key (SP 800-38D, appendix A). Pure: `NonceLedger` holds the nonces of one run;
`tfm_harness.trust.nonce_ledger` keeps them on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tfm_harness.findings import Report
from tfm_harness.verify.checks import encryption as check
from tfm_harness.verify.judge import Judge

__all__ = ["NonceLedger", "NonceRecord", "check_nonces", "record_nonce"]

_KEY_NAME = b"tfm-harness nonce ledger"


@dataclass(frozen=True, slots=True)
class NonceRecord:
    """One encryption.

    Attributes:
        key: name of the key: 32 bytes that tell keys apart and reveal nothing of the key.
        nonce: 12 bytes.
        digest: SHA-256 of the ciphertext: the same message may be seen more than once.
        where: which message this was, for people.
    """

    key: bytes
    nonce: bytes
    digest: bytes
    where: str = ""


def record_nonce(key: bytes, nonce: bytes, ciphertext: bytes, *, where: str = "", history: str = "") -> NonceRecord:
    """The record of a message. `key` itself is not kept.

    Args:
        key: the key's bytes.
        nonce: as the message has it.
        ciphertext: with its tag.
        where: which message this was, for people.
        history: names one course of the device's memory. After a test put the memory back, another course begins, in
            which the device rightly uses the same counters again.
    """
    name = hashlib.sha256(_KEY_NAME + key + history.encode()).digest()
    return NonceRecord(name, nonce, hashlib.sha256(ciphertext).digest(), where)


class NonceLedger:
    """Encryptions by key and nonce; it shows when a nonce is used again for another message."""

    def __init__(self, known: Iterable[NonceRecord] = ()) -> None:
        self._seen: dict[tuple[bytes, bytes], NonceRecord] = {}
        for record in known:
            self._seen.setdefault((record.key, record.nonce), record)

    def add(self, record: NonceRecord) -> NonceRecord | None:
        """Remember `record`; returns the earlier one with the same key and nonce but another message, if any."""
        earlier = self._seen.setdefault((record.key, record.nonce), record)
        return earlier if earlier.digest != record.digest else None

    def __len__(self) -> int:
        return len(self._seen)


def check_nonces(records: Iterable[NonceRecord], report: Report, *, ledger: NonceLedger) -> list[NonceRecord]:
    """Judge nonces together, and against those of `ledger`, to which they are added.

    Appends one ``encryption.nonce-reuse`` finding for each repeated nonce, or one passed finding when there were any.

    Returns:
        The records whose nonce was used before.
    """
    judge = Judge(report)
    found: list[NonceRecord] = []
    count = 0
    for record in records:
        count += 1
        earlier = ledger.add(record)
        if earlier is not None:
            found.append(record)
            judge.failed(
                check.NONCE_REUSE,
                expected="a new nonce for each message",
                seen=f"nonce {record.nonce.hex()} twice under one key: its key stream and GHASH key are lost",
                where=" and ".join(filter(None, (earlier.where, record.where))),
            )
    if count and not found:
        judge.passed(check.NONCE_REUSE)
    return found
