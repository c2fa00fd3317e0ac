"""What a test process of pytest-xdist knows of the run, on its way to the process that prints and records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfm_harness.plugin.record import RunLog
from tfm_harness.report.record import BoardRun, MoveEntry, PhaseEntry
from tfm_harness.report.storage import dump, load

__all__ = ["arrived", "merge", "pack", "phase_of", "travelling"]


def phase_of(report: object) -> PhaseEntry:
    """What this plugin put on a report (nothing for others' reports)."""
    phase = getattr(report, "tfm_phase", None)
    return phase if isinstance(phase, PhaseEntry) else PhaseEntry()


def travelling(data: dict[str, object]) -> None:
    """A serialised report that leaves its process: thousands of findings travel cheaper as one text."""
    if isinstance(data.get("tfm_phase"), PhaseEntry):
        data["tfm_phase"] = dump(data["tfm_phase"])


def arrived(report: pytest.CollectReport | pytest.TestReport | None) -> None:
    """A report that came from a test process: the text is what this plugin put on it again."""
    text = getattr(report, "tfm_phase", None)
    if isinstance(text, str):
        report.tfm_phase = load(PhaseEntry, text)  # type: ignore[union-attr] # pytest reports take more attributes


def pack(log: RunLog, bugs: list[str]) -> dict[str, Any]:
    """What this test process knows, in words that pytest-xdist can send."""
    return {
        "bugs": list(bugs),
        "boards": [dump(run) for run in log.boards.values()],
        "moves": [dump(move) for move in log.moves],
        "left_out": {nodeid: list(where) for nodeid, where in log.left_out.items()},
        "places": {nodeid: list(where) for nodeid, where in log.places.items()},
        "suites": {name: str(folder) for name, folder in log.suites.items()},
    }


def merge(log: RunLog, node: object) -> list[str]:
    """Add to `log` what the test process behind `node` knew when it ended; the answer is the harness's bugs it met."""
    share = getattr(node, "workeroutput", {}).get("tfm_harness", {})
    worker = str(getattr(getattr(node, "gateway", None), "id", ""))
    for text in share.get("boards", ()):
        run = load(BoardRun, text)
        log.merge_board(replace(run, board=replace(run.board, worker=worker)))
    log.moves += [load(MoveEntry, text) for text in share.get("moves", ())]
    log.left_out.update({nodeid: (on, of) for nodeid, (on, of) in share.get("left_out", {}).items()})
    log.places.update({nodeid: (on, of) for nodeid, (on, of) in share.get("places", {}).items()})
    log.suites.update({name: Path(folder) for name, folder in share.get("suites", {}).items()})
    return list(share.get("bugs", ()))
