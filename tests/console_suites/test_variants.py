"""What other versions, suites and recorders make of the same output: judged the same, and never passed when cut."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from tfm_harness.console.base import Mark
from tfm_harness.console_suites import Expectations, Judgement, Outcome, Verdict, get_machine
from tfm_harness.console_suites.lines import MAX_LINE
from tfm_harness.console_suites.live import watch_suite
from tfm_harness.console_suites.transcripts import judge_stream
from tfm_harness.testing import ScriptedConsole

from tests.console_suites.helpers import GOOD, PSA, ZTEST, area, case, judge, kinds, suite

TFM = GOOD.encode("latin-1")


def saved(data: bytes, name: str = "tf-m") -> Judgement:
    return judge_stream(io.BytesIO(data), name, Expectations())


def stamped(stamp: Callable[[int], str], data: bytes = TFM) -> bytes:
    lines = data.split(b"\n")
    return b"\n".join(stamp(i).encode() + line for i, line in enumerate(lines))


RECORDERS: dict[str, Callable[[int], str]] = {
    "gitlab": lambda i: f"2026-01-02T03:04:{i % 60:02}.{i:06}Z 01O ",
    "epoch": lambda i: f"{1_700_000_000 + i}.125 ",
    "terminal program, date in words": lambda i: f"[Fri Jan {1 + i % 9:02} 03:04:{i % 60:02}.125 2026] ",
    "terminal program, 12 hours": lambda i: f"[03:04:{i % 60:02} {'AM' if i % 2 else 'PM'}] ",
    "day first": lambda i: f"02/01/2026 03:04:{i % 60:02} ",
    "two numbers": lambda i: f"[{i / 7:.6f} 0.000312] ",
    "compose": lambda _: "board-1  | ",
    "model": lambda _: "terminal_0: ",
    "test runner": lambda i: f"INFO     console:uart.py:{40 + i} ",
    "coloured": lambda i: f"\x1b[32m[2026-01-02T03:04:{i % 60:02}.123Z]\x1b[0m ",
}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_anything_in_front_of_every_line(recorder: str) -> None:
    data = stamped(RECORDERS[recorder])
    judgement = saved(data)
    assert (judgement.verdict, len(judgement.cases)) == (Verdict.PASSED, 4), judgement.problems
    assert [c.line for c in judgement.cases] == [c.line for c in judge(TFM, "tf-m").cases]
    lines = data.split(b"\n")
    for cut in range(1, len(lines)):
        assert saved(b"\n".join(lines[:cut]) + b"\n").verdict is not Verdict.PASSED, f"cut after line {cut}"
    failed = saved(data.replace(b"T_2001 - PASSED", b"T_2001 - FAILED"))
    assert failed.verdict is Verdict.FAILED


def test_the_lines_own_words_are_no_prefix() -> None:
    refused = b"[INF] Starting bootloader\r\n" * 5 + b"[INF] Image index: 1\r\n" * 5
    refused += b"[ERR] Image in the primary slot is not valid!\r\n"
    assert "image-refused" in kinds(saved(refused))


def test_controls_shown_as_carets() -> None:
    shown = TFM.replace(b"\r", b"^M").replace(b"\x1b", b"^[").replace(b"\x00", b"^@").replace(b"\x04", b"^D")
    assert saved(shown).verdict is Verdict.PASSED
    assert saved(shown.removesuffix(b"^D")).verdict is Verdict.INCOMPLETE


def test_progress_whose_returns_a_recorder_dropped() -> None:
    glued = GOOD.replace(
        "  TEST: T_1002 - PASSED!", "  > Iteration 1 of 2\r  > Iteration 2 of 2\r\x1b[32m  TEST: T_1002 - PASSED!"
    )
    for text in (glued, glued.replace("\r", "")):
        assert judge(text.encode("latin-1"), "tf-m").problems == ()
    failed = glued.replace("\r", "").replace("T_1002 - PASSED", "T_1002 - FAILED")
    judgement = judge(failed.encode("latin-1"), "tf-m")
    assert {c.id: c.outcome for c in judgement.cases}["T_1002"] is Outcome.FAILED


BL1 = "[INF] Starting TF-M BL1_1\r\n" + area(
    "BL1_1", suite("BL1 (B_1XXX)", case("B_1001")), summary={"BL1 (B_1XXX)": "PASSED"}
)
MCUBOOT = area("MCUBOOT", suite("Integration (M_0XXX)", case("M_0001")), summary={"Integration (M_0XXX)": "PASSED"})
REST = "[INF] Jumping to the first image slot\r\n\x1b[1;34mBooting TF-M v2.1.4\x1b[0m\r\n"


def test_boot_loaders_tests_are_followed_by_the_boot() -> None:
    first, rest = GOOD.split("\r\n", 1)
    whole = BL1 + first + "\r\n" + MCUBOOT + REST + rest
    judgement = judge(whole.encode("latin-1"), "tf-m")
    assert (judgement.problems, len(judgement.cases)) == ((), 6)
    again = BL1 + first + "\r\n" + MCUBOOT + REST + BL1 + first + "\r\n" + MCUBOOT + REST + rest
    assert "reset" in kinds(judge(again.encode("latin-1"), "tf-m"))
    torn = BL1.replace("TESTSUITE PASSED!\r\n", "") + first + "\r\n" + rest
    assert judge(torn.encode("latin-1"), "tf-m").verdict is not Verdict.PASSED


def test_a_boot_loaders_case_may_provoke_a_refusal() -> None:
    refusal = "[ERR] Image in the primary slot is not valid!\r\n"
    provoked = MCUBOOT.replace("  TEST: M_0001", refusal + "  TEST: M_0001")
    first, rest = GOOD.split("\r\n", 1)
    judgement = judge((first + "\r\n" + provoked + REST + rest).encode("latin-1"), "tf-m")
    assert judgement.problems == ()
    assert "not valid" in judgement.notes[0]
    hung = (first + "\r\n" + provoked.partition("  TEST: M_0001")[0]).encode("latin-1")
    assert {"image-refused", "case-not-ended"} <= kinds(judge(hung, "tf-m"))
    assert "image-refused" in kinds(judge((first + "\r\n" + MCUBOOT + refusal + rest).encode("latin-1"), "tf-m"))
    failed = provoked.replace("M_0001 - PASSED", "M_0001 - FAILED")
    assert "image-refused" in kinds(judge((first + "\r\n" + failed + REST + rest).encode("latin-1"), "tf-m"))


def test_a_restart_that_newer_logs_announce() -> None:
    cut = GOOD.replace("> Executing 'T_2001'", "[NOT] Booting TF-M \x1b[1;34mv2.2.0\x1b[0m\r\n> Executing 'T_2001'")
    assert "reset" in kinds(judge(cut.encode("latin-1"), "tf-m"))


def test_counts_behind_the_suites_end() -> None:
    """Older frameworks print the number of failed tests behind TESTSUITE FAILED!"""
    text = GOOD.replace("T_2001 - PASSED", "T_2001 - FAILED")
    before, after = text.split("T_2001 - FAILED!\r\n")
    told = after.replace("TESTSUITE PASSED!\r\n", "TESTSUITE FAILED!\r\nNumber of failed tests: 1 of 1\r\n", 1)
    told = told.replace("'Two(T_2XXX)' has\x1b[32m PASSED", "'Two(T_2XXX)' has\x1b[31m FAILED")
    right = before + "T_2001 - FAILED!\r\n" + told
    assert kinds(judge(right.encode("latin-1"), "tf-m")) == {"case-failed", "suite-failed"}
    for wrong in ("2 of 1", "1 of 2"):
        judgement = judge(right.replace("1 of 1", wrong).encode("latin-1"), "tf-m")
        assert "count-disagrees" in kinds(judgement)


@pytest.mark.parametrize("name", ["Crypto Suite 1.1", "Crypto Suite 1.0", "Crypto Suite ITS 1.0 and PS 1.0"])
def test_versions_behind_a_psa_suites_name(name: str) -> None:
    text = PSA.replace("Running.. Crypto Suite", f"Running.. {name}")
    assert judge(text.encode(), "psa-arch-tests").problems == ()
    other = text.replace("Crypto Suite Report", "Storage Suite Report")
    assert "summary-disagrees" in kinds(judge(other.encode(), "psa-arch-tests"))


def test_a_reset_of_a_psa_test_says_how_to_allow_it() -> None:
    text = PSA.replace("\n\rTEST RESULT: PASSED", "\n\rBooting TF-M v1.8.0\n\r\n\rTEST RESULT: PASSED", 1)
    judgement = judge(text.encode(), "psa-arch-tests")
    assert any(p.kind == "reset" and "--allow-resets" in p.hint for p in judgement.problems)
    assert judgement.verdict is not Verdict.PASSED
    assert judge(text.encode(), "psa-arch-tests", allow_resets=True).verdict is Verdict.PASSED


def test_a_failed_psa_check_says_where() -> None:
    told = "\tFailed at Checkpoint: 7\n\r\tActual: -135\n\r\tExpected: 0\n\r\n\rTEST RESULT: FAILED (Error Code=0x1)"
    judgement = judge(PSA.replace("TEST RESULT: PASSED", told, 1).encode(), "psa-arch-tests")
    assert judgement.cases[0].detail[:3] == ("Failed at Checkpoint: 7", "Actual: -135", "Expected: 0")
    hidden = PSA.replace("TEST RESULT: PASSED", "\tFailed at Checkpoint: 7\n\rTEST RESULT: PASSED", 1)
    assert "contradiction" in kinds(judge(hidden.encode(), "psa-arch-tests"))


def test_values_of_a_parametrised_ztest_case() -> None:
    """One START for each value, one line in the summary."""
    text = ZTEST.replace(
        "START - test_assert_equal\r\n PASS - test_assert_equal in",
        "START - test_assert_equal[set/0]\r\n PASS - test_assert_equal[set/0] in 0.001 seconds\r\n"
        "START - test_assert_equal[set/1]\r\n PASS - test_assert_equal[set/1] in",
    )
    assert judge(text.encode(), "ztest").problems == ()
    failed = text.replace("PASS - test_assert_equal[set/1]", "FAIL - test_assert_equal[set/1]")
    assert {"case-failed", "count-disagrees"} <= kinds(judge(failed.encode(), "ztest"))


@pytest.mark.parametrize("outcome", ["FAIL", "SKIP"])
def test_what_a_ztest_summary_calls_a_suite_must_agree(outcome: str) -> None:
    judgement = judge(ZTEST.replace("SUITE PASS", f"SUITE {outcome}").encode(), "ztest")
    assert (judgement.verdict, kinds(judgement)) == (Verdict.FAILED, {"summary-disagrees"})
    failed = ZTEST.replace(" PASS - test_assert_equal", " FAIL - test_assert_equal")
    assert "summary-disagrees" in kinds(judge(failed.encode(), "ztest"))


NEVER_RAN = "SUITE SKIP -   0.00% [other]: pass = 0, fail = 0, skip = 2, total = 2 duration = 0.000 seconds\r\n"


def test_a_ztest_suite_of_the_summary_that_never_ran() -> None:
    text = ZTEST.replace("\r\n------ TESTSUITE SUMMARY END", NEVER_RAN + "\r\n------ TESTSUITE SUMMARY END")
    judgement = judge(text.encode(), "ztest")
    assert (judgement.verdict, kinds(judgement)) == (Verdict.INCOMPLETE, {"skipped"})
    assert judge(text.encode(), "ztest", allow_skipped=True).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Test suite 'x' did not run.",
        "Bad stats for framework_tests.test_assert_equal",
        "[00:00:00.000,000] <err> os: >>> ZEPHYR FATAL ERROR 3: Kernel oops on CPU 0",
        "E: ***** MPU FAULT *****",
        "ASSERTION FAIL [x] @ y.c:12",
    ],
)
def test_what_ztest_says_against_itself(line: str) -> None:
    place = " PASS - test_assert_mem_equal"
    text = ZTEST.replace(place, f"{line}\r\n{place}")
    judgement = judge(text.encode(), "ztest")
    assert (judgement.verdict, "fault" in kinds(judgement)) == (Verdict.FAILED, True)


def test_faults_that_a_ztest_case_wants() -> None:
    fault = "E: >>> ZEPHYR FATAL ERROR 3: Kernel oops on CPU 0\r\n"
    wanted = fault + "Caught system error -- reason 3 1\r\nFatal error expected as part of test case.\r\n"
    place = " PASS - test_assert_equal"
    judgement = judge(ZTEST.replace(place, wanted + place, 1).encode(), "ztest")
    assert judgement.problems == ()
    assert "on purpose" in judgement.notes[0]
    second = ZTEST.replace(place, wanted + place, 1).replace(
        " PASS - test_assert_mem", fault + " PASS - test_assert_mem", 1
    )
    assert "fault" in kinds(judge(second.encode(), "ztest"))


@pytest.mark.parametrize(("text", "name"), [(ZTEST, "ztest"), (PSA, "psa-arch-tests"), (GOOD, "tf-m")])
def test_no_byte_may_be_missing_at_the_end(text: str, name: str) -> None:
    data = text.encode("latin-1")
    assert saved(data, name).verdict is Verdict.PASSED
    for cut in range(len(data)):
        assert saved(data[:cut], name).verdict is not Verdict.PASSED, f"cut after byte {cut}: {data[cut - 20 : cut]!r}"
    loose = saved(data.rstrip(), name)
    if name != "tf-m":
        assert "has no line end" in next(p.message for p in loose.problems if p.kind == "not-ended")


@pytest.mark.parametrize(("text", "name"), [(ZTEST, "ztest"), (PSA, "psa-arch-tests")])
def test_watching_waits_for_the_second_half_of_the_last_line_end(text: str, name: str) -> None:
    data = text.encode()
    console = ScriptedConsole(lambda _: b"", lambda _: [data[:-1], data[-1:]])
    console.say(data)
    run = watch_suite(console, get_machine(name), since=Mark(0), timeout=100, silence=10, clock=console.clock)
    assert run.judgement.verdict is Verdict.PASSED


def test_older_ztest_words() -> None:
    text = re.sub(r"START - (\w+)", r"starting test - \1", ZTEST)
    text = re.sub(r"PASS - (\w+) in [\d.]+ seconds", r"PASS - \1.", text)
    assert judge(text.encode(), "ztest").problems == ()


@pytest.mark.timeout(240)  # minutes of CPU time where a pattern tries such lines in every possible way; seconds else
@pytest.mark.parametrize(
    ("piece", "name"),
    [(b"> Iteration 1 of 1 ", "tf-m"), (b"TEST: x - FAILED ", "tf-m"), (b"SUITE PASS - 1% [", "ztest")],
)
def test_long_lines_end(piece: bytes, name: str) -> None:
    data = (piece * (MAX_LINE // len(piece)) + b"\n") * 1500
    assert saved(data, name).verdict is not Verdict.PASSED
