"""The runner of the Makefile's stages: order, lanes side by side, what runs on after a failure, what took longest."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.boards.supervisor import wait_until

STAGES = Path(__file__).resolve().parents[2] / ".ci" / "stages.py"
MAKEFILE = """\
first:
\t@echo first >> order
left: ; @touch left-runs; while ! test -e right-runs; do sleep 0.05; done; echo said by left
right: ; @touch right-runs; while ! test -e left-runs; do sleep 0.05; done; echo said by right
after: ; @echo after $(WORD) >> order
broken: ; @echo what went wrong; exit 3
endless: ; @touch endless-runs; sleep 600
deep: ; @sh -c 'sleep 600 & echo $$! > pids.new; mv pids.new pids; wait'
slow: ; @while ! test -e go; do sleep 0.05; done; echo what slow found; exit 1
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    return tmp_path


def stages(here: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(STAGES), *words], cwd=here, capture_output=True, text=True, timeout=120, check=False
    )


def test_lanes_run_side_by_side_after_what_comes_first(here: Path) -> None:
    done = stages(here, "first", "--", "left", "--", "WORD=given", "right", "after")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (here / "order").read_text().split("\n")[:2] == ["first", "after given"]
    assert "--- left\nsaid by left\n" in done.stdout
    assert "--- right\nsaid by right\n" in done.stdout
    assert "everything passed" in done.stdout
    for name in ("first", "left", "right", "after"):
        assert f" {name} (CPU " in done.stdout


def test_after_a_failure_nothing_begins_and_what_runs_is_run_to_its_end(here: Path) -> None:
    command = [sys.executable, str(STAGES), "first", "--", "slow", "after", "--", "broken", "left"]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        seen = ""
        while "--- broken" not in seen:  # printed while the failure is written down
            line = running.stdout.readline()
            assert line, seen
            seen += line
        (here / "go").touch()
        seen += running.stdout.read()
        assert running.wait(60) == 1
    assert "what slow found" in seen
    assert seen.splitlines()[-2:] == ["make broken failed", "make slow failed"]
    assert (here / "order").read_text() == "first\n"
    assert not (here / "left-runs").exists()


def test_what_comes_first_fails(here: Path) -> None:
    done = stages(here, "broken", "first", "--", "left")
    assert done.returncode == 1
    assert "what went wrong" in done.stdout
    assert "make broken failed" in done.stdout
    assert not (here / "order").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [("deep", "first"), ("--", "deep", "first", "--", "endless")], ids=["alone", "lanes"])
def test_where_it_is_ended_nothing_runs_on(here: Path, number: signal.Signals, words: tuple[str, ...]) -> None:
    """With what a target has started itself, and with a lane beside it."""
    with subprocess.Popen(
        [sys.executable, str(STAGES), *words], cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        pids, beside = here / "pids", here / "endless-runs"
        assert wait_until(lambda: pids.exists() and ("endless" not in words or beside.exists()), 60)
        (pid,) = map(int, pids.read_text().split())
        running.send_signal(number)
        assert running.wait(60) == 128 + number
    assert not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    assert not (here / "order").exists(), "a target began after the end"
    left = [place for place in Path("/proc").glob("[0-9]*/cwd") if points_to(place, here)]
    assert left == []


def points_to(link: Path, folder: Path) -> bool:
    try:
        return link.readlink() == folder
    except OSError:
        return False
