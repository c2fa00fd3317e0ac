"""Key formats: PEM, DER, X.509, COSE_Key, JWK and raw points to key objects.

Bytes in, keys out. Keys come from users' files and from devices alike, so every reader
refuses with `KeyFormatError` and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tfm_harness.verify import cbor
from tfm_harness.verify import der as asn1
from tfm_harness.verify.algorithms import CURVES
from tfm_harness.verify.forms import UnknownFormError, decode
from tfm_harness.verify.keys import (
    Ed25519Key,
    ImageKey,
    KeyFormatError,
    PublicKey,
    RsaKey,
    SymmetricKey,
    VerificationKey,
)

__all__ = [
    "holds_private_key",
    "parse_cose_key",
    "parse_image_key",
    "parse_jwk",
    "parse_key",
    "parse_public_key",
    "parse_spki",
    "pem_blocks",
]

_LIMIT = 65536
_JWK_CURVES = {curve.name: curve for curve in CURVES.values()}
_KEY_ALGORITHMS = {1: {-7, -9}, 2: {-35, -51}, 3: {-36, -52}, None: {5, 6, 7}}
"""The algorithms (RFC 9053, RFC 9864) that a COSE_Key may name, by its curve; None: a symmetric key."""
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_COORDINATES = frozenset(2 * curve.size for curve in CURVES.values())


def pem_blocks(data: bytes, *, limit: int = 16) -> list[tuple[str, bytes]]:
    """Label and text of each PEM block (RFC 7468), at most `limit`; stops at the first block that is cut off."""
    blocks: list[tuple[str, bytes]] = []
    position = 0
    while len(blocks) < limit and (begin := _BEGIN.search(data, position)) is not None:
        last = b"-----END " + begin.group(1) + b"-----"
        end = data.find(last, begin.end())
        if end < 0:
            break
        position = end + len(last)
        blocks.append((begin.group(1).decode(), data[begin.start() : position]))
    return blocks


def parse_cose_key(data: bytes) -> VerificationKey:
    """Read one COSE_Key (RFC 9052 s.7): EC2 with both coordinates, or symmetric.

    A private EC2 key is refused: devices must never show one. Algorithm and key operations, when
    present, must allow verification (2) or MAC verification (10).

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
        _check_use(value, None, 10)
        return SymmetricKey(secret)
    if kty != 2 or type(kty) is not int:
        raise KeyFormatError("a COSE_Key has kty 2 (EC2) or 4 (symmetric)", seen=repr(kty)[:40])
    if -4 in value:
        raise KeyFormatError("this COSE_Key holds a private key (label -4)", hint="show public keys only")
    curve_id = value.get(-1)
    curve = CURVES.get(curve_id) if type(curve_id) is int else None
    if curve is None:
        raise KeyFormatError("an EC2 COSE_Key has curve 1, 2 or 3 (P-256, P-384, P-521)", seen=repr(curve_id)[:40])
    _check_use(value, curve.cose, 2)
    x, y = value.get(-2), value.get(-3)
    if not isinstance(x, bytes) or not isinstance(y, bytes):
        raise KeyFormatError(
            "an EC2 COSE_Key has x (-2) and y (-3) as byte strings", hint="compressed points are not taken"
        )
    return PublicKey.from_coordinates(curve, x, y)


def _check_use(members: dict[int | str | bytes, cbor.CborValue], curve: int | None, operation: int) -> None:
    """Refuse a COSE_Key whose own restrictions (RFC 9052 s.7.1) exclude verification."""
    algorithm, operations = members.get(3), members.get(4)
    if 3 in members and not (type(algorithm) is int and algorithm in _KEY_ALGORITHMS[curve]):
        raise KeyFormatError("alg (3), when present, must be one that evidence is verified with by such a key",
                             seen=repr(algorithm)[:40])  # fmt: skip
    if 4 in members and not (isinstance(operations, list) and operation in operations):
        raise KeyFormatError(f"key_ops (4), when present, must allow {operation}", seen=repr(operations)[:40])


