"""A board's share of the run's record: who was tested, and what is only known at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfm_harness.boards.base import Board, BoardEvent
from tfm_harness.console.base import Console
from tfm_harness.errors import HarnessError
from tfm_harness.plugin.measured import RunMetrics
from tfm_harness.protocol.base import Description, PseudoDriver
from tfm_harness.protocol.smp.text import log_tail
from tfm_harness.report.record import BoardEntry, BoardRun, ConsoleExcerpt, EventEntry

__all__ = ["board_run"]

_TAIL_LINES = 60


def board_run(
    combination: str,
    board: Board,
    client: PseudoDriver | None,
    said: Description | None,
    measured: RunMetrics,
    *,
    lost: HarnessError | None,
    recoveries: Sequence[BoardEvent],
    boots: int,
    device_seconds: float,
    consoles: Mapping[str, Console],
) -> BoardRun:
    """Figures, events and consoles of a board as they are now.

    Args:
        combination: name of the target with the build.
        board, client, measured: the bench's.
        said: who the firmware said it is; None when it never said it.
        lost: why the board cannot be used any more.
        recoveries: what was tried to bring the board back.
        boots: how often it was started.
        device_seconds: for which the harness waited for it.
        consoles: those that are open.
    """
    stats = getattr(client, "stats", None)
    entry = BoardEntry(
        combination=combination,
        name=board.name,
        lost=f"{lost.kind}: {lost.message}" if lost else "",
        firmware=f"{said.firmware} {said.version}" if said else "",
        clock=str(board.clock_quality),
        facts={str(key): str(value) for key, value in board.description.items()},
        measurements={name: value.hex() for name, value in said.measurements.items()} if said else {},
        boots=boots,
        device_seconds=round(device_seconds, 3),
        link=stats.summary() if stats is not None else "",
        events=tuple(
            EventEntry(at=round(event.at, 3), kind=event.kind, detail=event.detail)
            for event in (*board.events, *recoveries)
        ),
        transcripts=tuple(str(console.transcript) for console in consoles.values()),
    )
    return BoardRun(
        board=entry,
        latency=measured.latency_entries(combination, board.name),
        parity=measured.parity_entries(combination, board.name),
        accuracy=measured.accuracy_entries(combination, board.name),
        timings=measured.timing_entries(combination, board.name),
        traces=measured.trace_entries(combination, board.name),
        consoles=tuple(
            ConsoleExcerpt(combination=combination, board=board.name, name=name, text=log_tail(console, _TAIL_LINES))
            for name, console in consoles.items()
        ),
    )
