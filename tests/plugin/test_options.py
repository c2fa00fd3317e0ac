"""Options: one declaration, three sources, errors that say which."""

from __future__ import annotations

import sys

import pytest
from tfm_harness.plugin.combinations import load_combinations
from tfm_harness.plugin.options import OPTIONS, Option, Setting

from tests.plugin.conftest import Project
from tests.reference_firmware import FIRMWARE, needs_firmware

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
    project.pytester.makeini("[pytest]\ntfm_target = from_ini\ntfm_build = fw\n")
    project.run(target="", build="").stdout.fnmatch_lines(["*from_ini+fw: simulator*"])
    monkeypatch.setenv("TFM_HARNESS_TARGET", "from_env")
    project.run(target="", build="").stdout.fnmatch_lines(["*from_env+fw: simulator*"])
    project.run(target="from_flag", build="").stdout.fnmatch_lines(["*from_flag+fw: simulator*"])


def test_lists_in_environment_and_ini(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.test(TEST)
    project.target("second")
    project.build("other")
    project.pytester.makepyprojecttoml('[tool.pytest.ini_options]\ntfm_build = ["fw", "other"]\n')
    monkeypatch.setenv("TFM_HARNESS_TARGET", "bench, second")
    result = project.run("-v", target="", build="")
    result.assert_outcomes(passed=4)
    for pair in ("bench+fw", "bench+other", "second+fw", "second+other"):
        result.stdout.fnmatch_lines([f"*test_it?{pair}? PASSED*"])


def test_each_pair_is_flashed_once_and_given_back_before_the_next(project: Project) -> None:
    project.test("def test_a(device): pass\ndef test_b(device): pass\ndef test_c(device): pass\n")
    project.build("other")
    assert project.run("--tfm-build", "other").ret == 0
    assert project.life() == ["acquire", "flash", "release"] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tfm-policy", "lax"], "*policy cannot be 'lax'*"),
        (["--tfm-answer-timeout", "soon"], "*answer-timeout cannot be 'soon'*"),
        (["--tfm-answer-timeout", "-1"], "*expected: a positive number of seconds*"),
        (["--tfm-answer-timeout", "inf"], "*where: --tfm-answer-timeout on the command line*"),
        (["--tfm-target", "bench"], "*target bench is given twice*"),
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


@pytest.mark.parametrize("argument", ["--tfm-run-dir=file/run", "--tfm-state-dir=file"])
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
    result.stderr.fnmatch_lines(["*no build was given*", "*seen: target bench from --tfm-target on the command line*"])


def test_an_unknown_target_is_said_with_the_nearest_name(project: Project) -> None:
    project.test(TEST)
    result = project.run(target="bnech")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*unknown target 'bnech'; did you mean 'bench'?*", "*--tfm-target on the command line*"]
    )


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


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
@pytest.mark.parametrize("joined", [True, False])
def test_an_old_flag_is_an_error_that_gives_the_new_one(project: Project, option: Option, joined: bool) -> None:
    project.test(TEST)
    words = [f"--{option.name}=1"] if joined else [f"--{option.name}", "1"]
    result = project.run(*words)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*option --{option.name} is now called --tfm-{option.name}*"])
    assert project.life() == []


def test_an_old_flag_in_addopts_is_an_error_too(project: Project) -> None:
    project.test(TEST)
    project.pytester.makeini("[pytest]\naddopts = --target bench --build fw\n")
    result = project.run(target="", build="")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*option --target is now called --tfm-target*"])


def test_an_old_flag_that_another_plugin_has_is_left_to_it(project: Project) -> None:
    project.test("def test_it(device, request): assert request.config.getoption('--target') == 'esp32'\n")
    project.append_conftest("def pytest_addoption(parser): parser.addoption('--target')\n")
    project.run("--target", "esp32").assert_outcomes(passed=1)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_old_ini_key_is_an_error_that_gives_the_new_one(project: Project, option: Option) -> None:
    project.test(TEST)
    old = "harness_" + option.name.replace("-", "_")
    project.pytester.makeini(f"[pytest]\n{old} = 1\n")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*ini key {old} is now called {option.key}*", "*where: *tox.ini*"])


def test_a_misspelt_ini_key_is_an_error_with_the_nearest_one(project: Project) -> None:
    project.test(TEST)
    project.pytester.makeini("[pytest]\ntfm_polcy = production\n")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*unknown ini key tfm_polcy; did you mean tfm_policy?*"])


def test_an_ini_key_of_another_plugin_is_no_mistake(project: Project) -> None:
    project.test(TEST)
    project.append_conftest("def pytest_addoption(parser): parser.addini('tfm_colour', 'of another plugin')\n")
    project.pytester.makeini("[pytest]\ntfm_colour = blue\n")
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TFM_HARNESS_TARGTE", "*unknown environment variable TFM_HARNESS_TARGTE; did you mean TFM_HARNESS_TARGET?*"),
        ("TFM_HARNESS_POLCY", "*did you mean TFM_HARNESS_POLICY?*"),
        ("TFM_HARNESS_BASLINE", "*did you mean TFM_HARNESS_BASELINE?*"),
        ("TFM_HARNESS_QXJ", "*expected: one of *TFM_HARNESS_ANSWER_TIMEOUT*"),
    ],
)
def test_a_misspelt_variable_is_an_error_with_the_nearest_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    project.test(TEST)
    monkeypatch.setenv(name, "x")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines([words])
    assert project.life() == []


def test_the_old_name_of_a_policy_is_refused_with_the_new_one(project: Project) -> None:
    project.test(TEST)
    result = project.run("--tfm-policy", "port")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*policy cannot be 'port'*", "*'port' is now called 'validation'*"])
    project.build("fw", "policy: port\n")
    result = project.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*build.yaml:3: *the policy 'port' is now called 'validation'*"])


def test_a_folder_of_the_user_called_harness_hides_nothing(project: Project) -> None:
    project.test("import harness\n\ndef test_it(device): assert harness.MINE\n")
    (project.path / "harness").mkdir()
    (project.path / "harness" / "__init__.py").write_text("MINE = True\n")
    result = project.pytester.run(
        sys.executable, "-m", "pytest", "--tfm-target=bench", "--tfm-build=fw", "-p", "no:cacheprovider", timeout=180
    )
    result.assert_outcomes(passed=1)


@needs_firmware
@pytest.mark.parametrize(("given", "boards"), [("3", 3), ("1", 1), ("", 1)])
def test_the_number_of_boards_can_be_given(given: str, boards: int) -> None:
    by_name = {option.name: option for option in OPTIONS}

    def said(name: str, *values: str) -> Setting:
        return Setting(values, "the test", by_name[name])

    (combination,) = load_combinations(
        said("target", "qemu-an547"), said("build", str(FIRMWARE / "build.yaml")), said("policy"),
        count=said("count", *([given] if given else [])),
    )  # fmt: skip
    assert len(combination.members) == boards
    assert combination.members[-1].name == ("qemu-an547" if boards == 1 else f"qemu-an547.{boards}")


@pytest.mark.parametrize("wrong", ["0", "65"])
def test_a_number_of_boards_that_cannot_be_is_refused(project: Project, wrong: str) -> None:
    project.test("def test_it(): pass")
    result = project.run(f"--tfm-count={wrong}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*count cannot be '{wrong}'*", "*expected: a number of boards, 1 to 64*"])
