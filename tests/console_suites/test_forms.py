"""Forms that other versions of the suites, terminal programs and boot loaders print."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.cli.main import main
from tfm_harness.console_suites import Judgement, Outcome, Verdict
from tfm_harness.console_suites.lines import clean, readings
from tfm_harness.console_suites.torn import is_torn, whole
from tfm_harness.console_suites.transcripts import judge_stream

from tests.console_suites.helpers import GOOD, PSA, ZTEST, judge, kinds

INPUTS = Path(__file__).resolve().parents[3] / "shared" / "inputs"


def given_file(name: str) -> Path:
    path = INPUTS / name
    if not path.is_file():
        pytest.skip(f"the input {name} is not present beside the checkout")
    return path


@pytest.mark.parametrize(
    ("name", "suite", "options", "status", "words"),
    [
        ("zt-suite-mutex.log", "ztest", (), 0, ("ztest: passed: 4 cases",)),
        ("zt-reset-between-suites-app-banner.log", "ztest", (), 1, ("incomplete", "reset: the device started again")),
        ("zt-reset-between-suites-no-banner.log", "ztest", (), 1, ("incomplete", "suite 'alpha' began a second time")),
        ("zt-torn-pass-line.log", "ztest", (), 1, ("ztest: incomplete", "test_a2 began and no outcome came")),
        ("zt-zephyr-mcuboot-refuses.log", "ztest", (), 1, ("image-refused",)),
        ("zt-wdt-reboot-on-purpose.log", "ztest", ("--allow-resets",), 0, ("note: line 7", "which is allowed")),
        ("zt-wdt-reboot-on-purpose.log", "ztest", ("--allow-reset", "wdt.test_wdt"), 0, ("note: line 7",)),
        ("zt-wdt-reboot-on-purpose.log", "ztest", ("--allow-reset", "wdt.other"), 1, ("reset: ", "--allow-reset")),
        ("zt-wdt-reboot-on-purpose.log", "ztest", (), 1, ("incomplete",)),
        (
            "zt-fault-own-handler.log",
            "ztest",
            ("--allow-fault", "test_k"),
            0,
            ("note: line 6: a fault in case test_k",),
        ),
        ("zt-fault-own-handler.log", "ztest", (), 1, ("fault",)),
        ("psa-v25.08-report.log", "psa-arch-tests", (), 0, ("passed: 3 cases",)),
        ("psa-v25.08-one-failed.log", "psa-arch-tests", (), 1, ("202 failed", "Failed at Checkpoint: 3", ": failed: ")),
        ("tfm-capture-begins-with-fffe-noise.log", "tf-m", (), 0, ("passed: 12 cases",)),
        ("tfm-nul-shown-as-text.log", "tf-m", (), 0, ("passed: 12 cases", "shows as text: ")),
    ],
)
def test_each_given_file_is_judged_as_it_should_be(
    name: str,
    suite: str,
    options: tuple[str, ...],
    status: int,
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["console-suite", str(given_file(name)), "--suite", suite, *options]) == status
    out = capsys.readouterr().out
    assert all(word in out for word in words), out


NEW_PSA = """\
***** PSA Architecture Test Suite - Version 1.9 *****

******************************************
Suite=Storage : Test=psa_its_set : Desc=Get, Set and Remove APIs : Num=401
\tCheck 1: something
\tFailed at Checkpoint: 2
Result=Passed
***********************************
Suite=Storage : Test=psa_its_get : Desc=UID not found : Num=402
Result=Passed
***********************************
{report}
Entering standby..
"""
BESPOKE = """
************ Storage Suite Report ************
TOTAL TESTS     : 2
TOTAL PASSED    : 2
TOTAL SIM ERROR : 0
TOTAL FAILED    : 0
TOTAL SKIPPED   : 0
******************************************
"""
REGRESSION = """
REGRESSION REPORT:
==========================
   TOTAL TESTS     : 2
   TOTAL PASSED    : 2
   TOTAL FAILED    : 0
   TOTAL SKIPPED   : 0
   TOTAL SIM ERROR : 0
