"""What a night needs of the memory of nights: boards' health, durations, and a place for what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.night import Night
from tfm_harness.farm.tasks import Assignment, PoolPlan, SessionResult, Times

__all__ = ["Book", "NoBook"]


class Book(Protocol):
    """The memory, as a night sees it; `url` is what sessions are told of it, empty when there is none."""

    url: str

    def health(self, boards: Iterable[str]) -> Mapping[str, BoardHealth]:
        """What is known of boards; those that nobody has said anything of are left out."""

    def set_health(self, health: BoardHealth, night: str) -> None:
        """Keep a board's state."""

    def times(self, pools: Iterable[PoolPlan]) -> Times:
        """What earlier nights took."""

    def begin(self, night: Night, farm: str) -> None:
        """A night begins, or goes on."""

    def take(self, night: Night, assignment: Assignment, result: SessionResult, folder: Path) -> None:
        """Keep a session that has ended, with its record where it left one."""

    def end(self, night: Night, farm: str, verdict: str) -> None:
        """The night has ended."""

    def close(self) -> None:
        """Close it. Safe to call twice."""


class NoBook:
    """Remembers for one night only."""

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
        """Nothing."""
        del pools
        return Times()

    def begin(self, night: Night, farm: str) -> None:
        """Nothing."""

    def take(self, night: Night, assignment: Assignment, result: SessionResult, folder: Path) -> None:
        """As `Book.take`."""
        del night, assignment, result
        self.taken.append(folder)

    def end(self, night: Night, farm: str, verdict: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to close."""
