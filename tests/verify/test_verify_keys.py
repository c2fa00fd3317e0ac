"""Key formats, thumbprints, instance ids, published keys, derivation, relations."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import ssl
import uuid
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Report
from tfm_harness.verify import cbor, der
from tfm_harness.verify.algorithms import P256
from tfm_harness.verify.derive import boot_seed, derive_reference_keys, reference_private_key
from tfm_harness.verify.key_relations import KeyObservation, check_device_key, check_key_relations
from tfm_harness.verify.keyfiles import (
    holds_private_key,
    parse_cose_key,
    parse_image_key,
    parse_key,
    parse_public_key,
    parse_spki,
)
from tfm_harness.verify.keys import KeyFormatError, KeyRing, PublicKey, RsaKey, SymmetricKey
from tfm_harness.verify.published import PUBLISHED_P256

from tests.verify.verify_kit import KEY, OTHER_KEY, TEST_ONLY_P256, TEST_ONLY_P384, TEST_ONLY_P521, broken, held

PRIVATE_KEYS = (TEST_ONLY_P256, TEST_ONLY_P384, TEST_ONLY_P521)


def certificate(private: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, begin, begin + dt.timedelta(days=9))
    return builder.sign(private, SHA256())


def forms(private: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    public = private.public_key()
    key = PublicKey.from_handle(public)
    info, pem, der = (
        serialization.PublicFormat.SubjectPublicKeyInfo,
        serialization.Encoding.PEM,
        serialization.Encoding.DER,
    )

    def url(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    jwk = {"kty": "EC", "crv": key.curve.name, "x": url(key.x), "y": url(key.y)}
    algorithm = {"P-256": -7, "P-384": -51, "P-521": -36}[key.curve.name]
    pkcs8, sec1, plain = (
        serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )  # fmt: skip
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    return {
        "PEM after other text": b"\xef\xbb\xbfread EC key\n" + public.public_bytes(pem, info),
        "parameters first": parameters + private.private_bytes(pem, sec1, plain),
        "private DER": private.private_bytes(der, pkcs8, plain),
        "private SEC 1 DER": private.private_bytes(der, sec1, plain),
        "certificate": certificate(private).public_bytes(pem),
        "certificate DER": certificate(private).public_bytes(der),
        "coordinates": key.x + key.y,
        "point in hex": key.point.hex().upper().encode() + b"\n",
        "coordinates in hex": (key.x + key.y).hex().encode(),
        "point in base64": base64.encodebytes(key.point),
        "DER in base64": base64.b64encode(public.public_bytes(der, info)),
        "COSE_Key in hex": key.cose_key.hex().encode(),
        "COSE_Key with its algorithm": cbor.encode({1: 2, 3: algorithm, -1: key.curve.cose, -2: key.x, -3: key.y}),
        "PEM": public.public_bytes(pem, info),
        "PEM with CRLF and blanks": b"\r\n" + public.public_bytes(pem, info).replace(b"\n", b"\r\n"),
        "DER": public.public_bytes(der, info),
        "point": key.point,
        "COSE_Key": key.cose_key,
        "COSE_Key with more": cbor.encode({1: 2, -1: key.curve.cose, -2: key.x, -3: key.y, 2: b"kid", 4: [2]}),
        "JWK": json.dumps(jwk).encode(),
        "private PEM": private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        "private SEC 1": private.private_bytes(
            pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    }


@pytest.mark.parametrize("private", PRIVATE_KEYS, ids=lambda k: k.curve.name)
def test_every_form_gives_the_same_key(private: ec.EllipticCurvePrivateKey) -> None:
    wanted = PublicKey.from_handle(private.public_key())
    for name, data in forms(private).items():
        assert parse_key(data) == wanted, name
        assert parse_key(data).thumbprint == wanted.thumbprint, name
    assert parse_spki(wanted.spki) == wanted
    assert "BEGIN PUBLIC KEY" in wanted.pem


OFF_CURVE = KEY.x, KEY.y[:-1] + bytes([KEY.y[-1] ^ 1])
BAD = {
    "empty": b"",
    "text": b"hello",
    "huge": bytes(70_000),
    "PEM of nothing": b"-----BEGIN PUBLIC KEY-----\n",
    "PEM of garbage": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "DER cut": KEY.spki[:-1],
    "DER trailing": KEY.spki + b"\x00",
    "off curve COSE": cbor.encode({1: 2, -1: 1, -2: OFF_CURVE[0], -3: OFF_CURVE[1]}),
    "off curve point": b"\x04" + OFF_CURVE[0] + OFF_CURVE[1],
    "infinity": b"\x04" + bytes(64),
    "short x": cbor.encode({1: 2, -1: 1, -2: KEY.x[1:], -3: KEY.y}),
    "compressed": cbor.encode({1: 2, -1: 1, -2: KEY.x, -3: True}),
    "curve true": cbor.encode({1: 2, -1: True, -2: KEY.x, -3: KEY.y}),
    "Ed25519 COSE": cbor.encode({1: 1, -1: 6, -2: bytes(32)}),
    "wrong curve": cbor.encode({1: 2, -1: 2, -2: KEY.x, -3: KEY.y}),
    "private COSE": cbor.encode({1: 2, -1: 1, -2: KEY.x, -3: KEY.y, -4: bytes(32)}),
    "sign only": cbor.encode({1: 2, -1: 1, -2: KEY.x, -3: KEY.y, 4: [1]}),
    "COSE trailing": KEY.cose_key + b"\x00",
    "COSE duplicate": b"\xa5" + KEY.cose_key[1:] + b"\x01\x02",
    "kty text": cbor.encode({1: "EC2"}),
    "JWK of RSA": b'{"kty": "RSA"}',
    "JWK cut": b'{"kty": "EC"',
    "JWK deep": b'{"a":' + b"[" * 9000,
    "JWK bad base64": b'{"kty":"EC","crv":"P-256","x":"*","y":"*"}',
    "JWK number": b'{"kty":"EC","crv":"P-256","x":1}',
    "short HMAC": cbor.encode({1: 4, -1: bytes(15)}),
    "HMAC text": cbor.encode({1: 4, -1: "x" * 32}),
    "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    "secp256k1": ec.derive_private_key(5, ec.SECP256K1())
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_keys_are_refused(name: str) -> None:
    with pytest.raises(KeyFormatError):
        parse_key(BAD[name])
    report = Report()
    assert check_device_key(BAD[name], report=report) is None
    assert broken(report) == {"key.valid"}


# What a device must not show, though a user's file may hold it.
SECRETS = ["private PEM", "private SEC 1", "private DER", "private SEC 1 DER", "parameters first", "certificate DER"]


@pytest.mark.parametrize("name", SECRETS)
def test_a_device_that_shows_its_private_key_is_found(name: str) -> None:
    data = forms(TEST_ONLY_P256)[name]
    assert parse_key(data) == KEY
    with pytest.raises(KeyFormatError):
        parse_public_key(data)
    report = Report()
    assert check_device_key(data, expected=KEY, report=report) is None
    assert broken(report) == {"key.valid"}


def test_a_device_may_show_its_public_key_in_any_form() -> None:
    for name in ("PEM", "DER", "point", "COSE_Key"):
        assert parse_public_key(forms(TEST_ONLY_P256)[name]) == KEY


@pytest.mark.parametrize("more", [{3: -35}, {3: 5}, {3: -25}, {3: None}, {3: "ES256"}, {4: [1]}, {4: 2}, {4: None}])
def test_a_cose_key_that_is_for_something_else_is_refused(more: dict[int, object]) -> None:
    with pytest.raises(KeyFormatError, match=r"alg \(3\)|key_ops \(4\)"):
        parse_cose_key(cbor.encode({1: 2, -1: 1, -2: KEY.x, -3: KEY.y, **more}))
    with pytest.raises(KeyFormatError, match=r"alg \(3\)|key_ops \(4\)"):
        parse_cose_key(cbor.encode({1: 4, -1: bytes(range(32)), **{k: -7 if v == 5 else v for k, v in more.items()}}))


def test_two_keys_in_one_file_are_no_key() -> None:
    with pytest.raises(KeyFormatError) as caught:
        parse_key(KEY.pem.encode() + OTHER_KEY.pem.encode())
    assert caught.value.seen == "PUBLIC KEY, PUBLIC KEY"


def test_raw_bytes_of_a_secret_are_told_where_they_go() -> None:
    with pytest.raises(KeyFormatError) as caught:
        parse_key(bytes(range(32)))
    assert "--mac-key" in (caught.value.hint or "")


def test_rsa_signs_images_and_no_evidence() -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert isinstance(parse_image_key(pem), RsaKey)
    with pytest.raises(KeyFormatError):
        parse_key(pem)
    with pytest.raises(KeyFormatError):
        parse_image_key(cbor.encode({1: 4, -1: bytes(32)}))


def test_instance_ids_by_scheme() -> None:
    assert KEY.instance_ids == {
        b"\x01" + hashlib.sha256(KEY.point).digest(): "point",
        b"\x01" + hashlib.sha256(KEY.cose_key).digest(): "cose-key",
    }
    assert KEY.published_as is None
    key = SymmetricKey(bytes(range(32)))
    twice = hashlib.sha256(hashlib.sha256(bytes(range(32))).digest()).digest()
    assert key.instance_ids == {b"\x01" + twice: "symmetric"}
    assert bytes(range(32)).hex() not in repr(key) + str(key)


def test_published_test_keys_are_known() -> None:
    # RFC 6979 A.2.5 and the key with scalar 1.
    for scalar in (0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, 1):
        key = PublicKey.from_handle(ec.derive_private_key(scalar, ec.SECP256R1()).public_key())
        assert key.published_as
        report = Report()
        check_device_key(key.cose_key, report=report)
        assert broken(report) == {"key.dummy"}


def test_the_thumbprint_is_that_of_rfc_9679() -> None:
    # RFC 9679 s.6: the example key and its SHA-256 thumbprint.
    x = bytes.fromhex("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d")
    y = bytes.fromhex("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c")
    key = PublicKey.from_coordinates(P256, x, y)
    assert key.thumbprint.hex() == "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"


def test_a_ring_is_never_empty_and_finds_by_identity() -> None:
    with pytest.raises(ConfigError) as caught:
        KeyRing([])
    assert caught.value.kind == "no-key"
    ring = KeyRing([KEY, OTHER_KEY])
    assert ring.candidates(KEY.instance_id) == (KEY,)
    assert ring.candidates(None, OTHER_KEY.thumbprint) == (OTHER_KEY,)
    assert ring.candidates(b"unknown") == (KEY, OTHER_KEY)
    assert ring.find(5) is None
    assert len(list(ring)) == len(ring) == 2


TEST_ONLY_HUK = bytes(range(32))


def test_the_reference_identity_follows_the_published_rule() -> None:
    """The same derivation, written with another library's HKDF."""
    import hmac

    identity = derive_reference_keys(TEST_ONLY_HUK)
    prk = hmac.digest(b"tfm-harness-reference", TEST_ONLY_HUK, "sha256")
    for role in ("iak", "result", "client"):
        stream = HKDFExpand(SHA256(), 96, f"tfm-harness/{role}/v1".encode()).derive(prk)
        k = next(v for v in (int.from_bytes(stream[i : i + 32], "big") for i in (0, 32, 64)) if v <= P256.order - 2)
        private = ec.derive_private_key(k + 1, ec.SECP256R1())
        assert getattr(identity, role) == PublicKey.from_handle(private.public_key())
        assert reference_private_key(TEST_ONLY_HUK, role).private_numbers() == private.private_numbers()
    assert identity.uuid.version == 8
    assert identity.uuid.variant == uuid.RFC_4122
    assert identity.instance_id == identity.iak.instance_id
    derived = HKDF(SHA256(), 32, b"tfm-harness-boot-seed", (3).to_bytes(4, "little")).derive(b"entropy" * 4)
    assert boot_seed(b"entropy" * 4, 3) == derived
    with pytest.raises(ConfigError):
        derive_reference_keys(bytes(31))


