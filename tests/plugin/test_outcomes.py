"""Whose fault it is, as users see it: words, exit code, JUnit, and a board given back."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from tfm_harness.findings import Check, Finding
from tfm_harness.plugin.outcomes import findings_text

from tests.plugin.conftest import Project

ASKS = "def test_asks(device):\n    assert device.describe().version == '1.2.3'\n"
TRIGGER = "def test_trigger(test_commands):\n    test_commands.print_log(1, 1)\n"
CHECKED = """
from tfm_harness.findings import Check
CHECK = Check(id="mine.number", title="the number is right", requirement="ISO 0")
def test_checked(device, checks):
    checks(CHECK, {passes}, expected=1, seen=2)
    checks.equal(CHECK, b"\\x01", b"\\x01")
"""


def junit(project: Project) -> ET.Element:
    return ET.parse(project.path / "out.xml").getroot()


def properties(case: ET.Element) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}


def test_a_pass_is_a_pass_and_the_board_is_given_back(project: Project) -> None:
    project.test(ASKS)
    result = project.run("-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["tfm-harness *", "  bench+fw: simulator target*", "*test_asks?bench+fw? PASSED*"])
    result.stdout.fnmatch_lines(["*bench+fw: simulator 1.2.3*", "*mine *1 *0 *0*"])
    assert project.life() == ["acquire", "flash", "release"]


INPUTS = """
from tfm_harness.findings import Check
from tfm_harness.errors import Responsibility
CHECK = Check(id="mine.number", title="the number is right", requirement="ISO 0")
GIVEN = Check(id="mine.inputs", title="the inputs tell", requirement="-", responsibility=Responsibility.CONFIGURATION)
def test_checked(device, checks):
    checks(GIVEN, False, expected="16 distinct", seen="1")
    checks(CHECK, {passes}, expected=1, seen=2)
