"""Results and certification requests of the C encoders, signed by and checked with independent implementations."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

HASHER = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint8)
)
SIGNER = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(ctypes.c_uint8), ctypes.POINTER(ctypes.c_uint8))
UUID = "01234567-89ab-8def-8123-456789abcdef"


def _hash(data: ctypes._Pointer[ctypes.c_uint8], length: int, out: ctypes._Pointer[ctypes.c_uint8]) -> int:
    ctypes.memmove(out, hashlib.sha256(ctypes.string_at(data, length)).digest(), 32)
    return 0


hasher = HASHER(_hash)


def signer_of(key: ec.EllipticCurvePrivateKey) -> Any:
    def sign(digest: ctypes._Pointer[ctypes.c_uint8], out: ctypes._Pointer[ctypes.c_uint8]) -> int:
        der = key.sign(ctypes.string_at(digest, 32), ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        r, s = utils.decode_dss_signature(der)
        ctypes.memmove(out, r.to_bytes(32, "big") + s.to_bytes(32, "big"), 64)
        return 0

    return SIGNER(sign)


@pytest.fixture
def encoders(build: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(build / "encoders.so"))


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def make_csr(encoders: ctypes.CDLL, point: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    buf = ctypes.create_string_buffer(512)
    at, length = ctypes.c_void_p(), ctypes.c_size_t()
    status = encoders.csr_make(
        UUID.encode(), point, hasher, signer_of(key), buf, ctypes.c_size_t(512), ctypes.byref(at), ctypes.byref(length)
    )
    assert status == 0
    return ctypes.string_at(at.value or 0, length.value)


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def test_request_is_accepted_by_cryptography(encoders: ctypes.CDLL, key: ec.EllipticCurvePrivateKey) -> None:
    for _ in range(50):  # signatures with and without leading zeros and sign bits
        csr = x509.load_der_x509_csr(make_csr(encoders, point_of(key), key))
        assert csr.is_signature_valid
        assert [a.value for a in csr.subject] == [UUID]
        assert csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == UUID
        assert csr.public_key() == key.public_key()
        assert len(csr.attributes) == 0


def test_request_of_another_key_is_not_valid(encoders: ctypes.CDLL, key: ec.EllipticCurvePrivateKey) -> None:
    csr = x509.load_der_x509_csr(make_csr(encoders, point_of(ec.generate_private_key(ec.SECP256R1())), key))
    assert not csr.is_signature_valid


def test_request_is_accepted_by_openssl(encoders: ctypes.CDLL, key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    file = tmp_path / "request.der"
    file.write_bytes(make_csr(encoders, point_of(key), key))
    done = subprocess.run(
        ["openssl", "req", "-inform", "DER", "-in", file, "-verify", "-noout", "-subject"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "verify OK" in done.stdout + done.stderr
    assert UUID in done.stdout


def make_result(encoders: ctypes.CDLL, key: ec.EllipticCurvePrivateKey, nonce: bytes, output: bytes) -> bytes:
    buf, length = ctypes.create_string_buffer(4096), ctypes.c_size_t()
    status = encoders.encode_result(
        hasher,
        signer_of(key),
        nonce,
        ctypes.c_size_t(len(nonce)),
        output,
        ctypes.c_size_t(len(output)),
        ctypes.c_uint64(77),
        buf,
        ctypes.c_size_t(4096),
        ctypes.byref(length),
    )
    assert status == 0
    return buf.raw[: length.value]


def verify_cose(message: bytes, key: ec.EllipticCurvePublicKey) -> dict[int, object]:
    """RFC 9052, section 4.4, by cbor2 and cryptography."""
    tag = cbor2.loads(message)
    assert tag.tag == 18
    protected, unprotected, payload, signature = tag.value
    assert cbor2.loads(protected) == {1: -7}
    assert unprotected == {}
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
    claims = cbor2.loads(payload)
    assert isinstance(claims, dict)
    return claims


@pytest.mark.parametrize("output", [b"\x01", bytes(range(23)), bytes(300)])
@pytest.mark.parametrize("nonce", [bytes(8), bytes(range(64))])
def test_result_verifies_and_says_what_it_was_given(
    encoders: ctypes.CDLL, key: ec.EllipticCurvePrivateKey, nonce: bytes, output: bytes
) -> None:
    message = make_result(encoders, key, nonce, output)
    assert verify_cose(message, key.public_key()) == {
        10: nonce,
        256: bytes([1]) * 33,
        268: bytes([2]) * 32,
        -70001: bytes([3]) * 32,
        -70002: 1,
        -70003: bytes([4]) * 32,
        -70004: [[output, "int8", [1, len(output)], 0.00390625, -128]],
        -70005: 77,
        -70006: 1 << 33,
        -70007: (1 << 33) + 1000,
        -70008: 32_000_000,
    }


def test_result_with_any_bit_changed_does_not_verify(encoders: ctypes.CDLL, key: ec.EllipticCurvePrivateKey) -> None:
    message = bytearray(make_result(encoders, key, bytes(8), b"\x01\x02\x03"))
    payload_at = len(message) - 66 - 200
    for at in range(payload_at, len(message) - 66):
        message[at] ^= 1
        with pytest.raises((InvalidSignature, AssertionError, cbor2.CBORDecodeError, ValueError)):
            verify_cose(bytes(message), key.public_key())
        message[at] ^= 1
    verify_cose(bytes(message), key.public_key())
