"""Recovers a board that no longer answers, by the target's ``recovery`` policy.

Every try and its outcome is an event of the run, so that a recovered board never looks like one that never failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tfm_harness.boards.base import Board, BoardEvent, PowerState, ResetKind
from tfm_harness.config.power import RecoveryStep
from tfm_harness.errors import HarnessError, InfrastructureError

__all__ = ["recover"]


def recover(
    board: Board,
    answers: Callable[[], object],
    *,
    note: Callable[[BoardEvent], None] = lambda _: None,
    wait: Callable[[float], None] = time.sleep,
) -> list[BoardEvent]:
    """Try the steps of ``target.recovery``, each `attempts` times, until the board answers.

    Args:
        board: acquired and flashed.
        answers: asks the firmware something; raises `HarnessError` when it does not answer.
        note: gets each event at once, so that the record of a killed run has them, too.
        wait: waits for the time that power stays off.

    Returns:
        What was tried, in order; the last event's kind is ``recovered``.

    Raises:
        InfrastructureError: kind ``board-lost`` after the last step, with what each try gave.
    """
    policy = board.target.recovery
    began = time.monotonic()
    events: list[BoardEvent] = []

    def add(kind: str, detail: str) -> None:
        offsets = {name: console.received for name, console in board.consoles.items()}
        events.append(BoardEvent(kind, detail, time.monotonic() - began, offsets))
        note(events[-1])

    tries = [(step, attempt) for step in policy.steps for attempt in range(1, policy.attempts + 1)]
    for step, attempt in tries:
        what = f"{step} (try {attempt} of {policy.attempts})"
        try:
            _take(board, step, wait)
            answers()
        except HarnessError as error:
            add("recovery-failed", f"{what}: {error.kind}: {error.message}")
        else:
            add("recovered", f"{what}: the board answers again")
            return events
    raise _given_up(board, events)


def _take(board: Board, step: RecoveryStep, wait: Callable[[float], None]) -> None:
    if step is RecoveryStep.RESET:
        try:
            board.reset(ResetKind.WARM)
        except HarnessError:
            # An emulator that has ended, or a probe whose core hangs: a cold start may still help.
            board.reset(ResetKind.COLD)
        return
    board.power(PowerState.OFF)
    try:
        wait(board.target.power.off_seconds if board.target.power is not None else 0.0)
    finally:
        board.power(PowerState.ON)  # also after Ctrl-C: no board is left without power


def _given_up(board: Board, events: Sequence[BoardEvent]) -> InfrastructureError:
    tried = "\n".join(event.detail for event in events)
    return InfrastructureError(
        f"board {board.name!r} does not come back",
        kind="board-lost",
        expected="an answer after a step of the target's `recovery`",
        seen=tried or "nothing was tried: `recovery.steps` is empty",
        where=str(board.target.path or board.name),
        hint="look at the board; a power switch (`power`, `recovery.steps: [reset, power-cycle]`) can restart it",
    )
