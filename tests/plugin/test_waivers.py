"""Waivers and policies as users see them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.plugin.conftest import Project

CHECKED = """
from tfm_harness.findings import Check, Severity
HOLDS = Check(id="mine.holds", title="this holds", requirement="ISO 1")
WRONG = Check(id="mine.wrong", title="this does not hold", requirement="ISO 2", dev=Severity.WARNING)
FIRM = Check(id="mine.firm", title="evidence", requirement="ISO 3", waivable=False)
def test_checked(device, checks):
    checks(HOLDS, True)
    checks(WRONG, False, expected="right", seen="wrong")
"""


def waiver(finding: str) -> str:
    return f"waivers:\n  - finding: {finding}\n    reason: the first silicon does not do better\n"


def test_a_waived_finding_is_shown_and_fails_nothing(project: Project) -> None:
    folder = project.test(CHECKED).parent
    (folder / "README.md").write_text("# mine\n\nEverything is right.\n")
    project.build("fw", waiver("mine.wrong"))
    result = project.run("--junitxml", "out.xml")
    assert result.ret == 0
    # what is excused is not claimed
    result.stdout.fnmatch_lines(["    mine: Everything is right. Except what is excused by name: mine.wrong."])
    case = ET.parse(project.path / "out.xml").getroot().find(".//testcase")
    assert case is not None
    said = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
    assert said["harness.waived"] == "mine.wrong"
    result.stdout.fnmatch_lines(
        ["waived (shown, excused by name):", "*mine.wrong*the first silicon does not do better*"]
    )


def test_a_waiver_that_matches_nothing_is_an_error(project: Project) -> None:
    project.test(CHECKED.replace("WRONG, False", "WRONG, True"))
    project.build("fw", waiver("mine.wrong"))
    result = project.run("--junitxml", "out.xml")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["ERROR: waiver 'mine.wrong' (*build.yaml:*) matched nothing*"])
    # JUnit is not green either
    suite = ET.parse(project.path / "out.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.attrib["tests"], suite.attrib["errors"], suite.attrib["failures"]) == ("2", "1", "0")
    (case,) = [case for case in suite.iter("testcase") if case.find("error") is not None]
    assert "mine.wrong" in case.attrib["name"]


def test_a_waiver_whose_checks_did_not_run_is_not_judged(project: Project) -> None:
    project.test(CHECKED.replace("WRONG, False", "WRONG, True"))
    project.build("fw", waiver("other.thing"))
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["waiver 'other.thing' was not judged*"])


def test_no_waiver_excuses_evidence(project: Project) -> None:
    project.test(CHECKED + "    checks(FIRM, False)\n")
    project.build("fw", waiver("'mine.*'"))
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*product:mine.firm*"])


def test_the_policy_decides_what_fails(project: Project) -> None:
    project.test(CHECKED)
    assert project.run("--tfm-policy", "validation").ret == 1
    result = project.run("--tfm-policy", "dev")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["noted (the policy only reports these):", "  mine.wrong on bench+fw: wrong"])


def test_the_builds_own_policy_holds_unless_the_command_line_says_otherwise(project: Project) -> None:
    project.test(CHECKED)
    project.build("fw", "policy: dev\n")
    assert project.run().ret == 0
    assert project.run("--tfm-policy", "production").ret == 1


TWO = (
    CHECKED.replace("WRONG, False", "WRONG, True")
    + """
import pytest
@pytest.mark.needs("cold-reset")
def test_over_a_reset(device, checks):
    checks(WRONG, False, expected="right", seen="wrong")
"""
)


def test_a_waiver_is_not_unused_where_the_test_it_is_for_was_not_selected(project: Project) -> None:
    project.test(TWO.replace('"cold-reset"', '"describe"'))
    project.build("fw", waiver("mine.wrong"))
    result = project.run("-k", "test_checked")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["waiver 'mine.wrong' was not judged*"])
    # the whole run sees it
    assert project.run().ret == 0


def test_a_waiver_is_not_unused_where_the_target_cannot_show_what_it_is_for(project: Project) -> None:
    project.test(TWO.replace('"cold-reset"', '"acme.lid-switch"'))
    project.build("fw", waiver("mine.wrong"))
    result = project.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["waiver 'mine.wrong' was not judged*"])


def test_a_waiver_is_unused_where_every_test_that_judges_it_ran(project: Project) -> None:
    project.test(TWO.replace('"cold-reset"', '"describe"').replace("WRONG, False", "WRONG, True"))
    project.build("fw", waiver("mine.wrong"))
    assert project.run("-k", "nothing_of_the_kind or test_").ret == 4
