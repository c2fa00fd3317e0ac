"""Stores a run's record: whole or not at all, and never twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, delete, select, update

from tfm_harness.files import resolved
from tfm_harness.history import tables as t
from tfm_harness.history.database import Database
from tfm_harness.history.keep_rows import RunRows, _plain, _unless_there, _whole
from tfm_harness.history.names import clean, night_of, started_of
from tfm_harness.report.record import RunRecord
from tfm_harness.report.storage import dump, load_run

__all__ = ["Kept", "import_run", "keep_run", "keep_runs", "record_digest"]

_RUNS_AT_ONCE = 25
"""The most runs in one transaction; other processes can write between transactions."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The result of storing a record: the run's number in the store, and whether it was new."""

    run_id: int
    name: str
    night: str
    new: bool


def record_digest(record: RunRecord) -> str:
    """SHA-256 over the record's content: the same for a record and for the file it was written to."""
    return hashlib.sha256(dump(record).encode("utf-8", "backslashreplace")).hexdigest()


def import_run(database: Database, path: Path, *, night: str = "") -> Kept:
    """Store a ``run.json``, or the one in a run's folder.

    Raises:
        ConfigError: kind ``run-file``: no record of a run.
        InfrastructureError: kind ``store-failed``.
    """
    folder = path if path.is_dir() else path.parent
    return keep_run(database, load_run(path), folder=str(resolved(folder)), night=night)


def keep_run(database: Database, record: RunRecord, *, folder: str = "", night: str = "") -> Kept:
    """Store a run; it replaces a stored record of the same run with other content.

    Args:
        folder: the folder of its transcripts and its page.
        night: the night to which it belongs; default: the date of its evening (`night_of`).

    Raises:
        InfrastructureError: kind ``store-failed``; then nothing of the run is stored.
    """
    with database.begin() as connection:
        return _keep(connection, record, folder, night)


def keep_runs(database: Database, runs: Iterable[tuple[RunRecord, str]], *, night: str = "") -> Iterator[Kept]:
    """Store several runs, each a record with its folder, like `keep_run`, but with fewer waits for the disk.

    Several runs at a time are read from `runs`, and their results are yielded when they are in the store.

    Raises:
        InfrastructureError: kind ``store-failed``; runs whose results were not yielded are not stored.
    """
    waiting = iter(runs)
    # In PostgreSQL, two processes that each add the same names in one long transaction may deadlock.
    at_once = _RUNS_AT_ONCE if database.sqlite else 1
    while some := list(islice(waiting, at_once)):
        with database.begin() as connection:
            kept = [_keep(connection, record, folder, night) for record, folder in some]
        yield from kept


def _keep(connection: Connection, record: RunRecord, folder: str, night: str) -> Kept:
    digest = record_digest(record)
    started = started_of(record)
    night = clean(night or night_of(started))
    row = {
        "digest": digest,
        "name": clean(record.name),
        "night": night,
        "started": started,
        "seconds": record.seconds,
        "verdict": record.verdict,
        "headline": clean(record.headline),
        "version": clean(record.version),
        "package": clean(record.package_sha256),
        "interrupted": clean(record.interrupted),
        "folder": clean(folder),
        "collected": _whole(record.collected),
        "deselected": _whole(record.deselected),
        "environment": _plain(record.environment),
    }
    found = connection.execute(_unless_there(connection, t.RUNS).values(row).returning(t.RUNS.c.id)).scalar()
    if found is None:
        known = connection.execute(select(t.RUNS.c.id, t.RUNS.c.night).where(t.RUNS.c.digest == digest)).one()
        return Kept(known.id, record.name, known.night, new=False)
    rows = RunRows(connection, record, found)
    older = _same_run(connection, row, found, rows.places())
    rows.write()
    for number in older:
        connection.execute(update(t.FIRMWARE).where(t.FIRMWARE.c.first_run == number).values(first_run=found))
        connection.execute(update(t.SESSIONS).where(t.SESSIONS.c.run_id == number).values(run_id=found))
        connection.execute(delete(t.RUNS).where(t.RUNS.c.id == number))
    return Kept(found, record.name, night, new=True)


def _same_run(
    connection: Connection, row: Mapping[str, Any], found: int, places: tuple[set[int], set[int]]
) -> list[int]:
    """Stored versions of this run with other content: they have its name, start, combinations and boards."""
    if row["started"] is None:
        return []

    def of(column: Column[int], number: int) -> set[int]:
        return set(connection.execute(select(column).where(column.table.c.run_id == number)).scalars())

    query = select(t.RUNS.c.id).where(
        t.RUNS.c.name == row["name"], t.RUNS.c.started == row["started"], t.RUNS.c.id != found
    )
    combinations, boards = t.RUN_COMBINATIONS.c.combination_id, t.RUN_BOARDS.c.board_id
    return [n for n in connection.execute(query).scalars() if (of(combinations, n), of(boards, n)) == places]
