"""A bundle signed with a key that never leaves its token or service.

The PKCS#11 token is SoftHSM, a program in place of hardware; the key management service is a stand-in.
"""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, Signature, SSlibKey
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.evidence.signers import load_signer
from tfm_harness.verify.keys import PublicKey

from tests.evidence.conftest import TEST_ONLY_SIGNING, pem

_LIBRARIES = [
    path
    for path in (
        Path("/usr/lib/softhsm/libsofthsm2.so"),
        Path("/usr/lib64/pkcs11/libsofthsm2.so"),
        Path("/usr/lib64/libsofthsm2.so"),
        Path("/usr/local/lib/softhsm/libsofthsm2.so"),
    )
    if path.is_file()
]
needs_token = pytest.mark.skipif(
    not _LIBRARIES or shutil.which("softhsm2-util") is None or find_spec("pkcs11") is None,
    reason="SoftHSM (softhsm2) or python-pkcs11 is not installed",
)
PIN = "TEST_ONLY-1234"
URI = "hsm:7?label=TEST_ONLY"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SoftHSM's configuration: one token with the key number 7. The library reads it once in a process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    (folder / "TEST_ONLY_key.pem").write_bytes(pem(TEST_ONLY_SIGNING))
    environment = {"SOFTHSM2_CONF": str(config), "PATH": "/usr/bin:/bin:/usr/local/bin"}

    def util(*words: str) -> None:
        done = subprocess.run(
            ["softhsm2-util", *words], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    util("--init-token", "--free", "--label", "TEST_ONLY", "--so-pin", PIN, "--pin", PIN)
    util("--import", str(folder / "TEST_ONLY_key.pem"), "--token", "TEST_ONLY", "--label", "signing", "--id", "07",
         "--pin", PIN)  # fmt: skip
    return config


@pytest.fixture
def token(tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", str(tokens))
    monkeypatch.setenv("PYKCS11LIB", str(_LIBRARIES[0]))
    monkeypatch.setenv("TFM_HARNESS_SIGNER_PIN", PIN)


@needs_token
@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("given", [False, True])
def test_a_bundle_signed_in_a_token(
    run_dir: Path, signing_key: tuple[str, Path], given: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evidence", "make", str(run_dir), "--key", URI]
    assert main([*words, "--public-key", str(signing_key[1])] if given else words) == 0, capsys.readouterr().err
    bundle = run_dir.with_name("night.evidence")
    assert main(["evidence", "verify", str(bundle), "--key", str(signing_key[1]), "--no-reference"]) == 0
    assert list((bundle / "documents").glob("*.cdx.json"))
    assert PIN not in "".join(path.read_text(errors="replace") for path in bundle.rglob("*") if path.is_file())


@needs_token
@pytest.mark.usefixtures("token")
def test_the_public_half_must_be_the_tokens(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(PublicKey.from_handle(ec.derive_private_key(99, ec.SECP256R1()).public_key()).pem)
    with pytest.raises(ConfigError) as caught:
        load_signer(URI, public=other)
    assert caught.value.kind == "evidence-key"


@needs_token
@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("uri", ["hsm:8?label=TEST_ONLY", "hsm:7?label=other", "hsm:x", "hsm:7?label=%ff"])
def test_keys_that_are_not_there(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_signer(uri)
    assert caught.value.kind == "evidence-key"


@needs_token
@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("pin", [None, "wrong"])
def test_a_token_without_its_pin_is_told_before_anything_is_signed(
    monkeypatch: pytest.MonkeyPatch, pin: str | None
) -> None:
    if pin is None:
        monkeypatch.delenv("TFM_HARNESS_SIGNER_PIN")
        monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    else:
        monkeypatch.setenv("TFM_HARNESS_SIGNER_PIN", pin)
    with pytest.raises(ConfigError) as caught:
        load_signer(URI)
    assert caught.value.kind == "evidence-key"
    assert pin is None or pin not in str(caught.value)


class ServiceSigner:
    """A stand-in for a key management service: it signs with a key that only it has."""

    def __init__(self, public_key: SSlibKey) -> None:
        self.public_key = public_key
        self._signer = CryptoSigner(TEST_ONLY_SIGNING)

    @classmethod
    def from_priv_key_uri(cls, uri: str, public_key: SSlibKey, secrets_handler: object) -> ServiceSigner:
        del secrets_handler
        assert uri == "awskms:alias/TEST_ONLY"
        return cls(public_key)

    def sign(self, payload: bytes) -> Signature:
        return self._signer.sign(payload)


@pytest.mark.parametrize("right", [True, False])
def test_a_bundle_signed_by_a_service(
    run_dir: Path, signing_key: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "awskms", ServiceSigner)
    public = signing_key[1]
    if not right:
        public = tmp_path / "other.pem"
        public.write_text(PublicKey.from_handle(ec.derive_private_key(99, ec.SECP256R1()).public_key()).pem)
    words = ["evidence", "make", str(run_dir), "--key", "awskms:alias/TEST_ONLY", "--public-key", str(public)]
    assert main(words) == (0 if right else 4)
    bundle = run_dir.with_name("night.evidence")
    assert bundle.exists() is right
    if right:
        assert main(["evidence", "verify", str(bundle), "--key", str(public), "--no-reference"]) == 0
