"""The verifier of a bench remembers every signature it verified: tokens and requests as well as results."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.findings import Policy, Report
from harness.plugin.verifier import Verifier
from harness.verify.keys import VerificationKey
from harness.verify.signatures import SignatureLedger
from tests.verify.test_verify_csr_and_certificates import ECDSA_SHA256, tlv
from tests.verify.test_verify_csr_and_certificates import GOOD as GOOD_REQUEST
from tests.verify.test_verify_signatures import K, request_with_nonce, sign_with_nonce
from tests.verify.verify_kit import CHALLENGE, KEY, OTHER_KEY, TEST_ONLY_P256, broken, enc, held, rfc_claims


class Trust:
    """Trusts one key for every role."""

    instance_id = None
    provisioned = None

    def key(self, role: str) -> VerificationKey:
        return KEY

    def components(self, model: str | None) -> None:
        return None


@pytest.fixture
def bench() -> Any:
    build = SimpleNamespace(attestation=None, models={}, path=None)
    identity = SimpleNamespace(lifecycle=None, implementation_id=None, certification_reference=None)
    return SimpleNamespace(
        pair=SimpleNamespace(build=build), board=SimpleNamespace(name="board", identity=identity), trust=Trust(),
        description=SimpleNamespace(boot_seed=None, model=None, uuid=None), boots=1, asked_results=0,
        ledger=SignatureLedger(),
    )  # fmt: skip


def test_a_single_token_is_remembered_and_compared(bench: Any) -> None:
    for number in range(2):
        report = Report(policy=Policy.DEV)
        token = sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims() | {2396: bytes([number]) * 32}), K)
        Verifier(bench, report).token(CHALLENGE, token)
        assert broken(report) == ({"result.ecdsa-nonce-reuse"} if number else set())
    assert len(bench.ledger) == 1


def test_a_request_is_compared_with_tokens_under_the_same_key(bench: Any) -> None:
    report = Report(policy=Policy.DEV)
    Verifier(bench, report).token(CHALLENGE, sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims()), K))
    assert report.ok, report.failed
    report = Report(policy=Policy.DEV)
    request = request_with_nonce(b"device", K)
    der = tlv(0x30, request.signed, tlv(0x30, ECDSA_SHA256), tlv(3, b"\0" + request.signature))
    Verifier(bench, report).csr("client", der)
    assert broken(report) == {"result.ecdsa-nonce-reuse"}
    assert "token of board, boot 1 and client request of board" in report.failed[0].where
    report = Report(policy=Policy.DEV)
    Verifier(bench, report).csr("client", GOOD_REQUEST)
    assert "result.ecdsa-nonce-reuse" in held(report)


def test_a_key_that_a_device_shows_is_public_and_trusted(bench: Any) -> None:
    report = Report()
    assert Verifier(bench, report).public_key("result", KEY.cose_key) == KEY
    assert {"key.valid", "key.dummy", "key.trusted"} <= held(report)
    report = Report()
    Verifier(bench, report).public_key("result", OTHER_KEY.cose_key)
    assert broken(report) == {"key.trusted"}
    for data in (b"", b"\xff", bytes(32)):
        report = Report()
        assert Verifier(bench, report).public_key("result", data) is None
        assert broken(report) == {"key.valid", "key.trusted"}