@given(st.binary(min_size=32, max_size=32))
def test_different_roots_give_different_identities(huk: bytes) -> None:
    if huk != TEST_ONLY_HUK:
        one, two = derive_reference_keys(huk), derive_reference_keys(TEST_ONLY_HUK)
        keys = {k.thumbprint for i in (one, two) for k in (i.iak, i.result, i.client)}
        assert len(keys) == 6
        assert one.uuid != two.uuid


def seen(*rows: tuple[PublicKey, str, str, int]) -> list[KeyObservation]:
    return [KeyObservation(key=k, role=r, board=b, boot=n) for k, r, b, n in rows]


def test_key_relations() -> None:
    third = PublicKey.from_handle(TEST_ONLY_P384.public_key())
    fourth = PublicKey.from_handle(TEST_ONLY_P521.public_key())
    report = Report()
    good = seen(
        (KEY, "iak", "a", 0),
        (KEY, "iak", "a", 1),
        (OTHER_KEY, "result", "a", 0),
        (third, "iak", "b", 0),
        (fourth, "result", "b", 0),
    )
    check_key_relations(good, report)
    assert report.ok
    assert held(report) == {"key.stable", "key.boards-differ", "key.roles-differ"}
    for rows, expected in (
        (seen((KEY, "iak", "a", 0), (OTHER_KEY, "iak", "a", 1)), "key.stable"),
        (seen((KEY, "iak", "a", 0), (KEY, "result", "a", 0)), "key.roles-differ"),
        (seen((KEY, "iak", "a", 0), (KEY, "client", "b", 0)), "key.boards-differ"),
    ):
        report = Report()
        check_key_relations(rows, report)
        assert broken(report) == {expected}


