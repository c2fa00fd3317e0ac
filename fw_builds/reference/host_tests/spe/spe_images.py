"""MCUboot images for tests, by imgtool."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path

import sign_image
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.derive_private_key(0x7E57, ec.SECP256R1())  # test only
OTHER_KEY = ec.derive_private_key(0x07E4, ec.SECP256R1())  # test only


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """0x04 || x || y."""
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def spki_hash(key: ec.EllipticCurvePrivateKey) -> bytes:
    """SHA-256 of the DER SubjectPublicKeyInfo."""
    return hashlib.sha256(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).digest()


def key_file(folder: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """The point and hash of a key, as the C test programs read them."""
    path = folder / "key.bin"
    path.write_bytes(public_point(key) + spki_hash(key))
    return path


def image(
    *, payload: bytes, key: ec.EllipticCurvePrivateKey | None, name: str = "", counter: int = 1, version: str = "1.0.0"
) -> bytes:
    """A signed image, or one with a hash alone when `key` is None."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "payload.bin").write_bytes(payload)
        if key is not None:
            (scratch / "key.pem").write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        sign_image.sign(
            argparse.Namespace(
                input=scratch / "payload.bin",
                output=scratch / "image.bin",
                key=scratch / "key.pem",
                unsigned=key is None,
                version=version,
                security_counter=counter,
                model_name=name,
                slot_size=0x60000,
            )
        )
        return (scratch / "image.bin").read_bytes()
