"""Bundles signed by key management services: the real clients, against servers that answer as the services document it.

The servers stand in for AWS KMS (Sign, JSON 1.1, a digest in and DER out) and for HashiCorp Vault's transit engine.
boto3 and hvac are no packages of the harness: these tests run where a user of such a service would have them.
"""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tfm_harness.cli.main import main
from tfm_harness.errors import InfrastructureError
from tfm_harness.evidence.signers import load_signer

from tests.evidence.conftest import TEST_ONLY_SIGNING

TEST_ONLY_P384 = ec.derive_private_key(0x5167_0384, ec.SECP384R1())
TEST_ONLY_VAULT = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_AWS_KEYS: dict[str, tuple[ec.EllipticCurvePrivateKey, str, hashes.HashAlgorithm]] = {
    "alias/p256": (TEST_ONLY_SIGNING, "ECDSA_SHA_256", hashes.SHA256()),
    "alias/p384": (TEST_ONLY_P384, "ECDSA_SHA_384", hashes.SHA384()),
}


class _Service(http.server.BaseHTTPRequestHandler):
    """Answers both services' requests; after `most` signatures it answers with an error."""

    most = 100
    signed = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self._answer(body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_POST  # noqa: N815 - the name is http.server's

    def _answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if type(self).signed >= self.most:
            return 400, {"__type": "DisabledException", "message": "TEST_ONLY: the key is disabled", "errors": ["off"]}
        type(self).signed += 1
        if self.path.startswith("/v1/transit/sign/"):
            if self.path.rpartition("/")[2] != "farm" or self.headers["X-Vault-Token"] != "TEST_ONLY":
                return 403, {"errors": ["permission denied"]}
            signature = TEST_ONLY_VAULT.sign(base64.b64decode(body["input"]))
            return 200, {"data": {"signature": f"vault:v{body['key_version']}:{base64.b64encode(signature).decode()}"}}
        assert self.headers["X-Amz-Target"] == "TrentService.Sign"
        assert body["MessageType"] == "DIGEST"
        if body["KeyId"] not in _AWS_KEYS:
            return 400, {"__type": "NotFoundException", "message": f"Alias {body['KeyId']} is not found."}
        key, algorithm, digest = _AWS_KEYS[body["KeyId"]]
        assert body["SigningAlgorithm"] == algorithm
        signature = key.sign(base64.b64decode(body["Message"]), ec.ECDSA(Prehashed(digest)))
        return 200, {"KeyId": body["KeyId"], "Signature": base64.b64encode(signature).decode()}

    def log_message(self, *args: object) -> None:
        del args


@contextmanager
def service(most: int = 100) -> Iterator[str]:
    handler = type("Service", (_Service,), {"most": most, "signed": 0})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def reach(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "TEST_ONLY", "AWS_SECRET_ACCESS_KEY": "TEST_ONLY",
        "AWS_DEFAULT_REGION": "eu-central-1", "AWS_MAX_ATTEMPTS": "1", "VAULT_ADDR": url, "VAULT_TOKEN": "TEST_ONLY",
        "no_proxy": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def public(folder: Path, key: Any) -> Path:
    path = folder / "service-public.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture
def client(request: pytest.FixtureRequest) -> str:
    uri = str(request.param)
    package = "boto3" if uri.startswith("awskms") else "hvac"
    pytest.importorskip(package, reason=f"{package} is not installed (securesystemslib's extra of that service)")
    return uri


@pytest.mark.parametrize(
    ("client", "key"),
    [("awskms:alias/p256", TEST_ONLY_SIGNING), ("awskms:alias/p384", TEST_ONLY_P384), ("hv:farm/1", TEST_ONLY_VAULT)],
    indirect=["client"],
)
def test_a_bundle_signed_by_a_service_holds(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, key: Any
) -> None:
    pem = public(tmp_path, key)
    with service() as url:
        reach(monkeypatch, url)
        assert main(["evidence", "make", str(run_dir), "--key", client, "--public-key", str(pem)]) == 0
    bundle = str(run_dir.with_name("night.evidence"))
    assert main(["evidence", "verify", bundle, "--key", str(pem), "--no-reference"]) == 0


@pytest.mark.parametrize(
    ("client", "key", "words"),
    [
        ("awskms:alias/none", TEST_ONLY_SIGNING, "is not found"),
        ("awskms:alias/p256", TEST_ONLY_P384, "AWS_DEFAULT_REGION"),
        ("hv:other/1", TEST_ONLY_VAULT, "VAULT_TOKEN"),
        ("hv:farm", TEST_ONLY_VAULT, "hv:NAME/VERSION"),
    ],
    indirect=["client"],
)
def test_a_service_that_does_not_sign_is_told_before_anything_is_written(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], client: str,
    key: Any, words: str,
) -> None:  # fmt: skip
    pem = public(tmp_path, key)
    with service() as url:
        reach(monkeypatch, url)
        assert main(["evidence", "make", str(run_dir), "--key", client, "--public-key", str(pem)]) == 4
    said = capsys.readouterr().err
    assert "[configuration:evidence-key]" in said
    assert words in said
    assert not run_dir.with_name("night.evidence").exists()


@pytest.mark.parametrize("client", ["awskms:alias/p256"], indirect=True)
def test_a_key_that_is_disabled_meanwhile_leaves_no_half_bundle(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], client: str
) -> None:
    pem = public(tmp_path, TEST_ONLY_SIGNING)
    with service(most=2) as url:  # the trial, and one signature
        reach(monkeypatch, url)
        assert main(["evidence", "make", str(run_dir), "--key", client, "--public-key", str(pem)]) == 10
    assert "[infrastructure:signer]" in capsys.readouterr().err
    assert not run_dir.with_name("night.evidence").exists()
    assert not list(tmp_path.glob(".evidence-*"))


@pytest.mark.parametrize("client", ["awskms:alias/p256"], indirect=True)
def test_a_service_that_is_gone_is_the_benchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str) -> None:
    with service() as url:
        reach(monkeypatch, url)
        signer = load_signer(client, public=public(tmp_path, TEST_ONLY_SIGNING))
    with pytest.raises(InfrastructureError) as caught:
        signer.sign(b"x")
    assert caught.value.kind == "signer"


@pytest.mark.parametrize("uri", ["awskms:alias/rsa", "hv:farm/1", "gcpkms:x", "azurekms:x"])
def test_a_key_whose_signatures_nobody_here_verifies_is_refused(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], uri: str
) -> None:
    """A service signs with RSA as well, and `evidence verify` would take no such bundle."""
    pem = public(tmp_path, rsa.generate_private_key(65537, 2048))
    assert main(["evidence", "make", str(run_dir), "--key", uri, "--public-key", str(pem)]) == 4
    assert "bundles are signed with ECDSA or Ed25519" in capsys.readouterr().err
