"""Retention: removes runs that are older than the user wants to keep, with all their rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import DateTime, bindparam, delete, func, select, text

from tfm_harness.history import tables as t
from tfm_harness.history.database import Database

__all__ = ["Pruned", "prune"]

_AT_ONCE = 200
"""The most runs in one transaction; other processes can write between transactions."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The number of runs and nights that were removed, or would be."""

    runs: int
    nights: int


def prune(
    database: Database, *, keep_nights: int | None = None, before: dt.datetime | None = None, dry_run: bool = False
) -> Pruned:
    """Remove old runs. Accepted baselines, boards and known issues are kept.

    Args:
        keep_nights: keep the runs of this many newest nights. Undated runs count as the oldest night.
        before: remove runs that began before this.
        dry_run: only count.

    Raises:
        InfrastructureError: kind ``store-failed``; runs that were removed before the error stay removed.
    """
    r = t.RUNS.c
    query = select(r.id, r.night)
    if keep_nights is not None:
        last = func.max(r.started)
        newest = select(r.night).group_by(r.night).order_by(last.desc().nulls_last(), r.night.desc()).limit(keep_nights)
        query = query.where(r.night.not_in(newest))
    if before is not None:
        query = query.where((r.started < before) | r.started.is_(None))
    with database.begin() as connection:
        found = connection.execute(query.order_by(r.id)).all()
    result = Pruned(len(found), len({row.night for row in found}))
    if dry_run or not found:
        return result
    for start in range(0, len(found), _AT_ONCE):
        with database.begin() as connection:
            numbers = [row.id for row in found[start : start + _AT_ONCE]]
            connection.execute(delete(t.RUNS).where(r.id.in_(numbers)))
    with database.begin() as connection:
        oldest = connection.execute(select(func.min(r.started))).scalar()
        if oldest is not None:
            connection.execute(
                text(
                    "DELETE FROM harness_series WHERE taken < :oldest"
                    " AND NOT EXISTS (SELECT 1 FROM harness_baseline WHERE series_id = harness_series.id)"
                ).bindparams(bindparam("oldest", type_=DateTime(timezone=True))),
                {"oldest": oldest},
            )
        for table, users in (
            (t.TESTS, (t.OUTCOMES.c.test_id, t.FINDINGS.c.test_id, t.TRIES.c.test_id)),
            (t.CHECKS, (t.FINDINGS.c.check_id,)),
            (t.FIRMWARE, (t.RUN_COMBINATIONS.c.firmware_id,)),
        ):
            unused = [~select(1).where(user == table.c.id).exists() for user in users]
            connection.execute(delete(table).where(*unused))
        kept = select(r.night)
        connection.execute(delete(t.NIGHTS).where(t.NIGHTS.c.name.not_in(kept), t.NIGHTS.c.ended.is_not(None)))
    if database.sqlite:  # without VACUUM the file keeps its size
        with database.guard(), database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM"))
    return result
