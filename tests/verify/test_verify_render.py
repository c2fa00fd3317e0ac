"""What was in evidence, as JSON."""

from __future__ import annotations

import json
import math

from tfm_harness.findings import Report
from tfm_harness.verify import cbor
from tfm_harness.verify.render import render_json
from tfm_harness.verify.token import verify_claims, verify_psa_token

from tests.verify.verify_kit import KEY, enc, message, rfc_claims


def test_numbers_are_numbers_and_what_json_has_no_number_for_is_text() -> None:
    report = Report()
    values = [1.5, -0.25, 7, math.nan, math.inf, -math.inf, True, None, "1.5"]
    token = verify_psa_token(message(enc({**rfc_claims(), 77: values})), keys=KEY, report=report)
    shown = json.loads(render_json("token", report, token))["content"]
    assert shown["claims"][-1]["value"] == [1.5, -0.25, 7, "nan", "inf", "-inf", True, None, "1.5"]


def test_a_wrong_instance_id_is_shown() -> None:
    wrong = b"\1" + bytes(range(32))
    report = Report()
    verify_psa_token(message(enc(rfc_claims() | {256: wrong})), keys=KEY, report=report)
    (found,) = [finding for finding in report.failed if finding.id == "attestation.instance-id-key"]
    assert found.seen == wrong.hex()


def test_a_finding_shows_300_characters_of_what_is_wrong_with_many_components() -> None:
    report = Report()
    claims = cbor.decode(enc({**rfc_claims(), 2399: [{1: 7}] * 99})).value
    assert isinstance(claims, dict)
    verify_claims(claims, report=report)
    assert max(len(finding.seen) for finding in report.failed) == 300
