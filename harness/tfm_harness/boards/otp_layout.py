"""Layout of a virtual board's OTP and entropy area: the place of each byte."""

from __future__ import annotations

import hashlib
import secrets
import struct
from functools import cache
from typing import Final

__all__ = ["ENTROPY_SIZE", "OTP_SIZE", "default_implementation_id", "make_entropy", "make_otp"]

OTP_SIZE: Final = 256
ENTROPY_SIZE: Final = 64
_OTP: Final = "<4sHHII32s32s20s60s32s32s"  # docs/protocol.md, "OTP area, version 1", without the digest
_ENTROPY: Final = "<4s4x32s24x"


def make_otp(
    *,
    huk: bytes,
    lifecycle: int,
    implementation_id: bytes,
    certification_reference: str | None = None,
    verification_service: str | None = None,
    image_key_hash: bytes = bytes(32),
    model_key_hash: bytes = bytes(32),
) -> bytes:
    """The 256 bytes of a provisioned OTP area.

    Args:
        huk: hardware unique key, 32 bytes.
        lifecycle: PSA security lifecycle claim, 16 bits.
        implementation_id: 32 bytes.
        certification_reference: ASCII, at most 20 characters; the claim is left out when None.
        verification_service: ASCII, at most 60 characters; likewise.
        image_key_hash, model_key_hash: SHA-256 of the DER SubjectPublicKeyInfo of the key that signs the
            non-secure image, and models.

    Raises:
        ValueError: a field has the wrong length or is not ASCII.
    """
    for name, value in (
        ("huk", huk),
        ("implementation_id", implementation_id),
        ("image_key_hash", image_key_hash),
        ("model_key_hash", model_key_hash),
    ):
        if len(value) != 32:
            raise ValueError(f"{name} must have 32 bytes, not {len(value)}")
    reference = (certification_reference or "").encode("ascii")
    service = (verification_service or "").encode("ascii")
    if len(reference) > 20 or len(service) > 60:
        raise ValueError("certification_reference has at most 20, verification_service at most 60 characters")
    if not 0 <= lifecycle <= 0xFFFF:
        raise ValueError(f"lifecycle must fit 16 bits, not 0x{lifecycle:x}")
    body = struct.pack(
        _OTP,
        b"TFMO",
        1,
        OTP_SIZE,
        lifecycle,
        0,
        huk,
        implementation_id,
        reference,
        service,
        image_key_hash,
        model_key_hash,
    )
    return body + hashlib.sha256(body).digest()


def make_entropy(entropy: bytes | None = None) -> bytes:
    """The 64 bytes of an entropy area, with fresh random bytes unless 32 are given."""
    value = secrets.token_bytes(32) if entropy is None else entropy
    if len(value) != 32:
        raise ValueError(f"entropy must have 32 bytes, not {len(value)}")
    return struct.pack(_ENTROPY, b"TFME", value)


@cache
def default_implementation_id(machine: str) -> bytes:
    """The implementation id of virtual boards whose target names none: one id for each machine type."""
    return hashlib.sha256(f"tfm-harness virtual board {machine}".encode()).digest()
