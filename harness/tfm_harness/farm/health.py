"""The health of a board: LAVA's states and rules, as pure functions.

A golden build proves a board. If it passes, the board is Good. If it fails, the board is Bad, and only a person can
change that. Looping boards are checked repeatedly and stay Looping. Nothing runs on a board in Maintenance or
Retired. (LAVA: technical references, "state machine" and "health-check".) The harness is stricter than LAVA in one
point: after a session in which the bench failed, the board is Unknown until the golden build has passed on it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

__all__ = [
    "STATES",
    "BoardHealth",
    "Check",
    "State",
    "after_check",
    "after_session",
    "check_due",
    "may_check",
    "may_run",
]

State = Literal["Good", "Unknown", "Looping", "Bad", "Maintenance", "Retired"]
STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardHealth:
    """A board's state.

    Attributes:
        reason: the reason for the state, in words.
        since: the time of the change to this state, seconds since 1970.
        checked: the last time when the golden build passed on it; None: never.
        changed_by: the person or the night that changed the state.
    """

    name: str
    state: State = "Unknown"
    reason: str = ""
    since: float = 0.0
    checked: float | None = None
    changed_by: str = ""


def may_check(state: State) -> bool:
    """Whether the golden build may run on a board in this state."""
    return state in {"Good", "Unknown", "Looping"}


def may_run(state: State) -> bool:
    """Whether builds under test may run on a board in this state, once it is proved."""
    return state in {"Good", "Unknown"}


def check_due(health: BoardHealth, *, began: float, now: float, every: float) -> bool:
    """Whether the golden build must pass before anything else runs.

    Args:
        health: the board's health.
        began: when the night began, seconds since 1970.
        now: the present, seconds since 1970.
        every: seconds for which a passed check is valid; 0: for one night.
    """
    if health.state != "Good" or health.checked is None:
        return True
    if health.checked > now:  # the clock was set back: the check proves nothing
        return True
    return health.checked < began if every == 0 else now - health.checked >= every


Check = Literal["passed", "failed", "undecided"]
"""The outcome of a golden check: `undecided` says nothing about the board (interrupted, busy, a user's mistake)."""


def after_check(health: BoardHealth, check: Check, *, now: float, reason: str, by: str) -> BoardHealth:
    """The state after a golden check.

    Args:
        health: the state before.
        check: the outcome of the check.
        now: the time, seconds since 1970.
        reason: the failure, or the reason why nothing was decided.
        by: the night.
    """
    if check == "undecided" or not may_check(health.state):
        return health
    if health.state == "Looping":  # the state stays until a person changes it
        return replace(health, checked=now) if check == "passed" else health
    if check == "passed":
        since = health.since if health.state == "Good" else now
        words = health.reason if health.state == "Good" else "the golden build passed"
        return replace(health, state="Good", reason=words, since=since, checked=now, changed_by=by)
    return replace(health, state="Bad", reason=reason or "the golden build failed", since=now, changed_by=by)


def after_session(health: BoardHealth, bench_failed: str, *, now: float, by: str) -> BoardHealth:
    """The state after a session of a build under test.

    Args:
        health: the state before.
        bench_failed: the failure of the bench; empty when it did not fail.
        now: the time, seconds since 1970.
        by: the night.
    """
    if not bench_failed or health.state != "Good":
        return health
    return replace(health, state="Unknown", reason=f"the bench failed: {bench_failed}", since=now, changed_by=by)
