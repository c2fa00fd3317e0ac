"""Images made by imgtool itself, with each option that it has: what is judged, and what is said."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from tfm_harness.cli.main import main
from tfm_harness.findings import Policy, Report
from tfm_harness.verify.forms import decode
from tfm_harness.verify.image_files import split_images
from tfm_harness.verify.images import PUBLISHED_KEY_HASHES, verify_mcuboot
from tfm_harness.verify.keyfiles import parse_image_key

from tests.verify.test_verify_images import make, tlv
from tests.verify.verify_kit import KEY, OTHER_KEY, TEST_ONLY_OTHER_P256, TEST_ONLY_P256, broken, held, not_held

PAYLOAD = bytes(range(256)) * 12
INPUTS = Path(__file__).resolve().parents[3] / "shared" / "inputs" / "image"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "verification.md"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one TEST_ONLY key of each kind, private and public."""
    folder = tmp_path_factory.mktemp("keys")
    made: dict[str, PrivateKeyTypes] = {
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "rsa2048": rsa.generate_private_key(65537, 2048),
        "rsa3072": rsa.generate_private_key(65537, 3072),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "x25519": x25519.X25519PrivateKey.generate(),
    }
    for name, key in made.items():
        pem = serialization.Encoding.PEM
        private = serialization.PrivateFormat.PKCS8
        (folder / f"TEST_ONLY_{name}.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
        public = serialization.PublicFormat.SubjectPublicKeyInfo
        (folder / f"{name}.pub.pem").write_bytes(key.public_key().public_bytes(pem, public))
    (folder / "payload.bin").write_bytes(PAYLOAD)
    (folder / "squeezable.bin").write_bytes(bytes(40_000))
    (folder / "tlv.bin").write_bytes(b"custom")
    return folder


def sign(keys: Path, kind: str, *options: str, out: str = "signed.bin", payload: str = "payload.bin") -> bytes:
    words = [
        "sign", "--key", str(keys / f"TEST_ONLY_{kind}.pem"),
        "--version", "1.2.3", "--header-size", "0x200", "--pad-header", "--slot-size", "0x20000",
        "--security-counter", "7", *options, str(keys / payload), str(keys / out),
    ]  # fmt: skip
    pytest.importorskip("imgtool.main", reason="imgtool is not installed").imgtool(words, standalone_mode=False)
    return (keys / out).read_bytes()


def judge(keys: Path, data: bytes, kind: str, policy: Policy = Policy.PRODUCTION) -> Report:
    report = Report(policy=policy)
    (image,) = split_images(decode(data).data)
    verify_mcuboot(image, parse_image_key((keys / f"{kind}.pub.pem").read_bytes()), report)
    return report


# Options that change nothing in the verdict; each image must pass under the strictest policy.
PASSING = {
    "--align": ("p256", ("--align", "8")),
    "--max-align": ("p256", ("--max-align", "16", "--pad")),
    "--boot-record": ("p256", ("--boot-record", "NSPE")),
    "--cid": ("p256", ("--vid", "example.com", "--cid", "board")),
    "--vid": ("p256", ("--vid", "example.com")),
    "--confirm": ("p256", ("--confirm",)),
    "--custom-tlv": ("p256", ("--custom-tlv", "0x00a5", "0x11223344")),
    "--custom-tlv-file": ("p256", ("--custom-tlv-file", "0x00a5", "tlv.bin")),
    "--dependencies": ("p256", ("--dependencies", "(1,1.2.3+0)")),
    "--erased-val": ("p256", ("--erased-val", "0", "--pad")),
    "--header-size": ("p256", ()),
    "--key": ("p384", ()),
    "--key (RSA-2048)": ("rsa2048", ()),
    "--key (RSA-3072)": ("rsa3072", ()),
    "--key (Ed25519)": ("ed25519", ()),
    "--load-addr": ("p256", ("--load-addr", "0x21000000")),
    "--max-sectors": ("p256", ("--max-sectors", "64", "--pad")),
    "--non-bootable": ("p256", ("--non-bootable",)),
    "--overwrite-only": ("p256", ("--overwrite-only", "--pad")),
    "--pad": ("p256", ("--pad",)),
    "--pad-sig": ("p256", ("--pad-sig",)),
    "--public-key-format": ("p256", ("--public-key-format", "full")),
    "--public-key-format (RSA)": ("rsa2048", ("--public-key-format", "full")),
    "--public-key-format (Ed25519)": ("ed25519", ("--public-key-format", "full")),
    "--pure": ("ed25519", ("--pure",)),
    "--rom-fixed": ("p256", ("--rom-fixed", "0x10080000")),
    "--security-counter": ("p256", ("--security-counter", "auto")),
    "--sha": ("ed25519", ("--sha", "256")),
    "--test": ("p256", ("--test",)),
    "--clear": ("p256", ("--clear", "--encrypt", "p256.pub.pem")),
    "--compression": ("p256", ("--compression", "lzma2")),
    "--compression (Thumb)": ("p256", ("--compression", "lzma2armthumb")),
}


@pytest.mark.parametrize("name", sorted(PASSING))
def test_an_image_made_with_this_option_passes(name: str, keys: Path) -> None:
    kind, options = PASSING[name]
    given = tuple(str(keys / option) if option.endswith((".pem", "tlv.bin")) else option for option in options)
    payload = "squeezable.bin" if "compression" in name else "payload.bin"
    data = sign(keys, kind, *given, payload=payload)
    report = judge(keys, data, kind)
    assert report.ok, report.failed
    assert {"image.signature", "image.key-hash"} <= held(report)
    assert ("image.compressed" in not_held(report)) == ("compression" in name)
    assert ("image.bootable" in not_held(report)) == (name == "--non-bootable")
    for at in (0x208, 0x15):  # one bit of the payload or of the header's version: never a pass
        spoiled = bytearray(data)
        spoiled[at] ^= 1
        assert not judge(keys, bytes(spoiled), kind).ok
    other = "p384" if kind == "p256" else "p256"
    assert {"image.signature", "image.key-hash"} <= broken(judge(keys, data, other))


@pytest.mark.parametrize(
    ("encrypt", "length"), [("p256", "128"), ("p256", "256"), ("rsa2048", "128"), ("x25519", "128")]
)
def test_an_encrypted_image_cannot_be_judged_and_says_so(encrypt: str, length: str, keys: Path) -> None:
    kind = {"rsa2048": "rsa2048", "x25519": "ed25519"}.get(encrypt, "p256")
    data = sign(keys, kind, "--encrypt", str(keys / f"{encrypt}.pub.pem"), "--encrypt-keylen", length)
    report = judge(keys, data, kind)
    assert broken(report) == {"image.encrypted"}
    (finding,) = (f for f in report.failed if f.check.id == "image.encrypted")
    assert finding.check.waivable
    assert "cannot be judged" in str(finding.seen)
    assert "image.hash" not in held(report)
    # The signature over the claimed hash is judged nevertheless.
    assert "image.signature" in broken(judge(keys, data, "p384"))


def test_hex_output_is_read(keys: Path) -> None:
    data = sign(keys, "p256", "--hex-addr", "0x10080000", out="signed.hex")
    assert decode(data).address == 0x10080000
    assert judge(keys, data, "p256").ok


def test_big_endian_images_are_named(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sign(keys, "p256", "--endian", "big", out="big.bin")
    assert main(["verify", "image", str(keys / "big.bin"), "--key", str(keys / "p256.pub.pem")]) == 1
    assert "big endian" in capsys.readouterr().out


def test_the_docs_name_each_option_of_imgtool() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imgtool.main", "sign", "--help"], capture_output=True, text=True, check=True
    )
    options = set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z0-9-]+)", done.stdout, re.MULTILINE)) - {"--help"}
    documented = set(re.findall(r"`(--[a-z][a-z0-9-]+)`", DOCS.read_text(encoding="utf-8")))
    assert options - documented == set()


