"""Waivers of the TF-M example build: they excuse what TF-M's defaults get wrong, all of it and no more."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tfm_harness.config.loading import load_build
from tfm_harness.findings import Policy, Report, Status
from tfm_harness.verify.images import PUBLISHED_KEY_HASHES, verify_mcuboot
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.published import PUBLISHED_POINTS
from tfm_harness.verify.relations import TokenObservation, check_token_relations
from tfm_harness.verify.token import TokenExpectations, verify_psa_token

from tests.verify.test_verify_images import GOOD as GOOD_IMAGE
from tests.verify.verify_kit import CHALLENGE, KEY, OTHER_KEY, TEST_ONLY_OTHER_P256, broken, enc, message, p1_claims

BUILD = load_build(Path(__file__).resolve().parents[2] / "fw_builds" / "tf-m-corstone300", require_files=False)
WAIVED = {waiver.finding for waiver in BUILD.waivers}
ELSEWHERE = {"attestation.same-challenge-new-state", "boot.seed-changes", "result.boot-seed-relation", "key.dummy"}
"""The same defaults as suites see them on a device: in `describe`, in signed results, in the keys it shows."""
DUMMIES = {
    -75003: b"".join(bytes([value]) * 8 for value in (0xAA, 0xBB, 0xCC, 0xDD)),
    -75004: bytes(range(0xA0, 0xC0)),
    -75005: "0604565272829-10010",
}
"""What TF-M's dummy provisioning writes, by claim of PSA_IOT_PROFILE_1."""


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    """A port's report with the example's waivers; one test key stands for TF-M's published ones."""
    monkeypatch.setitem(PUBLISHED_POINTS, hashlib.sha256(OTHER_KEY.point).hexdigest(), "TF-M's dummy attestation key")
    monkeypatch.setitem(PUBLISHED_KEY_HASHES, hashlib.sha256(KEY.spki).hexdigest(), "root-rsa-3072 (MCUboot, TF-M)")
    return Report(policy=Policy.VALIDATION, waivers=BUILD.granted())


def observe(report: Report, boot: int, **changes: object) -> TokenObservation:
    dummy_iak = PublicKey.from_point(OTHER_KEY.point)
    challenge = bytes([boot]) + CHALLENGE[1:]
    claims = p1_claims(dummy_iak, challenge) | DUMMIES | {int(k[1:].replace("_", "-")): v for k, v in changes.items()}
    claims = {label: value for label, value in claims.items() if value is not None}
    attestation = BUILD.attestation
    assert attestation is not None
    expected = TokenExpectations(
        profiles=frozenset({attestation.profile or ""}), caller="non-secure", max_size=attestation.max_token_size
    )
    data = message(enc(claims), key=TEST_ONLY_OTHER_P256)
    token = verify_psa_token(data, keys=dummy_iak, challenge=challenge, expected=expected, report=report)
    return TokenObservation(token=token, challenge=challenge, boot=boot)


def test_a_board_with_tf_ms_defaults_passes_a_port_with_every_waiver_shown_and_used(report: Report) -> None:
    check_token_relations([observe(report, 1), observe(report, 2)], report)
    verify_mcuboot(GOOD_IMAGE, KEY, report)
    assert report.ok, report.failed
    assert {finding.id for finding in report.by_status(Status.WAIVED)} == WAIVED - ELSEWHERE
    assert {waiver.finding for waiver in report.unused_waivers()} == ELSEWHERE
    assert all(waiver.reason and "build.yaml:" in waiver.where for waiver in report.waivers)


def test_without_the_waivers_each_is_a_failure(report: Report) -> None:
    bare = Report(policy=Policy.VALIDATION)
    check_token_relations([observe(bare, 1), observe(bare, 2)], bare)
    verify_mcuboot(GOOD_IMAGE, KEY, bare)
    assert broken(bare) == WAIVED - ELSEWHERE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"c_75001": 5}, "attestation.client-id-caller"),
        ({"c_75003": bytes(31)}, "attestation.implementation-id-size"),
        ({"c_75004": bytes(31)}, "attestation.boot-seed-size"),
        ({"c_75009": b"\x01" + bytes(32)}, "attestation.instance-id-key"),
        ({"c_75010": "v" * 400}, "attestation.size-max"),
    ],
)
def test_the_waivers_excuse_nothing_else(report: Report, changes: dict[str, object], expected: str) -> None:
    observe(report, 1, **changes)
    assert broken(report) == {expected}
