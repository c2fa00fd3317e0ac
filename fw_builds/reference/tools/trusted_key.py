"""Print the C header with the image signing key that is built into the SPE."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def c_bytes(data: bytes) -> str:
    """Bytes as a C initialiser."""
    return "{" + ", ".join(f"0x{byte:02x}" for byte in data) + "}"


def main() -> None:
    """Command line: one PEM public key."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: trusted_key.py PUBLIC_KEY.pem")
    path = Path(sys.argv[1])
    key = serialization.load_pem_public_key(path.read_bytes())
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SystemExit(f"trusted_key: {path}: not a P-256 public key")
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    print("/* Made by tools/trusted_key.py. */")
    print(f"#define TRUSTED_KEY_POINT {c_bytes(point)}")
    print(f"#define TRUSTED_KEY_HASH {c_bytes(hashlib.sha256(spki).digest())}")


if __name__ == "__main__":
    main()