# --- signers ----------------------------------------------------------------------------------------------------------


def test_several_signers_are_paired_with_their_keys() -> None:
    (image,) = split_images(make())
    signature = TEST_ONLY_OTHER_P256.sign(image.hashed, ec.ECDSA(hashes.SHA256()))
    named = tlv(1, hashlib.sha256(OTHER_KEY.spki).digest())
    both = make(extra=(named, tlv(0x22, signature)))
    for trusted in (KEY, OTHER_KEY, [KEY, OTHER_KEY]):
        report = Report(policy=Policy.VALIDATION)
        verify_mcuboot(both, trusted, report)
        assert report.ok, report.failed
    swapped = make(extra=(named, tlv(0x22, TEST_ONLY_P256.sign(image.hashed, ec.ECDSA(hashes.SHA256())))))
    report = Report(policy=Policy.VALIDATION)
    verify_mcuboot(swapped, OTHER_KEY, report)
    assert "image.signature" in broken(report)


def test_published_keys_of_all_algorithms_are_known() -> None:
    algorithms = {row.split(" ", 1)[0] for row in PUBLISHED_KEY_HASHES.values()}
    assert {"RSA-2048", "RSA-3072", "EC-secp256r1", "EC-secp384r1", "Ed25519"} <= algorithms


@pytest.mark.parametrize(
    "source",
    ["MCUboot", "TF-M", "STM32CubeU5", "nRF-Connect-SDK", "NXP-mcuboot", "Renesas-mcuboot", "Arduino", "sdk-nrf-bm"],
)
def test_published_keys_of_each_platform_are_known(source: str) -> None:
    assert any(f"{source}: " in row for row in PUBLISHED_KEY_HASHES.values())


