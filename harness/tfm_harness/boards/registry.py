"""Making boards from targets."""

from __future__ import annotations

from tfm_harness.boards.base import Board, RunContext
from tfm_harness.config.kinds import board_class
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import HarnessBug

__all__ = ["make_board"]


def make_board(target: TargetBase, context: RunContext) -> Board:
    """A board of the target's kind, not yet acquired. Raises `ConfigError` when the kind cannot be loaded."""
    board = board_class(target.kind)(target, context)
    if not isinstance(board, Board):
        raise HarnessBug(f"board kind {target.kind!r} is not a tfm_harness.boards.base.Board", kind="board-class")
    return board
