"""What a host that knows a board's HUK expects of it: docs/protocol.md, "Identity", derived with `cryptography`."""
# ruff: noqa: S101 - its asserts are checks of what a device said

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["Identity", "verify_sign1", "window_digest"]

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SALT = b"tfm-harness-reference"


def _expand(huk: bytes, label: str, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, _SALT, label.encode()).derive(huk)


def _private_key(huk: bytes, label: str) -> ec.EllipticCurvePrivateKey:
    """PSA Crypto API 1.1, psa_key_derivation_output_key: draw until the number is at most n - 2, add 1."""
    drawn = _expand(huk, label, 32 * 8)
    for at in range(0, len(drawn), 32):
        number = int.from_bytes(drawn[at : at + 32], "big")
        if number <= _P256_ORDER - 2:
            return ec.derive_private_key(number + 1, ec.SECP256R1())
    raise AssertionError("eight draws above the group's order")


def cose_key(key: ec.EllipticCurvePublicKey) -> bytes:
    """COSE_Key {1: 2, -1: 1, -2: x, -3: y}."""
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return cbor2.dumps({1: 2, -1: 1, -2: point[1:33], -3: point[33:]})


@dataclass(frozen=True)
class Identity:
    """Public keys and names of the board that holds `huk` (32 bytes)."""

    huk: bytes

    def key(self, number: int) -> ec.EllipticCurvePublicKey:
        """1 initial attestation, 2 result signing, 3 client."""
        label = {1: "iak", 2: "result", 3: "client"}[number]
        return _private_key(self.huk, f"tfm-harness/{label}/v1").public_key()

    @property
    def instance_id(self) -> bytes:
        """33 bytes."""
        return b"\x01" + hashlib.sha256(cose_key(self.key(1))).digest()

    @property
    def uuid(self) -> str:
        """As text."""
        drawn = bytearray(_expand(self.huk, "tfm-harness/uuid/v1", 16))
        drawn[6] = drawn[6] & 0x0F | 0x80
        drawn[8] = drawn[8] & 0x3F | 0x80
        return str(uuid.UUID(bytes=bytes(drawn)))


def verify_sign1(message: bytes, key: ec.EllipticCurvePublicKey) -> dict[int, Any]:
    """The claims of a COSE_Sign1 with ES256 (RFC 9052, section 4.4).

    Raises:
        InvalidSignature: it does not verify with `key`.
        AssertionError: it is not of this form.
    """
    tag = cbor2.loads(message)
    assert tag.tag == 18, tag
    protected, _, payload, signature = tag.value
    assert cbor2.loads(protected) == {1: -7}, protected.hex()
    assert len(signature) == 64
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    claims = cbor2.loads(payload)
    assert isinstance(claims, dict)
    return claims


def window_digest(samples: list[tuple[int, int, int, int]]) -> bytes:
    """SHA-256 of a window's records: x, y, z, temperature, each int16 little endian, oldest first."""
    assert len(samples) == 32
    raw = b"".join(value.to_bytes(2, "little", signed=True) for sample in samples for value in sample)
    return hashlib.sha256(raw).digest()
