"""Tokens, results and requests that the inference partition made inside real TF-M 2.1.4, as recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.findings import Policy, Report
from tfm_harness.verify import (
    PsaToken,
    PublicKey,
    ResultExpectations,
    ResultObservation,
    SignedResult,
    TokenExpectations,
    TokenObservation,
    parse_key,
    verify_csr,
    verify_psa_token,
    verify_result,
)
from tfm_harness.verify.result_relations import check_one_identity

PORT = Path(__file__).resolve().parents[3] / "shared" / "recordings" / "tf-m" / "port"
NAME = "port-v2.1.4-sfn"
KNOWN = {
    "attestation.dummy-key", "attestation.dummy-implementation-id", "attestation.dummy-certification-reference",
    "attestation.dummy-boot-seed",
}  # fmt: skip
"""What TF-M's dummy provisioning gets wrong, rightly found."""

pytestmark = pytest.mark.skipif(
    not PORT.is_dir(), reason="the recordings of real TF-M are not present beside the checkout"
)


def key(role: str) -> PublicKey:
    found = parse_key((PORT / f"{role}_pub.pem").read_bytes())
    assert isinstance(found, PublicKey)
    return found


def said() -> dict[str, str]:
    found: dict[str, str] = json.loads((PORT / f"{NAME}.json").read_text())
    return found


def token(report: Report, suffix: str = "", challenge: bytes | None = None) -> PsaToken:
    return verify_psa_token(
        (PORT / f"{NAME}-token{suffix}.cbor").read_bytes(), keys=key("iak"),
        challenge=challenge or bytes.fromhex(said()["challenge"]),
        expected=TokenExpectations(profiles=frozenset({"PSA_IOT_PROFILE_1"}), caller="non-secure"), report=report,
    )  # fmt: skip


def result(report: Report, source: str, *, instance_id: bytes | frozenset[bytes] | None = None) -> SignedResult:
    return verify_result(
        (PORT / f"{NAME}-result-{source}.cose").read_bytes(), profile="tfm-harness-reference", keys=key("result"),
        expected=ResultExpectations(nonce=bytes.fromhex(said()["nonce"]), instance_id=instance_id), report=report,
    )  # fmt: skip


def test_the_token_verifies_and_only_dummies_are_found() -> None:
    report = Report(policy=Policy.VALIDATION)
    assert token(report).verified
    assert {finding.id for finding in report.failed} == KNOWN


def test_a_token_for_another_challenge_or_key_does_not_pass() -> None:
    report = Report(policy=Policy.DEV)
    token(report, challenge=bytes(32))
    assert "attestation.challenge" in {f.id for f in report.failed} or any("nonce" in f.id for f in report.failed)
    report = Report(policy=Policy.DEV)
    assert not verify_psa_token(
        (PORT / f"{NAME}-token.cbor").read_bytes(), keys=key("result"), challenge=bytes.fromhex(said()["challenge"]),
        expected=TokenExpectations(), report=report,
    ).verified  # fmt: skip
    assert not report.ok


@pytest.mark.parametrize("source", ["sensor", "host"])
def test_results_verify(source: str) -> None:
    report = Report(policy=Policy.VALIDATION)
    assert result(report, source).verified
    assert not report.failed, report.failed


@pytest.mark.parametrize("source", ["sensor", "host"])
def test_a_result_that_names_another_instance_id_than_the_token_is_a_finding(source: str) -> None:
    """TF-M 2.1 hashes the key's point, this partition hashed the COSE_Key: two ids of one device."""
    named = token(Report(policy=Policy.VALIDATION)).instance_id
    assert named is not None
    report = Report(policy=Policy.VALIDATION)
    result(report, source, instance_id=named)
    assert {finding.id for finding in report.failed} == {"result.instance-id"}


@pytest.mark.parametrize("source", ["sensor", "host"])
def test_two_instance_ids_of_one_board_are_a_finding_although_each_is_right(source: str) -> None:
    """What a live device shows: the host knows the attestation key, under which both forms hold."""
    quiet = Report(policy=Policy.VALIDATION)
    tokens = [TokenObservation(token=token(quiet), challenge=bytes.fromhex(said()["challenge"]))]
    results = [ResultObservation(result=result(quiet, source), request=bytes.fromhex(said()["nonce"]))]
    report = Report(policy=Policy.VALIDATION)
    result(report, source, instance_id=frozenset(key("iak").instance_ids))
    assert not report.failed
    check_one_identity(results, tokens, report)
    assert {finding.id for finding in report.failed} == {"result.instance-id-of-token"}
    (finding,) = report.failed
    assert tokens[0].token.instance_id is not None
    assert tokens[0].token.instance_id.hex() in finding.expected
    apart = Report()
    check_one_identity(results, [replace(tokens[0], board="another board")], apart)
    check_one_identity(results, [], apart)
    assert not apart.findings


@pytest.mark.parametrize(("number", "role"), [(2, "result"), (3, "client")])
def test_signing_requests_are_of_the_keys_they_say(number: int, role: str) -> None:
    report = Report(policy=Policy.VALIDATION)
    request = verify_csr((PORT / f"{NAME}-csr{number}.der").read_bytes(), report=report)
    assert request is not None
    assert not report.failed, report.failed
    assert request.key == key(role)
