"""Simulates a night on a clock in memory, to show which session would start when. Pure."""

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
    """A session, and its start in seconds after the night's beginning."""

    begins: float
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected course of a night.

    Attributes:
        seconds: seconds until its end.
        unknown: sessions without a known duration; each counts as `guess` seconds.
        never: tasks that would not run, and the reasons.
    """

    steps: tuple[Step, ...]
    seconds: float
    unknown: int
    guess: float
    never: tuple[NotRun, ...] = ()


def simulate(night: Night) -> Expected:
    """Run the night with sessions that all pass and take as long as earlier ones. `night` cannot be used afterwards."""
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
