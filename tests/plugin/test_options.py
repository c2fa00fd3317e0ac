"""Options: one declaration, three sources, errors that say which."""

from __future__ import annotations

import pytest
from tfm_harness.plugin.options import OPTIONS

from tests.plugin.conftest import Project

TEST = "def test_it(device): pass\n"


def test_every_option_is_in_the_help_with_its_ini_key_and_variable(project: Project) -> None:
    text = " ".join(project.run("--help").stdout.str().split())
    for option in OPTIONS:
        assert option.flag in text
        assert f"[ini: {option.key}, environment: {option.env}]" in text.replace("- ", "-")


def test_the_command_line_wins_over_the_environment_and_that_over_the_ini(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.test(TEST)
    for name in ("from_ini", "from_env", "from_flag"):
        project.target(name)
    project.pytester.makeini("[pytest]\nharness_target = from_ini\nharness_build = fw\n")
    project.run(target="", build="").stdout.fnmatch_lines(["*from_ini+fw: simulator*"])
    monkeypatch.setenv("TFM_HARNESS_TARGET", "from_env")
    project.run(target="", build="").stdout.fnmatch_lines(["*from_env+fw: simulator*"])
    project.run(target="from_flag", build="").stdout.fnmatch_lines(["*from_flag+fw: simulator*"])


def test_lists_in_environment_and_ini(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.test(TEST)
    project.target("second")
    project.build("other")
    project.pytester.makepyprojecttoml('[tool.pytest.ini_options]\nharness_build = ["fw", "other"]\n')
    monkeypatch.setenv("TFM_HARNESS_TARGET", "bench, second")
    result = project.run("-v", target="", build="")
    result.assert_outcomes(passed=4)
    for pair in ("bench+fw", "bench+other", "second+fw", "second+other"):
        result.stdout.fnmatch_lines([f"*test_it?{pair}? PASSED*"])


def test_each_pair_is_flashed_once_and_given_back_before_the_next(project: Project) -> None:
    project.test("def test_a(device): pass\ndef test_b(device): pass\ndef test_c(device): pass\n")
    project.build("other")
    assert project.run("--build", "other").ret == 0
    assert project.life() == ["acquire", "flash", "release"] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policy", "lax"], "*policy cannot be 'lax'*"),
        (["--answer-timeout", "soon"], "*answer-timeout cannot be 'soon'*"),
        (["--answer-timeout", "-1"], "*expected: a positive number of seconds*"),
        (["--answer-timeout", "inf"], "*where: --answer-timeout on the command line*"),
        (["--target", "bench"], "*target bench is given twice*"),
    ],
)
def test_values_that_cannot_be_are_said_with_their_origin(project: Project, arguments: list[str], words: str) -> None:
    project.test(TEST)
    result = project.run(*arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines([words])
    assert project.life() == []


def test_a_wrong_value_in_the_environment_names_the_variable(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.test(TEST)
    monkeypatch.setenv("TFM_HARNESS_FRESH_IDENTITY", "perhaps")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*where: environment variable TFM_HARNESS_FRESH_IDENTITY*"])


@pytest.mark.parametrize("argument", ["--run-dir=file/run", "--state-dir=file"])
def test_a_folder_that_cannot_be_made_is_the_benchs_fault(project: Project, argument: str) -> None:
    project.test(TEST)
    (project.path / "file").write_text("")
    result = project.run(argument)
    assert result.ret == 10
    result.stderr.fnmatch_lines(["*infrastructure:run-dir*", f"*{argument.partition('=')[0]} on the command line*"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert "INTERNALERROR" not in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("argument", ["--help", "--markers", "--fixtures", "--version"])
def test_who_only_looks_is_not_bothered(project: Project, monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
    monkeypatch.setenv("TFM_HARNESS_POLICY", "lax")
    assert project.run(argument).ret == 0
    assert not (project.path / "runs").exists()


def test_one_of_two_is_not_enough(project: Project) -> None:
    project.test(TEST)
    result = project.run(build="")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no build was given*", "*seen: target bench from --target on the command line*"])


def test_an_unknown_target_is_said_with_the_nearest_name(project: Project) -> None:
    project.test(TEST)
    result = project.run(target="bnech")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*unknown target 'bnech'; did you mean 'bench'?*", "*--target on the command line*"])


def test_an_unknown_key_is_said_with_file_line_and_nearest_key(project: Project) -> None:
    project.test(TEST)
    project.target("bench", extra="consols: {}\n")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*bench.yaml:4*consols*consoles*"])
    assert project.life() == []


def test_a_missing_image_is_said_before_a_board_is_touched(project: Project) -> None:
    project.test(TEST)
    project.build("fw", "images:\n  - {file: gone.elf, world: secure}\nmake: make firmware\n")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*image-missing*", "*gone.elf*", "*make firmware*"])
    assert project.life() == []


def test_collecting_touches_no_board(project: Project) -> None:
    project.test(TEST)
    result = project.run("--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_it?bench+fw?*"])
    assert project.life() == []
    assert not (project.path / "runs").exists()
