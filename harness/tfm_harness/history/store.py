"""The latency series of every run, and the accepted baselines among them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import JSON, ForeignKey, Integer, String, UniqueConstraint, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.history.database import Database, default_url
from tfm_harness.history.tables import Moment
from tfm_harness.latency.regression import NIGHTS, Night
from tfm_harness.latency.series import Series
from tfm_harness.order import natural

__all__ = ["BaselineKey", "BaselineStore", "StoredBaseline", "default_url", "run_name"]

_ATTEMPTS = 5
T = TypeVar("T")


class _Base(DeclarativeBase):
    pass


class _SeriesRow(_Base):
    __tablename__ = "harness_series"
    __table_args__ = (UniqueConstraint("run", "key"),)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run: Mapped[str] = mapped_column(String(200), index=True)
    key: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(200))
    board: Mapped[str] = mapped_column(String(200))
    clock: Mapped[str] = mapped_column(String(200))
    taken: Mapped[dt.datetime] = mapped_column(Moment())
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class _BaselineRow(_Base):
    __tablename__ = "harness_baseline"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("harness_series.id"))
    accepted: Mapped[dt.datetime] = mapped_column(Moment())
    reason: Mapped[str] = mapped_column(String(1000))
    series: Mapped[_SeriesRow] = relationship()


@dataclass(frozen=True, slots=True)
class BaselineKey:
    """The facts that must be the same in two series that are compared; `digest` is its stored form."""

    name: str
    board: str
    clock: str
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, series: Series) -> BaselineKey:
        """The key of a series."""
        clock = f"{series.clock.source} {series.clock.hz} Hz {series.clock.quality.value}"
        return cls(series.name, series.board, clock, tuple(sorted(series.environment.items())))

    @property
    def digest(self) -> str:
        """SHA-256 over all facts, hex."""
        facts = json.dumps([self.name, self.board, self.clock, self.environment])
        return hashlib.sha256(facts.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBaseline:
    """An accepted baseline."""

    run: str
    series: Series
    accepted: dt.datetime
    reason: str


_STARTED = dt.datetime.now(dt.UTC)
_DATED = re.compile(r"\d{4}-\d\d-\d\d[_T]\d\d")


def run_name(folder: Path, *, started: dt.datetime = _STARTED) -> str:
    """The store's name of a run: its folder's name, with the time appended unless the name has a date.

    A nightly job that always uses the same folder must not overwrite the previous night.
    """
    return folder.name if _DATED.match(folder.name) else f"{folder.name}@{started:%Y-%m-%d_%H-%M-%S}"


class BaselineStore(Database):
    """The series and the accepted baselines of an open store; a context manager (see `Database`)."""

    def add(self, run: str, series: Series, *, taken: dt.datetime | None = None) -> None:
        """Store a series of a run; a second one of the same key and run replaces the first."""
        key = BaselineKey.of(series)

        def store(session: Session) -> None:
            row = session.scalar(select(_SeriesRow).where(_SeriesRow.run == run, _SeriesRow.key == key.digest))
            if row is None:
                row = _SeriesRow(run=run, key=key.digest, name=key.name, board=key.board, clock=key.clock)
                session.add(row)
            row.taken = taken or dt.datetime.now(dt.UTC)
            row.data = series.as_dict()

        self._again(store)

    def baseline(self, series: Series) -> Night | None:
        """The accepted baseline for the measurement of `series`; None when there is none."""
        with self._session() as session:
            row = session.get(_BaselineRow, BaselineKey.of(series).digest)
            return None if row is None else Night(row.series.run, self._series(row.series))

    def siblings(self, series: Series) -> list[tuple[str, str]]:
        """Other boards, with their baseline's run, that have a baseline for the model and the clock of `series`."""
        key = BaselineKey.of(series)
        with self._session() as session:
            query = (
                select(_SeriesRow.board, _SeriesRow.run)
                .join(_BaselineRow, _BaselineRow.series_id == _SeriesRow.id)
                .where(_SeriesRow.name == key.name, _SeriesRow.clock == key.clock, _SeriesRow.board != key.board)
                .order_by(_SeriesRow.board)
            )
            return [(board, run) for board, run in session.execute(query).all()]

    def nights(self, series: Series, *, before: str = "", limit: int = NIGHTS) -> list[Night]:
        """The last runs of the same measurement as `series`, oldest first.

        Args:
            before: leave out this run (the current one, when it is stored already).
        """
        with self._session() as session:
            query = (
                select(_SeriesRow)
                .where(_SeriesRow.key == BaselineKey.of(series).digest, _SeriesRow.run != before)
                .order_by(_SeriesRow.taken.desc(), _SeriesRow.id.desc())
                .limit(limit)
            )
            return [Night(row.run, self._series(row)) for row in reversed(session.scalars(query).all())]

    def accept(self, run: str, *, reason: str, name: str | None = None) -> list[Series]:
        """Make a run's series the baselines of their measurements.

        Args:
            run: a stored run's name; without its ``@time``, the latest run of that name is used for each measurement.
            reason: the reason, which is kept with the baseline.
            name: only the series of that name.

        Raises:
            ConfigError: kind ``baseline-run``: no such run or series; ``baseline-reason``: no reason.
        """
        if not reason.strip():
            raise ConfigError("a baseline needs a reason", kind="baseline-reason", expected="--reason TEXT")

        def choose(session: Session) -> list[Series]:
            named = or_(_SeriesRow.run == run, _SeriesRow.run.startswith(f"{run}@", autoescape=True))
            query = select(_SeriesRow).where(named).order_by(_SeriesRow.taken, _SeriesRow.id)
            found = session.scalars(query.where(_SeriesRow.name == name) if name else query).all()
            rows = list({row.key: row for row in found}.values())  # the latest of each
            if not rows:
                known = session.scalars(
                    select(_SeriesRow.run).distinct().order_by(_SeriesRow.run.desc()).limit(5)
                ).all()
                raise ConfigError(
                    f"no series of run {run!r}" + (f" called {name!r}" if name else ""),
                    kind="baseline-run",
                    expected="a stored run, the last ones are: " + (", ".join(known) or "none"),
                    seen=run,
                    where=self.shown,
                )
            for row in rows:
                session.merge(
                    _BaselineRow(key=row.key, series_id=row.id, accepted=dt.datetime.now(dt.UTC), reason=reason[:1000])
                )
            return [self._series(row) for row in rows]

        return self._again(choose)

    def baselines(self) -> list[StoredBaseline]:
        """All accepted baselines, by board and name."""
        with self._session() as session:
            rows = session.scalars(select(_BaselineRow)).all()
            found = [
                StoredBaseline(
                    run=row.series.run, series=self._series(row.series), accepted=row.accepted, reason=row.reason
                )
                for row in rows
            ]
        return sorted(found, key=lambda b: (natural(b.series.board), natural(b.series.name), b.accepted))

    def runs(self) -> list[tuple[str, dt.datetime, int]]:
        """All runs with the time of their first series and the number of their series, oldest first."""
        with self._session() as session:
            rows: Sequence[Any] = session.execute(select(_SeriesRow.run, _SeriesRow.taken)).all()
        found: dict[str, tuple[dt.datetime, int]] = {}
        for run, taken in rows:
            first, count = found.get(run, (taken, 0))
            found[run] = (min(first, taken), count + 1)
        return sorted(((run, first, count) for run, (first, count) in found.items()), key=lambda r: (r[1], r[0]))

    def series_of(self, run: str) -> list[Series]:
        """All series of a run, by name."""
        with self._session() as session:
            query = select(_SeriesRow).where(_SeriesRow.run == run).order_by(_SeriesRow.name, _SeriesRow.board)
            return [self._series(row) for row in session.scalars(query)]

    def _again(self, work: Callable[[Session], T]) -> T:
        """Do `work`; repeat it if another process has written the same row between its read and its write."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._session() as session:
                    return work(session)
            except InfrastructureError as exc:
                if attempt + 1 == _ATTEMPTS or not isinstance(exc.__cause__, IntegrityError):
                    raise
        raise AssertionError("not reached")

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self.guard(), Session(self.engine) as session, session.begin():
            yield session

    def _series(self, row: _SeriesRow) -> Series:
        try:
            return Series.from_dict(row.data)
        except (KeyError, TypeError, ValueError) as exc:
            raise InfrastructureError(
                f"the series {row.name!r} of run {row.run!r} is damaged",
                kind="store-failed",
                seen=f"{type(exc).__name__}: {exc}",
                where=self.shown,
            ) from exc
