"""A night's sessions in the store for the dashboard, also those that left no record or never ran."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tfm_harness.farm.night import NotRun
from tfm_harness.farm.tasks import Assignment, SessionResult, Task
from tfm_harness.history import tables as t
from tfm_harness.history.database import Database
from tfm_harness.history.names import clean

__all__ = ["keep_night", "keep_not_run", "keep_session"]

_REASON = 2000


def keep_night(
    database: Database, night: str, *, file: str, state: str, started: float, ended: float | None = None,
    plan: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Store the state of a night; if the store has the night already, it is changed.

    Args:
        database: the store.
        night: its name.
        file: the farm's name.
        state: ``running``, or its verdict.
        started: seconds since 1970.
        ended: seconds since 1970; None while it runs.
        plan: the plan; None: the stored plan stays.

    Raises:
        InfrastructureError: kind ``store-failed``.
    """
    facts: dict[str, Any] = {"state": clean(state), "ended": _time(ended)}
    with database.begin() as connection:
        number = _night_id(connection, night)
        if number is None:
            row = {"name": clean(night), "file": clean(file), "started": _time(started), "plan": dict(plan or {})}
            connection.execute(insert(t.NIGHTS).values({**row, **facts}))
        else:
            connection.execute(update(t.NIGHTS).where(t.NIGHTS.c.id == number).values(facts))


def keep_session(
    database: Database,
    night: str,
    assignment: Assignment,
    result: SessionResult,
    *,
    combination: str,
    run_id: int | None,
) -> None:
    """Store a session that has ended; a second call changes nothing.

    Args:
        database: the store.
        night: its night, which the store must have.
        assignment: its task and board.
        result: its result.
        combination: its combination, as in records.
        run_id: the number of its record in the store; None when it left none.

    Raises:
        InfrastructureError: kind ``store-failed``.
    """
    facts = {
        "board": assignment.board, "host": result.host, "why": assignment.task.why,
        "state": result.trouble or result.verdict, "reason": result.headline[:_REASON],
        "started": _time(result.at - result.seconds if result.at else None), "ended": _time(result.at or None),
        "run_id": run_id,
    }  # fmt: skip
    _keep(database, night, assignment.task, combination, result.session, facts)


def keep_not_run(database: Database, night: str, never: NotRun, *, combination: str) -> None:
    """Store the tasks that were planned but never ran, with the reasons.

    Raises:
        InfrastructureError: kind ``store-failed``.
    """
    facts = {"board": never.task.home, "state": "never ran", "reason": never.why[:_REASON]}
    _keep(database, night, never.task, combination, "", facts)


def _keep(database: Database, night: str, task: Task, combination: str, session: str, facts: Mapping[str, Any]) -> None:
    """Store a row; `session` is empty for a task that never ran. A second call with one session changes nothing."""
    s = t.SESSIONS.c
    key = clean(" ".join(part for part in (*task.key, "golden" * task.golden) if part))
    row: dict[str, Any] = {
        **{name: clean(value) if isinstance(value, str) else value for name, value in facts.items()},
        "key": key, "combination": clean(combination), "suites": list(task.suites),
    }  # fmt: skip
    with database.begin() as connection:
        night_id = _night_id(connection, night)
        known = connection.execute(
            select(s.number, s.state, s.ended, s.board).where(s.night_id == night_id, s.key == key).order_by(s.number)
        ).all()
        if not session:
            if any(one.state == "never ran" for one in known):
                return
        elif any(one.board == row["board"] and _same(one.ended, row["ended"]) for one in known):
            return
        number = known[-1].number + 1 if known else 1
        connection.execute(insert(t.SESSIONS).values({**row, "night_id": night_id, "number": number}))


def _same(one: dt.datetime | None, other: dt.datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one.timestamp() - other.timestamp()) < 1e-3


def _night_id(connection: Connection, night: str) -> int | None:
    found = connection.execute(select(t.NIGHTS.c.id).where(t.NIGHTS.c.name == clean(night))).scalar()
    return None if found is None else int(found)


def _time(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
