"""Key formats: PEM, DER, X.509, COSE_Key, JWK and raw points to key objects.

Bytes in, keys out. Keys come from users' files and from devices alike, so every reader
refuses with `KeyFormatError` and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.verify import cbor
from harness.verify.algorithms import CURVES
from harness.verify.keys import KeyFormatError, PublicKey, RsaKey, SymmetricKey, VerificationKey

__all__ = ["parse_cose_key", "parse_image_key", "parse_jwk", "parse_key", "parse_spki"]

_LIMIT = 65536
_JWK_CURVES = {curve.name: curve for curve in CURVES.values()}


def parse_cose_key(data: bytes) -> VerificationKey:
    """Read one COSE_Key (RFC 9052 s.7): EC2 with both coordinates, or symmetric.

    A private EC2 key is refused: devices must never show one. Key operations, when
    present, must allow ``verify`` (2) or ``MAC verify`` (10).

    Raises:
        KeyFormatError: anything else.
    """
    try:
        value = cbor.decode(data, max_size=_LIMIT).value
    except cbor.CborError as error:
        raise KeyFormatError(f"not a COSE_Key: {error.message} at byte {error.offset}") from None
    if not isinstance(value, dict):
        raise KeyFormatError("a COSE_Key is a map", seen=type(value).__name__)
    kty = value.get(1)
    if kty == 4 and type(kty) is int:
        secret = value.get(-1)
        if not isinstance(secret, bytes):
            raise KeyFormatError("a symmetric COSE_Key has its key (-1) as a byte string")
        return SymmetricKey(secret)
    if kty != 2 or type(kty) is not int:
        raise KeyFormatError("a COSE_Key has kty 2 (EC2) or 4 (symmetric)", seen=repr(kty)[:40])
    if -4 in value:
        raise KeyFormatError("this COSE_Key holds a private key (label -4)", hint="show public keys only")
    curve_id = value.get(-1)
    curve = CURVES.get(curve_id) if type(curve_id) is int else None
    if curve is None:
        raise KeyFormatError("an EC2 COSE_Key has curve 1, 2 or 3 (P-256, P-384, P-521)", seen=repr(curve_id)[:40])
    operations = value.get(4)
    if operations is not None and not (isinstance(operations, list) and 2 in operations):
        raise KeyFormatError("key_ops (4), when present, must allow verify (2)", seen=repr(operations)[:40])
    x, y = value.get(-2), value.get(-3)
    if not isinstance(x, bytes) or not isinstance(y, bytes):
        raise KeyFormatError(
            "an EC2 COSE_Key has x (-2) and y (-3) as byte strings", hint="compressed points are not taken"
        )
    return PublicKey.from_coordinates(curve, x, y)


def parse_spki(data: bytes) -> PublicKey | RsaKey:
    """Read one DER SubjectPublicKeyInfo (RFC 5480, RFC 8017).

    Raises:
        KeyFormatError: not one, or another kind of key.
    """
    try:
        key = serialization.load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFormatError("not a DER SubjectPublicKeyInfo", seen=_first_line(error)) from None
    return _wrap(key)


def parse_jwk(data: bytes | dict[str, Any]) -> VerificationKey:
    """Read one JSON Web Key (RFC 7517, RFC 7518 s.6); the private member ``d`` is ignored.

    Raises:
        KeyFormatError: not one, or of another kind than EC or oct.
    """
    if isinstance(data, bytes):
        try:
            value: object = json.loads(data)
        except (ValueError, RecursionError):
            raise KeyFormatError("not JSON") from None
    else:
        value = data
    if not isinstance(value, dict):
        raise KeyFormatError("a JWK is a JSON object")
    if value.get("kty") == "oct":
        return SymmetricKey(_base64url(value.get("k"), "k"))
    curve = _JWK_CURVES.get(str(value.get("crv")))
    if value.get("kty") != "EC" or curve is None:
        raise KeyFormatError(
            "a JWK is of kty EC on P-256, P-384 or P-521, or oct", seen=f"{value.get('kty')} {value.get('crv')}"[:60]
        )
    return PublicKey.from_coordinates(curve, _base64url(value.get("x"), "x"), _base64url(value.get("y"), "y"))


def _base64url(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        raise KeyFormatError(f"JWK member {name!r} is a base64url text")
    try:
        return base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise KeyFormatError(f"JWK member {name!r} is not base64url") from None


def parse_key(data: bytes) -> VerificationKey:
    """Read a key for evidence, whatever its format.

    PEM (public, private, certificate), DER SubjectPublicKeyInfo, COSE_Key, JWK, or an
    uncompressed point. Of a private key only the public half is used.

    Raises:
        KeyFormatError: none of these, or an RSA key, which no evidence may be signed with.
    """
    key = _parse_any(data)
    if isinstance(key, RsaKey):
        raise KeyFormatError("evidence is verified with an elliptic-curve or HMAC key", seen=str(key))
    return key


def parse_image_key(data: bytes) -> PublicKey | RsaKey:
    """Read a key that signs MCUboot images: EC or RSA, in the formats of `parse_key`.

    Raises:
        KeyFormatError: no such key.
    """
    key = _parse_any(data)
    if isinstance(key, SymmetricKey):
        raise KeyFormatError("images are signed with an EC or RSA key", seen=str(key))
    return key


def _parse_any(data: bytes) -> PublicKey | RsaKey | SymmetricKey:
    if not data or len(data) > _LIMIT:
        raise KeyFormatError("a key file has 1 to 65536 bytes", seen=f"{len(data)} bytes")
    text = data.lstrip()
    if text.startswith(b"-----BEGIN"):
        return _parse_pem(text)
    if text.startswith(b"{"):
        return parse_jwk(data)
    if data[0] == 4 and len(data) in {65, 97, 133}:
        return PublicKey.from_point(data)
    if data[0] == 0x30:
        return parse_spki(data)
    if data[0] >> 5 == 5:
        return parse_cose_key(data)
    raise KeyFormatError(
        "neither PEM, DER, COSE_Key, JWK nor an uncompressed point",
        seen=f"{len(data)} bytes beginning with {data[:8].hex()}",
    )


def _parse_pem(text: bytes) -> PublicKey | RsaKey:
    try:
        if b"CERTIFICATE-----" in text.splitlines()[0]:
            return _wrap(x509.load_pem_x509_certificate(text).public_key())
        if b"PRIVATE KEY" in text.splitlines()[0]:
            return _wrap(serialization.load_pem_private_key(text, password=None).public_key())
        return _wrap(serialization.load_pem_public_key(text))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFormatError("not a readable PEM key", seen=_first_line(error)) from None


def _wrap(key: object) -> PublicKey | RsaKey:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return PublicKey.from_handle(key)
    if isinstance(key, rsa.RSAPublicKey):
        return RsaKey.from_handle(key)
    raise KeyFormatError("keys are elliptic-curve or RSA keys", seen=type(key).__name__)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:120]
