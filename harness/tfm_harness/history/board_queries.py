"""Queries of the store about boards: health, losses by failures of the bench, changes. Nothing here writes."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, case, func, or_, select

from tfm_harness.history import tables as t
from tfm_harness.history.questions import Questions
from tfm_harness.history.rows import BoardEvent, BoardRow
from tfm_harness.order import natural

__all__ = ["BoardQuestions"]

_BOARDS = t.BOARDS.c


class BoardQuestions(Questions):
    """The part of `tfm_harness.history.queries.Memory` that is about boards."""

    def boards(self, *, nights: Iterable[str] = (), after: str = "") -> list[BoardRow]:
        """All boards by name, with their outcomes over these nights.

        Args:
            after: return the health as it was after this night; default: as it is now.
        """
        o = t.OUTCOMES.c
        bench = o.responsibility == "infrastructure"
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        failures: Counter[int] = Counter()
        lost: dict[int, float] = defaultdict(float)
        if names := list(nights):
            query = (
                select(o.board_id, o.run_id, o.outcome, func.count(), func.sum(case((bench, 1), else_=0)),
                       func.sum(case((bench, o.seconds), else_=0.0)))
                .join(t.RUNS, t.RUNS.c.id == o.run_id)
                .where(t.RUNS.c.night.in_(names), o.board_id.is_not(None)).group_by(o.board_id, o.run_id, o.outcome)
            )  # fmt: skip
            tests: dict[tuple[int, int], float] = defaultdict(float)
            judged: set[tuple[int, int]] = set()
            for board, run, outcome, count, failed, seconds in self._all(query):
                counts[board][outcome] += count
                failures[board] += failed
                tests[board, run] += seconds
                if outcome in {"passed", "failed"} and count > failed:
                    judged.add((board, run))
            for board, run, seconds, why in self._all(self._board_runs(names)):
                fruitless = (board, run) not in judged and (why or tests[board, run])
                lost[board] += seconds if fruitless else tests[board, run]
        rows = [
            BoardRow(
                name=row.name, health=row.health, reason=row.reason, since=row.since, checked=row.checked,
                outcomes=dict(counts[row.id]), bench_failures=failures[row.id], seconds_lost=lost[row.id],
            )
            for row in sorted(self._all(select(t.BOARDS)), key=lambda row: natural(row.name))
        ]  # fmt: skip
        if not after:
            return rows
        then = self._health_after(after)
        unknown = "Unknown", "", None
        found = []
        for row in rows:
            health, reason, since = then.get(row.name, unknown)
            found.append(replace(row, health=health, reason=reason, since=since))
        return found

    @staticmethod
    def _board_runs(nights: Sequence[str]) -> Select[Any]:
        """Board, run, the run's seconds, and the reason if the board was lost, for all runs of these nights."""
        b = t.RUN_BOARDS.c
        query = select(b.board_id, b.run_id, t.RUNS.c.seconds, func.max(b.lost))
        query = query.join(t.RUNS, t.RUNS.c.id == b.run_id).where(t.RUNS.c.night.in_(nights))
        return query.group_by(b.board_id, b.run_id, t.RUNS.c.seconds)

    def _health_after(self, night: str) -> dict[str, tuple[str, str, dt.datetime | None]]:
        """Health, reason and time of change, by board, by its own changes and others up to its last run."""
        e, r = t.BOARD_EVENTS.c, t.RUNS.c
        ran = select(func.max(r.started)).where(r.night == night).scalar_subquery()
        planned = select(t.NIGHTS.c.started).where(t.NIGHTS.c.name == night).scalar_subquery()
        last = func.coalesce(ran, planned)
        query = (
            select(_BOARDS.name, e.health, e.reason, e.at).join(t.BOARDS, _BOARDS.id == e.board_id)
            .where(or_(e.at <= last, e.night == night)).order_by(e.at, e.id)
        )  # fmt: skip
        return {name: (health, reason, at) for name, health, reason, at in self._all(query)}

    def board_events(self, board: str = "", *, limit: int = 200) -> list[BoardEvent]:
        """Changes of health, newest first."""
        e = t.BOARD_EVENTS
        query = (
            select(e, _BOARDS.name).join(t.BOARDS, _BOARDS.id == e.c.board_id).order_by(e.c.at.desc(), e.c.id.desc())
        )
        if board:
            query = query.where(_BOARDS.name == board)
        return [
            BoardEvent(board=row.name, at=row.at, health=row.health, reason=row.reason, by=row.by, night=row.night)
            for row in self._all(query.limit(limit))
        ]
