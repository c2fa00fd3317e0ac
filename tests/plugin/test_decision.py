"""The outcome of a test, case by case."""

from __future__ import annotations

import pytest
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.errors import ConfigError, HarnessBug, InfrastructureError, ProductError
from tfm_harness.findings import Check, Policy, Report, Severity, Waiver
from tfm_harness.plugin.decision import decide
from tfm_harness.plugin.outcomes import FindingsFailed

CHECK = Check(id="x.y", title="it holds", requirement="TEST", dev=Severity.WARNING)
PRODUCT = ProductError("it misbehaved", kind="p")
BENCH = InfrastructureError("the cable", kind="i")
CONTROL = InfrastructureError("nobody can press the button", kind="no-reset-control")
BUG = HarnessBug("never", kind="b")


def report(*passed: bool, policy: Policy = Policy.VALIDATION, waivers: tuple[Waiver, ...] = ()) -> Report:
    found = Report(policy=policy, waivers=waivers)
    for held in passed:
        found.add(CHECK, held, expected="a", seen="b")
    return found


@pytest.mark.parametrize("judges", [True, False])
def test_what_holds_passes(judges: bool) -> None:
    assert decide(report(True), None, judges=judges) is None


def test_no_finding_is_a_pass_only_where_nothing_judges() -> None:
    assert decide(report(), None, judges=False) is None
    failed = decide(report(), None, judges=True)
    assert isinstance(failed, FindingsFailed)
    assert "no check ran" in str(failed)


def test_what_does_not_hold_fails() -> None:
    assert isinstance(decide(report(True, False), None, judges=False), FindingsFailed)


def test_what_the_policy_only_notes_or_a_waiver_excuses_is_no_failure() -> None:
    assert decide(report(False, policy=Policy.DEV), None, judges=True) is None
    waived = report(False, waivers=(Waiver(finding="x.y", reason="known"),))
    assert decide(waived, None, judges=True) is None


@pytest.mark.parametrize("skipped", [NotCovered("no sensor"), pytest.skip.Exception("by hand")])
def test_a_skip_hides_no_finding(skipped: BaseException) -> None:
    assert decide(report(), skipped, judges=True) is skipped
    assert decide(report(True), skipped, judges=True) is None
    assert isinstance(decide(report(False), skipped, judges=True), FindingsFailed)


def test_a_control_that_the_target_has_not_is_not_covered() -> None:
    outcome = decide(report(), CONTROL, judges=True)
    assert isinstance(outcome, NotCovered)
    assert outcome.what == "no-reset-control"
    assert isinstance(decide(report(False), CONTROL, judges=True), FindingsFailed)


@pytest.mark.parametrize("error", [PRODUCT, BENCH, BUG, ConfigError("x", kind="c"), AssertionError("no"), ValueError()])
@pytest.mark.parametrize("passed", [(), (True,)])
def test_an_error_stands_where_no_finding_failed(error: BaseException, passed: tuple[bool, ...]) -> None:
    assert decide(report(*passed), error, judges=True) is error


def test_the_products_own_error_stands_beside_its_findings() -> None:
    error = ProductError("it misbehaved", kind="p")
    assert decide(report(False), error, judges=True) is error
    assert "1 check failed" in "".join(error.__notes__)


@pytest.mark.parametrize("error", [BENCH, BUG])
def test_a_later_failure_of_the_bench_hides_no_finding(error: BaseException) -> None:
    failed = decide(report(False), error, judges=True)
    assert isinstance(failed, FindingsFailed)
    assert failed.__cause__ is error
