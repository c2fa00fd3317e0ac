"""A few kills of the campaign, for each change; the whole one is a tool (`tests.campaigns.kills`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.boards.locks import BoardLock, BoardUse, list_boards

from tests.campaigns.kills import TEST_COUNT, Board, Campaign, Plan, run
from tests.reference_firmware import needs_firmware


@pytest.mark.qemu
@needs_firmware
@pytest.mark.parametrize(
    ("kind", "kills", "cold"),
    [("qemu", 1, 1)]
    + [pytest.param(kind, 8, 2, marks=pytest.mark.nightly) for kind in ("qemu", "pool", "fvp", "mps3", "probe")],
)
def test_what_a_killed_session_leaves(
    tmp_path: Path, kind: str, kills: int, cold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFM_HARNESS_LOCK_DIR", str(tmp_path))  # the campaign sets its own; this puts it back
    assert not run([kind], Plan(kills, 1, limit=10.0, each=10, cold=cold), tmp_path / "campaign")


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """One that has started nothing, after the look that finds nothing."""
    monkeypatch.setenv("TFM_HARNESS_LOCK_DIR", str(tmp_path))
    made = Campaign("none", Board(()), tmp_path / "none", limit=0.0)
    made.check("kill 0")
    made.limit = 10.0
    made.findings.clear()  # the limit of no time at all was for the first look only
    return made


def said(campaign: Campaign) -> str:
    campaign.check("kill 1")
    return "\n".join(campaign.findings)


def test_a_folder_with_nothing_wrong_has_no_findings(campaign: Campaign) -> None:
    run = campaign.work / "runs" / "good"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"verdict": "passed", "tests": [{}] * TEST_COUNT}))
    early = campaign.work / "runs" / "early"
    early.mkdir()
    (early / "run.json").write_text(json.dumps({"verdict": "interrupted"}))  # killed while tests were collected
    board = campaign.folder / "state" / "boards" / "b"
    board.mkdir(parents=True)
    (board / "huk.bin").write_bytes(b"kept")
    assert not said(campaign)
    assert not said(campaign)


@pytest.mark.parametrize("name", ["tmp/left", "home/.cache/x", "work/core"])
def test_a_file_outside_is_a_finding(campaign: Campaign, name: str) -> None:
    path = campaign.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    assert f"outside the run's folder: ['{path}']" in said(campaign)
    assert said(campaign).count(str(path)) == 1  # told once


@pytest.mark.parametrize(
    "tests", [[{}] * (TEST_COUNT - 1), [{}] * (TEST_COUNT - 1) + [{"outcome": "not run"}], []], ids=["few", "not", "no"]
)
def test_a_record_that_says_passed_of_what_did_not_end_is_a_finding(
    campaign: Campaign, tests: list[dict[str, str]]
) -> None:
    run = campaign.work / "runs" / "bad"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"verdict": "passed", "tests": tests}))
    assert "bad says passed" in said(campaign)


def test_what_is_not_whole_is_a_finding(campaign: Campaign) -> None:
    for path in (campaign.work / "runs" / "half" / "run.json", campaign.folder / "state" / "boards" / "b" / "one.json"):
        path.parent.mkdir(parents=True)
        path.write_text('{"verdict": ')
    assert said(campaign).count("is not whole") == 2


def test_another_identity_is_a_finding(campaign: Campaign) -> None:
    huk = campaign.folder / "state" / "boards" / "b" / "huk.bin"
    huk.parent.mkdir(parents=True)
    huk.write_bytes(b"one")
    assert not said(campaign)
    huk.write_bytes(b"two")
    assert "another identity" in said(campaign)


def test_a_lock_that_stays_is_a_finding_and_one_that_goes_is_none(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[BoardUse]] = []

    def uses() -> list[BoardUse]:
        looks.append(list_boards(campaign.folder / "state"))
        if len(looks) == 2:
            lock.release()  # as with a process that has just been killed: soon, not at once
        return looks[-1]

    lock = BoardLock("b", campaign.folder / "state")
    lock.acquire()
    campaign.patience = 0.1
    assert "still locked after" in said(campaign)
    assert "['b']" in said(campaign)
    campaign.findings.clear()
    campaign.patience = 10.0
    monkeypatch.setattr(campaign, "_uses", uses)
    assert not said(campaign)
    assert looks[0][0].locked


def test_a_process_that_lives_on_is_a_finding(campaign: Campaign) -> None:
    campaign.limit = 0.0
    code = "import sys; print(flush=True); sys.stdin.read()"
    pipe, environment = subprocess.PIPE, campaign.environment()
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, env=environment) as left:
        try:
            assert left.stdout is not None
            assert left.stdout.readline()  # it runs: until its start has ended its environment cannot be read
            campaign.patience = 0.1
            assert f"['{left.pid} {sys.executable} -c" in said(campaign)
        finally:
            left.kill()
