"""The interface to the memory of nights: boards' health, durations, and the sessions' results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.night import Night
from tfm_harness.farm.tasks import Assignment, PoolPlan, SessionResult, Times

__all__ = ["Book", "NoBook"]


class Book(Protocol):
    """The memory as a night uses it; `url` is the store's URL for the sessions, empty when there is no store."""

    url: str

    def health(self, boards: Iterable[str]) -> Mapping[str, BoardHealth]:
        """The known health of boards; boards without a known health are left out."""

    def set_health(self, health: BoardHealth, night: str) -> None:
        """Keep a board's state."""

    def times(self, pools: Iterable[PoolPlan]) -> Times:
        """The durations of earlier nights."""

    def begin(self, night: Night, farm: str) -> None:
        """Record that a night begins, or is resumed."""

    def take(self, night: Night, assignment: Assignment, result: SessionResult, folder: Path) -> None:
        """Store a session that has ended, with its record if it left one."""

    def end(self, night: Night, farm: str, verdict: str) -> None:
        """Record that the night has ended."""

    def close(self) -> None:
        """Close the memory. Safe to call twice."""


class NoBook:
    """A memory that lasts for one night only."""

    def __init__(self) -> None:
        self.url = ""
        self.boards: dict[str, BoardHealth] = {}
        self.taken: list[Path] = []

    def health(self, boards: Iterable[str]) -> Mapping[str, BoardHealth]:
        """As `Book.health`."""
        return {name: self.boards[name] for name in boards if name in self.boards}

    def set_health(self, health: BoardHealth, night: str) -> None:
        """As `Book.set_health`."""
        del night
        self.boards[health.name] = health

    def times(self, pools: Iterable[PoolPlan]) -> Times:
        """No durations: there are no earlier nights."""
        del pools
        return Times()

    def begin(self, night: Night, farm: str) -> None:
        """Do nothing."""

    def take(self, night: Night, assignment: Assignment, result: SessionResult, folder: Path) -> None:
        """As `Book.take`."""
        del night, assignment, result
        self.taken.append(folder)

    def end(self, night: Night, farm: str, verdict: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
