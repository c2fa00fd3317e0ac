"""What `tfm-harness check` finds in the files of a build before a board is touched, and what was probably meant."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.plugin.combinations import load_combinations
from tfm_harness.plugin.options import OPTIONS, Setting
from tfm_harness.verify.keyfiles import holds_private_key

from tests.reference_firmware import FIRMWARE, ROOT, needs_firmware

TARGET = str(ROOT / "targets" / "qemu-an547.yaml")
IMAGES = ("secure.elf", "nonsecure.signed.bin", "tamper.signed.bin", "sine.signed.bin", "keyword.signed.bin")
TEST_ONLY_EC = ec.generate_private_key(ec.SECP256R1())
TEST_ONLY_RSA = rsa.generate_private_key(65537, 2048)
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER


def public(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def private(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    encoding: serialization.Encoding = PEM,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    passphrase: bytes | None = None,
) -> bytes:
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(encoding, form, hidden)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A copy of the reference build, ready to be spoilt."""
    source = FIRMWARE
    for folder in ("models", "keys"):
        shutil.copytree(source / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "out").mkdir()
    for name in IMAGES:
        shutil.copy(source / "out" / name, tmp_path / "out" / name)
    shutil.copy(source / "build.yaml", tmp_path / "build.yaml")
    return tmp_path


def changed(old: str, new: str) -> Callable[[Path], None]:
    def change(build: Path) -> None:
        text = (build / "build.yaml").read_text()
        assert old in text
        (build / "build.yaml").write_text(text.replace(old, new))

    return change


def more(text: str) -> Callable[[Path], None]:
    def change(build: Path) -> None:
        with (build / "build.yaml").open("a") as file:
            file.write(text)

    return change


def holding(name: str, content: bytes) -> Callable[[Path], None]:
    def change(build: Path) -> None:
        (build / name).write_bytes(content)

    return change


def cut(build: Path) -> None:
    model = build / "models" / "tamper.tflite"
    model.write_bytes(model.read_bytes()[:1000])


def other_image(build: Path) -> None:
    shutil.copy(build / "out" / "sine.signed.bin", build / "out" / "tamper.signed.bin")


def models_by_another_key(build: Path) -> None:
    (build / "keys" / "other.pem").write_bytes(public(TEST_ONLY_EC))
    text = (build / "build.yaml").read_text()
    (build / "build.yaml").write_text(
        text.replace(
            "  images: keys/image_signing_pub.pem", "  images: keys/image_signing_pub.pem\n  models: keys/other.pem"
        )
    )


def raw_model(build: Path) -> None:
    shutil.copy(build / "models" / "sine.tflite", build / "out" / "sine.signed.bin")


def model_for_nonsecure(build: Path) -> None:
    shutil.copy(build / "out" / "sine.signed.bin", build / "out" / "nonsecure.signed.bin")


KEY = "keys/image_signing_pub.pem"
WRONG: dict[str, tuple[Callable[[Path], None], str, list[str]]] = {
    # what is wrong, the kind, words that must be said
    "a model that is not there": (
        changed("models/tamper.tflite", "models/tampr.tflite"), "image-missing",
        ["build.yaml:15", "models.tamper.file: no such file", "did you mean 'tamper.tflite'?"],
    ),
    "a model that is none": (
        holding("models/tamper.tflite", bytes(5000)), "file-contents", ["build.yaml:15", "not a TFLite model"],
    ),
    "a model cut short": (cut, "file-contents", ["build.yaml:15", "model tamper.tflite is damaged"]),
    "the file of another model": (
        changed("models/tamper.tflite", "models/sine.tflite"), "file-contents",
        ["build.yaml:15", "not the model that its signed image carries", "did you mean the file 'tamper.tflite'?"],
    ),
    "the image of another model": (
        other_image, "file-contents", ["build.yaml:15", "did you mean the file of model 'sine'?"],
    ),
    "a console that the target lacks": (
        more("console: nss\n"), "combination-invalid", ["speaks on console 'nss'", "did you mean 'ns'?"],
    ),
    "a console for the boot that the target lacks": (
        more("boot: {pattern: up, console: secur}\n"),
        "combination-invalid",
        ["boot.console", "did you mean 'secure'?"],
    ),
    "another image key": (
        holding(KEY, public(TEST_ONLY_EC)), "image-signer",
        ["build.yaml:8", "images.1.file: not signed by trust.images"],
    ),
    "an RSA key": (
        holding(KEY, public(TEST_ONLY_RSA)), "image-signer", ["build.yaml:8", "not signed by trust.images", "RSA-2048"],
    ),
    "another key for the models": (
        models_by_another_key, "image-signer",
        ["models.tamper.image: not signed by trust.models", "it is signed by trust.images"],
    ),
    "a private key": (
        holding(KEY, private(TEST_ONLY_EC)), "file-contents", ["build.yaml:27", "trust.images: a private key"],
    ),
    "a private RSA key": (
        holding(KEY, private(TEST_ONLY_RSA, DER)), "file-contents", ["build.yaml:27", "trust.images: a private key"],
    ),
    "a key that is not there": (
        changed(KEY, "keys/image_signin_pub.pem"), "image-missing",
        ["build.yaml:27", "did you mean 'image_signing_pub.pem'?"],
    ),
    "a non-secure image that is not signed": (
        holding("out/nonsecure.signed.bin", bytes.fromhex("00042021") * 500), "image-signer",
        ["build.yaml:8", "images.1.file: no signed image", "trust.images"],
    ),
    "a model's image that is not signed": (
        raw_model, "image-signer", ["build.yaml:20", "models.sine.image: no signed image"],
    ),
    "a model's image in place of the non-secure one": (
        model_for_nonsecure, "file-contents", ["build.yaml:8", "the signed image of model 'sine'"],
    ),
    "a misspelt word in place of a key": (
        changed("iak: provisioned", "iak: provisoned"), "image-missing",
        ["build.yaml:24", "did you mean 'provisioned'?"],
    ),
    "a console suite that nobody knows": (
        more("console_suites: [{suite: ztes}]\n"), "build-invalid", ["'ztes'", "did you mean 'ztest'?"],
    ),
    "a misspelt waiver": (
        more("waivers: [{finding: attestation.dummy-certification-referenc, reason: under way till May}]\n"),
        "build-invalid", ["did you mean 'attestation.dummy-certification-reference'?"],
    ),
    "inputs for an unknown model": (
        more("parity: {inputs: {tampr: [models]}}\n"), "build-invalid", ["'tampr'", "did you mean 'tamper'?"],
    ),
    "a budget for an unknown model": (
        more("latency: {budgets: [{model: keywrd, ms: 3}]}\n"), "build-invalid",
        ["'keywrd'", "did you mean 'keyword'?"],
    ),
}  # fmt: skip