==========================
******* END OF ACS *******

"""


def psa(report: str = REGRESSION, **changes: str) -> Judgement:
    text = NEW_PSA.replace("\tFailed at Checkpoint: 2\n", "").format(report=report)
    for old, new in changes.items():
        text = text.replace(old.replace("_", " "), new)
    return judge(text.encode(), "psa-arch-tests")


@pytest.mark.parametrize("report", [BESPOKE, REGRESSION])
def test_psa_both_reports_of_the_new_form(report: str) -> None:
    judgement = psa(report)
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert [(c.id, c.suite, c.description) for c in judgement.cases] == [
        ("401", "Storage", "psa_its_set : Desc=Get, Set and Remove APIs"),
        ("402", "Storage", "psa_its_get : Desc=UID not found"),
    ]


def test_psa_new_form_still_fails_what_fails() -> None:
    text = NEW_PSA.format(report=REGRESSION)
    assert judge(text.encode(), "psa-arch-tests").verdict is Verdict.FAILED  # a checkpoint failed, then "Passed"
    for outcome in ("Failed (Error code=-13)", "Error (Error code=3)", "Sim Error (Error code=0x2)"):
        text = NEW_PSA.replace("\tFailed at Checkpoint: 2\n", "").replace("Result=Passed", f"Result={outcome}", 1)
        assert judge(text.format(report=REGRESSION).encode(), "psa-arch-tests").verdict is Verdict.FAILED
    counted = REGRESSION.replace("PASSED    : 2", "PASSED    : 3").replace("TESTS     : 2", "TESTS     : 3")
    assert kinds(psa(counted)) == {"cases-missing"}
    assert psa(counted).verdict is Verdict.INCOMPLETE
    failures = REGRESSION.replace("FAILED    : 0", "FAILED    : 1").replace("TESTS     : 2", "TESTS     : 3")
    assert psa(failures).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("text", "suite", "version"),
    [
        (NEW_PSA.replace("Suite=", "Group=").replace("1.9", "2.3").format(report=REGRESSION), "psa-arch-tests", "2.3"),
        (
            NEW_PSA.replace("Suite=", "Group=").replace("Result=", "Verdict=").replace("1.9", "2.3").format(report=""),
            "psa-arch-tests",
            "2.3",
        ),
        (PSA.replace("TEST: ", "CASE ").replace("Running..", "Component"), "psa-arch-tests", "1.4"),
        (ZTEST.replace("START - ", "BEGIN ").replace("Running TESTSUITE", "Suite"), "ztest", "Zephyr OS build v3.7.0"),
    ],
)
def test_an_unknown_form_of_a_known_suite_is_incomplete_with_its_version(text: str, suite: str, version: str) -> None:
    judgement = judge(text.encode(), suite)
    assert judgement.verdict is Verdict.INCOMPLETE, judgement.problems
    (problem,) = (p for p in judgement.problems if p.kind == "unknown-form")
    assert version in problem.message


def test_an_unknown_form_that_says_it_failed_is_failed() -> None:
    text = ZTEST.replace("START - ", "BEGIN ").replace("EXECUTION SUCCESSFUL", "EXECUTION FAILED")
    assert judge(text.encode(), "ztest").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("text", "suite"),
    [
        (PSA.replace("TEST: ", "T: ").replace("TEST RESULT", "RES").replace("FAILED    : 0", "FAILED    : 1"),
         "psa-arch-tests"),
        (PSA.replace("TEST: ", "T: ").replace("TEST RESULT", "RES").replace("SIM ERROR : 0", "SIM ERROR : 2"),
         "psa-arch-tests"),
        (GOOD.replace("> Executing", "> Run").replace("TEST: ", "CASE: ").replace("SUITE PASSED", "SUITE FAILED"),
         "tf-m"),
        (ZTEST.replace("START - ", "CASE ").replace(" PASS - ", " OK ").replace("succeeded", "failed."), "ztest"),
    ],
)  # fmt: skip
def test_a_failure_told_in_an_unknown_form_is_a_failure(text: str, suite: str) -> None:
    judgement = judge(text.encode("latin-1"), suite)
    assert judgement.verdict is Verdict.FAILED, judgement.problems
    assert {"suite-failed", "unknown-form"} <= kinds(judgement)


@pytest.mark.parametrize(
    ("text", "suite", "version"),
    [
        (GOOD.replace("TEST: T_", "CASE: T_"), "tf-m", ""),
        (ZTEST.replace(" in 0.001 seconds", " (1 ms)").replace(" in 0.002 seconds", " (2 ms)"), "ztest", "v3.7.0"),
        (PSA.replace("TEST RESULT", "VERDICT"), "psa-arch-tests", "1.4"),
    ],
)
def test_outcomes_in_an_unknown_form_are_named_as_such(text: str, suite: str, version: str) -> None:
    judgement = judge(text.encode("latin-1"), suite)
    assert judgement.verdict is Verdict.INCOMPLETE
    (problem,) = (p for p in judgement.problems if "not one case's outcome" in p.message)
    assert problem.kind == "unknown-form"
    assert version in problem.message


# --- restarts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "banner",
    [
        "*** Booting My Application v1.0.0-abc ***",
        "*** Booting Zephyr OS build v4.3.0 (delayed boot 500ms) ***",
        "*** Booting MCUboot v2.3.0-rc1 ***",
        "I: Starting bootloader",
        "[00:00:00.001,000] <inf> mcuboot: Starting bootloader",
        "[INF] Starting bootloader",
        "*** Using Zephyr OS build v4.0.0 ***",
        "NOTICE:  Booting TF-M v2.1.0",
        "RunID: 1\r\nRunID: 1",
    ],
)
def test_every_banner_between_two_cases_is_a_restart(banner: str) -> None:
    text = ZTEST.replace("START - test_assert_mem", f"{banner}\r\nSTART - test_assert_mem")
    judgement = judge(text.encode(), "ztest")
    assert judgement.verdict is Verdict.INCOMPLETE
    assert "reset" in kinds(judgement)


def test_a_second_run_id_is_a_restart() -> None:
    text = ZTEST.replace("PROJECT", "RunID: 77\r\nRunID: 77\r\nPROJECT")
    assert "reset" in kinds(judge(text.encode(), "ztest"))
    assert judge(ZTEST.replace("PROJECT", "RunID: 77\r\nPROJECT").encode(), "ztest").verdict is Verdict.PASSED


def test_what_begins_again_without_a_banner_is_a_restart() -> None:
    case = "START - test_assert_equal\r\n PASS - test_assert_equal in 0.001 seconds\r\n"
    again = ZTEST.replace("START - test_assert_mem_equal", case + "START - test_assert_mem_equal")
    assert "reset" in kinds(judge(again.encode(), "ztest"))
    assert judge(again.encode(), "ztest", allow_repeats=True).verdict is Verdict.PASSED
    suite = GOOD[GOOD.index("\x1b[33mRunning Test Suite One") : GOOD.index("\x1b[33mRunning Test Suite Two")]
    assert "reset" in kinds(judge(GOOD.replace(suite, suite + suite).encode(), "tf-m"))
    test = PSA[PSA.index("TEST: 201") : PSA.index("TEST: 202")]
    assert "reset" in kinds(judge(PSA.replace(test, test + test).encode(), "psa-arch-tests"))


ROUND = PSA[: PSA.index("TEST RESULT: PASSED", PSA.index("TEST: 202"))]


def test_psa_tests_that_begin_anew_after_a_reset_are_counted_by_the_last_round() -> None:
    boot = "[INF] Starting bootloader\n\r"
    text = boot + ROUND + boot + PSA
    assert judge(text.encode(), "psa-arch-tests").verdict is Verdict.INCOMPLETE
    for allowed in (True, ("202",)):
        judgement = judge(text.encode(), "psa-arch-tests", allow_resets=allowed)
        assert judgement.verdict is Verdict.PASSED, judgement.problems
        assert [c.id for c in judgement.cases] == ["201", "202"]
        assert any("started again in case 202" in note for note in judgement.notes)
        assert any("last round" in note for note in judgement.notes)


def test_a_failure_before_the_restart_and_a_case_that_does_not_come_again_count() -> None:
    boot = "[INF] Starting bootloader\n\r"
    failed = ROUND.replace("TEST RESULT: PASSED", "TEST RESULT: FAILED (Error Code=0x1)", 1)
    assert judge((boot + failed + boot + PSA).encode(), "psa-arch-tests", allow_resets=True).verdict is Verdict.FAILED
    lost = ROUND.replace("TEST: 201", "TEST: 200")
    judgement = judge((boot + lost + boot + PSA).encode(), "psa-arch-tests", allow_resets=True)
    assert kinds(judgement) == {"case-not-ended"}


def test_leftovers_of_the_image_before_do_not_count() -> None:
    rest = "TESTSUITE old succeeded\r\nE: >>> ZEPHYR FATAL ERROR 4\r\nPROJECT EXECUTION FAILED\r\n"
    judgement = judge((rest + ZTEST).encode(), "ztest")
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert any("earlier run" in note for note in judgement.notes)
    # A fault of this image's own boot counts.
    own = ZTEST.replace("Running TESTSUITE", "E: >>> ZEPHYR FATAL ERROR 4\r\n*** Booting X ***\r\nRunning TESTSUITE", 1)
    assert judge(own.encode(), "ztest").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("text", "suite", "cut"),
    [
        (ZTEST, "ztest", "START - test_assert_mem"),
        (ZTEST, "ztest", " PASS - test_assert_equal"),
        (ZTEST, "ztest", " - PASS - [framework_tests.test_assert_mem"),
        (PSA, "psa-arch-tests", "TEST: 202"),
        (PSA, "psa-arch-tests", "TOTAL SIM ERROR"),
        (GOOD, "tf-m", "> Executing 'T_2001"),
        (GOOD, "tf-m", "Test suite 'Two"),
    ],
)
@pytest.mark.parametrize("ended", [True, False])
def test_the_rest_of_a_run_in_front_of_the_first_start_does_not_count(
    text: str, suite: str, cut: str, ended: bool
) -> None:
    """The reading began in the middle of the run of the image before; that one was replaced, or had ended."""
    rest = text[text.index(cut) : len(text) if ended else -30]
    boot = "[INF] Starting bootloader\r\n"
    judgement = judge((rest + "\r\n" + boot + text.removeprefix(boot)).encode("latin-1"), suite)
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert len(judgement.cases) == len(judge(text.encode("latin-1"), suite).cases)
    assert any("earlier run" in note for note in judgement.notes)


def test_only_the_rest_of_a_run_is_taken_for_leftovers() -> None:
    """Whose beginning was read restarts, and what failed in it stays; a second start counts, too."""
    half = ZTEST[: ZTEST.index("START - test_assert_mem")]
    assert "reset" in kinds(judge((half + ZTEST).encode(), "ztest"))
    failed = half.replace("PASS -", "FAIL -")
    assert judge((failed + ZTEST).encode(), "ztest").verdict is Verdict.FAILED
    rest = ZTEST[ZTEST.index("START - test_assert_mem") : ZTEST.index(" PASS - test_assert_mem")]
    assert "reset" in kinds(judge((rest + half + ZTEST).encode(), "ztest"))
    assert judge(rest.encode(), "ztest").verdict is Verdict.INCOMPLETE
    no_banner = GOOD[GOOD.index("\x1b[33m\r\n####") :]
    end_read = no_banner[no_banner.index("> Executing 'T_2001") :]
    assert judge((end_read + no_banner).encode(), "tf-m").verdict is Verdict.PASSED
    assert "reset" in kinds(judge((no_banner + no_banner).encode(), "tf-m"))


# --- resets and faults on purpose -------------------------------------------------------------------------------------

BANNER = "*** Booting Zephyr OS build v3.7.0 ***\r\n"


def test_a_reset_in_a_suites_set_up_or_behind_an_outcome_is_allowed_by_name() -> None:
    begin = "Running TESTSUITE framework_tests\r\n"
    set_up = ZTEST.replace(begin, begin + BANNER + begin)
    assert judge(set_up.encode(), "ztest", allow_resets=("framework_tests",)).verdict is Verdict.PASSED
    assert judge(set_up.encode(), "ztest", allow_resets=("test_assert_equal",)).verdict is Verdict.INCOMPLETE
    behind = ZTEST.replace("START - test_assert_mem_equal", BANNER + begin + "START - test_assert_mem_equal")
    judgement = judge(behind.encode(), "ztest", allow_resets=("test_assert_equal",))
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert judge(behind.encode(), "ztest", allow_resets=("test_assert_mem_equal",)).verdict is Verdict.INCOMPLETE
    assert judge(behind.encode(), "ztest").verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    ("text", "suite", "outcome", "case", "fault"),
    [
        (ZTEST, "ztest", " PASS - test_assert_equal", "test_assert_equal", "E: ***** BUS FAULT *****"),
        (ZTEST, "ztest", " PASS - test_assert_equal", "test_assert_equal", "ASSERTION FAIL [x] @ main.c:3"),
        (GOOD, "tf-m", "  TEST: T_1001", "T_1001", "FATAL ERROR: SecureFault"),
        (PSA, "psa-arch-tests", "TEST RESULT: PASSED", "201", "FATAL ERROR: HardFault"),
    ],
)
def test_a_fault_on_purpose_is_allowed_by_name_and_shown(
    text: str, suite: str, outcome: str, case: str, fault: str
) -> None:
    faulty = text.replace(outcome, f"{fault}\r\n{outcome}", 1).encode("latin-1")
    judgement = judge(faulty, suite, allow_faults=(case,))
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert any(fault in note and case in note for note in judgement.notes)
    refused = judge(faulty, suite, allow_faults=("another",))
    assert refused.verdict is Verdict.FAILED
    assert "a fault was allowed in 'another' and none came there" in refused.notes
    # What the device counts is not blamed as well: it called the case passed.
    assert kinds(refused) == {"fault", "contradiction", "case-failed"}
    assert not any("allowed" in note for note in judge(text.encode("latin-1"), suite).notes)


def test_a_name_that_was_of_no_use_is_shown() -> None:
    notes = judge(ZTEST.encode(), "ztest", allow_resets=("wdt.*",), allow_faults=("test_k",)).notes
    assert notes == (
        "a reset was allowed in 'wdt.*' and none came there",
        "a fault was allowed in 'test_k' and none came there",
    )


# --- torn lines: one fault, one finding -------------------------------------------------------------------------------


def tear(text: str, line: str) -> str:
    return text.replace(line, line[: len(line) // 2] + "[0:0:0]<inf> app: x" + line[len(line) // 2 :], 1)


@pytest.mark.parametrize(
    ("text", "suite"), [(ZTEST, "ztest"), (PSA, "psa-arch-tests"), (GOOD, "tf-m"), (NEW_PSA, "psa-arch-tests")]
)
def test_any_one_torn_line_never_makes_a_run_failed(text: str, suite: str) -> None:
    """Each line of the suite torn in turn: never a pass where it matters, never the product's fault."""
    text = text.replace("\tFailed at Checkpoint: 2\n", "").replace("{report}", REGRESSION)
    assert judge(text.encode(), suite).verdict is Verdict.PASSED
    for line in {line.strip() for line in text.splitlines() if len(line.strip()) > 3}:
        judgement = judge(tear(text, line).encode(), suite)
        assert judgement.verdict is not Verdict.FAILED, (line, judgement.problems)
    for line in ("PASS - test_assert_equal in 0.001", "TEST RESULT: PASSED", "TEST: T_1002 - PASSED!", "Result=Passed"):
        if line in text:
            assert judge(tear(text, line).encode(), suite).verdict is Verdict.INCOMPLETE


