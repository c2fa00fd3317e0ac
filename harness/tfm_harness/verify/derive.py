"""The reference firmware's identity: the keys that a host can derive, and trust, when it knows the HUK.

The rules are those of docs/protocol.md, "Identity": HKDF-SHA256 (RFC 5869) with the salt
``tfm-harness-reference``, private scalars by the rule of PSA Crypto API 1.1
``psa_key_derivation_output_key`` for P-256.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec

from tfm_harness.errors import ConfigError
from tfm_harness.verify.algorithms import P256
from tfm_harness.verify.keys import PublicKey

__all__ = [
    "ReferenceIdentity",
    "boot_seed",
    "derive_reference_keys",
    "reference_private_key",
    "reference_symmetric_key",
]

SALT = b"tfm-harness-reference"
"""The salt from which the reference firmware's keys are derived (docs/protocol.md, Identity)."""
LABELS = {
    "iak": b"tfm-harness/iak/v1",
    "result": b"tfm-harness/result/v1",
    "client": b"tfm-harness/client/v1",
}
SYMMETRIC_LABELS = {
    "result-encryption": b"tfm-harness/result-encryption/v1",
    "storage": b"tfm-harness/storage/v1",
}
UUID_LABEL = b"tfm-harness/uuid/v1"
BOOT_SEED_SALT = b"tfm-harness-boot-seed"
RANDOM_SALT = b"tfm-harness-random"
HUK_SIZE = 32


@dataclass(frozen=True, slots=True)
class ReferenceIdentity:
    """The identity that is derived from one hardware unique key: three public keys and a UUID."""

    iak: PublicKey
    result: PublicKey
    client: PublicKey
    uuid: uuid.UUID

    @property
    def instance_id(self) -> bytes:
        """The PSA instance id, 33 bytes (RFC 9783 s.4.2.1)."""
        return self.iak.instance_id


def _extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def _expand(prk: bytes, info: bytes) -> Iterator[bytes]:
    """Blocks of 32 bytes of HKDF-Expand (RFC 5869 s.2.3), 255 at most."""
    block = b""
    for number in range(1, 256):
        block = hmac.digest(prk, block + info + bytes([number]), "sha256")
        yield block


def _prk(huk: bytes) -> bytes:
    if len(huk) != HUK_SIZE:
        raise ConfigError(
            "a hardware unique key has 32 bytes", kind="huk-size", expected="32 bytes", seen=f"{len(huk)} bytes"
        )
    return _extract(SALT, huk)


def _scalar(prk: bytes, info: bytes) -> int:
    for block in _expand(prk, info):
        candidate = int.from_bytes(block, "big")
        if candidate <= P256.order - 2:
            return candidate + 1
    raise AssertionError("255 draws beyond the order: probability 2^-8160")  # pragma: no cover


@lru_cache(maxsize=16)  # each signature of a virtual board is compared with the one that its key gives
def reference_private_key(huk: bytes, role: str) -> ec.EllipticCurvePrivateKey:
    """The private key of a *virtual* board, whose HUK the harness itself made.

    Args:
        huk: 32 bytes.
        role: ``iak``, ``result`` or ``client``.

    Raises:
        ConfigError: a wrong length.
        KeyError: another role.
    """
    return ec.derive_private_key(_scalar(_prk(huk), LABELS[role]), ec.SECP256R1())


def reference_symmetric_key(huk: bytes, role: str) -> bytes:
    """An AES-128 key (16 bytes) of a *virtual* board: ``result-encryption`` or ``storage``.

    Raises:
        ConfigError: a wrong length.
        KeyError: another role.
    """
    return next(_expand(_prk(huk), SYMMETRIC_LABELS[role]))[:16]


def derive_reference_keys(huk: bytes) -> ReferenceIdentity:
    """The public keys and the UUID of the board with this hardware unique key (32 bytes).

    Raises:
        ConfigError: a wrong length.
    """
    prk = _prk(huk)
    keys = {
        role: PublicKey.from_handle(ec.derive_private_key(_scalar(prk, info), ec.SECP256R1()).public_key())
        for role, info in LABELS.items()
    }
    raw = bytearray(next(_expand(prk, UUID_LABEL))[:16])
    raw[6] = raw[6] & 0x0F | 0x80  # version 8 (RFC 9562 s.5.8)
    raw[8] = raw[8] & 0x3F | 0x80  # variant (RFC 9562 s.4.1)
    return ReferenceIdentity(uuid=uuid.UUID(bytes=bytes(raw)), **keys)


@lru_cache(maxsize=64)  # each judgement asks for the seed of the present boot
def boot_seed(entropy: bytes, boots: int) -> bytes:
    """The boot seed (32 bytes) of boot number `boots`, counted from 0 at the cold boot that had `entropy`."""
    prk = _extract(BOOT_SEED_SALT, entropy)
    return next(_expand(prk, boots.to_bytes(4, "little")))


def random_seed(entropy: bytes, boots: int) -> bytes:
    """The seed of the random generator (32 bytes) in boot number `boots`; unlike the boot seed, it is a secret."""
    return next(_expand(_extract(RANDOM_SALT, entropy), boots.to_bytes(4, "little")))
