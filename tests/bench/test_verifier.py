"""The verifier of a bench remembers every signature it verified: tokens and requests as well as results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tfm_harness.bench.state import DeviceState
from tfm_harness.bench.verifier import Verifier
from tfm_harness.boards.base import Identity
from tfm_harness.config.loading import load_build
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Policy, Report
from tfm_harness.trust.anchors import Trust as RealTrust
from tfm_harness.verify.derive import reference_private_key
from tfm_harness.verify.keys import VerificationKey
from tfm_harness.verify.nonces import NonceLedger
from tfm_harness.verify.signatures import SignatureLedger

from tests.verify.test_verify_csr_and_certificates import ECDSA_SHA256, tlv
from tests.verify.test_verify_csr_and_certificates import GOOD as GOOD_REQUEST
from tests.verify.test_verify_images import RECORD, make
from tests.verify.test_verify_images import tlv as image_tlv
from tests.verify.test_verify_signatures import K, request_with_nonce, sign_with_nonce
from tests.verify.verify_kit import CHALLENGE, KEY, OTHER_KEY, TEST_ONLY_P256, broken, enc, held, rfc_claims

PROTECTED = (image_tlv(0x50, b"\1\0\0\0"), image_tlv(0x60, RECORD))


class Trust:
    """Trusts one key for every role."""

    instance_id = None
    provisioned = None
    build = SimpleNamespace(attestation=None, models={}, path=None)
    identity = SimpleNamespace(
        huk=None,
        huk_of_test=False,
        lifecycle=None,
        implementation_id=None,
        certification_reference=None,
        verification_service=None,
    )

    def key(self, role: str) -> VerificationKey:
        return KEY

    def private_key(self, role: str) -> None:
        return None

    def components(self, model: str | None) -> None:
        return None


class Bench:
    """Makes verifiers of one device, which is all that this test has of a bench."""

    def __init__(self, board_keys: Path) -> None:
        self.ledger = SignatureLedger()
        self.nonces = NonceLedger()
        self.board_keys = board_keys
        trust, description = Trust(), SimpleNamespace(model=None, uuid=None)
        said: Any = {"trust": trust, "description": description, "boot_seed": None}
        self.state = DeviceState(board="board", boot=1, asked_results=0, **said)

    def verifier(self, report: Report) -> Verifier:
        return Verifier(
            lambda: self.state,
            report,
            ledger=lambda: self.ledger,
            nonces=lambda: self.nonces,
            board_keys=self.board_keys,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "keys.sqlite")


def test_a_single_token_is_remembered_and_compared(bench: Bench) -> None:
    for number in range(2):
        report = Report(policy=Policy.DEV)
        token = sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims() | {2396: bytes([number]) * 32}), K)
        bench.verifier(report).token(CHALLENGE, token)
        assert broken(report) == ({"result.ecdsa-nonce-reuse"} if number else set())
    assert len(bench.ledger) == 1


def test_a_request_is_compared_with_tokens_under_the_same_key(bench: Bench) -> None:
    report = Report(policy=Policy.DEV)
    bench.verifier(report).token(CHALLENGE, sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims()), K))
    assert report.ok, report.failed
    report = Report(policy=Policy.DEV)
    request = request_with_nonce(b"device", K)
    der = tlv(0x30, request.signed, tlv(0x30, ECDSA_SHA256), tlv(3, b"\0" + request.signature))
    bench.verifier(report).csr("client", der)
    assert broken(report) == {"result.ecdsa-nonce-reuse"}
    assert "token of board, boot 1 and client request of board" in report.failed[0].where
    report = Report(policy=Policy.DEV)
    bench.verifier(report).csr("client", GOOD_REQUEST)
    assert "result.ecdsa-nonce-reuse" in held(report)


def test_a_key_that_a_device_shows_is_public_and_trusted(bench: Bench) -> None:
    report = Report()
    assert bench.verifier(report).public_key("result", KEY.cose_key) == KEY
    assert {"key.valid", "key.dummy", "key.trusted"} <= held(report)
    report = Report()
    bench.verifier(report).public_key("result", OTHER_KEY.cose_key)
    assert broken(report) == {"key.trusted"}
    for data in (b"", b"\xff", bytes(32)):
        report = Report()
        assert bench.verifier(report).public_key("result", data) is None
        assert broken(report) == {"key.valid", "key.trusted"}


def test_two_boards_of_a_run_with_one_key_are_found(bench: Bench) -> None:
    bench.verifier(Report()).public_key("client", KEY.cose_key)
    report = Report()
    bench.verifier(report).public_key("client", KEY.cose_key)
    assert "key.boards-differ" not in held(report)  # one board: nothing to compare
    bench.state = replace(bench.state, board="another")
    for data, clone in ((OTHER_KEY.cose_key, False), (KEY.cose_key, True)):
        report = Report()
        bench.verifier(report).public_key("client", data)
        assert ("key.boards-differ" in broken(report)) is clone
        assert ("key.boards-differ" in held(report)) is not clone
    assert any("board has as well" in finding.seen for finding in report.failed)
    report = Report(policy=Policy.DEV)
    bench.verifier(report).token(CHALLENGE, sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims()), K))
    assert broken(report) == {"key.boards-differ"}
    bench.board_keys = Path(__file__) / "keys.sqlite"
    with pytest.raises(InfrastructureError) as caught:
        bench.verifier(Report()).public_key("client", KEY.cose_key)
    assert caught.value.kind == "board-keys"


def test_a_secret_that_a_test_burned_may_come_on_any_board(bench: Bench) -> None:
    bench.verifier(Report()).public_key("client", KEY.cose_key)
    burned: Any = Trust()
    burned.identity = SimpleNamespace(**vars(Trust.identity) | {"huk_of_test": True})
    own, bench.state = bench.state, replace(bench.state, board="another", trust=burned)
    report = Report()
    bench.verifier(report).public_key("client", KEY.cose_key)
    assert "key.boards-differ" not in {finding.check.id for finding in report.findings}
    bench.state = replace(own, board="a third")
    report = Report()
    bench.verifier(report).public_key("client", KEY.cose_key)
    assert "key.boards-differ" in broken(report)
    assert any("a key of this board alone" in str(finding.expected) for finding in report.failed)
    assert not any("another" in finding.seen for finding in report.failed), "what a test burned is not remembered"


def test_the_host_knows_private_keys_of_a_secret_that_it_drew_only(tmp_path: Path) -> None:
    (tmp_path / "build.yaml").write_text(
        "images: [{file: s.bin, world: secure, at: 0x38000000}]\nprotocol: none\n"
        "trust: {iak: provisioned, results: result.pem}\n"
    )
    build, huk = load_build(tmp_path, require_files=False), bytes(range(32))
    drawn = RealTrust(build, Identity("board", huk=huk))
    private = drawn.private_key("iak")
    assert private is not None
    assert private.public_key() == reference_private_key(huk, "iak").public_key()
    assert drawn.private_key("result") is None, "another key signs results"
    assert drawn.private_key("client") is None, "the build names none"
    assert RealTrust(build, Identity("board")).private_key("iak") is None


def test_a_file_with_two_signed_images_makes_two_components(tmp_path: Path) -> None:
    slot = make(protected=PROTECTED, tail=b"\xff" * 2048)[:2048]
    (tmp_path / "s_ns_signed.bin").write_bytes(slot + make(version=(2, 0, 0, 0)))
    (tmp_path / "build.yaml").write_text(
        "images: [{file: s_ns_signed.bin, world: secure, at: 0x38000000}]\nprotocol: none\n"
    )
    components = RealTrust(load_build(tmp_path), Identity("board")).components(None)
    assert [(c.type, c.version) for c in components] == [("NSPE", "1.2.3"), (None, "2.0.0")]
