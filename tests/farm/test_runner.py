"""The loop around the state machine, with an engine and a clock in memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tfm_harness.errors import InfrastructureError
from tfm_harness.farm.book import NoBook
from tfm_harness.farm.engines.base import Finished, Job
from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.journal import Journal, read_journal
from tfm_harness.farm.night import Night
from tfm_harness.farm.resume import replay
from tfm_harness.farm.runner import Clocks, EndSignals, run_night
from tfm_harness.farm.tasks import Assignment, Plan, SessionResult
from tfm_harness.farm.verdict import make_record
from tfm_harness.report.storage import save_run

from tests.farm.farms import BEGAN, night, plan
from tests.farm.test_journal import run_record


@dataclass
class Engine:
    """Each session takes ten seconds of the clock in memory; `outcomes` says what comes of one."""

    outcomes: Callable[[Job], dict[str, str] | None] = lambda _: {"x": "passed"}
    now: float = 0.0
    running: dict[str, tuple[Job, Path, float]] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    refuses: set[str] = field(default_factory=set)
    each_wait: Callable[[], None] = lambda: None
    closed: bool = False

    def start(self, job: Job, folder: Path) -> None:
        self.jobs.append(job)
        if job.board in self.refuses:
            raise InfrastructureError("no", kind="session-start")
        self.running[job.session] = (job, folder, self.now + 10)

    def wait(self, seconds: float) -> list[Finished]:
        self.now += seconds
        self.each_wait()
        found = []
        for name, (job, folder, end) in list(self.running.items()):
            if self.now < end and name not in self.stopped:
                continue
            del self.running[name]
            outcomes = self.outcomes(job)
            cut = name in self.stopped
            if outcomes is not None:
                words = dict.fromkeys(outcomes, "not run") if cut else outcomes
                verdict = "interrupted" if cut else "failed" if "failed" in words.values() else "passed"
                record = run_record(name, job.board, words, verdict, interrupted="SIGINT" if cut else "")
                save_run(record, folder / "run.json")
            found.append(
                Finished(
                    session=name, code=2 if cut else 0 if outcomes else -9, ended="night" if cut else "", seconds=10
                )
            )
        return found

    def stop(self, sessions: Collection[str]) -> None:
        self.stopped.update(sessions)

    def absent(self, boards: Iterable[str]) -> set[str]:
        del boards
        return set()

    def close(self) -> None:
        self.closed = True


class Nightly:
    def __init__(self, folder: Path, planned: Plan, engine: Engine, book: NoBook | None = None) -> None:
        self.engine = engine
        self.book = book or NoBook()
        self.night: Night = night(planned)
        self.folder = folder
        self.said: list[str] = []
        self.signal = ""

    def run(self) -> str:
        journal = Journal(self.folder)
        clocks = Clocks(now=lambda: BEGAN + self.engine.now, steady=lambda: self.engine.now)
        try:
            run_night(
                self.night, self.engine, journal, self.book, self.folder, say=self.said.append,
                ended=lambda: self.signal, clocks=clocks,
            )  # fmt: skip
        finally:
            journal.close()
        return make_record(self.night, farm="f", farm_sha256="", seconds=1.0).verdict


def test_a_whole_night_is_in_the_journal_and_in_the_memory(tmp_path: Path) -> None:
    one = Nightly(tmp_path, plan("a", "b", builds=("1", "2")), Engine())
    assert one.run() == "passed"
    assert one.engine.closed
    assert len(one.book.taken) == 4
    assert {name: health.state for name, health in one.book.boards.items()} == {"a": "Good", "b": "Good"}
    assert (tmp_path / "journal.jsonl").read_text().count('"ended"') == 4


def test_the_nights_time_is_a_limit(tmp_path: Path) -> None:
    planned = replace(plan("a", builds=("1", "2", "3", "4"), at_once=1), night=25.0)
    one = Nightly(tmp_path, planned, Engine())
    assert one.run() == "interrupted"
    assert one.night.closed == "the night's time was over (25 s)"
    assert [never.task.build for never in one.night.not_run] == ["3", "4"]
    assert one.engine.now < 30


def test_a_session_that_ends_together_with_the_night_is_not_the_benchs(tmp_path: Path) -> None:
    engine = Engine(outcomes=lambda job: {"x": "passed"} if job.session.endswith(".golden") else None)
    one = Nightly(tmp_path, plan("a", at_once=1), engine)

    def signalled() -> None:
        if len(engine.jobs) == 2 and engine.now >= 20:
            one.signal = "SIGTERM"

    engine.each_wait = signalled
    assert one.run() == "interrupted"
    assert [ended.result.trouble for ended in one.night.ended] == ["", "night-ended"]
    assert one.night.boards["a"].failed_tonight == 0
    assert one.night.boards["a"].health.state == "Good"


def test_what_ended_early_goes_on_from_its_journal(tmp_path: Path) -> None:
    from tfm_harness.farm.journal import Header
    from tfm_harness.farm.tasks import Times

    planned = plan("a", builds=("1", "2"), at_once=1)
    journal = Journal(tmp_path)
    journal.add(Header(name="N", farm="", began=BEGAN, plan=planned, health={}, times=Times()))
    journal.close()
    engine = Engine(outcomes=lambda _: {"x": "passed", "y": "passed"})
    one = Nightly(tmp_path, planned, engine)

    def signalled() -> None:
        if len(engine.jobs) == 2:
            one.signal = "SIGINT"

    engine.each_wait = signalled
    assert one.run() == "interrupted"
    again, found = replay(read_journal(tmp_path), tmp_path, now=BEGAN + 100)
    assert found == []
    other = Nightly(tmp_path, planned, Engine(now=100.0, outcomes=lambda _: {"x": "passed", "y": "passed"}))
    other.night = again
    assert other.run() == "passed"
    assert [(job.session.split(".")[3], job.only) for job in other.engine.jobs] == [("2", ()), ("1", ("x", "y"))]


def test_where_nothing_can_be_started_the_night_ends_and_no_board_is_condemned(tmp_path: Path) -> None:
    one = Nightly(tmp_path, plan("a", "b"), Engine(refuses={"a"}))
    with pytest.raises(InfrastructureError, match="go on with --resume"):
        one.run()
    assert one.engine.closed
    assert one.night.boards["a"].health.state == "Unknown"


def test_a_check_that_was_killed_once_condemns_no_board_and_twice_it_does(tmp_path: Path) -> None:
    deaths = iter([True])
    one = Nightly(tmp_path / "once", plan("a"), Engine(lambda _: None if next(deaths, False) else {"x": "passed"}))
    assert one.run() == "passed"
    assert one.night.boards["a"].health.state == "Good"
    two = Nightly(tmp_path / "twice", plan("a"), Engine(lambda _: None))
    assert two.run() == "infrastructure"
    assert two.night.boards["a"].health.state == "Bad"
    assert "session-died" in two.night.boards["a"].health.reason
    assert len(two.engine.jobs) == 2


def test_a_person_takes_a_board_out_while_the_night_runs(tmp_path: Path) -> None:
    engine = Engine()
    one = Nightly(tmp_path, plan("a", builds=("1", "2", "3"), at_once=1), engine)

    def person() -> None:
        if len(engine.jobs) == 2:
            since = BEGAN + engine.now
            one.book.boards["a"] = BoardHealth(
                name="a", state="Maintenance", reason="fan", since=since, changed_by="me"
            )

    engine.each_wait = person
    assert one.run() == "infrastructure"
    assert any("a: Maintenance, says me: fan" in line for line in one.said)
    assert ["fan" in never.why for never in one.night.not_run] == [True, True]


@pytest.mark.parametrize("ignored", [False, True])
def test_a_signal_asks_for_the_end_unless_whoever_started_the_night_has_it_ignored(ignored: bool) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    signals = EndSignals()
    try:
        signals.install()
        os.kill(os.getpid(), signal.SIGHUP if ignored else signal.SIGTERM)
        assert signals.name == ("" if ignored else "SIGTERM")
        if not ignored:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.name == "SIGTERM"  # the first one counts
    finally:
        signals.remove()
        signal.signal(signal.SIGHUP, before)


class BrokenBook(NoBook):
    def take(self, night: Night, assignment: Assignment, result: SessionResult, folder: Path) -> None:
        raise InfrastructureError("the store cannot be used", kind="store-failed", hint="make room")


def test_a_memory_that_fails_ends_the_night_with_nothing_lost_and_nothing_left_running(tmp_path: Path) -> None:
    one = Nightly(tmp_path, plan("a", "b"), Engine(), BrokenBook())
    with pytest.raises(InfrastructureError, match="go on with --resume: nothing that ran is lost"):
        one.run()
    assert one.engine.closed
    assert '"ended"' in (tmp_path / "journal.jsonl").read_text()
