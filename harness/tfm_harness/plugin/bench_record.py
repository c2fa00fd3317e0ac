"""A bench in the run's record: who was tested, and what is only known at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfm_harness.boards.base import Board, BoardEvent
from tfm_harness.console.base import Console
from tfm_harness.plugin.measured import RunMetrics
from tfm_harness.protocol.base import Description, PseudoDriver
from tfm_harness.protocol.smp.text import log_tail

__all__ = ["closing_record", "facts"]

_TAIL_LINES = 60


def facts(board: Board, said: Description | None) -> dict[str, object]:
    """Who the board is, and who the firmware said it is."""
    known: dict[str, object] = {"board": dict(board.description)}
    if said is not None:
        known["firmware"] = f"{said.firmware} {said.version}"
        known["uuid"] = said.uuid
        known["measurements"] = {name: value.hex() for name, value in said.measurements.items()}
    return known


def closing_record(
    board: Board,
    client: PseudoDriver | None,
    measured: RunMetrics,
    *,
    recoveries: Sequence[BoardEvent],
    boots: int,
    booting: float,
    consoles: Mapping[str, Console],
) -> dict[str, object]:
    """Figures, events and consoles of a bench that is about to close.

    Args:
        board, client, measured: the bench's.
        recoveries: what was tried to bring the board back.
        boots: how often it was started.
        booting: seconds in which it was flashed or started.
        consoles: those that are open.
    """
    stats = getattr(client, "stats", None)
    events = (*board.events, *recoveries)
    return {
        "link": stats.summary() if stats is not None else "",
        "boots": boots,
        "device_seconds": booting + (stats.busy if stats is not None and hasattr(stats, "busy") else 0.0),
        "events": [f"{event.at:.3f} s {event.kind}: {event.detail}" for event in events],
        "transcripts": [str(console.transcript) for console in consoles.values()],
        "clock": str(board.clock_quality),
        **measured.as_record(),
        "consoles": [{"name": name, "text": log_tail(console, _TAIL_LINES)} for name, console in consoles.items()],
    }
