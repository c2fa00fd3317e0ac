"""The command line as users meet it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.boards.locks import BoardLock
from tfm_harness.cli import main as cli
from tfm_harness.cli import run as cli_run
from tfm_harness.errors import InfrastructureError, ProductError

from tests.reference_firmware import FIRMWARE, ROOT, needs_firmware

TARGET = "kind: qemu\nmachine: mps3-an547\nconsoles: {ns: uart0}\n"
BUILD = "protocol: smp\nimages:\n  - {file: fw.elf, world: secure}\n"


def tool(*words: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(cwd / "state"), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "tfm_harness.cli.main", *words],
        cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "mine.yaml").write_text(TARGET)
    (tmp_path / "fw_builds" / "fw").mkdir(parents=True)
    (tmp_path / "fw_builds" / "fw" / "build.yaml").write_text(BUILD)
    (tmp_path / "fw_builds" / "fw" / "fw.elf").write_bytes(b"\x7fELF")
    return tmp_path


def test_every_command_has_help_and_every_module_a_parser(capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = (action for action in cli.make_parser()._actions if isinstance(action.choices, dict))
    assert commands.choices is not None
    assert list(commands.choices) == list(cli.COMMANDS)
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for command in ("run", "check", "targets", "builds", "boards", "console", "verify"):
        assert f"\n    {command} " in text
        with pytest.raises(SystemExit) as end:
            cli.main([command, "--help"])
        assert end.value.code == 0
    assert "exit codes:" in text


def test_check_says_well_and_finds_what_is_not(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "targets/mine.yaml", "fw_builds/fw/build.yaml"]) == 0
    assert capsys.readouterr().out.count(": valid") == 2
    (here / "targets" / "bad.yaml").write_text(TARGET + "clok: {}\n")
    (here / "fw_builds" / "fw" / "fw.elf").unlink()
    assert cli.main(["check", "targets/bad.yaml", "fw_builds/fw"]) == 4
    said = capsys.readouterr().err
    assert "bad.yaml:4" in said
    assert "'clock'" in said
    assert "no such file" in said
    assert cli.main(["check", "--no-files", "fw_builds/fw"]) == 0


def test_check_judges_a_combination_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "fw_builds" / "fw" / "build.yaml").write_text(BUILD + "console: other\n")
    assert cli.main(["check", "targets/mine.yaml", "fw_builds/fw"]) == 4
    assert "speaks on console 'other'" in capsys.readouterr().err


def test_check_of_many_files_judges_combinations_only_when_asked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "fw_builds" / "fw" / "build.yaml").write_text(BUILD + "console: other\n")
    (here / "targets" / "more.yaml").write_text(TARGET)
    files = ["targets/mine.yaml", "targets/more.yaml", "fw_builds/fw"]
    assert cli.main(["check", *files]) == 0
    assert cli.main(["check", "--combinations", *files]) == 4
    assert capsys.readouterr().err.count("speaks on console 'other'") == 2
    assert cli.main(["check", "--pairs", *files]) == 4
    assert "--pairs is now called --combinations" in capsys.readouterr().err


def test_a_target_whose_kind_is_misspelt_is_no_build(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "targets" / "mine.yaml").write_text(TARGET.replace("kind:", "knid:"))
    assert cli.main(["check", "targets/mine.yaml"]) == 4
    assert "'kind' is missing ('knid' stands on line 1)" in capsys.readouterr().err


def test_check_of_what_is_no_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "targets", "/dev/null"]) == 4
    said = capsys.readouterr().err
    assert "targets is a folder without a build.yaml" in said
    assert "no regular file: /dev/null" in said


def test_a_file_that_is_not_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "nowhere.yaml"]) == 4
    assert "no such file: nowhere.yaml" in capsys.readouterr().err


def test_lists_for_people_and_for_scripts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["targets"]) == 0
    assert "mine" in capsys.readouterr().out
    assert cli.main(["builds", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["fw"]["kind"] == "smp"
    assert rows["fw"]["file"] == str(here / "fw_builds" / "fw" / "build.yaml")


def test_a_broken_target_is_listed_as_wrong(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "targets" / "bad.yaml").write_text("kind: nothing\n")
    assert cli.main(["targets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["bad"]["kind"] == "wrong"


def test_boards_of_a_new_user_and_forgetting_what_is_not_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["boards"]) == 0
    assert "no board is in use" in capsys.readouterr().out
    assert cli.main(["boards", "--forget", "mine"]) == 0
    assert "nothing is kept of mine" in capsys.readouterr().err


def test_boards_says_who_holds_what_and_what_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = here / "state" / "tfm-harness"
    for name in ("mine", "idle"):
        (state / "boards" / name).mkdir(parents=True)
    (state / "locks").mkdir()
    for name in ("idle", "once"):  # of "once" nothing is kept
        (state / "locks" / f"{name}.lock").touch()
    lock = BoardLock("mine", state, {"run_dir": "/runs/7"})
    lock.acquire()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"started\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"started\n"  # it is `cat` by now, no longer a copy of this process
    try:
        assert cli.main(["boards"]) == 0
        text = capsys.readouterr().out
        assert f"in use by process {os.getpid()} since " in text
        assert "transcripts in /runs/7" in text
        assert f"cat ({child.pid})" in text
        assert re.search(r"^idle +free, identity and memory kept$", text, re.MULTILINE)
        assert "once" not in text
        assert cli.main(["boards", "--json"]) == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert (rows["mine"]["locked"], rows["idle"]["locked"]) == (True, False)
        assert cli.main(["boards", "--forget", "mine"]) == 10
        assert "[infrastructure:board-busy]" in capsys.readouterr().err
        assert (state / "boards" / "mine").is_dir()
    finally:
        child.kill()
        child.communicate()
        child.wait()
        lock.release()


def test_forgetting_a_name_that_never_was_leaves_no_trace(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "state" / "tfm-harness" / "boards" / "mine").mkdir(parents=True)
    assert cli.main(["boards", "--forget", "mien"]) == 0
    assert "nothing is kept of mien; kept: mine" in capsys.readouterr().err
    assert not (here / "state" / "tfm-harness" / "locks").exists()


def test_forgetting_removes_a_boards_identity_and_nothing_else(here: Path) -> None:
    for name in ("mine", "other"):
        (here / "state" / "tfm-harness" / "boards" / name).mkdir(parents=True)
    assert cli.main(["boards", "--forget", "mine"]) == 0
    assert [path.name for path in (here / "state" / "tfm-harness" / "boards").iterdir()] == ["other"]


def test_boards_of_one_name_are_told_apart_by_their_targets_files(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = here / "state" / "tfm-harness" / "boards"
    for key, file in (("mine@00000001", "/a/targets/mine.yaml"), ("mine@00000002", "/b/targets/mine.yaml")):
        (kept / key).mkdir(parents=True)
        (kept / key / "target.txt").write_text(file)
        (kept.parent / "locks").mkdir(exist_ok=True)
        (kept.parent / "locks" / f"{key}.lock").touch()
    assert cli.main(["boards"]) == 0
    assert re.search(r"^mine@00000002 +free.*\n +of /b/targets/mine.yaml$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["boards", "--forget", "mine"]) == 4
    said = capsys.readouterr().err
    assert "2 boards are called mine" in said
    assert "mine@00000001: /a/targets/mine.yaml" in said
    assert cli.main(["boards", "--forget", "mine@00000001"]) == 0
    assert cli.main(["boards", "--forget", "mine"]) == 0, "one is left: its name is enough"
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InfrastructureError("no cable", kind="cable"), 10),
        (ProductError("no answer", kind="mute"), 1),
        (KeyboardInterrupt(), 2),
    ],
)
def test_exit_codes_say_whose_fault(
    here: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr("tfm_harness.cli.boards.run", fail)
    assert cli.main(["boards"]) == code


def test_wrong_usage_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["nonsense"])
    assert end.value.code == 2


def arguments(*words: str) -> list[str]:
    """What `run` tells pytest."""
    parser = cli.make_parser()
    end = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(["run", *words[:end]])
    args.rest = list(words[end + 1 :])
    return cli_run.pytest_arguments(args)


def test_run_finds_suites_by_name_here_first_then_those_that_came_along(here: Path) -> None:
    (here / "suites" / "boot").mkdir(parents=True)
    (here / "suites" / "boot" / "test_mine.py").write_text("")
    told = arguments("boot", "results", "--target", "mine", "--build=fw", "--", "-k", "nonce")
    assert told[0] == str(here / "suites" / "boot")
    assert told[1].endswith("suites/results")
    assert told[-2:] == ["-k", "nonce"]
    assert "--tfm-target=mine" in told
    assert "--tfm-build=fw" in told


def test_run_on_several_boards_has_a_process_for_each(here: Path) -> None:
    told = arguments("--target", "mine", "--count", "3")
    assert "--tfm-count=3" in told
    assert told[-2:] == ["-n", "3"]
    assert arguments("--target", "mine", "--count", "3", "--", "-n2")[-1] == "-n2"
    assert "-n" not in arguments("--target", "mine", "--count", "1")


def test_run_without_a_name_runs_every_suite(here: Path) -> None:
    told = arguments("--target", "mine")
    names = {Path(word).name for word in told if not word.startswith("-")}
    assert {"boot", "isolation", "sensor", "results", "attestation"} <= names


def test_run_says_the_nearest_suite(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "atestation", "--target", "mine"]) == 4
    assert "did you mean 'attestation'?" in capsys.readouterr().err


def test_run_list_says_what_each_suite_proves(here: Path) -> None:
    done = tool("run", "--list", cwd=here)
    assert done.returncode == 0
    assert "boot                 What was flashed runs" in done.stdout
    assert "its public keys and signing requests." in done.stdout, "a claim of two lines"


def test_run_ends_with_pytests_exit_code(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "test_mine.py").write_text("def test_fails(): assert 0\n")
    assert tool("run", "mine", cwd=here).returncode == 1
    assert tool("run", "mine", "--target", "nowhere", "--build", "fw", cwd=here).returncode == 4


def test_a_reader_that_goes_away_is_no_error(here: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m tfm_harness.cli.main targets | head -c 1",
        shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


def test_an_unknown_console_is_refused_before_a_board_is_touched(tmp_path: Path) -> None:
    (tmp_path / "build.yaml").write_text("images: []\n")
    target = ROOT / "targets" / "attach-example.yaml"
    done = tool("console", "uart7", "--target", str(target), "--build", "build.yaml", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 4
    assert "[configuration:console-unknown]" in done.stderr
    assert "expected: ns" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.qemu
@needs_firmware
def test_a_console_is_shown_and_kept(tmp_path: Path) -> None:
    done = tool(
        "console", "secure", "--target", "qemu-an547", "--build", str(FIRMWARE),
        "--run-dir", "run", "--state-dir", "state", "--for", "3", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[BOOT] NSPE image" in done.stdout
    assert "[BOOT] NSPE image" in (tmp_path / "run" / "qemu-an547-secure.log").read_text()
