"""Small makers of console output, and the recordings where they are present."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfm_harness.console_suites import Expectations, Judgement, get_machine

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings" / "tf-m"
PASSING = {
    "regression-v1.8.1-an547.uart": ("tf-m", 174),
    "regression-v2.1.4-an547.uart": ("tf-m", 179),
    "tfm-v2.2.2-an521-regression.uart0": ("tf-m", 191),
    "psa-arch-tests-attestation.uart": ("psa-arch-tests", 1),
}


def recording(name: str) -> bytes:
    path = RECORDINGS / name
    if not path.is_file():
        pytest.skip(f"the recording {name} is not present beside the checkout")
    return path.read_bytes()


def judge(data: bytes, suite: str, **expectations: object) -> Judgement:
    machine = get_machine(suite, Expectations(**expectations))  # type: ignore[arg-type]  # the tests' own keywords
    machine.feed(data)
    return machine.judgement()


def kinds(judgement: Judgement) -> set[str]:
    return {problem.kind for problem in judgement.problems}


def case(name: str, outcome: str = "PASSED", *, message: str = "") -> str:
    lines = [f"> Executing '{name}' ", f"  Description: 'about {name}'"]
    if message:
        lines.append(f"  {message}")
    lines.append(f"  TEST: {name} - {outcome}!")
    return "\r\n".join(lines) + "\r\n"


def suite(name: str, *cases: str, outcome: str = "PASSED", counts: str = "") -> str:
    return f"\x1b[33mRunning Test Suite {name}...\r\n" + "".join(cases) + counts + f"TESTSUITE {outcome}!\r\n"


def area(name: str, *suites: str, summary: dict[str, str]) -> str:
    told = "".join(f"Test suite '{suite}' has\x1b[32m {outcome}\r\n" for suite, outcome in summary.items())
    return (
        f"\x1b[33m\r\n#### Execute test suites for the {name} area ####\r\n"
        + "".join(suites)
        + f"\r\n*** {name} test suites summary ***\r\n{told}\r\n*** End of {name} test suites ***\r\n"
    )


GOOD = (
    "[INF] Starting bootloader\r\n"
    + area(
        "Secure",
        suite("One (T_1XXX)", case("T_1001"), case("T_1002")),
        suite("Two(T_2XXX)", case("T_2001")),
        summary={"One (T_1XXX)": "PASSED", "Two(T_2XXX)": "PASSED"},
    )
    + "Non-Secure system starting...\r\n"
    + area("Non-secure", suite("Three (T_3XXX)", case("T_3001")), summary={"Three (T_3XXX)": "PASSED"})
    + "\x1b[0m\x04"
)

ZTEST = """\
*** Booting Zephyr OS build v3.7.0 ***
Running TESTSUITE framework_tests
===================================================================
START - test_assert_equal
 PASS - test_assert_equal in 0.001 seconds
===================================================================
START - test_assert_mem_equal
 PASS - test_assert_mem_equal in 0.002 seconds
===================================================================
TESTSUITE framework_tests succeeded

------ TESTSUITE SUMMARY START ------

SUITE PASS - 100.00% [framework_tests]: pass = 2, fail = 0, skip = 0, total = 2 duration = 0.003 seconds
 - PASS - [framework_tests.test_assert_equal] duration = 0.001 seconds
 - PASS - [framework_tests.test_assert_mem_equal] duration = 0.002 seconds

------ TESTSUITE SUMMARY END ------

===================================================================
PROJECT EXECUTION SUCCESSFUL
""".replace("\n", "\r\n")

PSA = """\
***** PSA Architecture Test Suite - Version 1.4 *****

Running.. Crypto Suite
******************************************

TEST: 201 | DESCRIPTION: Testing crypto key management APIs | UT: psa_import_key
[Info] Executing tests from non-secure
[Check 1] Test psa_import_key 16 Byte AES

TEST RESULT: PASSED

******************************************

TEST: 202 | DESCRIPTION: Testing crypto key management APIs | UT: psa_export_key

TEST RESULT: PASSED

******************************************

************ Crypto Suite Report **********
TOTAL TESTS     : 2
TOTAL PASSED    : 2
TOTAL SIM ERROR : 0
TOTAL FAILED    : 0
TOTAL SKIPPED   : 0
******************************************

Entering standby..
""".replace("\n", "\n\r")
