"""Deterministic ECDSA where the host knows the private key: each signature must be the one that RFC 6979 gives.

This is only for virtual boards, whose keys the harness itself made. If the secret number k is short, biased or
repeated, the signature is another one, so the first signature already shows it.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from tfm_harness.findings import Report
from tfm_harness.verify.algorithms import P256
from tfm_harness.verify.checks import keys as check
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.signatures import SignatureRecord

__all__ = ["check_rfc6979", "secret_number", "what_time_may_follow"]


def secret_number(record: SignatureRecord, private: int) -> int:
    """The secret number k of a P-256 signature (FIPS 186-5 s.6.4.1), from the private scalar."""
    r, s = int.from_bytes(record.r, "big"), int.from_bytes(record.s, "big")
    return (int.from_bytes(record.digest, "big") + r * private) * pow(s, -1, P256.order) % P256.order


def what_time_may_follow(record: SignatureRecord, private: int | None) -> dict[str, int]:
    """By name, the numbers on which the time of a P-256 signature depends in implementations that leak.

    Always the digest's bits. Where the private scalar is known, also the secret number's length (Minerva, CHES 2020:
    each leading zero bit saves a round), its bits, and the bits that scalar and digest share.
    """
    digest = int.from_bytes(record.digest, "big")
    found = {"digest's one bits": digest.bit_count(), "digest's length": digest.bit_length()}
    if private is not None:
        k = secret_number(record, private)
        found["secret number's length"] = k.bit_length()
        # If the device outputs n - s in place of s, the number that follows from the signature is n - k.
        found["length of n - k"] = (P256.order - k).bit_length()
        found["secret number's one bits"] = k.bit_count()
        found["one bits of key and digest"] = (private & digest).bit_count()
    return found


def check_rfc6979(
    record: SignatureRecord, key: ec.EllipticCurvePrivateKey, report: Report, *, subject: str = ""
) -> None:
    """Judge one P-256 signature over a SHA-256 digest, which `key` is known to have made."""
    signature = key.sign(record.digest, ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True))
    r, s = decode_dss_signature(signature)
    made = (int.from_bytes(record.r, "big"), int.from_bytes(record.s, "big"))
    # (r, n - s) verifies as well; it comes from n - k, so its secret number is not a new one.
    held = made in {(r, s), (r, P256.order - s)}
    seen = ""
    if not held:
        k = secret_number(record, key.private_numbers().private_value)
        seen = f"another one: its secret number has {min(k.bit_length(), (P256.order - k).bit_length())} bits"
    Judge(report, subject).judge(
        check.RFC6979, held, expected="the signature that RFC 6979 gives", seen=seen, where=record.where
    )
