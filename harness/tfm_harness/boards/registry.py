"""Making boards from targets."""

from __future__ import annotations

from tfm_harness.boards.base import Board, RunContext
from tfm_harness.config.kinds import BUILT_IN, board_class
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import HarnessBug
from tfm_harness.extensions import blamed, find, wrong_type

__all__ = ["make_board"]


def make_board(target: TargetBase, context: RunContext) -> Board:
    """A board of the target's kind, not yet acquired.

    Raises:
        ConfigError: the kind is unknown.
        ExtensionError: the kind comes from a package and cannot be made.
    """
    made = board_class(target.kind)
    extension = find("boards", target.kind, BUILT_IN)
    if extension is not None and not issubclass(made, Board):
        raise wrong_type(extension, made)
    with blamed(extension):
        board = made(target, context)
    if not isinstance(board, Board):
        raise HarnessBug(f"board kind {target.kind!r} is not a tfm_harness.boards.base.Board", kind="board-class")
    return board
