"""A quick run leaves out the thorough tests, says so, and claims nothing of them."""

from __future__ import annotations

import json

from tests.plugin.conftest import Project

TWO = """
import pytest
def test_short(device):
    assert device.describe().version == '1.2.3'
@pytest.mark.thorough
@pytest.mark.parametrize("part", [1, 2])
def test_far(device, part):
    raise AssertionError("thorough")
"""


def outcomes(project: Project) -> dict[str, str]:
    (record,) = project.path.glob("**/run.json")
    return {
        test["nodeid"].rpartition("::")[2]: test.get("outcome", "passed")
        for test in json.loads(record.read_text())["tests"]
    }


def test_quick_leaves_thorough_tests_out_and_says_which(project: Project) -> None:
    project.test(TWO)
    result = project.run("--tfm-quick")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["not run: 2 tests marked thorough were left out by --tfm-quick", "  *: test_far"])
    assert sorted(outcomes(project).values()) == ["not run", "not run", "passed"]


def test_without_quick_they_run(project: Project) -> None:
    project.test(TWO)
    result = project.run()
    assert result.ret == 1
    assert sorted(outcomes(project).values()) == ["failed", "failed", "passed"]


def test_a_quick_run_of_thorough_tests_alone_is_no_pass_and_touches_no_board(project: Project) -> None:
    project.test("import pytest\n@pytest.mark.thorough\ndef test_far(device): pass\n")
    assert project.run("--tfm-quick").ret == 5
    assert project.life() == []
