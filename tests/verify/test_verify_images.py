"""MCUboot images: made with imgtool where it is at hand, broken byte by byte, compared with tokens."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.findings import Policy, Report
from tfm_harness.verify import cbor, mcuboot
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.elf import ElfError, load_segments, measure
from tfm_harness.verify.image_files import BOOT_MAGICS, split_images
from tfm_harness.verify.images import expected_components, verify_mcuboot
from tfm_harness.verify.keys import PublicKey, RsaKey
from tfm_harness.verify.mcuboot import ImageFormatError, McubootImage, parse_mcuboot
from tfm_harness.verify.token import TokenExpectations, verify_psa_token

from tests.verify.verify_kit import (
    CHALLENGE,
    KEY,
    TEST_ONLY_P256,
    TEST_ONLY_P384,
    broken,
    enc,
    held,
    message,
    not_held,
    rfc_claims,
)

PAYLOAD = bytes(range(256)) * 4


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def area(magic: int, *tlvs: bytes) -> bytes:
    body = b"".join(tlvs)
    return struct.pack("<HH", magic, len(body) + 4) + body


def make(
    *,
    private: ec.EllipticCurvePrivateKey = TEST_ONLY_P256,
    version: tuple[int, int, int, int] = (1, 2, 3, 4),
    pad: int = 0,
    protected: tuple[bytes, ...] = (tlv(0x50, b"\x01\0\0\0"),),
    extra: tuple[bytes, ...] = (),
    full_key: bool = False,
    flags: int = 0,
    tail: bytes = b"",
    magic: int = 0x96F3B83D,
    protected_size: int | None = None,
    hash_value: bytes | None = None,
    key_value: bytes | None = None,
    signature: bytes | None = None,
    payload: bytes = PAYLOAD,
) -> bytes:
    """A MCUboot image; right by default."""
    guarded = area(0x6908, *protected) if protected else b""
    size = len(guarded) if protected_size is None else protected_size
    header = struct.pack("<IIHHIIBBHII", magic, 0, 64, size, len(payload), flags, *version, pad)
    body = header.ljust(64, b"\0") + payload + guarded
    spki = PublicKey.from_handle(private.public_key()).spki
    kind, digest = (0x10, hashlib.sha256) if private.curve.key_size == 256 else (0x11, hashlib.sha384)
    algorithm = hashes.SHA256() if kind == 0x10 else hashes.SHA384()
    tlvs = [
        tlv(kind, digest(body).digest() if hash_value is None else hash_value),
        tlv(2, spki) if full_key else tlv(1, digest(spki).digest() if key_value is None else key_value),
        tlv(0x22, private.sign(body, ec.ECDSA(algorithm)) if signature is None else signature),
    ]
    return body + area(0x6907, *tlvs, *extra) + tail


GOOD = make()
RECORD = enc({1: "NSPE", 4: "1.2.3", 6: "SHA256", 2: bytes(32), 5: hashlib.sha256(KEY.spki).digest()})


def judge(data: bytes, key: PublicKey | RsaKey = KEY, policy: Policy = Policy.VALIDATION) -> Report:
    report = Report(policy=policy)
    verify_mcuboot(data, key, report)
    return report


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        make(full_key=True),
        make(tail=b"\xff" * 500),
        make(tail=b"\xff" * 484 + BOOT_MAGICS[0]),
        make(tail=b"\xff" * 400 + b"\x01" + b"\xff" * 7 + BOOT_MAGICS[0]),
        make(protected=(tlv(0x50, b"\1\0\0\0"), tlv(0x60, RECORD))),
        make(
            signature=TEST_ONLY_P256.sign(
                make()[:64] + PAYLOAD + area(0x6908, tlv(0x50, b"\1\0\0\0")), ec.ECDSA(hashes.SHA256())
            )
            + b"\0\0"
        ),
        make(extra=(tlv(0x8000, b"vendor"),)),
        make(flags=4),  # imgtool --clear: flagged, and the payload is plain
    ],
)
def test_right_images_pass(data: bytes) -> None:
    report = judge(data)
    assert report.ok, report.failed
    assert {"image.hash", "image.signature", "image.key-hash"} <= held(report)


def test_a_p384_image_passes() -> None:
    key = PublicKey.from_handle(TEST_ONLY_P384.public_key())
    assert judge(make(private=TEST_ONLY_P384), key).ok
    assert judge(make(private=TEST_ONLY_P384, full_key=True), key).ok


BROKEN = {
    "empty": (b"", "image.header"),
    "short": (GOOD[:31], "image.header"),
    "magic": (make(magic=0x96F3B83C), "image.header"),
    "cut in the payload": (GOOD[:500], "image.header"),
    "no TLVs": (GOOD[: 64 + len(PAYLOAD)], "image.tlvs"),
    "cut in the TLVs": (GOOD[:-1], "image.tlvs"),
    "header padding": (make(pad=1), "image.header"),
    "header size 31": (GOOD[:8] + b"\x1f\0" + GOOD[10:], "image.header"),
    "payload size huge": (GOOD[:12] + b"\xff\xff\xff\xff" + GOOD[16:], "image.header"),
    "protected size wrong": (make(protected_size=8), "image.protected-sizes"),
    "protected area not announced": (make(protected_size=0), "image.protected-sizes"),
    "protected area announced and absent": (make(protected=(), protected_size=12), "image.tlvs"),
    "payload changed": (GOOD[:100] + bytes([GOOD[100] ^ 1]) + GOOD[101:], "image.hash"),
    "header changed": (GOOD[:21] + bytes([GOOD[21] ^ 1]) + GOOD[22:], "image.signature"),
    "security counter changed": (GOOD.replace(tlv(0x50, b"\x01\0\0\0"), tlv(0x50, b"\x09\0\0\0")), "image.signature"),
    "hash of something else": (make(hash_value=bytes(32)), "image.hash"),
    "hash short": (make(hash_value=b""), "image.hash"),
    "key hash of another key": (make(key_value=bytes(32)), "image.key-hash"),
    "signature garbage": (make(signature=b"\x30\x06\x02\x01\x01\x02\x01\x01"), "image.signature"),
    "signature empty": (make(signature=b""), "image.signature"),
    "second signature is wrong": (make(extra=(tlv(0x22, b"\x30\x06\x02\x01\x01\x02\x01\x01"),)), "image.signature"),
    "two hashes": (make(extra=(tlv(0x10, bytes(32)),)), "image.tlv-once"),
    "encrypted": (make(flags=4, hash_value=bytes(32)), "image.encrypted"),
    "no counter": (make(protected=()), "image.security-counter"),
    "counter not protected": (make(protected=(), extra=(tlv(0x50, b"\1\0\0\0"),)), "image.security-counter"),
    "bytes behind": (make(tail=b"\xff" * 50 + b"hidden" + b"\xff" * 50), "image.trailing"),
    "bytes in the trailer": (make(tail=b"\xff" * 300 + b"code" * 20 + b"\xff" * 20 + BOOT_MAGICS[0]), "image.trailing"),
    "bytes before a trailer": (make(tail=b"code" + b"\xff" * 300 + BOOT_MAGICS[0]), "image.trailing"),
    "boot record of another version": (
        make(version=(9, 9, 9, 0), protected=(tlv(0x50, b"\1\0\0\0"), tlv(0x60, RECORD))),
        "image.boot-record",
    ),
    "boot record of another signer": (
        make(key_value=bytes(32), protected=(tlv(0x50, b"\1\0\0\0"), tlv(0x60, RECORD))),
        "image.boot-record",
    ),
    "boot record no CBOR": (make(protected=(tlv(0x50, b"\1\0\0\0"), tlv(0x60, b"\xff"))), "image.boot-record"),
    "TLV beyond its area": (GOOD.replace(tlv(0x50, b"\x01\0\0\0"), b"\x50\0\x05\0\x01\0\0\0"), "image.tlvs"),
    "many TLVs": (make(extra=tuple(tlv(0x8000, b"") for _ in range(70))), "image.tlvs"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_fails_by_its_check(name: str) -> None:
    data, expected = BROKEN[name]
    report = judge(data, policy=Policy.PRODUCTION)
    assert not report.ok
    assert expected in broken(report)


def test_every_check_that_a_broken_image_fails_is_counted_where_it_holds() -> None:
    with_record = make(protected=(tlv(0x50, b"\1\0\0\0"), tlv(0x60, RECORD)))
    assert {check for _, check in BROKEN.values()} <= held(judge(make())) | held(judge(with_record))


def test_another_key_or_kind_of_key_fails() -> None:
    other = PublicKey.from_handle(TEST_ONLY_P384.public_key())
    report = judge(GOOD, other)
    assert {"image.signature", "image.key-hash"} <= broken(report)
    (named,) = (finding.seen for finding in report.failed if finding.id == "image.key-hash")
    assert named.startswith("KEYHASH ")
    rsa_key = RsaKey.from_handle(rsa.generate_private_key(65537, 2048).public_key())
    assert {"image.signature", "image.key-hash"} <= broken(judge(GOOD, rsa_key))
    odd_size = RsaKey.from_handle(rsa.generate_private_key(65537, 1024).public_key())
    assert "image.signature" in broken(judge(GOOD, odd_size))


def test_version_zero_is_noted() -> None:
    report = judge(make(version=(0, 0, 0, 0)))
    assert report.ok
    assert "image.version-set" in not_held(report)


def test_a_published_signing_key_is_found() -> None:
    private = ec.derive_private_key(1, ec.SECP256R1())
    data = make(private=private)
    key = PublicKey.from_handle(private.public_key())
    assert broken(judge(data, key)) == {"image.dummy-key"}
    assert judge(data, key, Policy.DEV).ok


@pytest.mark.parametrize("before", [0, 32, 64, 100, 1024])
def test_an_image_is_the_same_wherever_it_stands(before: int) -> None:
    alone, found = parse_mcuboot(GOOD), parse_mcuboot(bytes(before) + GOOD, start=before)
    assert found.payload == alone.payload == PAYLOAD
    assert (found.load_address, found.version, found.hashed) == (alone.load_address, alone.version, alone.hashed)
    assert found.tlvs == tuple(dataclasses.replace(one, offset=one.offset + before) for one in alone.tlvs)
    assert found.end == before + alone.end


def test_an_image_behind_something_else_is_pointed_to() -> None:
    """A boot loader and its application in one file (merged.hex), erased flash in front."""
    for before in (bytes(range(256)) * 64, b"\xff" * 0x200):
        with pytest.raises(ImageFormatError) as caught:
            parse_mcuboot(before + GOOD)
        assert f"begins at byte {len(before):#x}: give it alone" in str(caught.value)
    image = parse_mcuboot(GOOD)
    whole = image.header_size + len(image.payload)  # its TLVs may be missing
    for size, pointed in ((20, False), (whole - 1, False), (whole, True), (whole + 1, True)):
        with pytest.raises(ImageFormatError) as caught:
            parse_mcuboot(bytes(512) + GOOD[:size])
        assert ("begins at byte" in str(caught.value)) == pointed, size
    for header_size, pointed in ((31, False), (32, True), (64, True)):
        with pytest.raises(ImageFormatError) as caught:
            parse_mcuboot(bytes(512) + GOOD[:8] + header_size.to_bytes(2, "little") + GOOD[10:])
        assert ("begins at byte" in str(caught.value)) == pointed, header_size


def test_errors_name_the_offset() -> None:
    with pytest.raises(ImageFormatError) as caught:
        parse_mcuboot(make(protected_size=8))
    assert caught.value.offset == 64 + len(PAYLOAD) + 2
    assert f"{64 + len(PAYLOAD) + 2:#x}" in str(caught.value)


@settings(max_examples=300)
@given(st.data())
def test_no_changed_bit_of_what_is_signed_passes(data: st.DataObject) -> None:
    end = parse_mcuboot(GOOD).end
    at = data.draw(st.integers(0, end - 1))
    bit = data.draw(st.integers(0, 7))
    changed = GOOD[:at] + bytes([GOOD[at] ^ 1 << bit]) + GOOD[at + 1 :]
    report = judge(changed)
    assert not report.ok


@given(st.binary(max_size=400))
def test_any_bytes_give_an_image_or_our_own_error(data: bytes) -> None:
    for candidate in (data, GOOD[:32] + data, GOOD[: 64 + len(PAYLOAD)] + data):
        report = judge(candidate)
        assert not report.ok


def test_several_images_in_one_file() -> None:
    first = make(tail=b"\xff" * (2048 - len(GOOD) % 2048 - 16 + 2048) + BOOT_MAGICS[0])
    first = first[: len(first) // 1024 * 1024]
    first = first[:-16] + BOOT_MAGICS[0]
    blob = first + make(version=(2, 0, 0, 0))
    images = split_images(blob)
    assert [image.version[0] for image in images] == [1, 2]
    assert images[1].start == len(first)
    for image in images:
        report = Report()
        verify_mcuboot(image, KEY, report)
        assert report.ok, report.failed
    hidden = split_images(GOOD + b"x" * 2000 + GOOD)
    assert len(hidden) == 1
    report = Report()
    verify_mcuboot(hidden[0], KEY, report)
    assert "image.trailing" in broken(report)


def test_an_image_without_a_counter_is_a_note_to_a_port_and_no_product() -> None:
    report = judge(make(protected=()))
    assert report.ok
    assert "image.security-counter" in not_held(report)


@pytest.mark.parametrize("erased", [b"\xff", b"\x00"])
def test_flash_that_is_erased_to_either_value_is_no_content(erased: bytes) -> None:
    for tail in (erased * 5000, erased * 5000 + BOOT_MAGICS[0], erased * 4900 + b"\xff" * 144 + BOOT_MAGICS[0]):
        report = judge(make(tail=tail))
        assert report.ok, report.failed
    for tail in (erased * 50 + b"x", b"\x00" * 50 + b"\xff" * 50 + b"\x00" * 50, erased * 50 + b"x" + BOOT_MAGICS[0]):
        assert "image.trailing" in broken(judge(make(tail=tail)))
    slot = make(tail=erased * 2048)[:2048]
    assert [image.start for image in split_images(slot + GOOD)] == [0, 2048]


def test_a_file_of_countless_beginnings_is_split_in_no_time() -> None:
    # 32 MB with the header's magic at each possible place: looking at all that lies before each would take hours.
    block = struct.pack("<I", 0x96F3B83D).ljust(1024, b"\xff")
    slot = make(tail=b"\xff" * 2048)[:2048]
    (image,) = split_images(slot + b"y" * 1024 + block * (32 << 10))
    assert image.start == 0
    with pytest.raises(ImageFormatError, match="more than 16 images"):
        split_images(tiny() * 40)


def tiny() -> bytes:
    """An image of exactly one kilobyte."""
    return make(payload=b"", tail=b"\xff" * 1024)[:1024]


def token_with(components: list[dict[object, object]]) -> bytes:
    return message(enc(rfc_claims() | {2399: components}))


def component(image: McubootImage, kind: str, **changes: object) -> dict[object, object]:
    assert image.hash_tlv is not None
    made: dict[object, object] = {1: kind, 2: image.hash_tlv[1], 4: image.version_text, 5: next(iter(image.signer_ids))}
    for name, value in changes.items():
        made[int(name[1:])] = value
    return made


@cache
def flashed() -> tuple[McubootImage, McubootImage]:
    return parse_mcuboot(GOOD), parse_mcuboot(make(version=(2, 0, 1, 0)))


def judge_token(components: list[dict[object, object]]) -> Report:
    spe, nspe = flashed()
    report = Report()
    expected = TokenExpectations(components=expected_components({"SPE": spe, "NSPE": nspe}))
    verify_psa_token(token_with(components), keys=KEY, challenge=CHALLENGE, expected=expected, report=report)
    return report


def test_a_token_is_compared_with_the_images_that_were_flashed() -> None:
    spe, nspe = flashed()
    good = [component(spe, "SPE"), component(nspe, "NSPE")]
    assert judge_token(good).ok
    assert judge_token(good[::-1]).ok
    for components, expected in (
        ([component(spe, "SPE", c2=bytes(32)), good[1]], {"attestation.component-measurement"}),
        ([component(spe, "SPE", c5=bytes(32)), good[1]], {"attestation.component-signer"}),
        ([component(spe, "SPE", c4="1.2.4"), good[1]], {"attestation.component-version"}),
        (good[:1], {"attestation.component-missing"}),
        ([*good, component(spe, "EXTRA")], {"attestation.component-extra"}),
        ([*good, good[0]], {"attestation.component-extra"}),
        ([good[0], good[0]], {"attestation.component-missing", "attestation.component-extra"}),
        (
            [component(spe, "NSPE"), component(nspe, "SPE")],
            {"attestation.component-measurement", "attestation.component-version"},
        ),
    ):
        assert broken(judge_token(components)) == expected


def test_images_without_types_are_matched_by_measurement() -> None:
    spe, nspe = flashed()
    report = Report()
    expected = TokenExpectations(components=expected_components([spe, nspe]))
    data = token_with([component(nspe, "anything"), component(spe, "else")])
    verify_psa_token(data, keys=KEY, challenge=CHALLENGE, expected=expected, report=report)
    assert report.ok, report.failed


def test_the_boot_record_names_the_type_and_a_component_may_be_given() -> None:
    image = parse_mcuboot(make(protected=(tlv(0x50, b"\1\0\0\0"), tlv(0x60, RECORD))))
    given_component = ExpectedComponent(type="SPE", measurement=bytes(32))
    assert expected_components([image])[0].type == "NSPE"
    assert expected_components({"SPE": given_component}) == (given_component,)
    no_hash = parse_mcuboot(make(hash_value=b"").replace(tlv(0x10, b""), tlv(0x8000, b"")))
    assert no_hash.hash_tlv is None
    assert expected_components({"X": no_hash})[0].measurement == b""


def test_a_file_is_as_large_as_it_may_be_and_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    image = make()
    monkeypatch.setattr(mcuboot, "MAX_IMAGE", len(image))
    assert parse_mcuboot(image).version == parse_mcuboot(image[:]).version
    with pytest.raises(ImageFormatError, match="too large"):
        parse_mcuboot(image + b"\xff")


@pytest.mark.parametrize(
    ("before", "cut", "found"), [(256, None, 256), (512, None, 512), (100, None, 0), (257, None, 0), (256, 20, 0)]
)
def test_a_later_header_stands_at_a_page_and_is_whole(before: int, cut: int | None, found: int) -> None:
    image = bytes(before) + make()
    assert mcuboot._later_header(image[: None if cut is None else before + cut], 0) == found


def test_a_component_is_called_by_its_name_then_its_type_then_its_measurement() -> None:
    measurement = bytes.fromhex("c0ffee0011223344") + bytes(24)
    named = ExpectedComponent(type=None, measurement=measurement, name="model")
    assert str(named) == "model"
    assert str(dataclasses.replace(named, type="SPE")) == "model"
    assert str(dataclasses.replace(named, type="SPE", name="")) == "SPE"
    assert str(dataclasses.replace(named, name="")) == "c0ffee0011223344"


def test_what_imgtool_makes_passes() -> None:
    main = pytest.importorskip("imgtool.main", reason="imgtool is not installed").imgtool
    from click.testing import CliRunner

    with TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "payload.bin").write_bytes(PAYLOAD)
        keys: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = {
            "ec": TEST_ONLY_P256,
            "rsa": rsa.generate_private_key(65537, 3072),
        }
        for name, private in keys.items():
            pem = base / f"{name}_TEST_ONLY.pem"
            pem.write_bytes(
                private.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            for form in ("hash", "full"):
                arguments = [
                    "sign",
                    "-k",
                    str(pem),
                    "--public-key-format",
                    form,
                    "--align",
                    "1",
                    "-v",
                    "3.4.5+6",
                    "-H",
                    "0x400",
                    "--pad-header",
                    "-S",
                    "0x4000",
                    "-s",
                    "9",
                    "--boot-record",
                    "NSPE",
                    "--pad",
                    str(base / "payload.bin"),
                    str(base / "signed.bin"),
                ]
                outcome = CliRunner().invoke(main, arguments, catch_exceptions=False)
                assert outcome.exit_code == 0, outcome.output
                public = private.public_key()
                key = (
                    RsaKey.from_handle(public)
                    if isinstance(public, rsa.RSAPublicKey)
                    else PublicKey.from_handle(public)
                )
                report = Report()
                image = verify_mcuboot((base / "signed.bin").read_bytes(), key, report)
                assert report.ok, report.failed
                assert image is not None
                assert (image.version_text, image.security_counter) == ("3.4.5", 9)
                assert expected_components([image])[0].type == "NSPE"
                assert "image.boot-record" in held(report)


def elf(*segments: tuple[int, int, bytes], machine: bytes = b"\x7fELF\x01\x01\x01") -> bytes:
    table, body = b"", b""
    start = 52 + 32 * len(segments)
    for kind, address, content in segments:
        table += struct.pack("<8I", kind, start + len(body), address, address, len(content), len(content), 5, 4)
        body += content
    head = machine.ljust(16, b"\0") + struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, 0, 52, 0, 0, 52, 32, len(segments), 40, 0, 0
    )
    return head + table + body


def test_elf_segments_are_measured_in_order_of_address() -> None:
    data = elf((1, 0x2000, b"second"), (1, 0x1000, b"first"), (1, 0x3000, b""), (6, 0x0, b"no load"))
    assert [s.address for s in load_segments(data)] == [0x1000, 0x2000]
    assert measure(data) == hashlib.sha256(b"firstsecond").digest()


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", elf((1, 0, b"x"))[:-1], elf((1, 0, b"x"), machine=b"\x7fELF\x02\x01\x01"), elf()]
)
def test_broken_elf_files_are_refused(data: bytes) -> None:
    with pytest.raises(ElfError):
        load_segments(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_segments_or_our_own_error(data: bytes) -> None:
    for candidate in (data, elf((1, 0, b"x"))[:40] + data):
        try:
            assert load_segments(candidate) is not None
        except ElfError as error:
            assert error.offset >= 0  # noqa: PT017 -- either outcome is right


def test_the_boot_record_is_strict_cbor() -> None:
    assert cbor.decode(RECORD).oddities
