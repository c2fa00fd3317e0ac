"""psa-arch-tests, ztest, and an added suite in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest
from tfm_harness.console_suites import Outcome, Rule, Step, SuiteMachine, Verdict, get_machine, suite_names
from tfm_harness.errors import ConfigError

from tests.console_suites.helpers import PSA, ZTEST, judge, kinds


def test_psa_passes_and_names_its_tests() -> None:
    judgement = judge(PSA.encode(), "psa-arch-tests")
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert [(c.id, c.suite) for c in judgement.cases] == [("201", "Crypto Suite"), ("202", "Crypto Suite")]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("TEST RESULT: PASSED", "TEST RESULT: FAILED (Error Code=0x1C)", "case-failed"),
        ("TEST RESULT: PASSED", "TEST RESULT: SIM ERROR (Error Code=0x1)", "case-failed"),
        ("TEST RESULT: PASSED", "TEST RESULT: FAILED (Error Code=0x1C)", "count-disagrees"),
        ("TEST RESULT: PASSED", "", "case-not-ended"),
        ("TEST RESULT: PASSED", "TEST RESULT: SKIPPED (Skip Code=0x2B)", "skipped"),
        ("TEST: 202 | ", "", "case-not-begun"),
        ("TOTAL TESTS     : 2", "TOTAL TESTS     : 3", "count-disagrees"),
        ("TOTAL FAILED    : 0", "TOTAL FAILED    : 1", "count-disagrees"),
        ("TOTAL FAILED    : 0", "", "summary-missing"),
        ("************ Crypto Suite Report **********", "", "summary-missing"),
        ("************ Crypto Suite", "************ Storage Suite", "summary-disagrees"),
        ("Entering standby..", "", "not-ended"),
        ("[Check 1]", "[INF] Starting bootloader\n\r[Check 1]", "reset"),
    ],
)
def test_psa_each_way_of_not_passing(old: str, new: str, kind: str) -> None:
    assert old in PSA
    judgement = judge(PSA.replace(old, new, 1).encode(), "psa-arch-tests")
    assert judgement.verdict is not Verdict.PASSED
    assert kind in kinds(judgement), judgement.problems


def test_psa_skips_and_sim_errors_are_counted_apart() -> None:
    skipped = PSA.replace("TEST RESULT: PASSED", "TEST RESULT: SKIPPED (Skip Code=0x2B)", 1)
    skipped = skipped.replace("PASSED    : 2", "PASSED    : 1").replace("SKIPPED   : 0", "SKIPPED   : 1")
    assert kinds(judge(skipped.encode(), "psa-arch-tests")) == {"skipped"}
    assert judge(skipped.encode(), "psa-arch-tests", allow_skipped=True).verdict is Verdict.PASSED
    sim = PSA.replace("TEST RESULT: PASSED", "TEST RESULT: SIM ERROR (Error Code=0x1)", 1)
    sim = sim.replace("PASSED    : 2", "PASSED    : 1").replace("SIM ERROR : 0", "SIM ERROR : 1")
    assert kinds(judge(sim.encode(), "psa-arch-tests")) == {"case-failed"}


def test_psa_resets_on_purpose_need_permission() -> None:
    restart = "[INF] Starting bootloader\n\r***** PSA Architecture Test Suite - Version 1.4 *****\n\r"
    again = "TEST: 201 | DESCRIPTION: Testing crypto key management APIs | UT: psa_import_key\n\r"
    for text in (restart, restart + again):
        run = PSA.replace("[Check 1]", text + "[Check 1]", 1).encode()
        assert "reset" in kinds(judge(run, "psa-arch-tests"))
        allowed = judge(run, "psa-arch-tests", allow_resets=True)
        assert allowed.verdict is Verdict.PASSED, allowed.problems
        assert allowed.notes


def test_psa_line_ends_of_any_style_and_no_truncation_passes() -> None:
    for end in ("\n\r", "\r\n", "\n"):
        data = PSA.replace("\n\r", end).encode()
        assert judge(data, "psa-arch-tests").verdict is Verdict.PASSED
        machine = get_machine("psa-arch-tests")
        for index in range(len(data) - len(end) + (1 if end == "\n\r" else 0)):
            machine.feed(data[index : index + 1])
            assert not machine.could_pass()


def test_ztest_passes() -> None:
    judgement = judge(ZTEST.encode(), "ztest")
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert [c.id for c in judgement.cases] == ["test_assert_equal", "test_assert_mem_equal"]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (" PASS - test_assert_equal in", " FAIL - test_assert_equal in", "case-failed"),
        (" PASS - test_assert_equal in", " FAIL - test_assert_equal in", "count-disagrees"),
        (" PASS - test_assert_equal in 0.001 seconds", "", "case-not-ended"),
        (" PASS - test_assert_equal in", "Assertion failed at a.c:3\r\n PASS - test_assert_equal in", "contradiction"),
        ("TESTSUITE framework_tests succeeded", "", "suite-not-ended"),
        ("TESTSUITE framework_tests succeeded", "TESTSUITE framework_tests failed.", "contradiction"),
        ("pass = 2, fail = 0, skip = 0, total = 2", "pass = 3, fail = 0, skip = 0, total = 3", "cases-missing"),
        ("pass = 2, fail = 0, skip = 0, total = 2", "pass = 3, fail = 0, skip = 0, total = 2", "count-disagrees"),
        ("pass = 2, fail = 0, skip = 0, total = 2", "pass = 2, fail = 1, skip = 0, total = 3", "count-disagrees"),
        (" - PASS - [framework_tests.test_assert_equal]", " - FAIL - [framework_tests.test_assert_equal]",
         "summary-disagrees"),
        ("SUITE PASS - 100.00% [framework_tests]", "SUITE PASS - 100.00% [other]", "summary-disagrees"),
        ("------ TESTSUITE SUMMARY END ------", "", "summary-missing"),
        ("PROJECT EXECUTION SUCCESSFUL", "", "not-ended"),
        ("PROJECT EXECUTION SUCCESSFUL", "PROJECT EXECUTION FAILED", "suite-failed"),
        ("START - test_assert_mem", "*** Booting Zephyr OS build v3.7.0 ***\r\nSTART - test_assert_mem", "reset"),
        (" PASS - test_assert_mem_equal", "E: ***** USAGE FAULT *****\r\n PASS - test_assert_mem_equal", "fault"),
    ],
)  # fmt: skip
def test_ztest_each_way_of_not_passing(old: str, new: str, kind: str) -> None:
    assert old in ZTEST
    judgement = judge(ZTEST.replace(old, new, 1).encode(), "ztest")
    assert judgement.verdict is not Verdict.PASSED
    assert kind in kinds(judgement), judgement.problems


def test_ztest_old_style_without_summary() -> None:
    old = (
        "Running test suite iota_core\n=====\nSTART - test_a\n PASS - test_a in 0.6 seconds\n=====\n"
        "Test suite iota_core succeeded\n=====\nPROJECT EXECUTION SUCCESSFUL\n"
    )
    assert judge(old.encode(), "ztest").verdict is Verdict.PASSED


class Unity(SuiteMachine):
    """ThrowTheSwitch Unity: what adding a suite takes."""

    kind: ClassVar[str] = "unity"
    title: ClassVar[str] = "Unity"
    end_marker: ClassVar[str] = "Unity's last line, OK or FAIL"
    suites_end_themselves: ClassVar[bool] = False
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "PASS": Outcome.PASSED, "OK": Outcome.PASSED, "FAIL": Outcome.FAILED, "IGNORE": Outcome.SKIPPED,
    }  # fmt: skip
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule.of(Step.SUITE_BEGIN, r"unity: (?P<suite>\S+)"),
        Rule.of(Step.CASE_BEGIN, r"run (?P<case>\w+)"),
        Rule.of(Step.CASE_END, r"\S+:\d+:(?P<case>\w+):(?P<outcome>PASS|FAIL|IGNORE)(?::.*)?"),
        Rule.of(Step.RUN_END, r"(?P<outcome>OK|FAIL)"),
    )


def test_a_suite_is_data_and_a_small_class() -> None:
    machine = Unity()
    machine.feed(b"unity: core\nrun test_a\nt.c:3:test_a:PASS\nrun test_b\nt.c:9:test_b:FAIL:Expected 1\nFAIL\n")
    judgement = machine.judgement()
    assert judgement.verdict is Verdict.FAILED
    assert [c.outcome for c in judgement.cases] == [Outcome.PASSED, Outcome.FAILED]
    good = Unity()
    good.feed(b"unity: core\nrun test_a\nt.c:3:test_a:PASS\nOK\n")
    assert good.judgement().verdict is Verdict.PASSED


def test_registry() -> None:
    assert suite_names()[:3] == ("tf-m", "psa-arch-tests", "ztest")
    with pytest.raises(ConfigError, match="unknown-console-suite") as caught:
        get_machine("tfm")
    assert caught.value.hint == "did you mean 'tf-m'?"