LOG = "[00:00:01.123,000] <inf> app: hello"
DAMAGES: dict[str, Callable[[str, int], str]] = {
    "a log line inside": lambda line, at: line[:at] + LOG + line[at:],
    "a log line with its end": lambda line, at: line[:at] + LOG + "\r\n" + line[at:],
    "a log line between two halves": lambda line, at: line[:at] + "\r\n" + LOG + "\r\n" + line[at:],
    "three bytes lost": lambda line, at: line[:at] + line[at + 3 :],
    "the rest lost": lambda line, at: line[:at],
    "noise": lambda line, at: line[:at] + "\xff\xfe\x00" + line[at:],
    "all lost": lambda _line, _at: "",
}
RUNS = {
    "ztest": (ZTEST, "ztest", "PASS - test_assert_mem_equal in"),
    "tf-m": (GOOD, "tf-m", "TEST: T_1002 - PASSED"),
    "psa": (PSA, "psa-arch-tests", "TEST RESULT: PASSED"),
    "psa v25": (
        NEW_PSA.replace("\tFailed at Checkpoint: 2\n", "").format(report=BESPOKE), "psa-arch-tests", "Result=Passed"
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", sorted(DAMAGES))
@pytest.mark.parametrize("run", sorted(RUNS))
def test_one_damaged_line_is_never_the_products_fault(run: str, damage: str) -> None:
    """Every line at every fifth place: names, counts and outcomes that lost a piece contradict nothing."""
    text, suite, outcome = RUNS[run]
    lines = text.split("\n")
    for number, line in enumerate(lines):
        bare = line.strip()
        for at in range(1, len(line), 5) if len(bare) > 3 else ():
            torn = "\n".join([*lines[:number], DAMAGES[damage](line, at), *lines[number + 1 :]])
            judgement = judge(torn.encode("latin-1"), suite)
            assert judgement.verdict is not Verdict.FAILED, (line, at, judgement.problems)
            inside = line.find(outcome) < at < line.find(outcome) + len(outcome) - 1 if outcome in line else False
            assert not inside or judgement.verdict is Verdict.INCOMPLETE, (line, at, judgement.problems)


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_damaged_line_excuses_no_failure(damage: str) -> None:
    """Another case of the run failed: whatever is torn elsewhere, the run has failed."""
    text = ZTEST.replace(" PASS - test_assert_equal", " FAIL - test_assert_equal").replace(
        "SUITE PASS - 100.00% [framework_tests]: pass = 2, fail = 0",
        "SUITE FAIL - 50% [framework_tests]: pass = 1, fail = 1",
    ).replace("framework_tests succeeded", "framework_tests failed").replace("SUCCESSFUL", "FAILED")  # fmt: skip
    line = next(line for line in text.split("\n") if "PASS - test_assert_mem_equal in" in line)
    for at in range(1, len(line)):
        torn = text.replace(line, DAMAGES[damage](line, at), 1)
        assert judge(torn.encode("latin-1"), "ztest").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("one", "other", "torn"),
    [
        ("frame", "framework", True),
        ("framework", "fwork", True),
        ("frame\ufffd\ufffdwork", "framework", True),
        ("fra<inf>x", "framework", True),
        ("alpha", "beta", False),
        ("test_a1", "test_a2", False),
        ("", "framework", False),
        ("same", "same", False),
    ],
)
def test_what_is_a_damaged_name(one: str, other: str, torn: bool) -> None:
    assert is_torn(one, other) is torn
    assert is_torn(other, one) is torn
    if torn:
        assert whole(one, other) == whole(other, one) == "framework"


def test_two_suites_of_other_names_contradict_each_other() -> None:
    judgement = judge(
        ZTEST.replace("TESTSUITE framework_tests succeeded", "TESTSUITE other succeeded").encode(), "ztest"
    )
    assert judgement.verdict is Verdict.FAILED
    assert "contradiction" in kinds(judgement)


def test_a_case_that_runs_and_begins_once_more_is_a_restart() -> None:
    for text, suite, line in (
        (ZTEST, "ztest", "START - test_assert_mem_equal\r\n"),
        (PSA, "psa-arch-tests", PSA[PSA.index("TEST: 202") : PSA.index("\n\r", PSA.index("TEST: 202")) + 2]),
    ):
        judgement = judge(text.replace(line, line + "hello\r\n" + line).encode("latin-1"), suite)
        assert judgement.verdict is Verdict.INCOMPLETE, judgement.problems
        assert "reset" in kinds(judgement)


# --- cleaning never eats payload --------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True)


@settings(max_examples=150, deadline=None)
@given(NAMES, st.sampled_from(["", "\x1b[0m", "\x1b[1;32m", "[0m", "^[[33m", "\x1b[K"]))
def test_any_suite_name_and_any_colour(name: str, colour: str) -> None:
    text = ZTEST.replace("framework_tests", name).replace(" PASS -", f"{colour} PASS -")
    judgement = judge(text.encode(), "ztest")
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert [suite.name for suite in judgement.suites] == [name]


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=("Cs", "Cc")), max_size=80)
)
def test_plain_text_is_read_as_it_is(text: str) -> None:
    assert clean(text.encode()) == text.strip()
    forms = readings(text.encode())
    assert not text.strip() or forms[0][0] == text.strip()


