"""Deterministic ECDSA where the key is known: the RFC's own vector, and every kind of weak secret number."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness.findings import Report
from tfm_harness.verify.algorithms import P256
from tfm_harness.verify.deterministic import check_rfc6979, secret_number, what_time_may_follow
from tfm_harness.verify.signatures import SignatureRecord

from tests.verify.verify_kit import broken, held

SCALAR = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721  # RFC 6979 A.2.5
PRIVATE = ec.derive_private_key(SCALAR, ec.SECP256R1())
SAMPLE = hashlib.sha256(b"sample").digest()
R = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
S = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
K = 0xA6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60


def signed_with(k: int) -> SignatureRecord:
    r = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers().x % P256.order
    s = pow(k, -1, P256.order) * (int.from_bytes(SAMPLE, "big") + r * SCALAR) % P256.order
    return SignatureRecord(b"", r.to_bytes(32, "big"), s.to_bytes(32, "big"), SAMPLE, -7)


def judge(record: SignatureRecord) -> Report:
    report = Report()
    check_rfc6979(record, PRIVATE, report)
    return report


def test_the_vector_of_the_rfc_passes() -> None:
    record = SignatureRecord(b"", bytes.fromhex(R), bytes.fromhex(S), SAMPLE, -7)
    assert held(judge(record)) == {"key.ecdsa-rfc6979"}
    assert secret_number(record, SCALAR) == K
    assert signed_with(K).r == record.r


def test_the_other_form_of_s_passes() -> None:
    record = signed_with(K)
    other = (P256.order - int.from_bytes(record.s, "big")).to_bytes(32, "big")
    assert held(judge(SignatureRecord(b"", record.r, other, SAMPLE, -7)))


@pytest.mark.parametrize("k", [1, K >> 128, K >> 8, K & ~0xFFFF, K + 1, K ^ 1 << 255 >> 1, P256.order - 2])
def test_every_other_secret_number_is_found(k: int) -> None:
    report = judge(signed_with(k))
    assert broken(report) == {"key.ecdsa-rfc6979"}


def test_how_short_the_secret_number_is_is_said() -> None:
    assert any("120 bits" in (f.seen or "") for f in judge(signed_with((1 << 119) + 5)).failed)


def test_what_time_may_follow_is_what_the_secret_number_and_the_digest_are() -> None:
    """Without the private scalar only what everybody can see: the digest."""
    k = (1 << 200) + 0b1011
    digest = int.from_bytes(SAMPLE, "big")
    public = {"digest's one bits": digest.bit_count(), "digest's length": digest.bit_length()}
    assert what_time_may_follow(signed_with(k), None) == public
    assert what_time_may_follow(signed_with(k), SCALAR) == public | {
        "secret number's length": 201,
        "length of n - k": 256,
        "secret number's one bits": 4,
        "one bits of key and digest": (SCALAR & digest).bit_count(),
    }
