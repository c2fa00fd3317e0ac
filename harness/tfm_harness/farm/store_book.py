"""The memory of nights in the store."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tfm_harness.farm.health import STATES, BoardHealth, State
from tfm_harness.farm.tasks import PoolPlan, Times
from tfm_harness.history.database import Database
from tfm_harness.history.health import set_health
from tfm_harness.history.judged import durations
from tfm_harness.history.keep import import_run
from tfm_harness.history.queries import Memory

__all__ = ["StoreBook", "session_times"]

_NIGHTS: Final = 7
"""Nights whose bench failures tell which board is tried last."""


class StoreBook:
    """The store, as a night sees it (`tfm_harness.farm.book.Book`).

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
        found = {}
        for row in memory.boards():
            state: State | None = next((word for word in STATES if word == row.health), None)
            if row.name not in wanted or state is None or row.since is None:
                continue  # nobody has ever said anything of it
            checked = row.checked.timestamp() if row.checked is not None and state == "Good" else None
            found[row.name] = BoardHealth(
                name=row.name, state=state, reason=row.reason, since=row.since.timestamp(), checked=checked
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

    def take(self, folder: Path, night: str) -> None:
        """As `Book.take`."""
        import_run(self._database, folder, night=night)

    def close(self) -> None:
        """As `Book.close`."""
        self._database.close()


def session_times(taken: Mapping[str, Mapping[str, float]], pools: Iterable[PoolPlan]) -> dict[str, float]:
    """Seconds of a session by `Times.key`, from what suites took on combinations.

    Args:
        taken: seconds by combination and suite; the suite ``""`` is what a run needs around its tests.
        pools: of the farm.
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
