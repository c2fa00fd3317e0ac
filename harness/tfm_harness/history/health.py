"""Boards' health in the store: the present state, and every change with its author and its reason.

The states are LAVA's: `Good`; `Unknown` (not checked yet); `Looping` (health checks are repeated on purpose);
`Bad` (a health check failed; only a person can change this state); `Maintenance`; `Retired`.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal, get_args

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from tfm_harness.errors import ConfigError
from tfm_harness.history import tables as t
from tfm_harness.history.database import Database
from tfm_harness.history.names import clean

__all__ = ["HEALTH", "RUNS_NOTHING", "Health", "set_health"]

Health = Literal["Good", "Unknown", "Looping", "Bad", "Maintenance", "Retired"]
HEALTH: Final[tuple[Health, ...]] = get_args(Health)
RUNS_NOTHING: Final[frozenset[Health]] = frozenset({"Bad", "Maintenance", "Retired"})
"""States in which a board gets no jobs."""


def set_health(
    database: Database,
    board: str,
    health: str,
    *,
    reason: str,
    by: str = "",
    night: str = "",
    at: dt.datetime | None = None,
) -> bool:
    """Set a board's health; a board that the store does not know yet is added.

    Args:
        board: its name.
        health: one of `HEALTH`, in any case.
        reason: the reason, which is kept with the change.
        by: the author of the change (a person, ``health check``).
        night: the night of the change.
        at: the time of the change; default now.

    Returns:
        whether the state or its reason changed. `BoardRow.checked` is set in any case.

    Raises:
        ConfigError: kind ``board-health``: no such state, no reason, or no board's name.
        InfrastructureError: kind ``store-failed``.
    """
    word = next((one for one in HEALTH if one.lower() == health.strip().lower()), None)
    if word is None or not reason.strip() or not board.strip():
        raise ConfigError(
            "a board's health cannot be set", kind="board-health",
            expected="a board's name, one of " + ", ".join(HEALTH) + ", and a reason",
            seen=f"board {board!r}, {health!r}, reason {reason!r}",
        )  # fmt: skip
    now = at or dt.datetime.now(dt.UTC)
    name, why = clean(board.strip()), clean(reason.strip())
    with database.begin() as connection:
        make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(make(t.BOARDS).values(name=name).on_conflict_do_nothing())
        query = select(t.BOARDS.c.id, t.BOARDS.c.health, t.BOARDS.c.reason).where(t.BOARDS.c.name == name)
        old = connection.execute(query).one()
        changed = (old.health, old.reason) != (word, why)
        facts = {"checked": now, **({"health": word, "reason": why, "since": now} if changed else {})}
        connection.execute(update(t.BOARDS).where(t.BOARDS.c.id == old.id).values(**facts))
        if changed:
            event = {
                "board_id": old.id,
                "at": now,
                "health": word,
                "reason": why,
                "by": clean(by),
                "night": clean(night),
            }
            connection.execute(t.BOARD_EVENTS.insert().values(event))
    return changed
