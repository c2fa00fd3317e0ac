"""Classifies the tests of a night or a run in the store by comparison with earlier ones."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Select, case, func, select

from tfm_harness.errors import ConfigError
from tfm_harness.history import tables as t
from tfm_harness.history.classify import Class, Classified, KnownIssue, classify
from tfm_harness.history.database import Database
from tfm_harness.history.queries import Memory
from tfm_harness.history.rows import Duration, RunRow
from tfm_harness.history.seen import Reader
from tfm_harness.order import natural

__all__ = ["BEFORE", "Judged", "durations", "judge_night", "judge_run", "stored_issues"]

BEFORE: Final = 20
"""The number of earlier nights (or runs) that count."""
_RUNS_OF_DURATION: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A night's or a run's tests in their classes.

    Attributes:
        name: the name of the night or the run.
        runs: its runs, newest first.
        before: the number of earlier nights or runs that were read.
        tests: every test that did not simply pass and was not left out (unless it failed when it was last judged); all
            tests if the caller asked for everything.
        counts: the number of tests of each class, those that simply passed included.
        lost: outcomes lost by failures of the bench: board, kind of the failure, number; the largest loss first.
        never: sessions of the night that were planned but never ran: combination, and reason.
    """

    name: str
    runs: tuple[RunRow, ...]
    before: int
    tests: tuple[Classified, ...]
    counts: Mapping[Class, int]
    lost: tuple[tuple[str, str, int], ...] = ()
    never: tuple[tuple[str, str], ...] = ()


def judge_night(
    database: Database,
    night: str = "",
    *,
    before: int = BEFORE,
    issues: Sequence[KnownIssue] = (),
    today: dt.date | None = None,
    everything: bool = False,
) -> Judged:
    """Judge a night.

    Args:
        night: its name; default the newest.
        before: the number of earlier nights that count.
        issues: known issues, besides those of the store.
        today: the day that decides whether an issue still counts; default the night's.
        everything: list the tests that simply passed as well.

    Raises:
        ConfigError: kind ``history-run``: no such night.
        InfrastructureError: kind ``store-failed``.
    """
    memory = Memory(database)
    newest = memory.nights(limit=1)
    name = night or (newest[0].name if newest else "")
    runs = memory.runs(night=name, limit=100_000) if name else []
    if not runs and name not in {row.name for row in memory.nights(limit=10_000)}:
        raise _unknown(database, "night", name, [row.name for row in memory.nights(limit=5)])
    earlier = [row.name for row in memory.nights(before=name, limit=max(1, before))]
    chosen, *past = (select(t.RUNS.c.id).where(t.RUNS.c.night == one) for one in (name, *earlier))
    judged = _judge(database, name, runs, (chosen, past), issues, today, everything=everything)
    return replace(judged, never=_never_ran(memory, name))


def _never_ran(memory: Memory, night: str) -> tuple[tuple[str, str], ...]:
    """Planned sessions of which no try ran, by combination; tries in a resumed night count."""
    last = {row["key"]: row for row in memory.sessions(night)}  # in the order of numbers: the newest try remains
    never = [(row["combination"], row["reason"]) for row in last.values() if row["state"] == "never ran"]
    return tuple(sorted(never, key=lambda one: natural(one[0])))


def judge_run(
    database: Database,
    run: str,
    *,
    before: int = BEFORE,
    issues: Sequence[KnownIssue] = (),
    today: dt.date | None = None,
    everything: bool = False,
) -> Judged:
    """Judge the newest run of a name beside the runs before it; otherwise as `judge_night`."""
    memory = Memory(database)
    runs = memory.runs(run=run, limit=1)
    if not runs:
        raise _unknown(database, "run", run, [row.name for row in memory.runs(limit=5)])
    r = t.RUNS.c
    query = select(r.id).where(r.id != runs[0].id).order_by(r.started.desc().nulls_last(), r.id.desc())
    if runs[0].started is not None:
        query = query.where(r.started <= runs[0].started)
    with database.begin() as connection:
        past = list(connection.execute(query.limit(max(1, before))).scalars())
    chosen, *before_it = (select(r.id).where(r.id == one) for one in (runs[0].id, *past))
    scope = (chosen, before_it)
    return _judge(database, runs[0].name, runs, scope, issues, today, everything=everything)