@pytest.mark.parametrize(("text", "suite"), [(ZTEST, "ztest"), (GOOD, "tf-m"), (PSA, "psa-arch-tests")])
@pytest.mark.parametrize("begin", ["\x1b", "\x1b[", "\x1b[1", "\x1b[1;3"])
def test_an_escape_sequence_that_a_line_end_splits(text: str, suite: str, begin: str) -> None:
    end = "\n\r" if suite == "psa-arch-tests" else "\r\n"
    rest = "\x1b[1;32m".removeprefix(begin)
    judgement = judge(text.replace(end, begin + end + rest).removesuffix(rest).encode("latin-1"), suite)
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    # Where the rest is lost, nothing is eaten of what comes.
    assert judge(text.replace(end, begin + end).encode("latin-1"), suite).verdict is Verdict.PASSED


def test_a_duration_in_brackets_stays() -> None:
    assert clean(b"took [10m] in [mutex_api]") == "took [10m] in [mutex_api]"


# --- encodings by plausibility ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=64), st.sampled_from([b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b""]))
def test_noise_in_front_is_never_an_encoding(noise: bytes, mark: bytes) -> None:
    """The noise ends with a line end; whatever it is, the run behind it passes."""
    noise = noise.replace(b"\x04", b"")
    judgement = judge_stream(io.BytesIO(mark + noise + b"\r\n" + GOOD.encode()), "tf-m")
    assert judgement.verdict is Verdict.PASSED, judgement.problems


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
def test_real_encodings_are_read(codec: str) -> None:
    assert judge_stream(io.BytesIO(GOOD.encode(codec)), "tf-m").verdict is Verdict.PASSED


