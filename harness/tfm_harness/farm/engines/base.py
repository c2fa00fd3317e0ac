"""The interface of engines, which run sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["Engine", "Finished", "Job", "look_until", "session_words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A session in the form for an engine; it holds only plain values, so that it can be sent to another host.

    Attributes:
        session: its name, also that of its folder.
        board: the board that it uses.
        command: module and arguments after ``python -m``; ``{run}`` stands for the session's folder, ``{state}`` for
            the state folder (empty: the user's own).
        only: node ids of the tests, which are the lines of ``{run}/only.txt``; empty: all tests.
        seconds: its time limit; then it is ended.
    """

    session: str
    board: str
    command: tuple[str, ...]
    only: tuple[str, ...] = ()
    seconds: float = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of a session's process.

    Attributes:
        code: its exit status; negative: the signal that ended it; None: not known.
        ended: the reason why it was ended: the night's end (``night``), its time limit (``time``), or the loss of the
            worker that ran it (``lost``); empty: it ended by itself.
        host: the host on which it ran.
        message: more details, in words.
    """

    session: str
    code: int | None
    ended: Literal["", "night", "time", "lost"] = ""
    host: str = ""
    seconds: float = 0.0
    message: str = ""


class Engine(Protocol):
    """Runs sessions and reports when they have ended."""

    def start(self, job: Job, folder: Path) -> None:
        """Start a session; its record will be in `folder` when it has ended.

        Raises:
            InfrastructureError: it cannot be started.
        """

    def wait(self, seconds: float) -> list[Finished]:
        """Wait until a session has ended, at most for `seconds`; returns the sessions that have ended."""

    def stop(self, sessions: Collection[str]) -> None:
        """Ask sessions to end, as Ctrl-C does; returns at once. `wait` reports when they have ended."""

    def absent(self, boards: Iterable[str]) -> set[str]:
        """Those of the boards that cannot be reached now."""

    def close(self) -> None:
        """End all sessions that still run, at once. Safe to call twice."""


def look_until(look: Callable[[], list[Finished]], seconds: float, *, every: float) -> list[Finished]:
    """The first result of `look` that is not empty; empty after `seconds`.

    An engine must poll even if it is notified of a session's end: for time limits, and for hosts that vanish.

    Args:
        look: returns the sessions that have ended; it is called at least once.
        seconds: the longest wait.
        every: seconds between two calls.
    """
    until = time.monotonic() + seconds
    while True:
        found = look()
        left = until - time.monotonic()
        if found or left <= 0:
            return found
        time.sleep(min(every, left))


def session_words(job: Job, run: str, state: str) -> list[str]:
    """The session's arguments, with the folders filled in.

    Args:
        job: the session.
        run: its folder.
        state: the state folder.
    """
    return [word.replace("{run}", run).replace("{state}", state) for word in job.command]
