"""The TF-M machine on made-up runs: for each rule the output that breaks it, and the good one."""

from __future__ import annotations

import pytest
from tfm_harness.console_suites import Judgement, Outcome, Problem, Verdict, get_machine
from tfm_harness.console_suites.state import MAX_CASES, MAX_SUITES

from tests.console_suites.helpers import GOOD, area, case, judge, kinds, suite


def check(text: str, **expectations: object) -> Judgement:
    return judge(text.encode("latin-1"), "tf-m", **expectations)


def test_good_run_passes() -> None:
    judgement = check(GOOD)
    assert judgement.verdict is Verdict.PASSED
    assert [c.id for c in judgement.cases] == ["T_1001", "T_1002", "T_2001", "T_3001"]
    first = judgement.cases[0]
    assert (first.suite, first.area, first.description) == ("One (T_1XXX)", "Secure", "about T_1001")
    assert (first.line, first.end_line) == (5, 7)


def test_failure_as_the_framework_prints_it() -> None:
    run = (
        area(
            "Secure",
            suite(
                "One (T_1XXX)",
                case("T_1001", "FAILED", message="forced failure (Failed at its_tests.c:92)"),
                case("T_1002", "SKIPPED"),
                case("T_1003"),
                counts="Number of failed tests: 1 of 3\r\nNumber of skipped tests: 1 of 3\r\n",
                outcome="FAILED",
            ),
            summary={"One (T_1XXX)": "FAILED"},
        )
        + "\x04"
    )
    judgement = check(run)
    assert judgement.verdict is Verdict.FAILED
    assert [c.outcome for c in judgement.cases] == [Outcome.FAILED, Outcome.SKIPPED, Outcome.PASSED]
    assert judgement.cases[0].detail[0] == "forced failure (Failed at its_tests.c:92)"
    assert kinds(judgement) == {"case-failed", "suite-failed", "skipped"}


def test_message_without_line_end_before_failed() -> None:
    run = GOOD.replace("  TEST: T_1002 - PASSED!", "  some message  TEST: T_1002 - FAILED!")
    judgement = check(run)
    assert judgement.verdict is Verdict.FAILED
    assert next(c for c in judgement.cases if c.id == "T_1002").detail[0] == "some message"


def test_text_before_passed_is_no_pass() -> None:
    judgement = check(GOOD.replace("  TEST: T_1002 - PASSED!", "noise  TEST: T_1002 - PASSED!"))
    assert judgement.verdict is not Verdict.PASSED
    assert "case-not-ended" in kinds(judgement)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("TEST: T_1002 - PASSED!", "TEST: T_1002 - FAILED!", "contradiction"),  # its suite still says PASSED
        ("TEST: T_1002 - PASSED!", "TEST: T_9999 - PASSED!", "case-not-begun"),
        ("TEST: T_1002 - PASSED!", "TEST: T_1002 - PASSE", "case-not-ended"),
        ("  TEST: T_1002 - PASSED!", "  x (Failed at a.c:1)\r\n  TEST: T_1002 - PASSED!", "contradiction"),
        ("TESTSUITE PASSED!\r\n", "", "suite-not-ended"),
        ("TESTSUITE PASSED!", "TESTSUITE FAILED!", "contradiction"),
        ("TESTSUITE PASSED!", "Number of failed tests: 1 of 2\r\nTESTSUITE PASSED!", "count-disagrees"),
        ("TESTSUITE PASSED!", "Number of skipped tests: 0 of 24\r\nTESTSUITE PASSED!", "count-disagrees"),
        ("Test suite 'Two(T_2XXX)' has\x1b[32m PASSED\r\n", "", "summary-missing"),
        ("Test suite 'Two(T_2XXX)' has\x1b[32m PASSED", "Test suite 'Two(T_2XXX)' has FAILED", "summary-disagrees"),
        ("Test suite 'Two(T_2XXX)' has", "Test suite 'Four (T_4XXX)' has", "summary-disagrees"),
        ("*** Secure test suites summary ***", "", "summary-missing"),
        ("*** Secure test suites summary ***", "*** Non-secure test suites summary ***", "contradiction"),
        ("*** End of Secure test suites ***", "", "summary-missing"),
        ("#### Execute test suites for the Non-secure area ####", "", "suite-not-begun"),
        ("\x04", "", "not-ended"),
        ("  TEST: T_2001 - PASSED!", "[INF] Starting bootloader", "reset"),
        ("  TEST: T_2001 - PASSED!", "Booting TF-M v2.1.4\r\n  TEST: T_2001 - PASSED!", "reset"),
        ("  TEST: T_2001 - PASSED!", "FATAL ERROR: SecureFault\r\n  TEST: T_2001 - PASSED!", "fault"),
        ("  TEST: T_2001 - PASSED!", "Error ( TEST_SUITE_ERR_INVALID_DATA! )", "fault"),
        ("\x04", "\x04Running Test Suite Late...\r\n", "reset"),
    ],
)
def test_each_way_of_not_passing(old: str, new: str, kind: str) -> None:
    assert old in GOOD
    judgement = check(GOOD.replace(old, new, 1))
    assert judgement.verdict is not Verdict.PASSED
    assert kind in kinds(judgement), judgement.problems