def test_lf_cr_lines_with_a_recorders_stamps() -> None:
    stamped = "".join(f"[2026-01-02 03:04:05.678] {line}\n" for line in PSA.replace("\n\r", "\n").split("\n"))
    after = stamped.replace("\n[", "\n\r[")
    for text in (stamped, after):
        assert judge_stream(io.BytesIO(text.encode()), "psa-arch-tests").verdict is Verdict.PASSED


def test_a_skip_message_without_a_line_end() -> None:
    text = GOOD.replace("  TEST: T_1002 - PASSED!", "  P384 is unsupported. Skipping...  TEST: T_1002 - PASSED!")
    judgement = judge(text.encode(), "tf-m")
    assert judgement.verdict is Verdict.PASSED
    assert judgement.count(Outcome.PASSED) == 4


@pytest.mark.parametrize(
    ("text", "suite", "old", "new", "kind"),
    [
        (ZTEST, "ztest", " PASS - test_assert_equal in", " BLOCK - test_assert_equal in", "case-not-ended"),
        (PSA, "psa-arch-tests", "RESULT: PASSED", "RESULT: PASSED (1 check failed)", "case-not-ended"),
        (ZTEST, "ztest", " - PASS - [framework", " - ERROR - [framework", "unknown-form"),
        (PSA, "psa-arch-tests", "FAILED    : 0", "FAILED    : 0\n\rTOTAL CRASHED   : 1", "unknown-form"),
    ],
)
def test_what_qualifies_a_pass_is_no_pass(text: str, suite: str, old: str, new: str, kind: str) -> None:
    """An outcome without a verdict, words behind a verdict, a total that nobody knows."""
    assert old in text
    judgement = judge(text.replace(old, new, 1).encode("latin-1"), suite)
    assert judgement.verdict is Verdict.INCOMPLETE
    assert kind in kinds(judgement)


