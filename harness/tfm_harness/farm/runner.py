"""Runs a night: starts the sessions that the state machine chooses, writes the journal, ends sessions in order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tfm_harness.errors import InfrastructureError
from tfm_harness.farm.book import Book
from tfm_harness.farm.collect import collect
from tfm_harness.farm.command import make_job
from tfm_harness.farm.engines.base import Engine, Finished
from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.journal import Journal
from tfm_harness.farm.night import Night
from tfm_harness.farm.tasks import Assignment, PlannedBuild, SessionResult

__all__ = ["Clocks", "EndSignals", "run_night"]

_WAIT: Final = 0.5
_REFRESH: Final = 5.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Two clocks: seconds since 1970, and monotonic seconds."""

    now: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


class EndSignals:
    """SIGINT, SIGTERM and SIGHUP ask for the night's end; they raise nothing, so that no step is cut in two."""

    def __init__(self) -> None:
        self.name = ""
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Install the handlers, in the main thread; a signal that is ignored (nohup, a script's job) stays ignored."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)

    def remove(self) -> None:
        """Restore the former handlers. Safe to call twice."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.name = self.name or signal.Signals(number).name


def run_night(
    night: Night,
    engine: Engine,
    journal: Journal,
    book: Book,
    folder: Path,
    *,
    policy: str = "",
    say: Callable[[str], None] = lambda _: None,
    ended: Callable[[], str] = lambda: "",
    clocks: Clocks = Clocks(),
) -> None:
    """Run all waiting tasks; returns when nothing runs any more.

    Args:
        night: the state machine; resumed or new.
        engine: runs the sessions.
        journal: the open journal, which holds the night's plan.
        book: the memory of nights.
        folder: the night's folder; each session has its folder in it.
        policy: the farm's policy.
        say: gets one line for each event.
        ended: returns the name of a signal that asked for the end; empty without one.
        clocks: the clocks.

    Raises:
        InfrastructureError: kind ``night-write``: events cannot be written; ``session-start``: nothing can be started
            here. Then all sessions are ended.
    """
    work = _Work(night, engine, journal, book, folder, policy, say, clocks, until=clocks.steady() + night.plan.night)
    try:
        work.run(ended)
    finally:
        engine.close()


@dataclass(slots=True)
class _Work:
    night: Night
    engine: Engine
    journal: Journal
    book: Book
    folder: Path
    policy: str
    say: Callable[[str], None]
    clocks: Clocks
    until: float
    refreshed: float = float("-inf")

    def run(self, ended: Callable[[], str]) -> None:
        night = self.night
        while not night.over(self.clocks.now()):
            self._end_where_asked(ended())
            if not night.closed:
                self._refresh()
                for assignment in night.next(self.clocks.now()):
                    self._start(assignment)
            finished = self.engine.wait(_WAIT)
            # A service manager signals sessions and night together: a session ended by it is no failure of the bench.
            self._end_where_asked(ended())
            for one in finished:
                self._take(replace(one, ended=one.ended or "night") if night.closed else one)

    def _end_where_asked(self, signal_name: str) -> None:
        if signal_name:
            self._end(signal_name, "")
        elif self.clocks.steady() >= self.until:
            self._end(f"the night's time was over ({self.night.plan.night:.0f} s)", "configuration")

    def _end(self, why: str, responsibility: str) -> None:
        if self.night.closed:
            return
        self.say(f"{why}: the night ends, boards are being given back")
        self.night.close(why, responsibility=responsibility)
        self.engine.stop(list(self.night.running))

    def _refresh(self) -> None:
        """Take over changes by people and engines."""
        now = self.clocks.steady()
        if now - self.refreshed < _REFRESH:
            return
        self.refreshed = now
        self.night.absent(self.engine.absent(self.night.boards), self.clocks.now())
        for name, health in self.book.health(self.night.boards).items():
            own = self.night.boards[name].health
            if health.since > own.since and (health.state, health.reason) != (own.state, own.reason):
                self.say(f"{name}: {health.state}, says {health.changed_by or 'somebody'}: {health.reason}")
                self.night.set_health(health)

    def _start(self, assignment: Assignment) -> None:
        task = assignment.task
        self.journal.add(assignment)
        what = "golden check" if task.golden else ", ".join(task.suites)
        many = f" ({len(task.only)} tests, {task.why})" if task.only else f" ({task.why})" if task.why else ""
        self.say(f"{assignment.board}: {task.build}: {what}{many}")
        job = make_job(assignment, self.night.plan, policy=self.policy)
        try:
            self.engine.start(job, self.folder / assignment.session)
        except InfrastructureError as error:  # the problem is this host's, and no board's
            error.hint = f"{error.hint or 'mend it'}; then go on with --resume: nothing that ran is lost"
            raise

    def _take(self, finished: Finished) -> None:
        night = self.night
        assignment = night.running[finished.session]
        folder = self.folder / finished.session
        at = self.clocks.now()
        result = replace(collect(assignment, finished, folder, build_of(night, assignment)), at=at)
        before = night.boards[assignment.board].health
        self.journal.add(result)
        night.take(result, at)
        after = night.boards[assignment.board].health
        self._tell(assignment, result, before, after)
        keep(self.book, night, assignment, result, folder, before)

    def _tell(self, assignment: Assignment, result: SessionResult, before: BoardHealth, after: BoardHealth) -> None:
        words = f"{result.trouble}: {result.headline}" if result.trouble else f"{result.verdict}: {result.headline}"
        self.say(f"{assignment.board}: {assignment.task.build}: {words}")
        if after.state != before.state:
            self.say(f"{assignment.board}: {before.state} -> {after.state}: {after.reason}")


def build_of(night: Night, assignment: Assignment) -> PlannedBuild:
    """The build that a session should have run."""
    return night.plan.builds[assignment.task.build]


def keep(
    book: Book, night: Night, assignment: Assignment, result: SessionResult, folder: Path, before: BoardHealth
) -> None:
    """Store a session and its board's new state in the memory; `before` is the board's state before the session.

    Raises:
        InfrastructureError: the memory cannot be written; the text says that the night can be resumed.
    """
    try:
        book.take(night, assignment, result, folder)
        after = night.boards[assignment.board].health
        if after != before:
            book.set_health(after, night.name)
    except InfrastructureError as error:
        error.hint = f"{error.hint or 'make room'}; then go on with --resume: nothing that ran is lost"
        raise
