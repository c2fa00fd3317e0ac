"""``tfm-harness bisect`` under a real `git bisect run`: the breaking commit is found, whatever the bench does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.report.record import RunRecord, TestEntry
from tfm_harness.report.storage import save_run

STEP = """
import pathlib, shutil, subprocess, sys
what = pathlib.Path("firmware").read_text().split()[0]
if what != "unbuildable":  # then `make` stops, and the record of before stays
    pathlib.Path("run").mkdir(exist_ok=True)
    pathlib.Path("run/run.json").write_bytes(pathlib.Path(f"../{what}.json").read_bytes())
sys.exit(subprocess.call([sys.executable, "-m", "tfm_harness.cli.main", "bisect", "run"]))
"""


def save(folder: Path, what: str, outcome: str, verdict: str) -> None:
    whose = {"failed": "product", "error": "infrastructure"}.get(outcome, "")
    test = TestEntry(nodeid="t", combination="a+b", outcome=outcome, responsibility=whose)  # type: ignore[arg-type]
    save_run(RunRecord(name=what, verdict=verdict, tests=(test,)), folder / what / "run.json")  # type: ignore[arg-type]
    shutil.copy(folder / what / "run.json", folder / f"{what}.json")


def commit(number: int, what: str) -> str:
    """A commit as `git fast-import` reads it."""
    files = {".gitignore": "run\n", "firmware": f"{what} {number}\n"}
    lines = ["commit refs/heads/main", f"committer tests <tests@localhost> {number} +0000", given(f"c{number}")]
    return "\n".join([*lines, *(f"M 644 inline {name}\n{given(text)}" for name, text in files.items()), ""])


def given(text: str) -> str:
    return f"data {len(text)}\n{text}"


def bisect(folder: Path, *commits: str) -> list[tuple[str, str]]:
    """What `git bisect run` said of each commit that it looked at, in its order."""
    repo = folder / "repo"
    repo.mkdir()

    def git(*words: str, told: str = "") -> str:
        done = subprocess.run(["git", *words], cwd=repo, input=told, capture_output=True, text=True, check=False)
        return done.stdout

    save(folder, "good", "passed", "passed")
    save(folder, "bad", "failed", "failed")
    save(folder, "bench", "error", "infrastructure")
    git("init", "-q", "-b", "main")
    git("fast-import", "--quiet", told="".join(commit(number, what) for number, what in enumerate(commits, 1)))
    git("reset", "-q", "--hard")
    first = git("rev-list", "--max-parents=0", "HEAD").strip()
    git("bisect", "start", "HEAD", first)
    git("bisect", "run", sys.executable, "-c", STEP)
    said = [line.split() for line in git("bisect", "log").splitlines() if line.startswith("# ")]
    return [(words[-1], " ".join(words[1:-2]).rstrip(":")) for words in said[2:]]


def test_the_breaking_commit_is_found(tmp_path: Path) -> None:
    said = bisect(tmp_path, *["good"] * 9, *["bad"] * 4)
    assert said[-1] == ("c10", "first bad commit")


def test_a_bench_that_fails_in_the_middle_hides_no_commit(tmp_path: Path) -> None:
    commits = ["good"] * 9 + ["bad"] * 4
    commits[6] = "bench"  # the first one that is looked at
    said = bisect(tmp_path, *commits)
    assert said[0] == ("c7", "skip")
    assert said[-1] == ("c10", "first bad commit")


@pytest.mark.parametrize("broken", ["c8", "c9", "c11"])
def test_a_commit_without_a_run_is_not_judged_by_the_run_before(tmp_path: Path, broken: str) -> None:
    commits = ["good"] * 9 + ["bad"] * 4
    commits[int(broken[1:]) - 1] = "unbuildable"
    said = bisect(tmp_path, *commits)
    assert not {word for commit, word in said if commit == broken} & {"good", "bad", "first bad commit"}
    assert ("c10", "first bad commit") in said or ("c10", "possible first bad commit") in said


def test_outside_of_a_bisection_any_record_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "bad", "failed", "failed")
    monkeypatch.chdir(tmp_path)
    assert main(["bisect", "bad"]) == 1


@pytest.mark.parametrize("verdict", ["harness", "interrupted"])
def test_a_run_that_came_to_no_end_is_not_good(tmp_path: Path, verdict: str) -> None:
    save(tmp_path, "good", "passed", verdict)
    assert json.loads((tmp_path / "good.json").read_text())["verdict"] == verdict
    assert main(["bisect", str(tmp_path / "good.json")]) == 125
