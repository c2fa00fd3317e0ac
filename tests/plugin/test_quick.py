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
    result.stdout.fnmatch_lines(["not run: 2 tests marked thorough were left out of this quick run", "  *: test_far"])
    assert sorted(outcomes(project).values()) == ["not run", "not run", "passed"]


def test_many_thorough_tests_are_counted_by_suite(project: Project) -> None:
    project.test(
        "import pytest\n"
        "def test_near(device): pass\n"
        "@pytest.mark.thorough\n"
        "@pytest.mark.parametrize('part', range(13))\n"
        "def test_far(device, part): pass\n"
    )
    result = project.run("--tfm-quick")
    assert result.ret == 0
    told = " ".join(result.stdout.str().split())
    assert "not run: 13 tests marked thorough were left out of this quick run (13 mine); run.json names them" in told
    assert list(outcomes(project).values()).count("not run") == 13


def test_without_quick_they_run(project: Project) -> None:
    project.test(TWO)
    result = project.run()
    assert result.ret == 1
    assert sorted(outcomes(project).values()) == ["failed", "failed", "passed"]


def test_a_quick_run_of_thorough_tests_alone_is_no_pass_and_touches_no_board(project: Project) -> None:
    project.test("import pytest\n@pytest.mark.thorough\ndef test_far(device): pass\n")
    assert project.run("--tfm-quick").ret == 5
    assert project.life() == []


CONTAINED = """
import pytest
LONG = pytest.param(500, marks=pytest.mark.thorough(count=16))
@pytest.mark.parametrize("part", ["alpha", "beta"])
@pytest.mark.parametrize("count", [16, LONG])
def test_types(device, part, count): pass
@pytest.mark.parametrize("count", [16, pytest.param(17, marks=pytest.mark.thorough)])
def test_others(device, count): pass
"""


def names(project: Project) -> list[str]:
    """Of the tests that ran; without the board's name."""
    passed = (name for name, outcome in outcomes(project).items() if outcome == "passed")
    return sorted(name.replace("bench+fw-", "") for name in passed)


def test_a_form_that_a_thorough_one_contains_does_not_run_beside_it(project: Project) -> None:
    project.test(CONTAINED)
    result = project.run()
    assert result.ret == 0
    assert names(project) == ["test_others[16]", "test_others[17]", "test_types[500-alpha]", "test_types[500-beta]"]


def test_without_the_thorough_form_the_short_one_runs(project: Project) -> None:
    project.test(CONTAINED)
    assert project.run("--tfm-quick").ret == 0
    assert names(project) == ["test_others[16]", "test_types[16-alpha]", "test_types[16-beta]"]


def test_what_is_asked_for_runs(project: Project) -> None:
    project.test(CONTAINED)
    assert project.run("-k", "16 or alpha").ret == 0
    assert names(project) == ["test_others[16]", "test_types[16-beta]", "test_types[500-alpha]"]


def test_a_misspelt_parameter_is_refused(project: Project) -> None:
    project.test(CONTAINED.replace("thorough(count", "thorough(conut"))
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*test_types*: thorough(conut=...) names no parameter of the test"])
    assert project.life() == []
