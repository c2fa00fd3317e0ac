"""What was in evidence, as JSON."""

from __future__ import annotations

import json
import math

from tfm_harness.findings import Report
from tfm_harness.verify.render import render_json
from tfm_harness.verify.token import verify_psa_token

from tests.verify.verify_kit import KEY, enc, message, rfc_claims


def test_numbers_are_numbers_and_what_json_has_no_number_for_is_text() -> None:
    report = Report()
    values = [1.5, -0.25, 7, math.nan, math.inf, -math.inf, True, None, "1.5"]
    token = verify_psa_token(message(enc({**rfc_claims(), 77: values})), keys=KEY, report=report)
    shown = json.loads(render_json("token", report, token))["content"]
    assert shown["claims"][-1]["value"] == [1.5, -0.25, 7, "nan", "inf", "-inf", True, None, "1.5"]
