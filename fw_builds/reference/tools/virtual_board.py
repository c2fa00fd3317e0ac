"""What a virtual board of the reference firmware finds in its memory: OTP area, entropy area, model slots.

Pure functions; the layouts are those of docs/protocol.md, "Virtual board".
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from cryptography.hazmat.primitives import serialization

OTP_ADDRESS: Final = 0x38000000
ENTROPY_ADDRESS: Final = 0x38001000
NSPE_ADDRESS: Final = 0x01000000
MODEL_SLOT_ADDRESS: Final = 0x38100000
MODEL_SLOT_SIZE: Final = 0x60000

LIFECYCLE_SECURED: Final = 0x3000
LIFECYCLE_ASSEMBLY_AND_TEST: Final = 0x1000


def key_hash(public_pem: bytes) -> bytes:
    """SHA-256 of a PEM public key's DER SubjectPublicKeyInfo (32 bytes), as MCUboot's KEYHASH TLV has it."""
    key = serialization.load_pem_public_key(public_pem)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def make_otp(
    huk: bytes,
    nspe_key: bytes,
    *,
    model_key: bytes | None = None,
    implementation_id: bytes = b"TEST ONLY: reference firmware ID",
    lifecycle: int = LIFECYCLE_SECURED,
    certification_reference: str = "",
    verification_service: str = "",
) -> bytes:
    """The OTP area, layout version 1 (256 bytes).

    Args:
        huk: hardware unique key, 32 bytes.
        nspe_key: SHA-256 of the key that signs the NSPE image, 32 bytes.
        model_key: the same for model images; default: `nspe_key`.
        implementation_id: 32 bytes.
        lifecycle: PSA security lifecycle claim value.
        certification_reference: at most 20 ASCII characters; empty: no such claim.
        verification_service: at most 60 ASCII characters; empty: no such claim.

    Raises:
        ValueError: a field has the wrong size.
    """
    model_key = nspe_key if model_key is None else model_key
    for name, value in (
        ("huk", huk),
        ("nspe_key", nspe_key),
        ("model_key", model_key),
        ("implementation_id", implementation_id),
    ):
        if len(value) != 32:
            raise ValueError(f"{name}: {len(value)} bytes, expected 32")
    reference, service = certification_reference.encode("ascii"), verification_service.encode("ascii")
    if len(reference) > 20 or len(service) > 60:
        raise ValueError("certification_reference has at most 20 characters, verification_service 60")
    body = struct.pack("<IHHII", 0x4F4D4654, 1, 256, lifecycle, 0)
    body += huk + implementation_id + reference.ljust(20, b"\0") + service.ljust(60, b"\0") + nspe_key + model_key
    return body + hashlib.sha256(body).digest()


def make_entropy(entropy: bytes) -> bytes:
    """The entropy area (64 bytes) with 32 bytes of entropy.

    Raises:
        ValueError: `entropy` is not 32 bytes.
    """
    if len(entropy) != 32:
        raise ValueError(f"entropy: {len(entropy)} bytes, expected 32")
    return struct.pack("<II", 0x454D4654, 0) + entropy + bytes(24)
