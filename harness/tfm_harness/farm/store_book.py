"""The memory of nights in the store."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tfm_harness.farm.health import STATES, BoardHealth, State
from tfm_harness.farm.night import Night
from tfm_harness.farm.outcome import BUILD_CHANGED
from tfm_harness.farm.stored_sessions import keep_night, keep_not_run, keep_session
from tfm_harness.farm.tasks import Assignment, PoolPlan, SessionResult, Task, Times
from tfm_harness.history.database import Database
from tfm_harness.history.health import set_health
from tfm_harness.history.judged import durations
from tfm_harness.history.keep import import_run
from tfm_harness.history.queries import Memory

__all__ = ["StoreBook", "session_times"]

_NIGHTS: Final = 7
"""The number of nights whose infrastructure failures decide which board is chosen last."""


class StoreBook:
    """The store as the memory of nights (`tfm_harness.farm.book.Book`).

    Args:
        url: as for `Database`.

    Raises:
        ConfigError: kind ``store-url``.
        InfrastructureError: kind ``store-failed``; so do all methods.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = Database(url)

    def health(self, boards: Iterable[str]) -> Mapping[str, BoardHealth]:
        """As `Book.health`."""
        wanted = set(boards)
        memory = Memory(self._database)
        who: dict[str, str] = {}
        for event in memory.board_events():  # newest first
            who.setdefault(event.board, event.by)
        found = {}
        for row in memory.boards():
            state: State | None = next((word for word in STATES if word == row.health), None)
            if row.name not in wanted or state is None or row.since is None:
                continue  # its health was never set
            checked = row.checked.timestamp() if row.checked is not None and state == "Good" else None
            found[row.name] = BoardHealth(
                name=row.name,
                state=state,
                reason=row.reason,
                since=row.since.timestamp(),
                checked=checked,
                changed_by=who.get(row.name, ""),
            )
        return found

    def set_health(self, health: BoardHealth, night: str) -> None:
        """As `Book.set_health`."""
        at = dt.datetime.fromtimestamp(
            health.checked if health.state == "Good" and health.checked else health.since, dt.UTC
        )
        set_health(
            self._database, health.name, health.state, reason=health.reason or "the golden build passed",
            by=health.changed_by or "night", night=night, at=at,
        )  # fmt: skip

    def times(self, pools: Iterable[PoolPlan]) -> Times:
        """As `Book.times`."""
        taken: dict[str, dict[str, float]] = defaultdict(dict)
        for row in durations(self._database):
            taken[row.combination][row.suite] = row.seconds
        memory = Memory(self._database)
        nights = [row.name for row in memory.nights(limit=_NIGHTS)]
        failures = {row.name: row.bench_failures for row in memory.boards(nights=nights)} if nights else {}
        return Times(sessions=session_times(taken, pools), failures=failures)

    def begin(self, night: Night, farm: str) -> None:
        """As `Book.begin`."""
        plan = [
            {"pool": task.pool, "build": task.build, "board": task.home, "suites": list(task.suites)}
            for task in night.plan.tasks
        ]
        boards = {name: board.pool for name, board in night.boards.items()}
        keep_night(
            self._database, night.name, file=farm, state="running", started=night.started,
            plan={"sessions": plan, "boards": boards},
        )  # fmt: skip

    def take(self, night: Night, assignment: Assignment, result: SessionResult, folder: Path) -> None:
        """As `Book.take`."""
        run_id = None
        if result.record and result.trouble != BUILD_CHANGED:
            run_id = import_run(self._database, folder, night=night.name).run_id
        keep_session(
            self._database, night.name, assignment, result,
            combination=_combination(night, assignment.task), run_id=run_id,
        )  # fmt: skip

    def end(self, night: Night, farm: str, verdict: str) -> None:
        """As `Book.end`."""
        for never in night.not_run:
            keep_not_run(self._database, night.name, never, combination=_combination(night, never.task))
        ended = dt.datetime.now(dt.UTC).timestamp()
        keep_night(self._database, night.name, file=farm, state=verdict, started=night.started, ended=ended)

    def close(self) -> None:
        """As `Book.close`."""
        self._database.close()


def _combination(night: Night, task: Task) -> str:
    return f"{night.plan.pools[task.pool].combination}+{task.build}"


def session_times(taken: Mapping[str, Mapping[str, float]], pools: Iterable[PoolPlan]) -> dict[str, float]:
    """Seconds of a session by `Times.key`, from the durations of suites on combinations.

    Args:
        taken: seconds by combination and suite; the suite ``""`` is a run's time around its tests.
        pools: the pools of the farm.
    """
    found: dict[str, float] = {}
    for pool in pools:
        start = f"{pool.combination}+"
        all_builds = []
        for combination, suites in taken.items():
            if not combination.startswith(start):
                continue
            build = combination.removeprefix(start)
            seconds = sum(suites.values())
            found[Times.key(pool.name, build)] = seconds
            all_builds.append(seconds)
            if build == pool.golden.build:
                golden = [suites.get(Path(suite).name) for suite in pool.golden.suites]
                known = [each for each in golden if each is not None]
                if len(known) == len(golden):
                    found[Times.key(pool.name, build, golden=True)] = sum(known) + suites.get("", 0.0)
        if all_builds:
            found[Times.key(pool.name)] = sorted(all_builds)[len(all_builds) // 2]
    return found