def test_a_total_that_is_not_known_and_counts_nothing_is_no_reason() -> None:
    text = PSA.replace("FAILED    : 0", "FAILED    : 0\n\rTOTAL CRASHED   : 0", 1)
    assert judge(text.encode(), "psa-arch-tests").verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("text", "suite", "outcome", "odd"),
    [
        (ZTEST, "ztest", " PASS - test_assert_equal in 0.001 seconds", " FAI - test_assert_equal in 0.001 seconds"),
        (ZTEST, "ztest", " PASS - test_assert_equal in 0.001 seconds", " FAIL -test_assert_equal in 0.001 seconds"),
        (ZTEST, "ztest", " PASS - test_assert_equal in 0.001 seconds", " XFAIL - test_assert_equal in 0.001 seconds"),
        (GOOD, "tf-m", "  TEST: T_1001 - PASSED!", "  TEST: T_1001 - FAILED"),
        (GOOD, "tf-m", "  TEST: T_1001 - PASSED!", "  TEST: T_1001 - FAI"),
        (PSA, "psa-arch-tests", "TEST RESULT: PASSED", "RESULT=FAILED"),
        (PSA, "psa-arch-tests", "TEST RESULT: PASSED", "TEST RESULT: FAIL"),
    ],
)
def test_what_is_nearly_an_outcome_is_not_made_good_by_the_next(text: str, suite: str, outcome: str, odd: str) -> None:
    assert outcome in text
    judgement = judge(text.replace(outcome, f"{odd}\r\n{outcome}", 1).encode("latin-1"), suite)
    assert judgement.verdict is Verdict.INCOMPLETE
    assert "unknown-form" in kinds(judgement)


def test_what_an_application_says_is_no_outcome() -> None:
    said = "SLEEP - main in 2 seconds\r\nResult: 5\r\nTEST: T_77 - RUNS\r\n"
    for text, suite, begin in (
        (ZTEST, "ztest", " PASS - test_assert_equal"),
        (GOOD, "tf-m", "  TEST: T_1001"),
        (PSA, "psa-arch-tests", "TEST RESULT"),
    ):
        assert judge(text.replace(begin, said + begin, 1).encode("latin-1"), suite).verdict is Verdict.PASSED
