"""Runs that end before their end, tests without a board, second tries: what the record says, and nothing is passed."""

from __future__ import annotations

import importlib.util
import signal
import xml.etree.ElementTree as ET

import pytest
from tfm_harness.report import RunRecord, load_run

from tests.plugin.conftest import Project

ENDS = """
import os, signal
import pytest
def test_first(device): device.describe()
def test_second(device):
    for name in {signals}:
        os.kill(os.getpid(), getattr(signal, name))
def test_third(device): device.describe()
"""
TABLE = """# mine

Mine holds.

| check | what it proves | asked for by |
|---|---|---|
| `mine.number` | the number | ISO 0 |
| `mine.other` | another number | ISO 1 |
"""
CHECKS = """
from tfm_harness.findings import Check
CHECK = Check(id="mine.number", title="the number is right", requirement="ISO 0")
def test_one(device, checks): checks(CHECK, True)
def test_two(device, checks): checks(CHECK, True)
"""


def record(project: Project) -> RunRecord:
    (folder,) = (project.path / "runs").iterdir()
    return load_run(folder)


@pytest.mark.parametrize("signals", [["SIGINT"], ["SIGTERM"], ["SIGHUP"], ["SIGINT", "SIGINT"], ["SIGTERM", "SIGHUP"]])
def test_a_signal_ends_the_run_and_nothing_is_passed(project: Project, signals: list[str]) -> None:
    if any(signal.getsignal(signal.Signals[name]) is signal.SIG_IGN for name in signals):
        pytest.skip("these tests were started with the signal ignored (nohup), and so is what they start")
    project.test(ENDS.format(signals=signals))
    result = project.run("--junitxml", "out.xml")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["verdict: Interrupted*"])
    run = record(project)
    assert (run.verdict, run.interrupted) == ("interrupted", signals[0])
    assert [t.outcome for t in run.tests] == ["passed", "not run", "not run"]
    assert project.life()[-1] == "release"
    root = ET.parse(project.path / "out.xml").getroot()
    assert [case.get("name") for case in root.iter("testcase") if case.find("error") is not None] == [
        "ended_before_its_end"
    ]
    (page,) = (project.path / "runs").glob("*/report.html")
    assert "<strong>Interrupted</strong>" in page.read_text()


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("hook", ["sessionfinish", "terminal_summary", "unconfigure"])
def test_a_signal_when_all_is_judged_changes_nothing(project: Project, hook: str, first: bool) -> None:
    """The record is whole, and the exit code is that of the run."""
    project.test(ENDS.format(signals=["SIGINT"] if first else []))
    project.append_conftest(
        f"import os, pytest, signal\n@pytest.hookimpl(trylast=True)\ndef pytest_{hook}():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    assert project.run().ret == (2 if first else 0)
    assert record(project).verdict == ("interrupted" if first else "passed")


def test_a_run_that_is_cut_short_without_a_signal_is_not_passed(project: Project) -> None:
    project.test("def test_first(device): pass\ndef test_second(device): pass\n")
    project.append_conftest("def pytest_runtest_logfinish(nodeid):\n    raise SystemExit(0)\n")
    project.run()
    assert record(project).verdict != "passed"


def test_a_suite_outside_the_rootdir_keeps_its_name_where_tests_did_not_run(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As with an installed wheel: pytest's ids have no folder then."""
    folder = tmp_path_factory.mktemp("site") / "elsewhere"
    folder.mkdir()
    (folder / "test_it.py").write_text("def test_zero(device): assert 0\n" + CHECKS)
    (folder / "README.md").write_text(TABLE)
    result = project.run(f"--rootdir={project.path}", "-x", str(folder))
    assert result.ret == 1, result.stdout.str()
    tests = record(project).tests
    assert [(test.suite, test.combination) for test in tests] == [("elsewhere", "bench+fw")] * len(tests)
    assert [test.outcome for test in tests] == ["failed", *["not run"] * (len(tests) - 1)]
    assert len(tests) == 3
    assert [(entry.suite, entry.passed, entry.total) for entry in record(project).suites] == [("elsewhere", 0, 3)]


def test_only_what_ran_whole_is_proved(project: Project) -> None:
    project.test(CHECKS)
    (project.path / "mine" / "README.md").write_text(TABLE)
    result = project.run()
    result.stdout.fnmatch_lines(["  proved:", "    mine: Mine holds.", "1 of 2 requirements proven, of the suites*"])
    for selection in (("-k", "one"), ("mine/test_mine.py::test_two",)):
        result = project.run(*selection)
        assert result.ret == 0
        result.stdout.fnmatch_lines(
            ["    mine: 1 of 2 tests passed", "? of 2 requirements proven, by 1 of 2 tests, of the suites*"]
        )
        result.stdout.no_fnmatch_line("*Mine holds*")


def test_a_share_of_proven_requirements_can_be_asked_for(project: Project) -> None:
    project.test(CHECKS)
    (project.path / "mine" / "README.md").write_text(TABLE)
    assert project.run("--tfm-fail-under-coverage", "50").ret == 0
    result = project.run("--tfm-fail-under-coverage", "60")
    assert result.ret == 5
    result.stdout.fnmatch_lines(["verdict: Too little proved"])
    assert project.run("--tfm-fail-under-coverage", "much").ret == 4


@pytest.mark.parametrize(("fault", "kind"), [("locked", "board-locked"), ("flash-fails", "flash-failed")])
def test_one_cause_and_the_rest_blocked(project: Project, fault: str, kind: str) -> None:
    project.target("bench", fault)
    project.test("import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_it(device, n): pass\n")
    result = project.run("--junitxml", "out.xml")
    assert result.ret == 10
    assert result.parseoutcomes() == {"errors": 1, "blocked": 8}
    result.stdout.fnmatch_lines(
        ["blocked: 8 tests had no board; see *test_it?bench+fw-0*", "responsible: the bench for 1"]
    )
    assert len(result.stdout.lines) < 60
    run = record(project)
    assert [t.outcome for t in run.tests] == ["error"] + ["blocked"] * 8
    assert {t.kind for t in run.tests} == {kind}
    root = ET.parse(project.path / "out.xml").getroot()
    assert [sum(case.find(tag) is not None for case in root.iter("testcase")) for tag in ("error", "skipped")] == [1, 8]


def test_a_board_that_never_spoke_is_not_the_products(project: Project) -> None:
    project.target("bench", "silent")
    project.test("def test_a(device): pass\ndef test_b(device): pass\n")
    result = project.run("--tfm-boot-timeout", "0.3", "--tfm-answer-timeout", "0.1")
    assert result.ret == 10
    assert result.parseoutcomes() == {"errors": 1, "blocked": 1}


@pytest.mark.skipif(importlib.util.find_spec("pytest_rerunfailures") is None, reason="pytest-rerunfailures is missing")
def test_a_second_try_begins_with_nothing_of_the_first_and_is_recorded(project: Project) -> None:
    project.test(
        CHECKS
        + "TRIES = []\n"
        + "def test_flaky(device, checks):\n"
        + "    TRIES.append(1)\n"
        + "    checks(CHECK, len(TRIES) > 1, seen=len(TRIES))\n"
    )
    (project.path / "mine" / "README.md").write_text(TABLE)
    result = project.run("--reruns", "1", "--junitxml", "out.xml")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*: 3 of 3 tests passed, 1 of them tried again", "verdict: Passed, 1 retried"])
    test = next(t for t in record(project).tests if t.short.startswith("test_flaky"))
    assert (test.outcome, [f.status for f in test.findings]) == ("passed", ["passed"])
    assert [(t.why, t.outcome, t.kind) for t in test.tries] == [("rerun", "failed", "mine.number")]
    case = next(c for c in ET.parse(project.path / "out.xml").getroot().iter("testcase") if "flaky" in c.attrib["name"])
    assert case.find("flakyFailure") is not None
    assert case.find("failure") is None


@pytest.mark.parametrize(
    "body",
    [
        "def test_it(device): device.describe(1, 2, 3)\n",
        "def test_it(device): device.descibe()\n",
        "def test_it(device): undefined\n",
        "def test_it(device, verifier): verifier.token(device)\n",
        "def test_it(device): {}['key']\n",
    ],
)
def test_a_mistake_in_a_test_is_the_tests(project: Project, body: str) -> None:
    project.test(body)
    result = project.run()
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*test_mine.py:1: *", "responsible: the test itself*", "verdict: Test wrong*"])
    assert record(project).verdict == "test"


ARGUMENTS = """\
def test_text_for_a_challenge(device): device.attest("abc")
def test_a_challenge_of_a_size_that_psa_has_not(device): device.attest(b"abc")
def test_text_for_an_input(device): device.infer_input("hello")
def test_no_declared_check(device, checks): checks("mine.x", True)
def test_no_finding(device, checks): checks.extend(["mine.x"])
def test_token_for_challenge(device, verifier): verifier.token(bytes(528), bytes(32))
def test_pair_for_challenge(device, verifier): verifier.token((bytes(32), bytes(528)), bytes(32))
def test_unknown_model(device): device.use_model("tampr")
def test_unknown_key(device): device.public_key("iack")
def test_unknown_key_of_a_request(device): device.csr(3)
"""


def test_wrong_arguments_are_never_the_products(project: Project) -> None:
    """Each is said with the line, no device is asked where its answer would be taken for its fault, the run goes on."""
    project.test(ARGUMENTS)
    result = project.run()
    assert result.ret == 4, result.stdout.str()
    kept = record(project)
    assert len(kept.tests) == ARGUMENTS.count("def ")
    blamed = {test.short: test.responsibility for test in kept.tests}
    configured = {"test_unknown_model", "test_unknown_key", "test_unknown_key_of_a_request"}
    for name, responsibility in blamed.items():
        assert responsibility == ("configuration" if name.partition("[")[0] in configured else "test"), name
    result.stdout.fnmatch_lines(
        ["*challenge: bytes are wanted, and this is str 'abc'*", "*a challenge of 32, 48 or 64 bytes*"]
    )
    result.stdout.fnmatch_lines(["*no model 'tampr'*", "*no key 'iack'; did you mean 'iak'?*"])


@pytest.mark.parametrize("line", ["assert 1 == 2", "pytest.fail('x')"])
def test_a_failed_assertion_is_the_products(project: Project, line: str) -> None:
    project.test(f"import pytest\ndef test_it(device): {line}\n")
    assert project.run().ret == 1


def test_a_misspelt_need_is_an_error(project: Project) -> None:
    project.test("import pytest\n@pytest.mark.needs('infr')\ndef test_it(device): pass\n")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*test_it*needs 'infr', which nothing can offer; did you mean 'infer'?*"])
    assert project.life() == []
    project.test("import pytest\n@pytest.mark.needs('acme.lid-switch')\ndef test_it(device): pass\n")
    assert project.run().ret == 5