def test_an_expected_device_key() -> None:
    report = Report()
    assert check_device_key(KEY.cose_key, expected=KEY, report=report) == KEY
    assert report.ok
    report = Report()
    check_device_key(KEY.cose_key, expected=OTHER_KEY, report=report)
    assert broken(report) == {"key.expected"}
    report = Report()
    assert check_device_key(cbor.encode({1: 4, -1: bytes(32)}), report=report) is None
    assert broken(report) == {"key.valid"}


@given(st.binary(max_size=200))
def test_any_bytes_give_a_key_or_our_own_error(data: bytes) -> None:
    for parse in (parse_key, parse_image_key, parse_cose_key, parse_spki):
        try:
            assert parse(data) is not None
        except KeyFormatError as error:
            assert error.message  # noqa: PT017 -- either outcome is right


def test_published_scalars_and_points_are_those_of_the_same_keys() -> None:
    for name, scalar in PUBLISHED_P256.items():
        key = PublicKey.from_handle(ec.derive_private_key(scalar, ec.SECP256R1()).public_key())
        assert key.published_as == name


def test_a_certificate_with_a_null_behind_its_signature_algorithm_gives_its_key() -> None:
    """RFC 5758 s.3.2 forbids it, OpenSSL reads over it, and the key has nothing to do with it."""
    path = Path(__file__).resolve().parents[3] / "shared" / "inputs" / "cert-null-parameters.der"
    if not path.is_file():
        pytest.skip("inputs/cert-null-parameters.der is not present beside the checkout")
    data = path.read_bytes()
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"
    key = parse_key(data)
    assert key == parse_key(pem)
    assert isinstance(key, PublicKey)
    assert key.x.hex().startswith("79d716da")
    for cut in range(0, len(data), 7):
        with pytest.raises(KeyFormatError) as caught:
            parse_key(data[:cut])
        assert "encrypted" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "private"),
    [(cbor.encode({1: 2, -1: 1, -2: b"x", -4: b"d"}), True), (KEY.cose_key, False), (cbor.encode([1, -4]), False),
     (cbor.encode({"d": -4}), False), (b'{"kty": "EC", "d": "AA"}', True), (b'{"kty": "EC"}', False)],
)  # fmt: skip
def test_a_private_key_is_known_by_its_d(data: bytes, private: bool) -> None:
    """RFC 9053 s.7.1.1 (COSE_Key, label -4), RFC 7518 s.6.2.2 (JWK)."""
    assert holds_private_key(data) == private


