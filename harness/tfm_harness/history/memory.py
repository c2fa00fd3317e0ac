"""The memory of runs: what was tested on which board with which firmware, and what came of it.

It lies in the baseline store's database (SQLite by default, PostgreSQL by URL), in tables of its own. A run is imported
once: the digest of its record tells. Passed findings are kept as counts, others with their words.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Float, ForeignKey, Index, Integer, String, delete, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from tfm_harness.errors import ConfigError
from tfm_harness.history.classify import Seen
from tfm_harness.history.store import Base, BaselineStore
from tfm_harness.report.record import RunRecord, TestEntry
from tfm_harness.report.storage import read_run

__all__ = ["Memory", "StoredRun"]

_BATCH = 5000
_MOST_TEXT = 300


class _RunRow(Base):
    __tablename__ = "harness_run"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    started: Mapped[float] = mapped_column(Float, index=True)
    seconds: Mapped[float] = mapped_column(Float)
    verdict: Mapped[str] = mapped_column(String(32))
    headline: Mapped[str] = mapped_column(String(500))
    version: Mapped[str] = mapped_column(String(32))


class _BoardRow(Base):
    __tablename__ = "harness_run_board"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("harness_run.id"), index=True)
    combination: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200), index=True)
    firmware: Mapped[str] = mapped_column(String(200))
    identity: Mapped[str] = mapped_column(String(200))
    lost: Mapped[str] = mapped_column(String(_MOST_TEXT))
    boots: Mapped[int] = mapped_column(Integer)
    device_seconds: Mapped[float] = mapped_column(Float)


class _TestRow(Base):
    __tablename__ = "harness_test"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    nodeid: Mapped[str] = mapped_column(String(1000), unique=True)
    suite: Mapped[str] = mapped_column(String(200))


class _OutcomeRow(Base):
    __tablename__ = "harness_outcome"
    __table_args__ = (Index("harness_outcome_by_test", "test_id", "run_id"),)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("harness_run.id"), index=True)
    test_id: Mapped[int] = mapped_column(ForeignKey("harness_test.id"))
    combination: Mapped[str] = mapped_column(String(200))
    board: Mapped[str] = mapped_column(String(200))
    identity: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[str] = mapped_column(String(16))
    responsibility: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(String(_MOST_TEXT))
    seconds: Mapped[float] = mapped_column(Float)
    tries: Mapped[int] = mapped_column(Integer)
    passed_findings: Mapped[int] = mapped_column(Integer)


class _FindingRow(Base):
    __tablename__ = "harness_finding"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("harness_run.id"), index=True)
    test_id: Mapped[int] = mapped_column(ForeignKey("harness_test.id"))
    check: Mapped[str] = mapped_column(String(200), index=True)
    status: Mapped[str] = mapped_column(String(16))
    seen: Mapped[str] = mapped_column(String(_MOST_TEXT))


class _FigureRow(Base):
    __tablename__ = "harness_figure"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("harness_run.id"), index=True)
    combination: Mapped[str] = mapped_column(String(200))
    board: Mapped[str] = mapped_column(String(200))
    model: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(32))
    value: Mapped[float] = mapped_column(Float)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run in the memory; `started` is UTC."""

    id: int
    name: str
    started: dt.datetime
    verdict: str
    headline: str