def parse_spki(data: bytes) -> ImageKey:
    """Read one DER SubjectPublicKeyInfo (RFC 5480, RFC 8017).

    Raises:
        KeyFormatError: not one, or another kind of key.
    """
    try:
        key = serialization.load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        said = _first_line(error)
        if said.startswith("Could not deserialize"):  # then its list of possible causes misleads
            said = f"{len(data)} bytes beginning with {data[:8].hex()}"
        raise KeyFormatError("not a DER SubjectPublicKeyInfo, certificate or private key", seen=said) from None
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

    PEM or DER (public key, certificate, private key), COSE_Key, JWK, or an uncompressed point with or without its
    leading 04; binary forms also as hex or base64. Of a private key only the public half is used.

    Raises:
        KeyFormatError: none of these, or an RSA or Ed25519 key, which no evidence may be signed with.
    """
    key = _parse_any(data)
    if isinstance(key, RsaKey | Ed25519Key):
        raise KeyFormatError("evidence is verified with an elliptic-curve or HMAC key", seen=str(key))
    return key


def parse_public_key(data: bytes) -> PublicKey:
    """Read a public key that a device showed: COSE_Key, PEM or DER SubjectPublicKeyInfo, or an uncompressed point.

    Raises:
        KeyFormatError: none of these; a private or symmetric key above all.
    """
    labels = {label for label, _ in pem_blocks(data)}
    if data[:1] == b"\x30":
        key: VerificationKey | ImageKey = parse_spki(data)
    elif labels - {"PUBLIC KEY"}:
        raise KeyFormatError(
            "a device shows its public key and nothing else", seen=f"PEM {', '.join(sorted(labels))}"[:120]
        )
    else:
        key = _parse_any(data)
    if not isinstance(key, PublicKey):
        raise KeyFormatError("a device shows an elliptic-curve public key", seen=str(key))
    return key


def parse_image_key(data: bytes) -> ImageKey:
    """Read a key that signs MCUboot images: EC, RSA or Ed25519, in the formats of `parse_key`.

    Raises:
        KeyFormatError: no such key.
    """
    key = _parse_any(data)
    if isinstance(key, SymmetricKey):
        raise KeyFormatError("images are signed with an EC, RSA or Ed25519 key", seen=str(key))
    return key


def holds_private_key(data: bytes) -> bool:
    """Whether a key file shows a private key: PEM, PKCS#8 or SEC 1 DER, a JWK or COSE_Key with ``d``. Never raises."""
    if any(label.endswith("PRIVATE KEY") for label, _ in pem_blocks(data)):
        return True
    with contextlib.suppress(KeyFormatError, cbor.CborError, ValueError, TypeError, UnsupportedAlgorithm, IndexError):
        data = _from_text(data)
        if data.lstrip().startswith(b"{"):
            members = json.loads(data)
            return isinstance(members, dict) and "d" in members
        if data[0] == 0x30:
            with contextlib.suppress(TypeError):  # the key is encrypted
                serialization.load_der_private_key(data, password=None)
            return True
        if data[0] >> 5 == 5:
            members = cbor.decode(data, max_size=_LIMIT).value
            return isinstance(members, dict) and -4 in members
    return False


def _parse_any(data: bytes) -> ImageKey | SymmetricKey:
    if not data or len(data) > _LIMIT:
        raise KeyFormatError("a key file has 1 to 65536 bytes", seen=f"{len(data)} bytes")
    if b"-----BEGIN" in data:
        return _parse_pem(data)
    data = _from_text(data)
    if data[0] == 4 and len(data) - 1 in _COORDINATES:
        return PublicKey.from_point(data)
    if len(data) in _COORDINATES:
        with contextlib.suppress(KeyFormatError):  # not a point on the curve: another format of the same length
            return PublicKey.from_point(b"\x04" + data)
    if data.lstrip().startswith(b"{"):
        return parse_jwk(data)
    if data[0] == 0x30:
        return _parse_der(data)
    if data[0] >> 5 == 5:
        return parse_cose_key(data)
    raise KeyFormatError(
        "neither PEM, DER, COSE_Key, JWK nor an uncompressed point",
        seen=f"{len(data)} bytes beginning with {data[:8].hex()}",
        hint="an HMAC key is a COSE_Key, a JWK, or given as --mac-key" if len(data) in {16, 32, 48, 64} else None,
    )


