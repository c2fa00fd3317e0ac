"""What recorders write before and behind each line, and what other tools' output is: judged right, or as not known."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from tfm_harness.console_suites import Expectations, Judgement, Outcome, Verdict
from tfm_harness.console_suites.prefixes import common_suffix
from tfm_harness.console_suites.transcripts import judge_stream

from tests.console_suites.helpers import GOOD, PSA, ZTEST, kinds
from tests.console_suites.test_forms import NEW_PSA, REGRESSION

PSA_NEW = NEW_PSA.replace("\tFailed at Checkpoint: 2\n", "").format(report=REGRESSION).replace("\n", "\r\n")
SUITES = {"tf-m": GOOD, "ztest": ZTEST, "psa-arch-tests": PSA, "psa-arch-tests, new": PSA_NEW}
FAILING = (
    ("T_2001 - PASSED", "T_2001 - FAILED"),
    ("PASS - test_assert_mem", "FAIL - test_assert_mem"),
    ("TEST RESULT: PASSED", "TEST RESULT: FAILED (Error Code=0x1)"),
    ("Result=Passed", "Result=Failed (Error code=1)"),
)


def failing(text: str) -> str:
    for old, new in FAILING:
        text = text.replace(old, new, 1)
    return text


def judged(text: str, suite: str) -> Judgement:
    stream = io.BytesIO(text.encode())
    return judge_stream(stream, suite.partition(",")[0], Expectations())


BEFORE: dict[str, Callable[[int], str]] = {
    "twister": lambda i: f"2026-05-01 12:00:{i % 60:02},{i % 1000:03} - twister - DEBUG - DEVICE: ",
    "twister's pytest": lambda i: f"2026-05-01 12:00:{i % 60:02},{i % 1000:03} - twister_harness.device - DEBUG - #: ",
    "pytest's live log": lambda i: f"12:00:{i % 60:02} DEBUG console:device_adapter.py:{i + 200} #: ",
    "RTT Viewer": lambda _: "00> ",
    "Renode": lambda i: (
        f"12:34:{i % 60:02}.{i:04} [INFO] uart0: [host: {i / 7:6.2f}s (+{i % 9}.1s)|virt: {i}ms (+1ms)] "
    ),
    "tio": lambda i: f"[12:00:{i % 60:02}.{i % 1000:03}] ",
    "TeamCity": lambda i: f"[12:00:{i % 60:02} ] :\t [Step 1/1] ",
    "GitHub's log of steps": lambda i: f"build\tRun tests\t2026-05-01T12:00:{i % 60:02}.1234567Z ",
    "journal": lambda i: f"May 01 12:00:{i % 60:02} benchhost ser2net[123]: ",
    "Jenkins with a branch": lambda i: f"[2026-05-01T12:00:{i % 60:02}.123Z] [uart] ",
    "Robot Framework": lambda i: f"20260501 12:00:{i % 60:02}.{i % 1000:03} :  INFO : ",
    "labgrid": lambda _: "     ConsoleLoggingReporter: SerialDriver/ns> ",
    "Tera Term": lambda i: f"[Fri May  1 12:00:{i % 60:02}.{i % 1000:03} 2026] ",
    "HTerm": lambda i: f"01.05.2026 12:00:{i % 60:02}.{i % 1000:03} [RX] - ",
    "syslog, RFC 5424": lambda i: f"<14>1 2026-05-01T12:00:{i % 60:02}.003Z bench uart 1 - - ",
    "line numbers": lambda i: f"{i + 1:6}\t",
    "quoted in a mail": lambda _: "> ",
}
BEHIND = (
    "<CR><LF>", "\\r\\n", "\\r", "\\n", "$", "^M$", "#015", "<br>", "</p>", " |", "[CR][LF]", "\u240d\u240a", "\u21b5",
    "{0D}{0A}", '",',
)  # fmt: skip


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("recorder", BEFORE)
def test_before_each_line(recorder: str, suite: str) -> None:
    def recorded(text: str) -> str:
        return "\n".join(BEFORE[recorder](number) + line for number, line in enumerate(text.split("\n")))

    assert judged(recorded(SUITES[suite]), suite).verdict is Verdict.PASSED
    assert judged(recorded(failing(SUITES[suite])), suite).verdict is Verdict.FAILED


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("end", BEHIND)
def test_behind_each_line(end: str, suite: str) -> None:
    """Line ends that are shown as text; names must not hold them, and a cut run stays a cut one."""

    def recorded(text: str) -> str:
        return text.replace("\n\r", "\n").replace("\r\n", "\n").replace("\n", f"{end}\n")

    judgement = judged(recorded(SUITES[suite]), suite)
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert not any(end in case.id for case in judgement.cases)
    assert judged(recorded(failing(SUITES[suite])), suite).verdict is Verdict.FAILED
    whole = recorded(SUITES[suite])
    assert judged(whole[: len(whole) * 3 // 4], suite).verdict is Verdict.INCOMPLETE


def test_a_common_end_is_one_of_nearly_all_lines() -> None:
    lines = [b"%d;\r\n" % number for number in range(20)]
    assert common_suffix(lines, 0.9) == b";"
    assert common_suffix([*lines, *[b"b\n"] * 5], 0.9) == b""
    assert common_suffix(lines[:7], 0.9) == b""
    assert common_suffix([b"in 5 seconds\n"] * 20, 0.9) == b""
    assert common_suffix([b"\n"] * 20, 0.9) == b""


@pytest.mark.parametrize(
    "shown", ["<ESC>", "<0x1B>", "\\e", "\\x1b", "\\033", "&#27;", "\u241b", "\u2190", "\ufffd", ""]
)
@pytest.mark.parametrize("end", ["<EOT>", "[EOT]", "\\x04", "^D", "\u2404", "&#4;"])
def test_controls_shown_as_text(shown: str, end: str) -> None:
    text = GOOD.replace("\x1b", shown).replace("\x04", end)
    judgement = judged(text, "tf-m")
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert [case.outcome for case in judgement.cases] == [Outcome.PASSED] * 4
    assert judged(text.removesuffix(end), "tf-m").verdict is Verdict.INCOMPLETE
    assert judged(failing(text), "tf-m").verdict is Verdict.FAILED


OTHERS = {
    "Unity": "test.c:10:test_a:PASS\ntest.c:20:test_b:FAIL: Expected 1 Was 2\n2 Tests 1 Failures 0 Ignored\nFAIL\n",
    "CppUTest": "x.cpp:12: error: Failure in TEST(G, t)\nErrors (1 failures, 4 tests, 4 ran, 9 checks)\n",
    "TAP": "TAP version 13\n1..2\nok 1 - a\nnot ok 2 - b\n",
    "googletest": "[ RUN      ] A.b\n[  FAILED  ] A.b (0 ms)\n 1 FAILED TEST\n",
    "pytest": "===== test session starts =====\nF.\n===== 1 failed, 1 passed in 0.1s =====\n",
    "ctest": "1/2 Test #1: a ........   Passed\n2/2 Test #2: b ........***Failed\n50% tests passed, 1 tests failed\n",
    "Robot Framework": "Test One                         | PASS |\n1 test, 1 passed, 0 failed\n",
    "an HTML page": "<!DOCTYPE html><html><body>Sign in</body></html>",
    "a Git LFS pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
    "JSON lines": "\n".join(f'{{"log": "{line}"}}' for line in ZTEST.split("\r\n")),
}


@pytest.mark.parametrize("suite", ["tf-m", "ztest", "psa-arch-tests"])
@pytest.mark.parametrize("other", OTHERS)
def test_output_of_another_tool_is_neither_passed_nor_failed(other: str, suite: str) -> None:
    judgement = judged(OTHERS[other], suite)
    assert judgement.verdict is Verdict.INCOMPLETE
    assert kinds(judgement) == {"never-started"}


REFUSALS = (
    "[INF] Starting TF-M BL1_1\r\n[ERR] BL1_2 image failed to validate\r\n",
    "[INF] Starting TF-M BL1_2\r\n[ERR] BL2 image signature failed to validate\r\n",
    "[INF] Starting TF-M BL1_2\r\n[ERR] BL2 image security_counter failed to validate\r\n",
    "[INF] Starting TF-M BL1_2\r\nERROR:   BL2 image failed to decrypt\r\n",
    "[INF] Starting TF-M BL1_2\r\n[ERR] BL2 image binding verification failed\r\n",
    "[INF] Starting bootloader\r\n[ERR] No slot to load for image 1\r\n",
    "Attempting to boot slot 0.\r\nFailed to validate, permanently invalidating!\r\n",
    "Attempting to boot slot 1.\r\nNo bootable image found. Aborting boot.\r\n",
)


@pytest.mark.parametrize("said", REFUSALS)
@pytest.mark.parametrize("suite", ["tf-m", "ztest", "psa-arch-tests"])
def test_a_boot_loader_that_refuses(said: str, suite: str) -> None:
    judgement = judged(said, suite)
    assert judgement.verdict is Verdict.INCOMPLETE
    assert "image-refused" in kinds(judgement)


def test_the_first_boot_loader_of_two_is_a_restart() -> None:
    again = ZTEST.replace("START - test_assert_mem", "Attempting to boot slot 0.\r\nSTART - test_assert_mem")
    assert "reset" in kinds(judged(again, "ztest"))