def _judge(
    database: Database,
    name: str,
    runs: Sequence[RunRow],
    scope: tuple[Select[Any], Sequence[Select[Any]]],
    issues: Sequence[KnownIssue],
    today: dt.date | None,
    *,
    everything: bool,
) -> Judged:
    chosen, past = scope
    started = max((run.started for run in runs if run.started), default=dt.datetime.now(dt.UTC))
    day = today or started.date()
    o = t.OUTCOMES.c
    with database.begin() as connection:
        tonight, earlier = Reader(connection, chosen, past).read(everything=everything)
        oldest = set(connection.execute(past[-1]).scalars()) if past else set()
    found = [
        replace(one, or_before=one.last_good is None and one.first_bad is not None and one.first_bad.run_id in oldest)
        for one in classify(tonight, earlier, issues=[*issues, *stored_issues(database)], today=day)
    ]
    counts: dict[Class, int] = defaultdict(int)
    for one in found:
        counts[one.kind] += 1
    with database.begin() as connection:
        bench = (
            select(func.coalesce(t.BOARDS.c.name, ""), func.coalesce(o.kind, ""), func.count())
            .select_from(t.OUTCOMES).outerjoin(t.BOARDS, t.BOARDS.c.id == o.board_id)
            .where(o.run_id.in_(chosen), o.outcome != "passed", o.responsibility == "infrastructure")
            .group_by(t.BOARDS.c.name, o.kind)
        )  # fmt: skip
        lost = tuple(
            sorted(
                ((board, kind, count) for board, kind, count in connection.execute(bench)),
                key=lambda one: (-one[2], natural(one[0]), one[1]),
            )
        )
        passes = func.max(case((o.outcome == "passed", 1), else_=0)).label("passes")
        each = select(passes).where(o.run_id.in_(chosen)).group_by(o.test_id, o.combination_id).subquery()
        everyone, passed = connection.execute(select(func.count(), func.sum(each.c.passes)).select_from(each)).one()
    # Every outcome that was not read passed or was left out.
    looked_at = sum(any(outcome == "passed" for _, outcome in one.boards) for one in found)
    counts["passed"] += (passed or 0) - looked_at
    counts["left out"] += (everyone - (passed or 0)) - (len(found) - looked_at)
    quiet = {"passed", "left out"}
    listed = tuple(one for one in found if everything or one.kind not in quiet or one.first_bad is not None)
    return Judged(
        name=name, runs=tuple(runs), before=len(past), tests=listed, lost=lost,
        counts={kind: count for kind, count in counts.items() if count},
    )  # fmt: skip


def stored_issues(database: Database) -> list[KnownIssue]:
    """The store's known issues in the form for `classify`."""
    return [
        KnownIssue(
            ticket=row.ticket or row.title, test=row.test, combination=row.environment,
            until=row.expires and row.expires.date(), intermittent=row.intermittent,
        )
        for row in Memory(database).known_issues()
    ]  # fmt: skip


def durations(database: Database, *, runs: int = _RUNS_OF_DURATION) -> list[Duration]:
    """How long each suite takes on each combination, and a run's time around its tests, by combination and suite.

    Args:
        runs: the number of a combination's newest runs that count. Runs that were interrupted, or in which the bench
            failed, do not count.

    Raises:
        InfrastructureError: kind ``store-failed``.
    """
    o, r, rc = t.OUTCOMES.c, t.RUNS.c, t.RUN_COMBINATIONS.c
    newest = func.row_number().over(partition_by=rc.combination_id, order_by=(r.started.desc(), r.id.desc()))
    whole = (
        select(rc.run_id, rc.combination_id, r.seconds, newest.label("place"))
        .join(t.RUNS, r.id == rc.run_id)
        .where(r.verdict.in_(("passed", "failed", "too little proved")), r.interrupted == "")
        .subquery()
    )
    query = (
        select(t.COMBINATIONS.c.name, whole.c.run_id, whole.c.seconds, t.TESTS.c.suite, func.sum(o.seconds))
        .select_from(whole)
        .join(t.OUTCOMES, (o.run_id == whole.c.run_id) & (o.combination_id == whole.c.combination_id))
        .join(t.TESTS, t.TESTS.c.id == o.test_id)
        .join(t.COMBINATIONS, t.COMBINATIONS.c.id == whole.c.combination_id)
        .where(whole.c.place <= runs)
        .group_by(t.COMBINATIONS.c.name, whole.c.run_id, whole.c.seconds, t.TESTS.c.suite)
    )
    with database.begin() as connection:
        rows = connection.execute(query).all()
        shared = select(rc.run_id).group_by(rc.run_id).having(func.count() > 1)
        several = set(connection.execute(shared).scalars())
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    whole_run: dict[tuple[str, int], float] = {}
    tests: dict[tuple[str, int], float] = defaultdict(float)
    for combination, run_id, seconds, suite, spent in rows:
        taken[combination, suite].append(spent)
        tests[combination, run_id] += spent
        if run_id not in several:  # in a run of several combinations, the time around the tests belongs to none of them
            whole_run[combination, run_id] = seconds
    for key, seconds in whole_run.items():
        taken[key[0], ""].append(max(0.0, seconds - tests[key]))
    return [
        Duration(combination=combination, suite=suite, seconds=statistics.median(spent), runs=len(spent))
        for (combination, suite), spent in sorted(taken.items(), key=lambda one: tuple(map(natural, one[0])))
    ]


def _unknown(database: Database, what: str, name: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"the store has no such {what}" if known else f"the store has no {what} yet", kind="history-run",
        expected=f"one of: {', '.join(known)}" if known else f"any {what}",
        seen=name or "none", where=database.shown, hint="add runs: tfm-harness history import RUN",
    )  # fmt: skip
