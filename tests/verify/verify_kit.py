"""Makes evidence for tests: right by default, wrong where a test says so."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tfm_harness.findings import Report, Status
from tfm_harness.verify import cbor
from tfm_harness.verify.algorithms import ALGORITHMS
from tfm_harness.verify.keys import PublicKey

SHARED = Path(__file__).resolve().parents[3] / "shared"
VECTORS = SHARED / "vectors"
RECORDINGS = SHARED / "recordings"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the vector collection ../shared/vectors is absent")
needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings ../shared/recordings are absent")

# Keys made for tests alone.
TEST_ONLY_P256 = ec.derive_private_key(0x1F5E_D0A1_0001, ec.SECP256R1())
TEST_ONLY_OTHER_P256 = ec.derive_private_key(0x1F5E_D0A1_0002, ec.SECP256R1())
TEST_ONLY_P384 = ec.derive_private_key(0x1F5E_D0A1_0003, ec.SECP384R1())
TEST_ONLY_P521 = ec.derive_private_key(0x1F5E_D0A1_0004, ec.SECP521R1())
TEST_ONLY_HMAC = hashlib.sha256(b"test only hmac key").digest()

KEY = PublicKey.from_handle(TEST_ONLY_P256.public_key())
OTHER_KEY = PublicKey.from_handle(TEST_ONLY_OTHER_P256.public_key())
CHALLENGE = bytes(range(0x40, 0x60))


@dataclass(frozen=True)
class Raw:
    """Bytes that go into the encoding as they are."""

    data: bytes


@dataclass(frozen=True)
class Pairs:
    """A map by its pairs, in this order, duplicates and all."""

    items: tuple[tuple[object, object], ...]


@dataclass(frozen=True)
class Tagged:
    """A tagged value."""

    tag: int
    value: object


def enc(value: object) -> bytes:
    """CBOR for tests: insertion order, floats, tags, duplicates and raw bytes."""
    if isinstance(value, Raw):
        return value.data
    if isinstance(value, Tagged):
        return cbor.head(6, value.tag) + enc(value.value)
    if isinstance(value, float):
        return b"\xfa" + struct.pack(">f", value)
    if isinstance(value, Pairs):
        return cbor.head(5, len(value.items)) + b"".join(enc(k) + enc(v) for k, v in value.items)
    if isinstance(value, Mapping):
        return enc(Pairs(tuple(value.items())))
    if isinstance(value, list | tuple):
        return cbor.head(4, len(value)) + b"".join(map(enc, value))
    return cbor.encode(value)


def signature_for(protected: bytes, payload: bytes, key: ec.EllipticCurvePrivateKey | bytes, alg: int) -> bytes:
    """A raw signature or a MAC tag over the message."""
    algorithm = ALGORITHMS[alg]
    if isinstance(key, bytes):
        return hmac.digest(key, enc(["MAC0", protected, b"", payload]), algorithm.hash.name)
    der = key.sign(enc(["Signature1", protected, b"", payload]), ec.ECDSA(algorithm.hash))
    size = (key.curve.key_size + 7) // 8
    return b"".join(part.to_bytes(size, "big") for part in decode_dss_signature(der))


def message(
    payload: bytes,
    *,
    key: ec.EllipticCurvePrivateKey | bytes = TEST_ONLY_P256,
    alg: int = -7,
    protected: object = None,
    unprotected: object = None,
    tag: int | None = None,
    signature: bytes | None = None,
) -> bytes:
    """A signed (or MACed) message; every part may be replaced, and what is signed follows."""
    header = {1: alg} if protected is None else protected
    raw = header.data if isinstance(header, Raw) else enc(header)
    sig = signature_for(raw, payload, key, alg) if signature is None else signature
    number = tag if tag is not None else (17 if isinstance(key, bytes) else 18)
    body = [raw, Raw(enc(unprotected if unprotected is not None else {})), payload, sig]
    return enc(Tagged(number, body))


COMPONENTS: tuple[dict[object, object], ...] = (
    {1: "SPE", 2: hashlib.sha256(b"spe").digest(), 4: "2.1.4", 5: hashlib.sha256(b"spe key").digest(), 6: "SHA256"},
    {1: "NSPE", 2: hashlib.sha256(b"nspe").digest(), 4: "1.0.0", 5: hashlib.sha256(b"ns key").digest(), 6: "SHA256"},
)
IMPLEMENTATION_ID = hashlib.sha256(b"implementation").digest()
BOOT_SEED = hashlib.sha256(b"boot seed").digest()


def rfc_claims(key: PublicKey = KEY, challenge: bytes = CHALLENGE) -> dict[object, object]:
    """A right RFC 9783 claims set."""
    return {
        10: challenge, 268: BOOT_SEED, 256: key.instance_id, 2396: IMPLEMENTATION_ID, 2394: -1, 2395: 0x3000,
        2399: [dict(c) for c in COMPONENTS], 265: "tag:psacertified.org,2023:psa#tfm",
        2400: "https://verifier.example", 2398: "1234567890123-12345",
    }  # fmt: skip


def legacy_claims(key: PublicKey = KEY, challenge: bytes = CHALLENGE) -> dict[object, object]:
    """A right http://arm.com/psa/2.0.0 claims set."""
    claims = rfc_claims(key, challenge)
    return {(2397 if label == 268 else label): v for label, v in claims.items()} | {265: "http://arm.com/psa/2.0.0"}


def p1_claims(key: PublicKey = KEY, challenge: bytes = CHALLENGE) -> dict[object, object]:
    """A right PSA_IOT_PROFILE_1 claims set."""
    return {
        -75008: challenge, -75004: BOOT_SEED, -75009: b"\x01" + hashlib.sha256(key.point).digest(),
        -75003: IMPLEMENTATION_ID, -75001: -1, -75002: 0x3000, -75006: [dict(c) for c in COMPONENTS],
        -75000: "PSA_IOT_PROFILE_1", -75010: "https://verifier.example", -75005: "1234567890123-12345",
    }  # fmt: skip


def cca_claims(key: PublicKey = KEY, challenge: bytes = CHALLENGE) -> dict[object, object]:
    """A right Arm CCA platform claims set."""
    return {
        265: "http://arm.com/CCA-SSD/1.0.0", 10: challenge, 2396: IMPLEMENTATION_ID, 256: key.instance_id,
        2401: b"\xcf\xcf", 2395: 0x3003, 2402: "sha-256", 2399: [dict(c) for c in COMPONENTS],
        2400: "https://veraison.example",
    }  # fmt: skip


def broken(report: Report) -> set[str]:
    """Ids of the checks that fail the run."""
    return {finding.id for finding in report.failed}


def not_held(report: Report) -> set[str]:
    """Ids of the checks that did not hold, whatever the policy makes of them."""
    return {finding.id for finding in report.findings if not finding.passed}


def held(report: Report) -> set[str]:
    """Ids of the checks that held."""
    return {finding.id for finding in report.findings if finding.passed}


def statuses(report: Report, ids: Iterable[str]) -> set[Status]:
    """Statuses of the findings with these ids."""
    wanted = set(ids)
    return {report.status(finding) for finding in report.findings if finding.id in wanted}


def sha256_of(data: bytes) -> bytes:
    """SHA-256."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()
