"""Identity, signatures and image verification of the SPE against Python's `cryptography`."""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from shown_figures import ShowFigure
from spe_images import KEY, OTHER_KEY, image, public_point, spki_hash

from conftest import HERE

BUILD = HERE / "build"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
VECTORS = HERE.parents[4] / "shared" / "vectors" / "wycheproof"

OK, BLANK, BAD_FORMAT, NO_HASH, BAD_HASH, NO_KEY_HASH = range(6)
WRONG_KEY, NO_SIGNATURE, BAD_SIGNATURE, NO_COUNTER, OLD = range(6, 11)


class Image(ctypes.Structure):
    """struct mcuboot_image."""

    _fields_ = (
        ("payload", ctypes.c_void_p),
        ("payload_size", ctypes.c_uint32),
        ("total_size", ctypes.c_uint32),
        ("signed_size", ctypes.c_uint32),
        ("version_major", ctypes.c_uint8),
        ("version_minor", ctypes.c_uint8),
        ("version_revision", ctypes.c_uint16),
        ("security_counter", ctypes.c_uint32),
        ("has_security_counter", ctypes.c_bool),
        ("name", ctypes.c_char * 16),
        ("hash", ctypes.c_void_p),
        ("key_hash", ctypes.c_void_p),
        ("signature", ctypes.c_void_p),
        ("signature_size", ctypes.c_uint32),
    )


def library(mutant: str = "") -> ctypes.CDLL:
    spe = ctypes.CDLL(str(BUILD / (f"spe.{mutant}.so" if mutant else "spe.so")))
    spe.ecdsa_sign.restype = spe.ecdsa_verify.restype = ctypes.c_bool
    spe.ecdsa_public_key.restype = spe.ecdsa_signature_from_der.restype = ctypes.c_bool
    spe.ecdsa_signature_from_der.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
    spe.mcuboot_parse.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(Image)]
    spe.mcuboot_verify.argtypes = [ctypes.c_char_p, ctypes.POINTER(Image), ctypes.c_char_p, ctypes.c_uint32]
    return spe


@pytest.fixture(scope="module")
def spe() -> ctypes.CDLL:
    return library()


def sign(spe: ctypes.CDLL, key: bytes, digest: bytes) -> bytes:
    out = ctypes.create_string_buffer(64)
    assert spe.ecdsa_sign(key, digest, out)
    return out.raw


def judge(spe: ctypes.CDLL, data: bytes, lowest: int = 0, key: ec.EllipticCurvePrivateKey = KEY) -> tuple[int, Image]:
    parsed = Image()
    status = spe.mcuboot_parse(data, len(data), ctypes.byref(parsed))
    if status == OK:
        status = spe.mcuboot_verify(data, ctypes.byref(parsed), public_point(key) + spki_hash(key), lowest)
    return status, parsed


# --- identity -----------------------------------------------------------------------------------------------------


