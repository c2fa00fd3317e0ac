"""Commands for who has no checkout: init, docs, schema, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.bundled import bundled
from tfm_harness.cli import docs, main
from tfm_harness.config.loading import check_combination, load_build, load_target

from tests.reference_firmware import needs_firmware


def complete(line: str, cwd: Path) -> list[str]:
    """What a shell would be offered at the end of `line`."""
    answer = cwd / "answer"
    env = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    words = [
        sys.executable,
        "-c",
        "import sys; sys.argv = ['tfm-harness']\nfrom tfm_harness.cli.main import main; main()",
    ]
    subprocess.run(words, env=env, cwd=cwd, check=True, timeout=60, capture_output=True)
    return sorted(word.strip() for word in answer.read_text().split("\n"))


@needs_firmware
def test_a_new_project_is_valid_and_names_its_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "p"
    assert main.main(["init", str(project), "--target", "t1", "--build", "b1", "--suite", "s1"]) == 0
    assert f"cd {project}" in capsys.readouterr().out
    target, build = load_target(project / "targets" / "t1.yaml"), load_build(project / "fw_builds" / "b1")
    check_combination(target, build)
    assert (target.name, build.name) == ("t1", "b1")
    assert all(path.is_relative_to(project) for path in build.all_files().values())
    for file in (project / "targets" / "t1.yaml", project / "fw_builds" / "b1" / "build.yaml"):
        schema = file.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert json.loads((file.parent / schema).read_text())["$schema"].startswith("https://json-schema.org/")
    assert (project / "suites" / "s1" / "test_first.py").is_file()


@needs_firmware
@pytest.mark.qemu
def test_a_new_project_runs(tmp_path: Path) -> None:
    assert main.main(["init", str(tmp_path)]) == 0
    env = {name: value for name, value in os.environ.items() if not name.startswith("TFM_HARNESS_")}
    done = subprocess.run(
        [sys.executable, "-m", "tfm_harness.cli.main", "run", "my_suite"],
        cwd=tmp_path, env={**env, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "3 of 3 requirements proven" in done.stdout


@needs_firmware
def test_coverage_of_a_new_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["init", str(tmp_path)]) == 0
    monkeypatch.chdir(tmp_path)
    assert main.main(["coverage", "my_suite", "--build", "my-firmware", "--target", "my-board"]) == 0
    assert "3 of 3 requirements would be proven" in capsys.readouterr().out


@needs_firmware
def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    assert main.main(["init", str(tmp_path)]) == 4
    assert "pytest.ini" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pytest.ini"]
    (tmp_path / "pytest.ini").unlink()
    assert main.main(["init", str(tmp_path)]) == 0
    assert main.main(["init", str(tmp_path)]) == 0, "the same files again are no conflict"


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a b"])
def test_init_refuses_names_that_are_paths(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["init", str(tmp_path), "--target", name]) == 4
    assert "init-name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_init_in_a_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f").write_text("")
    assert main.main(["init", str(tmp_path / "f")]) == 4
    assert "Traceback" not in capsys.readouterr().err


def test_docs_lists_and_shows_every_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["docs"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"README", "writing-a-target", "boards/serial", "suites/boot"} <= set(listed)
    for name in listed:
        assert main.main(["docs", name]) == 0
        assert capsys.readouterr().out == docs.pages()[name].read_text()
    assert main.main(["docs", "docs/writing-a-target.md"]) == 0
    assert main.main(["docs", "--path"]) == 0
    assert capsys.readouterr().out.endswith(f"{bundled('docs')}\n")


def test_docs_unknown_page_and_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["docs", "writing-a-tagret"]) == 4
    assert "did you mean 'writing-a-target'?" in capsys.readouterr().err
    assert main.main(["docs", "--search", "Yaml-Language-Server"]) == 0
    assert "writing-a-target:" in capsys.readouterr().out
    assert main.main(["docs", "--search", "no page has these words"]) == 5


def test_schema_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("target", "build", "farm", "run", "night", "evidence"):
        assert main.main(["schema", what]) == 0
        assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")
    assert main.main(["schema", "--output", str(tmp_path / "new")]) == 0
    written = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert written == ["build.schema.json", "farm.schema.json", "target.schema.json"]
    (tmp_path / "f").write_text("")
    assert main.main(["schema", "--output", str(tmp_path / "f")]) == 4
    assert main.main(["schema"]) == 4


def test_tab_completes_commands_options_and_names(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "zz-mine.yaml").write_text("kind: qemu\n")
    assert complete("tfm-harness comp", tmp_path) == ["compare", "completion"]
    assert complete("tfm-harness run --target zz", tmp_path) == ["zz-mine"]
    assert complete("tfm-harness run --build refer", tmp_path) == ["reference"]
    assert complete("tfm-harness run atte", tmp_path) == ["attestation"]
    assert complete("tfm-harness docs writing-a-t", tmp_path) == ["writing-a-target"]
    assert "--run-dir" in complete("tfm-harness run --run", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", "powershell"])
def test_completion_code(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", shell]) == 0
    assert "tfm-harness" in capsys.readouterr().out
