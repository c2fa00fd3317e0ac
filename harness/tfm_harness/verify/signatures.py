"""ECDSA signatures seen under one key: a repeated r reveals the private key.

ECDSA draws a secret number k for each signature; r is the x coordinate of k*G. Two signatures
over different messages with one k are two linear equations with two unknowns, k and the private
key (FIPS 186-5 s.6.3 forbids it). The same r over the *same* message is what deterministic ECDSA
(RFC 6979) does, and harmless.

Pure: `SignatureLedger` holds the signatures of one run; `tfm_harness.trust.ledger` keeps them on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tfm_harness.findings import Report
from tfm_harness.verify.algorithms import ALGORITHMS
from tfm_harness.verify.checks import result as check
from tfm_harness.verify.cose import CoseMessage, to_be_signed
from tfm_harness.verify.csr import SIGNATURES, CertificationRequest, proves_possession
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import PublicKey

__all__ = [
    "Reuse",
    "SignatureLedger",
    "SignatureRecord",
    "check_seen_before",
    "check_signatures",
    "key_is_lost",
    "record_request",
    "record_signature",
]


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """One verified ECDSA signature.

    Attributes:
        key: SHA-256 thumbprint of the public key.
        r, s: the two halves, big endian.
        digest: hash of what was signed, by the signature's own hash.
        algorithm: COSE number of the algorithm that is bound to the key's curve.
        where: which message this was, for people.
    """

    key: bytes
    r: bytes
    s: bytes
    digest: bytes
    algorithm: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class Reuse:
    """Two signatures under one key with one r over different messages."""

    first: SignatureRecord
    second: SignatureRecord


def record_signature(
    message: CoseMessage, key: PublicKey, *, where: str = "", external_aad: bytes = b""
) -> SignatureRecord:
    """The record of a message whose signature `key` verified.

    Raises:
        ValueError: the message is no ECDSA-signed one.
    """
    number = message.protected.get(1)
    algorithm = ALGORITHMS.get(number) if type(number) is int else None
    if algorithm is None or algorithm.curve is None:
        raise ValueError("not an ECDSA signature")
    half = algorithm.size // 2
    digest = hashlib.new(algorithm.hash.name, to_be_signed(message, external_aad)).digest()
    return SignatureRecord(
        key.thumbprint, message.signature[:half], message.signature[half:], digest, algorithm.cose, where
    )


def record_request(request: CertificationRequest, *, where: str = "") -> SignatureRecord | None:
    """The record of a certification request's signature; None when its key did not make it."""
    key = request.key
    if key is None or not proves_possession(request):
        return None
    _, algorithm = SIGNATURES[request.algorithm]
    r, s = (part.to_bytes(key.curve.size, "big") for part in decode_dss_signature(request.signature))
    digest = hashlib.new(algorithm.name, request.signed).digest()
    number = next(a.cose for a in ALGORITHMS.values() if a.curve is key.curve)
    return SignatureRecord(key.thumbprint, r, s, digest, number, where)


class SignatureLedger:
    """Signatures by key and r; it shows when an r is used again for another message."""

    def __init__(self, known: Iterable[SignatureRecord] = ()) -> None:
        self._seen: dict[tuple[bytes, bytes], SignatureRecord] = {}
        for record in known:
            self._seen.setdefault((record.key, record.r), record)

    def add(self, record: SignatureRecord) -> Reuse | None:
        """Remember `record`; returns the earlier one with the same key and r but another message, if any."""
        earlier = self._seen.setdefault((record.key, record.r), record)
        return Reuse(earlier, record) if earlier.digest != record.digest else None

    def earlier(self, record: SignatureRecord) -> SignatureRecord | None:  # noqa: ARG002 -- for ledgers over runs
        """The record of the same message from an earlier run; None: there is none, or this ledger knows only one."""
        return None

    def __len__(self) -> int:
        return len(self._seen)


def check_seen_before(record: SignatureRecord, report: Report, *, ledger: SignatureLedger, subject: str = "") -> None:
    """Judge whether an earlier run already saw a result that must be new each time.

    The same r over the same message does not reveal the key, but it shows that the message is an old one.
    """
    before = ledger.earlier(record)
    Judge(report, subject).judge(
        check.SEEN_BEFORE, before is None, expected="a result that no run has seen",
        seen=f"seen before as {before.where or 'a result'}" if before else "", where=record.where,
    )  # fmt: skip


def key_is_lost(reuse: Reuse, key: PublicKey) -> bool:
    """Whether the private key of `key` really follows from the two signatures.

    Solves for k and the private scalar and compares the public key that results, which is the
    proof; the scalar itself is dropped.
    """
    curve = key.curve
    n = curve.order
    r = int.from_bytes(reuse.first.r, "big")
    first_s, second_s = (int.from_bytes(x.s, "big") for x in (reuse.first, reuse.second))
    first_e, second_e = (_truncate(x.digest, n) for x in (reuse.first, reuse.second))
    for sign in (1, -1):  # (r, s) and (r, n - s) come from k and -k
        difference = (first_s - sign * second_s) % n
        if difference == 0:
            continue
        k = (first_e - second_e) * pow(difference, -1, n) % n
        scalar = (first_s * k - first_e) * pow(r, -1, n) % n
        if scalar == 0:
            continue
        numbers = ec.derive_private_key(scalar, curve.implementation).public_key().public_numbers()
        if numbers.x.to_bytes(curve.size, "big") == key.x and numbers.y.to_bytes(curve.size, "big") == key.y:
            return True
    return False


def _truncate(digest: bytes, order: int) -> int:
    """The leftmost bits of the hash, as many as the order has (FIPS 186-5 s.6.4.1)."""
    excess = max(0, len(digest) * 8 - order.bit_length())
    return int.from_bytes(digest, "big") >> excess


def check_signatures(
    records: Iterable[tuple[SignatureRecord, PublicKey]], report: Report, *, ledger: SignatureLedger | None = None
) -> list[Reuse]:
    """Judge all signatures together, and against those of `ledger`, to which they are added.

    Appends one ``result.ecdsa-nonce-reuse`` finding for each repeated r, or one passed
    finding when at least one signature was judged.
    """
    ledger = SignatureLedger() if ledger is None else ledger
    judge = Judge(report)
    found: list[Reuse] = []
    count = 0
    for record, key in records:
        count += 1
        reuse = ledger.add(record)
        if reuse is not None:
            found.append(reuse)
            proof = "the private key follows from the two signatures" if key_is_lost(reuse, key) else "same r"
            judge.failed(
                check.NONCE_REUSE,
                expected="a new r for each message",
                seen=f"r {reuse.first.r.hex()} twice under {key}: {proof}",
                where=" and ".join(filter(None, (reuse.first.where, reuse.second.where))),
            )
    if count and not found:
        judge.passed(check.NONCE_REUSE)
    return found
