"""MCUboot images made on the host: valid ones, and ones that a device must refuse.

For update tests. Format: MCUboot design document, "Image Format"; ECDSA P-256 over SHA-256, DER.
The private key must be one made for tests; production keys must not be used here.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tfm_harness.errors import ConfigError
from tfm_harness.files import KEY_LIMIT, read_file

__all__ = ["HEADER_FIELDS", "ImageRecipe", "image_key_hash", "load_signing_key", "make_image"]

_MAGIC = 0x96F3B83D
_TLV_MAGIC, _PROTECTED_MAGIC = 0x6907, 0x6908
_KEYHASH, _SHA256, _ECDSA, _SEC_CNT, _NAME = 0x01, 0x10, 0x22, 0x50, 0x00A0

HEADER_FIELDS = ("magic", "load_address", "header_size", "protected_size", "image_size", "flags")
"""The header's fields in order, except the version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """What to put into an image.

    Attributes:
        payload: the payload's bytes.
        name: the model's name (protected TLV 0x00A0 of docs/protocol.md).
        counter: security counter (protected TLV 0x50); None omits it.
        version: major, minor, revision.
        key: signs the image; None omits the signature.
        named_key: the key whose hash is in KEYHASH (default: `key`).
        hash_of: bytes whose SHA-256 is in the hash TLV instead of the image's own.
        header_size: bytes from the header's beginning to the payload, at least 32.
        header: fields of the header with other values (`HEADER_FIELDS`); the signature covers these values.
        protected, unprotected: further TLVs, (type, value), after the usual ones of their area.
        protected_tail: bytes at the end of the protected area that are not a whole TLV.
        signature: bytes instead of the signature by `key`; empty bytes give an empty TLV.
        with_hash: whether there is a hash TLV.
    """

    payload: bytes
    name: str
    counter: int | None = 1
    version: tuple[int, int, int] = (1, 0, 0)
    key: ec.EllipticCurvePrivateKey | None = None
    named_key: ec.EllipticCurvePublicKey | None = None
    hash_of: bytes | None = None
    header_size: int = 0x400
    header: Mapping[str, int] = field(default_factory=dict)
    protected: tuple[tuple[int, bytes], ...] = ()
    unprotected: tuple[tuple[int, bytes], ...] = ()
    protected_tail: bytes = b""
    signature: bytes | None = None
    with_hash: bool = True

    def but(self, **changes: object) -> ImageRecipe:
        """The same recipe with changes."""
        return replace(self, **changes)  # type: ignore[arg-type] # names are checked by replace


def image_key_hash(key: ec.EllipticCurvePublicKey) -> bytes:
    """The hash by which an image names its signing key: SHA-256 of the DER SubjectPublicKeyInfo (MCUboot, KEYHASH)."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def make_image(recipe: ImageRecipe) -> bytes:
    """The image file's bytes."""
    protected = b"" if recipe.counter is None else _tlv(_SEC_CNT, recipe.counter.to_bytes(4, "little"))
    protected += _tlv(_NAME, recipe.name.encode("ascii")) if recipe.name else b""
    protected += b"".join(_tlv(kind, value) for kind, value in recipe.protected) + recipe.protected_tail
    area = struct.pack("<HH", _PROTECTED_MAGIC, len(protected) + 4) + protected
    said = dict(zip(HEADER_FIELDS, (_MAGIC, 0, recipe.header_size, len(area), len(recipe.payload), 0), strict=True))
    said |= recipe.header
    header = struct.pack("<IIHHIIBBHII", *(said[name] for name in HEADER_FIELDS), *recipe.version, 0, 0)
    hashed = header.ljust(recipe.header_size, b"\0") + recipe.payload + area
    digest = hashlib.sha256(hashed if recipe.hash_of is None else recipe.hash_of).digest()
    tlvs = _tlv(_SHA256, digest) if recipe.with_hash else b""
    named = recipe.named_key or (recipe.key.public_key() if recipe.key else None)
    if named is not None:
        tlvs += _tlv(_KEYHASH, image_key_hash(named))
    if recipe.signature is not None:
        tlvs += _tlv(_ECDSA, recipe.signature)
    elif recipe.key is not None:
        tlvs += _tlv(_ECDSA, recipe.key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    tlvs += b"".join(_tlv(kind, value) for kind, value in recipe.unprotected)
    return hashed + struct.pack("<HH", _TLV_MAGIC, len(tlvs) + 4) + tlvs


def load_signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A P-256 private key for tests, PEM.

    Raises:
        ConfigError: there is no such key, or its name does not say that it is for tests.
    """
    if "TEST_ONLY" not in path.name:
        raise ConfigError(
            "only keys made for tests may be given to the harness",
            kind="signing-key",
            expected="TEST_ONLY in the file's name",
            seen=path.name,
            where=str(path),
        )
    try:
        key = serialization.load_pem_private_key(read_file(path, KEY_LIMIT), password=None)
    except ValueError as error:
        raise ConfigError("not a private key", kind="signing-key", seen=str(error), where=str(path)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError("not an EC private key", kind="signing-key", where=str(path))
    return key


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value
