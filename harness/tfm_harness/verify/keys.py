"""Verification keys: parsing, thumbprints, instance ids, published test keys, key rings.

Private keys are never kept: if a file holds one, only its public half is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tfm_harness.errors import ConfigError, ProductError
from tfm_harness.verify import cbor
from tfm_harness.verify.algorithms import CURVES, CURVES_BY_NAME, Algorithm, Curve
from tfm_harness.verify.published import PUBLISHED_POINTS, PUBLISHED_SYMMETRIC

__all__ = [
    "Ed25519Key",
    "ImageKey",
    "InstanceIdScheme",
    "KeyFormatError",
    "KeyRing",
    "PublicKey",
    "RsaKey",
    "SymmetricKey",
    "VerificationKey",
]

InstanceIdScheme: TypeAlias = str
"""``cose-key`` (TF-M 2.2 and newer), ``point`` (TF-M up to 2.1) or ``symmetric``."""


class KeyFormatError(ProductError):
    """The bytes are no usable public key."""

    def __init__(self, message: str, *, seen: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, kind="key-format", seen=seen, hint=hint)


@dataclass(frozen=True)
class PublicKey:
    """An elliptic-curve public key on P-256, P-384 or P-521.

    Attributes:
        curve: the curve.
        x, y: coordinates, big endian, ``curve.size`` bytes each.
        handle: the key as an object of `cryptography`. The constructors below make it; they
            refuse points that are not on the curve.
    """

    curve: Curve
    x: bytes
    y: bytes
    handle: ec.EllipticCurvePublicKey = field(compare=False, repr=False)

    @classmethod
    def from_coordinates(cls, curve: Curve, x: bytes, y: bytes) -> PublicKey:
        """Build from coordinates of `curve.size` bytes each.

        Raises:
            KeyFormatError: a wrong length, or a point that is not on the curve (SP 800-56A s.5.6.2.3.3).
        """
        if len(x) != curve.size or len(y) != curve.size:
            raise KeyFormatError(
                f"coordinates of a {curve.name} key have {curve.size} bytes each", seen=f"{len(x)} and {len(y)} bytes"
            )
        try:
            handle = ec.EllipticCurvePublicKey.from_encoded_point(curve.implementation, b"\x04" + x + y)
        except ValueError:
            raise KeyFormatError(f"the point is not on {curve.name}", seen=f"x={x.hex()} y={y.hex()}") from None
        return cls(curve, x, y, handle)

    @classmethod
    def from_handle(cls, handle: ec.EllipticCurvePublicKey) -> PublicKey:
        """Wrap a key of `cryptography`.

        Raises:
            KeyFormatError: another curve than the three that evidence may use.
        """
        curve = CURVES_BY_NAME.get(handle.curve.name)
        if curve is None:
            raise KeyFormatError("keys are on P-256, P-384 or P-521", seen=handle.curve.name)
        numbers = handle.public_numbers()
        return cls(curve, numbers.x.to_bytes(curve.size, "big"), numbers.y.to_bytes(curve.size, "big"), handle)

    @classmethod
    def from_point(cls, point: bytes) -> PublicKey:
        """Build from an uncompressed point ``04 || X || Y`` (SEC 1 s.2.3.3); the length tells the curve.

        Raises:
            KeyFormatError: no such point.
        """
        for curve in CURVES.values():
            if len(point) == 1 + 2 * curve.size and point[0] == 4:
                return cls.from_coordinates(curve, point[1 : 1 + curve.size], point[1 + curve.size :])
        raise KeyFormatError(
            "an uncompressed point is 04 || X || Y of 65, 97 or 133 bytes",
            seen=f"{len(point)} bytes, {point[:4].hex()}..",
        )

    @property
    def point(self) -> bytes:
        """``04 || X || Y``."""
        return b"\x04" + self.x + self.y

    @cached_property
    def cose_key(self) -> bytes:
        """The COSE_Key with its required members only, deterministically encoded (RFC 9679 s.4)."""
        return cbor.encode({1: 2, -1: self.curve.cose, -2: self.x, -3: self.y})

    @cached_property
    def thumbprint(self) -> bytes:
        """SHA-256 COSE_Key thumbprint, 32 bytes (RFC 9679)."""
        return hashlib.sha256(self.cose_key).digest()

    @cached_property
    def instance_ids(self) -> dict[bytes, InstanceIdScheme]:
        """The 33-byte instance ids of this key, each with the scheme that makes it."""
        return {
            b"\x01" + self.thumbprint: "cose-key",
            b"\x01" + hashlib.sha256(self.point).digest(): "point",
        }

    @property
    def instance_id(self) -> bytes:
        """The instance id of TF-M 2.2 and newer: 0x01 || SHA-256(COSE_Key)."""
        return b"\x01" + self.thumbprint

    @cached_property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo (RFC 5480)."""
        return self.handle.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def pem(self) -> str:
        """PEM SubjectPublicKeyInfo."""
        return self.handle.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    @cached_property
    def published_as(self) -> str | None:
        """Where this key's private half is published, or None. A signature with a published key proves nothing."""
        return PUBLISHED_POINTS.get(hashlib.sha256(self.point).hexdigest())

    def suits(self, algorithm: Algorithm) -> bool:
        """Whether `algorithm` is bound to this key's curve."""
        return algorithm.curve is self.curve

    def __str__(self) -> str:
        return f"{self.curve.name} key {self.thumbprint.hex()[:16]}"


