"""What runs sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["Engine", "Finished", "Job", "look_until", "session_words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A session as an engine gets it; everything in it is plain, so that it can travel.

    Attributes:
        session: its name, also that of its folder.
        board: the board that it takes.
        command: module and arguments behind ``python -m``; ``{run}`` stands for the session's folder, ``{state}`` for
            the state folder (empty: the user's own).
        only: node ids of the tests, one a line of ``{run}/only.txt``; empty: all.
        seconds: after so long it is ended.
    """

    session: str
    board: str
    command: tuple[str, ...]
    only: tuple[str, ...] = ()
    seconds: float = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a session's process ended.

    Attributes:
        code: its exit status; negative: the signal that ended it; None: nobody knows.
        ended: why it was ended: by the night (``night``), for its time (``time``), or because what ran it is lost
            (``lost``); empty: by itself.
        host: where it ran.
        message: more, in words.
    """

    session: str
    code: int | None
    ended: Literal["", "night", "time", "lost"] = ""
    host: str = ""
    seconds: float = 0.0
    message: str = ""


class Engine(Protocol):
    """Runs sessions and tells when they have ended."""

    def start(self, job: Job, folder: Path) -> None:
        """Begin a session; its record will be in `folder` when it has ended.

        Raises:
            InfrastructureError: it cannot be started.
        """

    def wait(self, seconds: float) -> list[Finished]:
        """Sessions that have ended; returns at the first one, at the latest after `seconds`."""

    def stop(self, sessions: Collection[str]) -> None:
        """End sessions as Ctrl-C does; `wait` tells when they have ended. Returns at once."""

    def absent(self, boards: Iterable[str]) -> set[str]:
        """Which of the boards cannot be reached now."""

    def close(self) -> None:
        """End what still runs, at once. Safe to call twice."""


def look_until(look: Callable[[], list[Finished]], seconds: float, *, every: float) -> list[Finished]:
    """What `look` finds first; nothing after `seconds`.

    An engine has to look even where a session's end would be told: for limits of sessions, and for hosts that vanish.

    Args:
        look: tells which sessions have ended; called once at least.
        seconds: the longest wait.
        every: seconds between two looks.
    """
    until = time.monotonic() + seconds
    while True:
        found = look()
        left = until - time.monotonic()
        if found or left <= 0:
            return found
        time.sleep(min(every, left))


def session_words(job: Job, run: str, state: str) -> list[str]:
    """The session's arguments with their folders.

    Args:
        job: the session.
        run: its folder.
        state: the state folder.
    """
    return [word.replace("{run}", run).replace("{state}", state) for word in job.command]