class Memory(BaselineStore):
    """The open memory; a context manager, as the baseline store that it extends.

    Args:
        url: as for `BaselineStore`.

    Raises:
        ConfigError: kind ``baseline-url``.
        InfrastructureError: kind ``baseline-store``.
    """

    def import_run(self, path: Path) -> bool:
        """Take a run's record in; False when it is there already.

        A record of the same name and start with another content replaces the one that is there.

        Args:
            path: ``run.json``, or a run's folder.

        Raises:
            ConfigError: kind ``run-file``: no record, or a damaged one.
        """
        run, data = read_run(path)
        return self.take(run, hashlib.sha256(data).hexdigest())

    def take(self, run: RunRecord, digest: str) -> bool:
        """Take a record in; False when it is there already.

        Args:
            run: the record.
            digest: tells it from every other, 64 hex digits.

        Raises:
            ConfigError: kind ``run-file``: a record without a time of start.
        """
        try:
            started = dt.datetime.fromisoformat(run.started).timestamp()
        except ValueError:
            raise ConfigError(
                "a record without a time of start cannot be remembered",
                kind="run-file",
                seen=run.started,
                where=run.name,
            ) from None

        def store(session: Session) -> bool:
            if session.scalar(select(_RunRow.id).where(_RunRow.digest == digest)) is not None:
                return False
            same = select(_RunRow.id).where(_RunRow.name == run.name[:200], _RunRow.started == started)
            for old in session.scalars(same).all():
                _forget(session, old)
            row = _RunRow(
                digest=digest, name=run.name[:200], started=started, seconds=run.seconds, verdict=run.verdict,
                headline=run.headline[:500], version=run.version[:32],
            )  # fmt: skip
            session.add(row)
            session.flush()
            self._fill(session, row.id, run)
            return True

        return self._again(store)

    def _fill(self, session: Session, run_id: int, run: RunRecord) -> None:
        identities = {one.name: _identity(one.image) for one in run.combinations}
        boards = [
            {
                "run_id": run_id, "combination": board.combination[:200], "name": board.name[:200],
                "firmware": board.firmware[:200], "lost": board.lost[:_MOST_TEXT], "boots": board.boots,
                "identity": _identity(board.measurements) or identities.get(board.combination, ""),
                "device_seconds": board.device_seconds,
            }
            for board in run.boards
        ]  # fmt: skip
        on_board = {(one["combination"], one["name"]): str(one["identity"]) for one in boards}
        tests = self._test_ids(session, run.tests)
        outcomes, findings = [], []
        for test in run.tests:
            test_id = tests[test.nodeid[:1000]]
            identity = on_board.get((test.combination, test.board)) or identities.get(test.combination, "")
            outcomes.append({
                "run_id": run_id, "test_id": test_id, "combination": test.combination[:200], "board": test.board[:200],
                "identity": identity, "outcome": test.outcome, "responsibility": test.responsibility,
                "kind": test.kind[:64], "message": test.message[:_MOST_TEXT], "seconds": test.seconds,
                "tries": len(test.tries), "passed_findings": sum(f.status == "passed" for f in test.findings),
            })  # fmt: skip
            findings += [
                {
                    "run_id": run_id,
                    "test_id": test_id,
                    "check": f.id[:200],
                    "status": f.status,
                    "seen": f.seen[:_MOST_TEXT],
                }
                for f in test.findings
                if f.status != "passed"
            ]
        for table, rows in ((_BoardRow, boards), (_OutcomeRow, outcomes), (_FindingRow, findings),
                            (_FigureRow, list(_figures(run_id, run)))):  # fmt: skip
            for at in range(0, len(rows), _BATCH):
                session.execute(insert(table), rows[at : at + _BATCH])

    @staticmethod
    def _test_ids(session: Session, tests: Iterable[TestEntry]) -> dict[str, int]:
        wanted = {test.nodeid[:1000]: test.suite for test in tests}
        known = {nodeid: number for number, nodeid in session.execute(select(_TestRow.id, _TestRow.nodeid)).all()}
        new = [_TestRow(nodeid=nodeid, suite=wanted[nodeid][:200]) for nodeid in wanted.keys() - known.keys()]
        session.add_all(new)
        session.flush()
        return known | {row.nodeid: row.id for row in new}

    # -- questions

    def remembered(self, *, since: dt.datetime | None = None) -> list[StoredRun]:
        """Runs, oldest first."""
        with self._session() as session:
            query = select(_RunRow).order_by(_RunRow.started, _RunRow.id)
            if since is not None:
                query = query.where(_RunRow.started >= since.timestamp())
            return [
                StoredRun(id=row.id, name=row.name, started=dt.datetime.fromtimestamp(row.started, dt.UTC),
                          verdict=row.verdict, headline=row.headline)
                for row in session.scalars(query)
            ]  # fmt: skip

    def outcomes(self, run_ids: Sequence[int]) -> list[Seen]:
        """Outcomes of runs, oldest run first."""
        with self._session() as session:
            query = (
                select(_OutcomeRow, _TestRow.nodeid, _RunRow.started, _RunRow.name)
                .join(_TestRow, _TestRow.id == _OutcomeRow.test_id)
                .join(_RunRow, _RunRow.id == _OutcomeRow.run_id)
                .where(_OutcomeRow.run_id.in_(run_ids))
                .order_by(_RunRow.started, _RunRow.id, _OutcomeRow.id)
            )
            return [
                Seen(
                    run=name, started=started, test=nodeid, combination=row.combination, board=row.board,
                    identity=row.identity, outcome=row.outcome, responsibility=row.responsibility, kind=row.kind,
                    message=row.message, tries=row.tries,
                )
                for row, nodeid, started, name in session.execute(query).all()
            ]  # fmt: skip

    def prune(self, before: dt.datetime) -> int:
        """Forget runs that began before a time; how many. Series and baselines stay."""

        def work(session: Session) -> int:
            old = session.scalars(select(_RunRow.id).where(_RunRow.started < before.timestamp())).all()
            for number in old:
                _forget(session, number)
            return len(old)

        return self._again(work)

    def sizes(self) -> dict[str, int]:
        """Rows by table."""
        with self._session() as session:
            return {
                table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
                for table in (_RunRow, _BoardRow, _TestRow, _OutcomeRow, _FindingRow, _FigureRow)
            }


def _forget(session: Session, run_id: int) -> None:
    for table in (_BoardRow, _OutcomeRow, _FindingRow, _FigureRow):
        session.execute(delete(table).where(table.run_id == run_id))
    session.execute(delete(_RunRow).where(_RunRow.id == run_id))


def _identity(measurements: Mapping[str, str]) -> str:
    """The firmware's identity in a word: component and first digits of each measurement."""
    return " ".join(f"{name}:{value[:12]}" for name, value in sorted(measurements.items()))[:200]


def _figures(run_id: int, run: RunRecord) -> Iterable[dict[str, object]]:
    from tfm_harness.latency.statistics import summarise

    def row(combination: str, board: str, model: str, kind: str, value: float) -> dict[str, object]:
        return {"run_id": run_id, "combination": combination[:200], "board": board[:200], "model": model[:200],
                "kind": kind, "value": value}  # fmt: skip

    for entry in run.latency:
        if entry.series.ticks:
            found = summarise(entry.series.seconds)
            for statistic in ("median", "p99"):
                yield row(
                    entry.combination, entry.board, entry.series.name, f"latency {statistic}", found.get(statistic)
                )
    for parity in run.parity:
        whole = sum(output.elements for output in parity.outputs)
        exact = sum(output.exact_elements for output in parity.outputs)
        if whole:
            yield row(parity.combination, parity.board, parity.model, "parity exact", exact / whole)