"""


@pytest.mark.parametrize(("passes", "code", "whose", "kind"), [
    (True, 4, "configuration", "mine.inputs"),
    (False, 1, "product", "mine.number"),
])  # fmt: skip
def test_a_check_of_what_the_test_was_given_is_not_held_against_the_product(
    project: Project, passes: bool, code: int, whose: str, kind: str
) -> None:
    project.test(INPUTS.format(passes=passes))
    result = project.run("--junitxml", "out.xml")
    assert result.ret == code
    result.stdout.fnmatch_lines(["*configuration:mine.inputs* the inputs tell", f"responsible: the {whose} for 1"])
    (case,) = junit(project).iter("testcase")
    assert properties(case)["harness.responsibility"] == whose
    assert properties(case)["harness.kind"] == kind
    assert project.life() == ["acquire", "flash", "release"]


def test_a_failed_check_is_the_products_fault(project: Project) -> None:
    project.test(CHECKED.format(passes=False))
    result = project.run("--junitxml", "out.xml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*test_mine.py:*1 check failed:*",
            "*product:mine.number* the number is right",
            "*expected: 1",
            "*seen: 2",
            "*required by: ISO 0",
            "*last requests and answers*",
            "> describe {}",
            "< {*simulator*",
            "*console ns, last lines*",
            "failed checks:",
            "  mine.number on bench+fw: 2",
            "responsible: the product for 1",
        ]
    )
    (case,) = junit(project).iter("testcase")
    assert case.find("failure") is not None
    assert properties(case) == {
        "harness.responsibility": "product",
        "harness.kind": "mine.number",
        "harness.combination": "bench+fw",
        "harness.board": "bench",
        "harness.failed": "mine.number",
    }
    (suite,) = junit(project).iter("testsuite")
    whole = suite.find("properties")
    assert whole is not None
    said = properties(whole)
    assert said["harness.verdict"] == "failed"
    assert said["harness.firmware.bench+fw"] == "simulator 1.2.3"
    assert said["harness.policy.bench+fw"] == "validation"
    assert said["harness.measurements.bench+fw"] == f"SPE {'22' * 32}, NSPE {'11' * 32}"
    assert {"harness.version", "harness.reference"} <= set(said)


def test_a_failure_takes_less_than_forty_lines(project: Project) -> None:
    project.test(CHECKED.format(passes=False))
    lines = project.run().stdout.lines
    begin = next(n for n, line in enumerate(lines) if "= FAILURES =" in line)
    end = next(n for n, line in enumerate(lines) if "= tfm-harness =" in line)
    assert end - begin < 40


def test_many_failed_checks_take_less_than_forty_lines_too(project: Project) -> None:
    project.test(
        "import pytest\nfrom tfm_harness.findings import Check\n"
        "def test_many(device, checks):\n"
        "    device.test_commands.print_log(1, 1)\n"
        "    for n in range(9):\n"
        "        device.describe()\n"
        "        check = Check(id=f'mine.number-{n}', title='right', requirement='ISO 0')\n"
        "        checks(check, False, expected=n, seen=-n, where='somewhere')\n"
    )
    project.target("bench", "log-chatters")
    lines = project.run().stdout.lines
    begin = next(n for n, line in enumerate(lines) if "= FAILURES =" in line)
    end = next(n for n, line in enumerate(lines) if "= tfm-harness =" in line)
    assert end - begin <= 40
    assert any("and 5 more: mine.number-4, " in line for line in lines)
    for word in ("last requests and answers", "console ns, last lines", "console secure, last lines", "byte(s) in"):
        assert any(word.replace("byte(s)", "bytes") in line for line in lines[begin:end]), word


def test_a_bench_failure_in_a_test_is_an_error_and_exit_code_10(project: Project) -> None:
    project.target("bench", "log-silent")
    project.test(TRIGGER)
    result = project.run("--tfm-answer-timeout", "0.1", "--junitxml", "out.xml")
    assert result.ret == 10
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*infrastructure:smp-timeout* no answer to log*", "*what to do:*", "> log*", "responsible: the bench for 1"]
    )
    (case,) = junit(project).iter("testcase")
    assert case.find("failure") is None
    assert case.find("error") is not None
    assert properties(case)["harness.responsibility"] == "infrastructure"
    suite = junit(project).find("testsuite")
    assert suite is not None
    assert (suite.attrib["errors"], suite.attrib["failures"]) == ("1", "0")


def test_a_product_failure_is_never_hidden_by_a_bench_failure(project: Project) -> None:
    project.target("bench", "log-silent")
    project.test(TRIGGER)
    project.test(CHECKED.format(passes=False), suite="other")
    assert project.run("--tfm-answer-timeout", "0.1").ret == 1


def test_findings_outweigh_a_bench_failure_in_the_same_test(project: Project) -> None:
    project.target("bench", "log-silent")
    project.test(CHECKED.format(passes=False) + "    device.test_commands.print_log(1, 1)\n")
    result = project.run("--tfm-answer-timeout", "0.1")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*product:mine.number*", "*afterwards: *smp-timeout*"])


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("log-resets", 1, "*product:board.unexpected-reset*"),
        ("log-panics", 1, "*product:board.secure-panic*"),
        ("log-twice", 1, "*product:smp-duplicate* one request was answered twice*"),
        ("log-dies", 10, "*infrastructure:*"),
        ("log-half", 10, "*seen: half a frame*"),
        ("log-corrupt", 10, "*infrastructure:smp-corrupt*"),
        ("flash-fails", 10, "*infrastructure:flash-failed* writing the flash failed*"),
        ("locked", 10, "*infrastructure:board-locked* the board is in use by process 4711*"),
        ("silent", 10, "*infrastructure:silent* not one byte*"),
        ("hung", 1, "*product:boot-hung* spoke but did not answer*"),
        ("secure-only", 1, "*product:boot-hung*protocol's console stayed silent*"),
    ],
)
def test_each_fault_has_its_class_its_words_and_leaves_nothing(
    project: Project, fault: str, code: int, words: str
) -> None:
    project.target("bench", fault)
    project.test(TRIGGER)
    result = project.run("--tfm-answer-timeout", "0.1", "--tfm-boot-timeout", "0.3")
    result.stdout.fnmatch_lines([words])
    assert result.ret == code
    assert project.life()[-1] == "release"


def test_a_board_that_never_was_ready_shows_its_consoles_once(project: Project) -> None:
    project.target("bench", "hung")
    project.test(TRIGGER + "def test_next(device): pass\n")
    result = project.run("--tfm-boot-timeout", "0.3")
    result.stdout.fnmatch_lines(["*product:boot-hung*", "*last requests and answers*", "*console ns, last lines*"])
    result.stdout.fnmatch_lines(["*simulator firmware*", "bench+fw: never ready"])
    assert result.stdout.str().count("console ns, last lines") == 1


def test_fifty_megabytes_of_chatter_before_an_answer_are_waited_through(project: Project) -> None:
    project.target("bench", "log-floods")
    project.test(TRIGGER)
    result = project.run("--tfm-answer-timeout", "100")  # on a busy host the flood itself takes long
    assert result.ret == 0
    assert (next((project.path / "runs").glob("*")) / "bench" / "ns.log").stat().st_size > 50 << 20


def test_what_the_secure_side_said_is_shown_when_it_refused_the_image(project: Project) -> None:
    project.target("bench", "secure-only")
    project.test(ASKS)
    result = project.run("--tfm-boot-timeout", "0.3")
    result.stdout.fnmatch_lines(["*NSPE image refused: signature does not verify*"])


def test_a_lost_board_is_not_waited_for_again(project: Project) -> None:
    project.target("bench", "log-dies")
    project.test(TRIGGER + "def test_next(device): pass\ndef test_after(device): pass\n")
    project.append_conftest(
        "def pytest_harness_board_lost(bench, error): print(f'LOST {bench.combination.name} {error.kind}')\n"
        "def pytest_harness_board_ready(bench): print(f'READY {bench.combination.name}')\n"
    )
    result = project.run("--tfm-answer-timeout", "0.1", "--tfm-boot-timeout", "0.3", "-s")
    assert result.ret == 10
    result.stdout.fnmatch_lines(
        ["*READY bench+fw*", "*LOST bench+fw *", "blocked: 2 tests had no board; see *test_trigger*"]
    )


def test_no_board_asked_for_is_a_usage_error(project: Project) -> None:
    project.test(ASKS)
    result = project.run(target="", build="")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*test_asks needs a board, and none was asked for*", "*--tfm-target NAME*"])


def test_other_projects_fixtures_of_the_same_name_are_left_alone(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef device(): return 7\n@pytest.fixture\ndef board(): return 8\n"
    )
    project.test("def test_own(device, board): assert (device, board) == (7, 8)\n")
    assert project.run(target="", build="").ret == 0


def test_nothing_covered_is_no_pass(project: Project) -> None:
    project.test(
        "import pytest\n@pytest.mark.needs('infer', 'stimulus')\ndef test_more(device): raise AssertionError\n"
    )
    result = project.run()
    assert result.ret == 5
    result.stdout.fnmatch_lines(["not covered: 1 tests", "  1: bench+fw has no infer, stimulus"])


def test_a_test_that_judges_nothing_is_no_pass(project: Project) -> None:
    project.test("def test_silent(device, checks): pass\n")
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*no check ran: a test without a verdict is no pass*"])


def test_a_test_without_board_is_left_alone(project: Project) -> None:
    project.test("def test_plain(): assert 1 == 1\n")
    result = project.run()
    assert result.ret == 0
    assert project.life() == []


def test_interrupt_gives_the_board_back(project: Project) -> None:
    for number, fault in enumerate(("interrupt-acquire", "interrupt-flash", "log-interrupt")):
        name = f"bench{number}"
        project.target(name, fault)
        project.test(TRIGGER)
        result = project.run(target=name)
        assert result.ret == 2
        assert project.life(name)[-1] == "release"


def test_with_xdist_the_controller_tells_the_story(project: Project) -> None:
    project.test(CHECKED.format(passes=False))
    result = project.run("-n", "1", "-p", "xdist")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*product:mine.number*", "failed checks:", "responsible: the product for 1"])


def test_many_findings_of_one_check_hide_no_other() -> None:
    many, one = (Check(id=f"mine.{name}", title=name, requirement="ISO 0") for name in ("many", "one"))
    findings = [Finding(check=many, passed=False, seen=str(number)) for number in range(700)]
    findings.insert(650, Finding(check=one, passed=False, seen="the other"))
    lines = findings_text(findings).splitlines()
    assert lines[:4] == ["701 checks failed:", "[product:mine.many] many", "  seen: 0", "  required by: ISO 0"]
    assert "[product:mine.one] one" in lines
    assert [line for line in lines if "seen" in line] == ["  seen: 0", "  seen: the other", "  seen: 1", "  seen: 2"]
    assert lines[-1] == "and 697 more: mine.many"