@dataclass(frozen=True)
class SymmetricKey:
    """A shared HMAC key, for COSE_Mac0 tokens. Its bytes are secret and never shown."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a key that is too short to authenticate anything.

        Raises:
            KeyFormatError: fewer than 16 bytes.
        """
        if len(self.secret) < 16:
            raise KeyFormatError("an HMAC key has at least 16 bytes", seen=f"{len(self.secret)} bytes")

    @cached_property
    def thumbprint(self) -> bytes:
        """SHA-256 COSE_Key thumbprint of the symmetric key (RFC 9679 s.4)."""
        return hashlib.sha256(cbor.encode({1: 4, -1: self.secret})).digest()

    @cached_property
    def instance_ids(self) -> dict[bytes, InstanceIdScheme]:
        """0x01 || SHA-256(SHA-256(key)) (PSA Attestation API)."""
        return {b"\x01" + hashlib.sha256(hashlib.sha256(self.secret).digest()).digest(): "symmetric"}

    @cached_property
    def published_as(self) -> str | None:
        """Where this key is published, or None."""
        return PUBLISHED_SYMMETRIC.get(hashlib.sha256(self.secret).hexdigest())

    def suits(self, algorithm: Algorithm) -> bool:
        """Whether `algorithm` is an HMAC."""
        return algorithm.is_mac

    def __str__(self) -> str:
        return f"HMAC key of {len(self.secret)} bytes"


@dataclass(frozen=True)
class RsaKey:
    """An RSA public key: MCUboot images may be signed with one, evidence may not."""

    handle: rsa.RSAPublicKey = field(compare=False, repr=False)
    modulus: int
    exponent: int

    @classmethod
    def from_handle(cls, handle: rsa.RSAPublicKey) -> RsaKey:
        """Wrap a key of `cryptography`."""
        numbers = handle.public_numbers()
        return cls(handle, numbers.n, numbers.e)

    @cached_property
    def pkcs1(self) -> bytes:
        """DER RSAPublicKey (RFC 8017 A.1.1), the form that MCUboot hashes."""
        return self.handle.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)

    @cached_property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self.handle.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def __str__(self) -> str:
        return f"RSA-{self.handle.key_size} key {hashlib.sha256(self.pkcs1).hexdigest()[:16]}"


@dataclass(frozen=True)
class Ed25519Key:
    """An Ed25519 public key (RFC 8032): MCUboot images may be signed with one, evidence may not."""

    handle: ed25519.Ed25519PublicKey = field(compare=False, repr=False)
    raw: bytes

    @classmethod
    def from_handle(cls, handle: ed25519.Ed25519PublicKey) -> Ed25519Key:
        """Wrap a key of `cryptography`."""
        return cls(handle, handle.public_bytes_raw())

    @cached_property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo (RFC 8410)."""
        return self.handle.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def __str__(self) -> str:
        return f"Ed25519 key {hashlib.sha256(self.spki).hexdigest()[:16]}"


ImageKey: TypeAlias = PublicKey | RsaKey | Ed25519Key
"""The kinds of key that may sign an MCUboot image."""

VerificationKey: TypeAlias = PublicKey | SymmetricKey
"""The kinds of key that may verify evidence."""


class KeyRing:
    """The keys that are trusted, found by kid or instance id.

    Never empty: without a key there is no verdict.

    Raises:
        ConfigError: no key at all (kind ``no-key``).
    """

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self._keys = tuple(keys)
        if not self._keys:
            raise ConfigError(
                "no verification key was given, so nothing can be verified",
                kind="no-key",
                hint="name the public key (PEM, DER, JWK or COSE_Key) that is trusted for this board",
            )
        self._by_id: dict[bytes, VerificationKey] = {}
        for key in self._keys:
            self._by_id[key.thumbprint] = key
            for instance_id in key.instance_ids:
                self._by_id[instance_id] = key

    def find(self, identifier: object) -> VerificationKey | None:
        """The key that has `identifier` as its thumbprint or instance id."""
        return self._by_id.get(identifier) if isinstance(identifier, bytes) else None

    def candidates(self, *identifiers: object) -> tuple[VerificationKey, ...]:
        """The keys to try: the first key that an identifier names, else all keys of the ring (RFC 9783 s.5.1.3)."""
        for identifier in identifiers:
            key = self.find(identifier)
            if key is not None:
                return (key,)
        return self._keys

    def __iter__(self) -> Iterator[VerificationKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def as_ring(keys: KeyRing | VerificationKey | Iterable[VerificationKey] | None) -> KeyRing:
    """A ring from a ring, a key or several keys.

    Raises:
        ConfigError: `keys` is None or empty: there is no verdict without a key.
    """
    if isinstance(keys, KeyRing):
        return keys
    if isinstance(keys, PublicKey | SymmetricKey):
        return KeyRing((keys,))
    return KeyRing(keys or ())