@needs_firmware
@pytest.mark.parametrize("wrong", WRONG)
def test_check_finds_it(build: Path, capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    change, kind, words = WRONG[wrong]
    change(build)
    assert main(["check", TARGET, str(build)]) == 4
    said = capsys.readouterr().err
    assert f"[configuration:{kind}]" in said
    assert [word for word in words if word not in said] == [], said
    assert "PRIVATE" not in said


def damaged(build: Path) -> None:
    image = build / "out" / "nonsecure.signed.bin"
    data = bytearray(image.read_bytes())
    data[0x600] ^= 1
    image.write_bytes(data)


@needs_firmware
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (holding(KEY, public(TEST_ONLY_EC)), ["images.1.file: not signed by trust.images", "models.sine.image"]),
        (damaged, ["build.yaml:8", "images.1.file: not signed by trust.images"]),
    ],
    ids=["another key", "damaged after it was signed"],
)
def test_a_run_refuses_such_images_before_it_touches_a_board(
    build: Path, change: Callable[[Path], None], words: list[str]
) -> None:
    change(build)
    with pytest.raises(ConfigError) as caught:
        load_combinations(*(Setting(values, "the test", OPTIONS[0]) for values in ((TARGET,), (str(build),), ())))
    assert caught.value.kind == "image-signer"
    assert [word for word in words if word not in str(caught.value)] == []


@needs_firmware
def test_check_lets_the_right_build_pass(build: Path) -> None:
    assert main(["check", TARGET, str(build)]) == 0


@needs_firmware
def test_check_needs_no_images_where_it_is_told_so(build: Path) -> None:
    shutil.rmtree(build / "out")
    assert main(["check", "--no-files", TARGET, str(build)]) == 0


def test_every_form_of_a_private_key_is_known_for_one() -> None:
    forms = {
        "PKCS#8": private(TEST_ONLY_EC),
        "SEC 1": private(TEST_ONLY_EC, form=serialization.PrivateFormat.TraditionalOpenSSL),
        "PKCS#1 in DER": private(TEST_ONLY_RSA, DER, serialization.PrivateFormat.TraditionalOpenSSL),
        "PKCS#8 in DER": private(ed25519.Ed25519PrivateKey.generate(), DER),
        "encrypted": private(TEST_ONLY_EC, passphrase=b"TEST_ONLY"),
        "encrypted DER": private(TEST_ONLY_EC, DER, passphrase=b"TEST_ONLY"),
        "behind a public one": public(TEST_ONLY_EC) + private(TEST_ONLY_EC),
        "JWK": b'{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}',
        "COSE_Key": bytes.fromhex("a40102200121410023 4100".replace(" ", "")),
    }
    assert [name for name, data in forms.items() if not holds_private_key(data)] == []


@pytest.mark.parametrize("data", [b"", b"\0", b"0", b"{", b"\xa4", b"-----BEGIN", bytes(100), b'{"kty":"EC"}', b"[]"])
def test_what_is_no_private_key(data: bytes) -> None:
    assert not holds_private_key(data)


def test_public_keys_are_no_private_ones() -> None:
    for key in (TEST_ONLY_EC, TEST_ONLY_RSA):
        assert not holds_private_key(public(key))
        assert not holds_private_key(
            key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )


LIST = "Supported machines are:\nmps3-an524           ARM MPS3 with AN524\nmps3-an547           ARM MPS3 with AN547\n"


@pytest.mark.parametrize(
    ("machine", "prints", "code"),
    [
        ("mps3-an547", LIST, 0),
        ("mps3-an574", LIST, 4),
        ("mps3-an574", "what?\n", 0),  # another program, which tells nothing
    ],
)
def test_check_asks_the_emulator_for_its_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], machine: str, prints: str, code: int
) -> None:
    emulator = tmp_path / "emulator"
    emulator.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}END\n")
    emulator.chmod(0o755)
    target = tmp_path / "t.yaml"
    target.write_text(f"kind: qemu\nmachine: {machine}\nconsoles: {{ns: uart0}}\nbinary: {emulator}\n")
    assert main(["check", str(target)]) == code
    said = capsys.readouterr().err
    if code:
        for word in ("[configuration:machine-unknown]", "did you mean 'mps3-an547'?", "t.yaml:2", "mps3-an524"):
            assert word in said


def test_check_needs_no_emulator(tmp_path: Path) -> None:
    target = tmp_path / "t.yaml"
    target.write_text(
        f"kind: qemu\nmachine: mps3-an574\nconsoles: {{ns: uart0}}\nbinary: {tmp_path / 'no-such-program'}\n"
    )
    assert main(["check", str(target)]) == 0
