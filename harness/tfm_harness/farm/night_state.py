"""The state of a night: its boards, its waiting, running and ended sessions, and changes from outside. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tfm_harness.farm.health import BoardHealth, may_run
from tfm_harness.farm.tasks import Assignment, Plan, SessionResult, Task, Times
from tfm_harness.farm.tries import Attempt

__all__ = ["ABSENT_GRACE", "BoardTonight", "Ended", "NightState", "NotRun"]

ABSENT_GRACE: Final = 60.0
"""Seconds for which the night waits for a board without a worker."""


@dataclass(slots=True)
class BoardTonight:
    """A board and its sessions of tonight.

    Attributes:
        before: its health when the night began.
        failures: number of sessions in which the bench failed, those of earlier nights included.
        away: the reason why it runs nothing tonight although its health allows it; empty: it may run.
    """

    name: str
    pool: str
    health: BoardHealth
    before: BoardHealth
    failures: int = 0
    failed_tonight: int = 0
    checks: int = 0
    sessions: int = 0
    seconds: float = 0.0
    away: str = ""
    running: str = ""
    busy_until: float = 0.0
    times_busy: int = 0
    absent_since: float | None = None
    died: int = 0
    host: str = ""

    def unusable(self, now: float) -> str:
        """The reason why no build under test may run on it tonight; empty when one may."""
        if not may_run(self.health.state):
            reason = f": {self.health.reason}" if self.health.reason else ""
            return f"{self.health.state}{reason}"
        if self.absent_since is not None and now - self.absent_since >= ABSENT_GRACE:
            return "no worker offers it"
        return self.away

    def free(self, now: float) -> bool:
        """Whether a session may start on it now."""
        return not self.running and self.busy_until <= now and self.absent_since is None and not self.away


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session with its result."""

    assignment: Assignment
    result: SessionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A task that never got a board, and the reason; `responsibility` as in records."""

    task: Task
    why: str
    responsibility: str = "infrastructure"


class NightState:
    """The state of a night: its ended, running and waiting sessions.

    Args:
        plan: the plan of the night.
        health: the health of boards that the store knows; the others are Unknown.
        times: durations and failures of earlier nights.
        name: the night's name; its sessions' names begin with it.
        began: seconds since 1970.
    """

    def __init__(self, plan: Plan, health: Mapping[str, BoardHealth], times: Times, *, name: str, began: float) -> None:
        self.plan = plan
        self.times = times
        self.name = name
        self.began = began
        self.started = began
        self.boards: dict[str, BoardTonight] = {}
        for pool in plan.pools.values():
            for board in pool.boards:
                known = health.get(board, BoardHealth(name=board))
                self.boards[board] = BoardTonight(board, pool.name, known, known, failures=times.failures.get(board, 0))
        self.waiting: list[Task] = list(plan.tasks)
        self.running: dict[str, Assignment] = {}
        self.ended: list[Ended] = []
        self.not_run: list[NotRun] = []
        self.attempts: dict[tuple[str, str, str], dict[str, list[Attempt]]] = {}
        self.closed = ""
        self._last_task = max((task.id for task in plan.tasks), default=0)
        self._sessions = 0

    def adopt(self, assignment: Assignment) -> None:
        """Add a session that an earlier process of this night has started.

        An earlier session with the same board or the same task was killed with its night, so it is forgotten: the
        journal does not hold its end.

        Raises:
            ValueError: the task is not one of this night, or the board is none of its boards.
        """
        task = assignment.task
        for killed in list(self.running.values()):
            if killed.board == assignment.board or (killed.task.id == task.id and not task.golden):
                self.forget(killed.session)
        if not task.golden:
            waiting = next((one for one in self.waiting if one.id == task.id), None)
            if waiting is None:
                raise ValueError(f"task {task.id} does not wait")
            self.waiting.remove(waiting)
        if assignment.board not in self.boards:
            raise ValueError(f"no board {assignment.board}")
        self._last_task = max(self._last_task, task.id)
        self._sessions += 1
        self.boards[assignment.board].running = assignment.session
        self.running[assignment.session] = assignment

    def forget(self, session: str) -> None:
        """Forget a session that left no result: its task waits again."""
        assignment = self.running.pop(session)
        self.boards[assignment.board].running = ""
        if not assignment.task.golden:
            self.waiting.insert(0, assignment.task)

    def set_health(self, health: BoardHealth) -> None:
        """Take over a board's health that a person has changed."""
        self.boards[health.name].health = health

    def absent(self, names: Iterable[str], now: float) -> None:
        """Record the boards that no worker offers now; all others can be used (again)."""
        gone = set(names)
        for board in self.boards.values():
            if board.name not in gone:
                board.absent_since = None
            elif board.absent_since is None:
                board.absent_since = now

    def close(self, why: str, *, responsibility: str = "") -> None:
        """End the night: nothing is started any more, and waiting tasks count as not run.

        Args:
            why: the reason, in words.
            responsibility: the responsibility for that; empty: a person wanted it.
        """
        if self.closed:
            return
        self.closed = why
        self.not_run += [
            NotRun(task=task, why=why, responsibility=responsibility) for task in self.waiting if not task.tried
        ]
        self.waiting.clear()
