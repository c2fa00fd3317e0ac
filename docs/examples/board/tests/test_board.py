"""The example board keeps what the harness relies on."""

from __future__ import annotations

from pathlib import Path

from example_board import ProcessBoard, ProcessTarget
from tfm_harness import Board, Build, RunContext
from tfm_harness.testing import BoardConformance

FIRMWARE = Path(__file__).parents[2] / "firmware" / "firmware.py"


class TestProcessBoard(BoardConformance):
    ready = b"log: ready\n"
    standalone = True

    def make_board(self, folder: Path) -> Board:
        words = {"name": "example", "kind": "example-process", "consoles": {"ns": "main"}}
        target = ProcessTarget.model_validate(words)
        for name in ("run", "state"):
            (folder / name).mkdir(exist_ok=True)
        return ProcessBoard(target, RunContext(folder / "run", folder / "state"))

    def make_build(self, folder: Path) -> Build:
        return Build.model_validate({"name": "b", "images": [{"file": FIRMWARE, "world": "secure", "at": 0}]})

    def kill_transport(self, board: Board) -> bool:
        assert isinstance(board, ProcessBoard)
        assert board._child is not None
        board._child.kill()
        return True
