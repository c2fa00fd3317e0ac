"""A night on a clock that only runs in memory: what would start when. Pure."""

from __future__ import annotations

import heapq
import statistics
from dataclasses import dataclass
from typing import Final

from tfm_harness.farm.night import Night, NotRun
from tfm_harness.farm.tasks import Assignment, SessionResult

__all__ = ["Expected", "Step", "simulate"]

_GUESS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """A session, and how many seconds after the night's beginning it begins."""

    begins: float
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Expected:
    """How a night should go.

    Attributes:
        seconds: until its end.
        unknown: sessions without a known duration; each counts as `guess` seconds.
        never: what would not run, and why.
    """

    steps: tuple[Step, ...]
    seconds: float
    unknown: int
    guess: float
    never: tuple[NotRun, ...] = ()


def simulate(night: Night) -> Expected:
    """Run the night with sessions that all pass and take as long as earlier ones did. `night` is used up."""
    known = [task.expected for task in night.plan.tasks if task.expected is not None]
    guess = statistics.median(known) if known else _GUESS
    now = night.began
    running: list[tuple[float, int, Assignment]] = []
    steps: list[Step] = []
    while True:
        for assignment in night.next(now):
            seconds = assignment.task.expected
            heapq.heappush(running, (now + (guess if seconds is None else seconds), len(steps), assignment))
            steps.append(Step(now - night.began, assignment))
        if not running:
            break
        now, _, ended = heapq.heappop(running)
        night.take(SessionResult(session=ended.session, board=ended.board, verdict="passed", at=now), now)
    unknown = sum(step.assignment.task.expected is None for step in steps)
    return Expected(tuple(steps), now - night.began, unknown, guess, tuple(night.not_run))
