"""The verdict: from what was collected and what reached its end. Pure."""

from __future__ import annotations

from typing import Any

import pytest
from tfm_harness.plugin.verdict import EXIT_CODES, decide_verdict
from tfm_harness.report.record import RequirementEntry, TestEntry, WaiverEntry

PASSED = TestEntry(nodeid="a", combination="b+f")


def ended(outcome: Any, responsibility: Any = "") -> TestEntry:
    return TestEntry(nodeid="x", combination="b+f", outcome=outcome, responsibility=responsibility)


@pytest.mark.parametrize(
    ("status", "tests", "facts", "verdict"),
    [
        (0, [PASSED], {}, "passed"),
        (0, [PASSED, ended("not covered")], {}, "passed"),
        (0, [PASSED], {"unfinished": 1}, "interrupted"),
        (0, [PASSED], {"interrupted": True}, "interrupted"),  # a second Ctrl-C makes pytest say 0
        (2, [PASSED], {}, "interrupted"),
        (1, [PASSED, ended("failed", "product")], {"unfinished": 3}, "failed"),  # -x
        (1, [PASSED, ended("error", "infrastructure")], {}, "infrastructure"),
        (1, [ended("error", "infrastructure"), ended("failed", "product")], {}, "failed"),
        (1, [ended("error", "test"), ended("error", "infrastructure")], {}, "test"),
        (1, [ended("error", "harness"), ended("error", "test")], {}, "harness"),
        (1, [ended("error", "infrastructure"), ended("blocked", "product")], {}, "infrastructure"),
        (0, [ended("blocked", "infrastructure")], {}, "infrastructure"),
        (0, [ended("not covered")], {}, "nothing proved"),
        (0, [], {}, "passed"),
        (1, [], {}, "failed"),
        (3, [PASSED], {}, "harness"),
        (5, [], {}, "nothing proved"),
        (9, [PASSED], {}, "harness"),
    ],
)
def test_verdicts(status: int, tests: list[TestEntry], facts: dict[str, Any], verdict: str) -> None:
    assert decide_verdict(status, tests, [], **facts) == verdict


def test_an_unused_waiver_is_a_wrong_configuration() -> None:
    waiver = WaiverEntry(combination="b+f", finding="x", reason="y", state="unused")
    assert decide_verdict(0, [PASSED], [waiver]) == "configuration"


@pytest.mark.parametrize(("least", "verdict"), [(None, "passed"), (50.0, "passed"), (51.0, "too little proved")])
def test_a_share_of_requirements_can_be_asked_for(least: float | None, verdict: str) -> None:
    rows = [
        RequirementEntry(combination="b+f", suite="s", checks=("x",), state="proven"),
        RequirementEntry(combination="b+f", suite="s", checks=("y",), state="not proven"),
    ]
    assert decide_verdict(0, [PASSED], [], requirements=rows, least_percent=least) == verdict


def test_only_passed_is_exit_code_0() -> None:
    assert [word for word, code in EXIT_CODES.items() if code == 0] == ["passed"]
