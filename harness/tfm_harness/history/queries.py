"""Queries of the store, from which pages, summaries and exports are made. Nothing here writes.

    with Database(url) as database:
        memory = Memory(database)
        tonight = memory.nights(limit=1)[0].name
        for row in memory.outcomes(nights=[tonight], passed=False): ...

Every method returns frozen rows (`tfm_harness.history.rows`). A test is named by its node id without the
combination, a board and a combination by their names, firmware by its digest, a night by its name, newest first.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import Table, func, literal, or_, select

from tfm_harness.history import tables as t
from tfm_harness.history.board_queries import BoardQuestions
from tfm_harness.history.outcome_queries import OutcomeQuestions
from tfm_harness.history.rows import (
    FigureRow,
    FirmwareRow,
    NightRow,
    RunRow,
    StoredIssue,
)
from tfm_harness.order import natural

__all__ = ["Memory"]

_BOARDS = t.BOARDS.c
_FIGURES: Final[Mapping[str, tuple[Table, str, Sequence[str]]]] = {
    "latency": (
        t.LATENCY, "name",
        ("n", "median", "p90", "p99", "least", "most", "clock", "quality", "baseline", "gate", "budgets"),
    ),
    "parity": (
        t.PARITY, "model",
        ("vectors", "exact", "passed", "failing", "max_lsb", "max_abs", "top1", "first_op", "engine"),
    ),
}  # fmt: skip
"""The table, the column with the name of the measured thing, and the columns with figures."""


class Memory(OutcomeQuestions, BoardQuestions):
    """The queries.

    Args:
        database: an open store; the caller closes it.

    Raises (every method):
        InfrastructureError: kind ``store-failed``.
    """

    # -- nights and runs

    def nights(self, *, limit: int = 30, before: str = "") -> list[NightRow]:
        """The last nights, newest first. A night in which nothing could run has no runs.

        Args:
            before: only nights before the one of this name.
        """
        r, n = t.RUNS.c, t.NIGHTS.c
        last = func.max(r.started)
        query = select(r.night, func.min(r.started), last, func.count()).group_by(r.night)
        empty = select(n.name, n.started, n.started, literal(0)).where(
            n.ended.is_not(None), n.name.not_in(select(r.night))
        )
        if before:
            ran = select(func.min(r.started)).where(r.night == before).scalar_subquery()
            planned = select(n.started).where(n.name == before).scalar_subquery()
            first = func.coalesce(ran, planned)
            query, empty = query.having(last < first), empty.where(n.started < first)
        found = self._all(query.order_by(last.desc().nulls_last(), r.night.desc()).limit(limit))
        undated = dt.datetime.min.replace(tzinfo=dt.UTC)
        rows = sorted((*found, *self._all(empty)), key=lambda row: (row[2] or undated, row[0]), reverse=True)[:limit]
        names = [row[0] for row in rows]
        counted = self._all(
            select(r.night, r.verdict, func.count()).where(r.night.in_(names)).group_by(r.night, r.verdict)
        )
        verdicts: dict[str, dict[str, int]] = defaultdict(dict)
        for night, verdict, count in counted:
            verdicts[night][verdict] = count
        return [
            NightRow(name=name, started=first, ended=end, runs=runs, verdicts=verdicts[name])
            for name, first, end, runs in rows
        ]

    def runs(self, *, night: str = "", run: str = "", run_id: int | None = None, limit: int = 1000) -> list[RunRow]:
        """Runs, newest first: those of a night, those of a name, or one by its number."""
        query = select(t.RUNS).order_by(t.RUNS.c.started.desc().nulls_last(), t.RUNS.c.id.desc()).limit(limit)
        if night:
            query = query.where(t.RUNS.c.night == night)
        if run:
            query = query.where(t.RUNS.c.name == run)
        if run_id is not None:
            query = query.where(t.RUNS.c.id == run_id)
        return [
            RunRow(
                id=row.id, name=row.name, night=row.night, started=row.started, seconds=row.seconds,
                verdict=row.verdict, headline=row.headline, folder=row.folder,
            )
            for row in self._all(query)
        ]  # fmt: skip

    # -- outcomes

    def names(self, kind: Literal["tests", "boards"]) -> list[str]:
        """All tests or all boards by name."""
        column = t.TESTS.c.name if kind == "tests" else _BOARDS.name
        return sorted((name for (name,) in self._all(select(column))), key=natural)

    def run_ids(self, names: Iterable[str]) -> list[tuple[str, int]]:
        """The newest run of each of these names."""
        r = t.RUNS.c
        query = select(r.name, func.max(r.id)).where(r.name.in_(list(names))).group_by(r.name).order_by(r.name)
        return [(name, number) for name, number in self._all(query)]

    def transcripts(self, run_id: int) -> list[str]:
        """Paths of a run's console transcripts, as they are in its record."""
        query = select(t.RUN_BOARDS.c.transcripts).where(t.RUN_BOARDS.c.run_id == run_id)
        return [str(path) for (paths,) in self._all(query) for path in paths]

    def sessions(self, night: str) -> list[Mapping[str, Any]]:
        """A night's planned sessions and each try of them, as rows of ``harness_session``."""
        query = (
            select(t.SESSIONS).join(t.NIGHTS, t.NIGHTS.c.id == t.SESSIONS.c.night_id).where(t.NIGHTS.c.name == night)
            .order_by(t.SESSIONS.c.key, t.SESSIONS.c.number)
        )  # fmt: skip
        return [dict(row) for row in self._maps(query)]

    # -- firmware

    def firmware(self, *, digest: str = "", build: str = "", limit: int = 200) -> list[FirmwareRow]:
        """Firmware, newest first: the one with `digest`, or those of a build."""
        f = t.FIRMWARE
        query = (
            select(f, t.RUNS.c.name.label("run"), t.RUNS.c.night)
            .outerjoin(t.RUNS, t.RUNS.c.id == f.c.first_run)
            .order_by(f.c.id.desc()).limit(limit)
        )  # fmt: skip
        if digest:
            query = query.where(f.c.digest.startswith(digest, autoescape=True))
        if build:
            query = query.where(f.c.build == build)
        return [
            FirmwareRow(
                digest=row.digest, build=row.build, said=row.said, measurements=row.measurements, files=row.files,
                first_run=row.run or "", first_night=row.night or "",
            )
            for row in self._all(query)
        ]  # fmt: skip

    # -- figures

    def figures(
        self,
        kind: Literal["latency", "parity"],
        *,
        what: str = "",
        board: str = "",
        nights: Iterable[str] = (),
        run_id: int | None = None,
        limit: int = 1000,
    ) -> list[FigureRow]:
        """Figures of latency (in seconds) or of parity, newest first.

        `FigureRow.verdict` is that of the latency gate; for parity it is ``exact``, ``passed`` (within the tolerance)
        or ``failed``.

        Args:
            what: the name of the series or the model.
        """
        table, key, names = _FIGURES[kind]
        query = (
            select(table, t.RUNS.c.name.label("run"), t.RUNS.c.night, t.RUNS.c.started,
                   t.COMBINATIONS.c.name.label("combination"), _BOARDS.name.label("board"))
            .join(t.RUNS, t.RUNS.c.id == table.c.run_id)
            .join(t.COMBINATIONS, t.COMBINATIONS.c.id == table.c.combination_id)
            .outerjoin(t.BOARDS, _BOARDS.id == table.c.board_id)
            .order_by(t.RUNS.c.started.desc().nulls_last(), table.c.id.desc()).limit(limit)
        )  # fmt: skip
        if what:
            query = query.where(table.c[key] == what)
        if board:
            query = query.where(_BOARDS.name == board)
        if some := list(nights):
            query = query.where(t.RUNS.c.night.in_(some))
        if run_id is not None:
            query = query.where(table.c.run_id == run_id)
        return [
            FigureRow(
                run_id=row["run_id"], run=row["run"], night=row["night"], started=row["started"],
                combination=row["combination"], board=row["board"] or "", what=row[key],
                verdict=_verdict(table, row), figures={figure: row[figure] for figure in names},
            )
            for row in self._maps(query)
        ]  # fmt: skip

    # -- the rest

    def known_issues(self) -> list[StoredIssue]:
        """All known issues, oldest first; `StoredIssue.expires` shows which are still valid."""
        return [
            StoredIssue(
                id=row.id, title=row.title, test=row.test, environment=row.environment, ticket=row.ticket, by=row.by,
                intermittent=row.intermittent, added=row.added, expires=row.expires,
            )
            for row in self._all(select(t.KNOWN_ISSUES).order_by(t.KNOWN_ISSUES.c.id))
        ]  # fmt: skip

    def search(self, words: str, *, limit: int = 50) -> dict[str, list[str]]:
        """Names that hold all of these words.

        By kind: ``tests``, ``boards``, ``builds`` (combinations), ``firmware`` (digests), ``runs``, ``checks``.
        """
        places = {
            "tests": (t.TESTS.c.name,), "boards": (_BOARDS.name,), "builds": (t.COMBINATIONS.c.name,),
            "firmware": (t.FIRMWARE.c.digest, t.FIRMWARE.c.said), "runs": (t.RUNS.c.name, t.RUNS.c.night),
            "checks": (t.CHECKS.c.name, t.CHECKS.c.title),
        }  # fmt: skip
        found = {}
        for kind, columns in places.items():
            holds = [or_(*(column.icontains(word, autoescape=True) for column in columns)) for word in words.split()]
            query = select(columns[0]).where(*holds).distinct().order_by(columns[0]).limit(limit)
            found[kind] = sorted((row[0] for row in self._all(query)), key=natural) if holds else []
        return found


def _verdict(table: Table, row: Mapping[Any, Any]) -> str:
    if table is t.LATENCY:
        return str(row["verdict"])
    return "exact" if row["exact"] else "passed" if row["passed"] else "failed"