def test_the_sample_keys_of_the_nrf_connect_sdk_are_known() -> None:
    """nRF Desktop, Pelion client, Thingy:91 X and the tests of KMU and NSIB: a key for each board, and some deleted."""
    places = {row for row in PUBLISHED_KEY_HASHES.values() if " sdk-nrf: " in f" {row}"}
    assert len(places) >= 62
    for part in ("nrf_desktop", "pelion_client", "thingy91x", "kmu/keys", "nrf54h20dk", "nrf54lm20dk", "nrf54ls05dk",
                 "nrf7120dk", "locator_tag", "kmu_usage_nrf54l"):  # fmt: skip
        assert any(part in row for row in places)
    assert {row.split(" ", 1)[0] for row in places} == {"RSA-2048", "EC-secp256r1", "Ed25519"}


def test_a_platforms_own_published_key_is_found_by_its_public_half() -> None:
    """The public half that the nRF Connect SDK publishes beside the private one."""
    point = ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256R1(),
        bytes.fromhex(
            "044cb03529a6b2f793d343e7c1b0a2ec88b07aa7af6f660bdb0cf7740e443d5b62"
            "046b06c51bb7c5b9e01e1fadb9bfe4f5e82743e4fdab52e2f95e3ae6b3e66ba6"
        ),
    )
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    key = parse_image_key(point.public_bytes(serialization.Encoding.DER, spki))
    report = Report(policy=Policy.PRODUCTION)
    verify_mcuboot(make(), key, report)
    assert "image.dummy-key" in broken(report)


@pytest.mark.parametrize("policy", ["validation", "production"])
@pytest.mark.parametrize(
    ("image", "trusted", "status"),
    [
        ("signed.hex", ("ecdsa-p256.pub.pem",), 0),
        ("multi-sig.img", ("ecdsa-p256.pub.pem",), 0),
        ("multi-sig.img", ("second.pub.pem",), 0),
        ("multi-sig.img", ("ecdsa-p256.pub.pem", "second.pub.pem"), 0),
        ("s-ns-two-keys.img", ("ecdsa-p256.pub.pem", "second.pub.pem"), 0),
        ("s-ns-two-keys.img", ("ecdsa-p256.pub.pem",), 1),
        ("ed25519.img", ("ed25519.pub.pem",), 0),
        ("enc-clear.img", ("ecdsa-p256.pub.pem",), 0),
        ("published-ec-p256.img", ("published-ec-p256.pub.pem",), 1),
    ],
)
def test_each_given_image(
    image: str, trusted: tuple[str, ...], status: int, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not INPUTS.is_dir():
        pytest.skip("the folder inputs/image is not present beside the checkout")
    options = [word for key in trusted for word in ("--key", str(INPUTS / key))]
    code = main(["verify", "image", str(INPUTS / image), *options, "--policy", policy])
    out = capsys.readouterr().out
    counterless = policy == "production" and "image.security-counter" in out
    assert code == (1 if counterless else status), out
    assert ("image.dummy-key" in out) == image.startswith("published")


def test_a_build_names_the_keys_of_a_combined_file(keys: Path, tmp_path: Path) -> None:
    """TF-M signs the secure and the non-secure image by two keys, and leaves both in one file, or in Intel HEX."""
    from tfm_harness.config.build import Build
    from tfm_harness.trust.expectations import build_components, check_build_images

    slot = sign(keys, "p256", "--pad", "--boot-record", "SPE", out="s.bin")
    (tmp_path / "both.bin").write_bytes(slot + sign(keys, "rsa2048", "--boot-record", "NSPE", out="ns.bin"))
    sign(keys, "p256", "--hex-addr", "0x10080000", "--boot-record", "SPE", out="alone.hex")
    combined = {"file": tmp_path / "both.bin", "world": "secure", "at": 0x1008_0000, "key": keys / "p256.pub.pem"}
    for more, held_by_all in ({"keys": [keys / "rsa2048.pub.pem"]}, True), ({}, False):
        report = Report(policy=Policy.VALIDATION)
        build = Build.model_validate({"name": "b", "images": [combined | more]})
        (images,) = check_build_images(build, report).values()
        assert len(images) == 2
        assert report.ok == held_by_all, report.failed
    alone = {"file": keys / "alone.hex", "world": "secure", "key": keys / "p384.pub.pem"}
    report = Report(policy=Policy.VALIDATION)
    build = Build.model_validate({"name": "b", "images": [alone]})
    assert len(check_build_images(build, report)) == 1
    assert "image.signature" in broken(report)
    assert [component.type for component in build_components(build)] == ["SPE"]