def element(tag: int, *content: bytes) -> bytes:
    """A DER element."""
    joined = b"".join(content)
    size = len(joined).to_bytes(2, "big")
    return (
        bytes([tag])
        + (b"\x82" + size if len(joined) > 255 else b"\x81" + size[1:] if len(joined) > 127 else size[1:])
        + joined
    )


@pytest.mark.parametrize("private", PRIVATE_KEYS, ids=lambda k: k.curve.name)
def test_the_key_of_a_certificate_that_is_wrong_elsewhere_is_read(private: ec.EllipticCurvePrivateKey) -> None:
    """A NULL behind the signature algorithm is common, and forbidden (RFC 5758 s.3.2)."""
    data = certificate(private).public_bytes(serialization.Encoding.DER)
    body, algorithm, signature = der.children(der.read(data, 0, len(data)))
    with_null = element(0x30, algorithm.content, b"\x05\x00")
    parts = [with_null if part.encoded == algorithm.encoded else part.encoded for part in der.children(body)]
    wrong = element(0x30, element(0x30, *parts), with_null, signature.encoded)
    wanted = PublicKey.from_handle(private.public_key())
    for form in (wrong, ssl.DER_cert_to_PEM_cert(wrong).encode(), wrong.hex().encode()):
        assert parse_key(form) == wanted
    with pytest.raises(KeyFormatError):
        parse_key(element(0x30, element(0x30, *parts[:-1]), with_null, signature.encoded))