def expand(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869) from its definition."""
    prk, block, out = hmac.digest(salt, key, "sha256"), b"", b""
    for counter in range(1, 256):
        if len(out) >= length:
            break
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


@pytest.mark.parametrize("label", ["tfm-harness/iak/v1", "tfm-harness/result/v1", "tfm-harness/client/v1"])
def test_private_keys(spe: ctypes.CDLL, label: str) -> None:
    for seed in range(50):
        huk = random.Random(seed).randbytes(32)  # noqa: S311  # repeatable test data
        stream = expand(huk, b"tfm-harness-reference", label.encode(), 64)
        candidates = [int.from_bytes(stream[at : at + 32]) for at in (0, 32)]
        wanted = next(k for k in candidates if k <= ORDER - 2) + 1
        out = ctypes.create_string_buffer(32)
        spe.derive_p256_key(huk, label.encode(), out)
        assert int.from_bytes(out.raw) == wanted
        point = ctypes.create_string_buffer(65)
        assert spe.ecdsa_public_key(out, point)
        assert point.raw == public_point(ec.derive_private_key(wanted, ec.SECP256R1()))


@pytest.mark.parametrize("label", ["tfm-harness/result-encryption/v1", "tfm-harness/storage/v1"])
def test_symmetric_keys(spe: ctypes.CDLL, label: str) -> None:
    for seed in range(20):
        huk = random.Random(seed).randbytes(32)  # noqa: S311  # repeatable test data
        out = ctypes.create_string_buffer(16)
        spe.derive_aes_key(huk, label.encode(), out)
        assert out.raw == expand(huk, b"tfm-harness-reference", label.encode(), 16)


@pytest.mark.parametrize("aad", [0, 1, 15, 16, 17, 90])
def test_aes_gcm(spe: ctypes.CDLL, aad: int) -> None:
    """Against `cryptography`, at each length around a block; any bit that is changed leaves zeros and a refusal."""
    rng = random.Random(aad)  # noqa: S311  # repeatable test data
    for length in (0, 1, 15, 16, 17, 31, 32, 33, 272):
        key, nonce, external, data = (rng.randbytes(size) for size in (16, 12, aad, length))
        buffer, tag = ctypes.create_string_buffer(data, length + 1), ctypes.create_string_buffer(16)
        spe.aead_encrypt(key, nonce, external, ctypes.c_size_t(aad), buffer, ctypes.c_size_t(length), tag)
        ciphertext = buffer.raw[:length]
        assert ciphertext + tag.raw[:16] == AESGCM(key).encrypt(nonce, data, external)
        good = (key, nonce, external, ciphertext, tag.raw[:16])
        assert opened(spe, *good) == data
        for number, part in enumerate(good):
            for bit in {0, 8 * len(part) - 1} if part else ():
                wrong = bytearray(part)
                wrong[bit // 8] ^= 1 << bit % 8
                assert opened(spe, *good[:number], bytes(wrong), *good[number + 1 :]) is None


def opened(spe: ctypes.CDLL, key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes, tag: bytes) -> bytes | None:
    buffer, length = ctypes.create_string_buffer(ciphertext, len(ciphertext) + 1), ctypes.c_size_t(len(ciphertext))
    spe.aead_decrypt.restype = ctypes.c_bool
    if spe.aead_decrypt(key, nonce, aad, ctypes.c_size_t(len(aad)), buffer, length, tag):
        return buffer.raw[: len(ciphertext)]
    assert buffer.raw[: len(ciphertext)] == bytes(len(ciphertext))
    return None


def test_uuid_and_boot_seed(spe: ctypes.CDLL) -> None:
    secret = bytes(range(32))
    uuid = ctypes.create_string_buffer(16)
    spe.derive_uuid(secret, uuid)
    wanted = bytearray(expand(secret, b"tfm-harness-reference", b"tfm-harness/uuid/v1", 16))
    wanted[6], wanted[8] = wanted[6] & 0x0F | 0x80, wanted[8] & 0x3F | 0x80
    assert uuid.raw == bytes(wanted)
    seen = set()
    for boot in (0, 1, 2, 0x01020304):
        seed = ctypes.create_string_buffer(32)
        spe.derive_boot_seed(secret, ctypes.c_uint32(boot), seed)
        assert seed.raw == expand(secret, b"tfm-harness-boot-seed", boot.to_bytes(4, "little"), 32)
        seen.add(seed.raw)
    assert len(seen) == 4


# --- signatures ---------------------------------------------------------------------------------------------------

RFC6979_KEY = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")


def test_rfc6979_vector(spe: ctypes.CDLL) -> None:
    """RFC 6979, A.2.5, P-256 with SHA-256."""
    signature = sign(spe, RFC6979_KEY, hashlib.sha256(b"sample").digest())
    assert signature.hex().upper() == (
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )


def test_signatures_are_those_of_cryptography(spe: ctypes.CDLL) -> None:
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
    for seed in range(100):
        scalar = random.Random(seed).randrange(1, ORDER)  # noqa: S311  # repeatable test data
        digest = hashlib.sha256(seed.to_bytes(4)).digest()
        key = ec.derive_private_key(scalar, ec.SECP256R1())
        r, s = utils.decode_dss_signature(key.sign(digest, algorithm))
        signature = sign(spe, scalar.to_bytes(32), digest)
        assert signature == r.to_bytes(32) + s.to_bytes(32)
        assert spe.ecdsa_verify(public_point(key), digest, signature)
        assert not spe.ecdsa_verify(public_point(OTHER_KEY), digest, signature)
        assert not spe.ecdsa_verify(public_point(key), digest[::-1], signature)


@pytest.mark.parametrize("scalar", [0, ORDER, ORDER + 1])
def test_keys_out_of_range_are_refused(spe: ctypes.CDLL, scalar: int) -> None:
    out = ctypes.create_string_buffer(65)
    assert not spe.ecdsa_sign(scalar.to_bytes(32), bytes(32), out)
    assert not spe.ecdsa_public_key(scalar.to_bytes(32), out)


def test_degenerate_signatures_are_refused(spe: ctypes.CDLL) -> None:
    digest = hashlib.sha256(b"x").digest()
    good = sign(spe, (0x7E57).to_bytes(32), digest)
    assert spe.ecdsa_verify(public_point(KEY), digest, good)
    for r in (0, ORDER, None):
        for s in (0, ORDER, None):
            if r is None and s is None:
                continue
            bad = (good[:32] if r is None else r.to_bytes(32)) + (good[32:] if s is None else s.to_bytes(32))
            assert not spe.ecdsa_verify(public_point(KEY), digest, bad)
    off_curve = bytearray(public_point(KEY))
    off_curve[64] ^= 1
    assert not spe.ecdsa_verify(bytes(off_curve), digest, good)


def der(spe: ctypes.CDLL, data: bytes) -> bytes | None:
    out = ctypes.create_string_buffer(64)
    return out.raw if spe.ecdsa_signature_from_der(data, len(data), out) else None


def test_strict_der(spe: ctypes.CDLL) -> None:
    for r, s in ((1, 2), (ORDER - 1, ORDER - 1), (0x80, 1 << 255), (0, 0)):
        encoded = utils.encode_dss_signature(r, s)
        assert der(spe, encoded) == r.to_bytes(32) + s.to_bytes(32)
        assert der(spe, encoded + b"\0") is None
        for cut in range(len(encoded)):
            assert der(spe, encoded[:cut]) is None
    for bad in (
        "3006020100020101ff",  # bytes behind
        "300702020001020101",  # not the shortest integer
        "3006020181020101",  # negative
        "30050200020101",  # empty integer
        "308106020101020101",  # long form length
        "3006030101020101",  # another type
        "3006020101" + "030101",
        "30800201010201010000",  # indefinite
    ):
        assert der(spe, bytes.fromhex(bad)) is None, bad


@pytest.mark.skipif(not VECTORS.is_dir(), reason="no Wycheproof vectors beside the project")
def test_wycheproof(spe: ctypes.CDLL, show_figure: ShowFigure) -> None:
    """Every vector file for P-256 and SHA-256 that is there: DER and raw signatures."""
    tried = 0
    for path in sorted(VECTORS.glob("*p256*sha256*.json")):
        suite = json.loads(path.read_text())
        if "groups" in str(suite.get("algorithm")) or not suite.get("algorithm", "").startswith("ECDSA"):
            continue
        raw = "p1363" in path.name
        for group in suite["testGroups"]:
            key = bytes.fromhex((group.get("publicKey") or group["key"])["uncompressed"])
            for case in group["tests"]:
                digest = hashlib.sha256(bytes.fromhex(case["msg"])).digest()
                data = bytes.fromhex(case["sig"])
                signature = (data if len(data) == 64 else None) if raw else der(spe, data)
                accepted = signature is not None and spe.ecdsa_verify(key, digest, signature)
                assert accepted == (case["result"] == "valid"), f"{path.name} {case['tcId']}: {case['comment']}"
                tried += 1
    if not tried:
        pytest.skip("no Wycheproof file for P-256 with SHA-256")
    show_figure(f"Wycheproof: {tried} signatures, all as expected")


def test_mutant_reuses_its_nonce(spe: ctypes.CDLL) -> None:
    first, second = (hashlib.sha256(text).digest() for text in (b"one", b"two"))
    scalar = (0x7E57).to_bytes(32)
    assert sign(spe, scalar, first)[:32] != sign(spe, scalar, second)[:32]
    faulty = library("ECDSA_NONCE_REUSED")
    signatures = [sign(faulty, scalar, digest) for digest in (first, second)]
    assert signatures[0][:32] == signatures[1][:32]
    assert all(
        spe.ecdsa_verify(public_point(KEY), digest, signature)
        for digest, signature in zip((first, second), signatures, strict=True)
    )


# --- images -------------------------------------------------------------------------------------------------------


def test_image_of_imgtool(spe: ctypes.CDLL) -> None:
    data = image(payload=b"payload" * 50, key=KEY, name="tamper", counter=7, version="1.2.345")
    status, parsed = judge(spe, data, lowest=7)
    assert status == OK
    assert parsed.name == b"tamper"
    assert (parsed.version_major, parsed.version_minor, parsed.version_revision) == (1, 2, 345)
    assert (parsed.security_counter, parsed.payload_size, parsed.total_size) == (7, 350, len(data))
    assert ctypes.string_at(parsed.payload, 350) == b"payload" * 50
    assert ctypes.string_at(parsed.key_hash, 32) == spki_hash(KEY)


def test_images_that_are_refused(spe: ctypes.CDLL) -> None:
    good = image(payload=b"p" * 64, key=KEY, name="m", counter=3)
    assert judge(spe, good, lowest=3)[0] == OK
    assert judge(spe, good, lowest=4)[0] == OLD
    assert judge(spe, image(payload=b"p" * 64, key=OTHER_KEY, name="m"))[0] == WRONG_KEY
    assert judge(spe, image(payload=b"p" * 64, key=None, name="m"))[0] == NO_KEY_HASH
    assert judge(spe, good.replace(b"p" * 64, b"p" * 63 + b"q"))[0] == BAD_HASH
    assert judge(spe, bytes(4096))[0] == BLANK
    assert judge(spe, b"\xff" * 4096)[0] == BLANK
    # another key's signature under the right key's hash
    forged = image(payload=b"p" * 64, key=OTHER_KEY, name="m").replace(spki_hash(OTHER_KEY), spki_hash(KEY))
    assert judge(spe, forged)[0] == BAD_SIGNATURE


def test_mutants_are_told_from_the_right_build(spe: ctypes.CDLL) -> None:
    old = image(payload=b"p" * 64, key=KEY, name="m", counter=3)
    unsigned = image(payload=b"p" * 64, key=None, name="m")
    assert judge(spe, old, lowest=4)[0] == OLD
    assert judge(library("ROLLBACK_ACCEPTED"), old, lowest=4)[0] == OK
    assert judge(spe, unsigned)[0] == NO_KEY_HASH
    assert judge(library("UNSIGNED_MODEL_ACCEPTED"), unsigned)[0] == OK


def test_signing_is_reproducible() -> None:
    assert image(payload=b"x" * 100, key=KEY) == image(payload=b"x" * 100, key=KEY)


def test_signing_tool_says_what_is_wrong(tmp_path: Path) -> None:
    import sign_image

    bad = tmp_path / "key.pem"
    bad.write_text("no key")
    with pytest.raises(SystemExit, match="not a readable private key"):
        sign_image.load_key(bad)