def test_eot_inside_a_case_is_no_end() -> None:
    judgement = check(GOOD.replace("  TEST: T_2001", "\x04  TEST: T_2001", 1))
    assert judgement.verdict is not Verdict.PASSED


def test_restart_after_the_end_is_noted_and_a_second_run_refused() -> None:
    once = check(GOOD + "[INF] Starting bootloader\r\n")
    assert (once.verdict, len(once.notes)) == (Verdict.PASSED, 1)
    twice = check(GOOD + GOOD)
    assert (twice.verdict, kinds(twice)) == (Verdict.INCOMPLETE, {"reset"})


def test_expectations() -> None:
    assert check(GOOD, suites=("Secure", "T_3XXX", "One (T_1XXX)", "Tw*"), min_cases=4).verdict is Verdict.PASSED
    assert kinds(check(GOOD, suites=("T_9XXX",))) == {"missing-suite"}
    assert kinds(check(GOOD, min_cases=5)) == {"too-few-cases"}
    only_secure = GOOD[: GOOD.index("Non-Secure system")] + "\x04"
    assert check(only_secure).verdict is Verdict.PASSED
    assert kinds(check(only_secure, suites=("Non-secure",))) == {"missing-suite"}


def test_without_eot_only_when_the_user_says_so() -> None:
    bare = GOOD.replace("\x04", "")
    assert kinds(check(bare)) == {"not-ended"}
    assert check(bare, need_eot=False).verdict is Verdict.PASSED
    assert check(bare[: bare.index("*** End of Non-secure")], need_eot=False).verdict is Verdict.INCOMPLETE


def test_skipped_needs_permission_and_all_skipped_never_passes() -> None:
    some = GOOD.replace("T_1002 - PASSED", "T_1002 - SKIPPED")
    assert kinds(check(some)) == {"skipped"}
    assert check(some, allow_skipped=True).verdict is Verdict.PASSED
    everything = GOOD.replace(" - PASSED!", " - SKIPPED!")
    assert kinds(check(everything, allow_skipped=True)) == {"too-few-cases"}


def test_silence_and_foreign_output() -> None:
    assert kinds(check("")) == {"never-started"}
    assert kinds(check("uart:~$ hello\r\n\x04")) == {"never-started"}


def test_time_and_stopping() -> None:
    machine = get_machine("tf-m")
    head, tail = GOOD.split("  TEST: T_1001", 1)
    machine.feed(head.encode("latin-1"), at=10.0)
    machine.feed(b"  TEST: T_1001" + tail.encode("latin-1"), at=12.5)
    assert machine.judgement().cases[0].seconds == 2.5
    stopped = get_machine("tf-m")
    stopped.feed(head.encode("latin-1"), at=1.0)
    judgement = stopped.judgement(Problem("timeout", "no end within 5 s"))
    assert judgement.verdict is Verdict.INCOMPLETE
    assert {"timeout", "case-not-ended", "suite-not-ended", "summary-missing"} == kinds(judgement)
    assert judgement.cases[-1].outcome is Outcome.INCOMPLETE


def test_floods_are_bounded() -> None:
    machine = get_machine("tf-m")
    machine.feed(b"#### Execute test suites for the Secure area ####\r\n")
    for number in range(MAX_SUITES + 50):
        machine.feed(f"Running Test Suite S{number}...\r\n".encode())
    for number in range(MAX_CASES + 50):
        machine.feed(f"> Executing 'T{number}'\r\nTEST: T{number} - PASSED!\r\nTEST: T - PASSED!\r\n".encode())
    machine.feed(b"*** Secure test suites summary ***\r\n" + b"Test suite 'x' has PASSED\r\n" * (MAX_SUITES + 50))
    machine.feed(b"\x04" + b"[INF] Starting bootloader\r\n" * 1000)
    judgement = machine.judgement()
    assert judgement.verdict is not Verdict.PASSED
    assert "too-much" in kinds(judgement)
    assert len(judgement.suites) <= MAX_SUITES
    assert len(judgement.cases) <= MAX_CASES + 1
    assert len(judgement.problems) < 300
    assert len(judgement.notes) <= 100


def test_no_truncation_of_a_made_up_run_passes_and_chunks_do_not_matter() -> None:
    data = GOOD.encode("latin-1")
    machine = get_machine("tf-m")
    for index in range(len(data) - 1):
        machine.feed(data[index : index + 1])
        assert not machine.could_pass()
        assert machine.judgement().verdict is not Verdict.PASSED
    machine.feed(data[-1:])
    assert machine.judgement() == judge(data, "tf-m")