def _from_text(data: bytes) -> bytes:
    """The bytes that a text stands for (`tfm_harness.verify.forms`); binary and JSON are returned unchanged.

    Raises:
        KeyFormatError: the text stands for no bytes.
    """
    try:
        return decode(data, what="key", json_is=True).data
    except UnknownFormError as error:
        raise KeyFormatError(f"neither a key nor a text form of one: {error.seen}") from None


def _parse_der(data: bytes) -> ImageKey:
    problems = []
    for load in (x509.load_der_x509_certificate, lambda der: serialization.load_der_private_key(der, password=None)):
        try:
            return _wrap(load(data).public_key())
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            problems.append(error)
    if _looks_like_certificate(data):
        return _certificate_key(data, problems[0])
    return parse_spki(data)


def _looks_like_certificate(data: bytes) -> bool:
    """SEQUENCE { SEQUENCE { [0] version: RFC 5280 s.4.1. No other format of keys begins like this."""
    try:
        parts = asn1.children(asn1.read(data, 0, len(data)))
        return len(parts) == 3 and parts[0].tag == 0x30 and asn1.children(parts[0])[0].tag == 0xA0
    except (asn1.DerError, IndexError):
        return False


def _certificate_key(data: bytes, error: Exception) -> ImageKey:
    """The key in a certificate that a strict library refuses for another reason than its key.

    Certificates with a NULL after an ECDSA signature algorithm (RFC 5758 s.3.2 forbids it) are common. That does not
    matter where only the key is wanted. If the key cannot be read, the error names the certificate's fault.

    Raises:
        KeyFormatError: the certificate holds no key that can be read.
    """
    try:
        body = asn1.children(asn1.children(asn1.read(data, 0, len(data)))[0])
        key = next(part for part in body[5:7] if part.tag == 0x30 and len(asn1.children(part)) == 2
                   and asn1.children(part)[1].tag == 0x03)  # fmt: skip
        return parse_spki(key.encoded)
    except (asn1.DerError, StopIteration, KeyFormatError):
        raise KeyFormatError("a certificate that cannot be read", seen=_first_line(error)) from None


def _parse_pem(data: bytes) -> ImageKey:
    blocks = pem_blocks(data)
    found = [(label, block) for label, block in blocks if label.endswith(("KEY", "CERTIFICATE"))]
    keys = [label for label, _ in found if label.endswith("KEY")]
    if not found or len(keys) > 1:
        labels = ", ".join(label for label, _ in blocks)
        raise KeyFormatError("a PEM file holds one key, or a certificate", seen=labels[:120] or "no complete block")
    label, block = found[0]
    try:
        if label.endswith("CERTIFICATE"):
            return _parse_der(decode(block).data)
        if label.endswith("PRIVATE KEY"):
            return _wrap(serialization.load_pem_private_key(block, password=None).public_key())
        return _wrap(serialization.load_pem_public_key(block))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFormatError("not a readable PEM key", seen=_first_line(error)) from None


def _wrap(key: object) -> ImageKey:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return PublicKey.from_handle(key)
    if isinstance(key, rsa.RSAPublicKey):
        return RsaKey.from_handle(key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Ed25519Key.from_handle(key)
    raise KeyFormatError("keys are elliptic-curve, RSA or Ed25519 keys", seen=type(key).__name__)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:120]
