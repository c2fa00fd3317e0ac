"""The journal and what goes on from it: nothing runs twice, nothing is forgotten, damage is told."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.errors import ConfigError
from tfm_harness.farm.collect import collect
from tfm_harness.farm.engines.base import Finished
from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.journal import NAME, Event, Header, Journal, Resumed, parts, read_journal
from tfm_harness.farm.night import Ended, Night
from tfm_harness.farm.resume import PROOF_LASTS, newest_night, replay
from tfm_harness.farm.tasks import Assignment, Plan, PlannedBuild, SessionResult, Times
from tfm_harness.report.record import CombinationEntry, FileEntry, RunRecord, TestEntry
from tfm_harness.report.storage import save_run

from tests.farm.farms import BEGAN, night, plan, play, where


def run_record(name: str, board: str, outcomes: dict[str, str], verdict: str = "passed", **more: object) -> RunRecord:
    tests = tuple(
        TestEntry(
            nodeid=test, board=board, outcome=outcome, combination="hall+fw",  # type: ignore[arg-type]
            responsibility={"failed": "product", "error": "infrastructure"}.get(outcome, ""),  # type: ignore[arg-type]
            message="the run ended before this test" if outcome == "not run" else "",
        )
        for test, outcome in outcomes.items()
    )  # fmt: skip
    return replace(RunRecord(name=name, verdict=verdict, tests=tests), **more)  # type: ignore[arg-type]


class Lived:
    """A night that really writes its journal and its sessions' records."""

    def __init__(self, folder: Path, planned: Plan) -> None:
        self.folder = folder
        self.night = night(planned)
        self.journal = Journal(folder)
        header = Header(name="N", farm="0" * 64, began=BEGAN, plan=planned, health={}, times=Times())
        self.journal.add(header)

    def start(self) -> list[Assignment]:
        started = self.night.next(BEGAN + 10)
        for one in started:
            self.journal.add(one)
        return started

    def end(self, one: Assignment, outcomes: dict[str, str], verdict: str = "passed", *, told: bool = True) -> None:
        save_run(run_record(one.session, one.board, outcomes, verdict), self.folder / one.session / "run.json")
        found = collect(
            one, Finished(session=one.session, code=0), self.folder / one.session, PlannedBuild(name="x", source="x")
        )
        if told:
            self.journal.add(replace(found, at=BEGAN + 5))
            self.night.take(found, BEGAN + 5)

    def again(self, now: float = BEGAN + 60) -> tuple[Night, list[Ended]]:
        self.journal.close()
        return replay(read_journal(self.folder), self.folder, now=now)

    def go_on(self) -> None:
        """Killed, and gone on with, as the command does it."""
        self.night, found = self.again()
        self.journal = Journal(self.folder)
        for one in found:
            self.journal.add(one.result)


def test_a_night_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    lived = Lived(tmp_path, plan("a", "b", builds=("1", "2", "3"), at_once=1))
    (check,) = lived.start()
    lived.end(check, {"boot": "passed"})
    (first,) = lived.start()
    lived.end(first, {"x": "passed", "y": "failed"}, "failed")
    (second,) = lived.start()  # killed meanwhile
    one, found = lived.again()
    assert found == []
    assert one.boards[check.board].health.state == "Good"
    assert [s.task.build for s in [second]] == ["2"]
    started = play(one)
    assert [(s.task.build, s.task.only) for s in started if not s.task.golden] == [
        ("2", ()), ("3", ()), ("1", ("y",)),
    ]  # fmt: skip
    assert not {s.session for s in started} & {check.session, first.session, second.session}
    assert [each.outcome for each in one.attempts["hall", "1", ""]["x"]] == ["passed"]


def test_a_session_that_had_ended_unseen_is_taken_and_not_run_again(tmp_path: Path) -> None:
    lived = Lived(tmp_path, plan("a", at_once=1))
    (check,) = lived.start()
    lived.end(check, {"boot": "passed"})
    (first,) = lived.start()
    lived.end(first, {"x": "passed"}, told=False)
    one, found = lived.again()
    assert [one.result.session for one in found] == [first.session]
    assert where(play(one)) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_night_that_is_killed_at_any_moment_again_and_again_runs_everything_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    builds = ("1", "2", "3", "4")
    lived = Lived(tmp_path, plan("a", "b", builds=builds, at_once=2))
    for _ in range(400):
        lived.start()
        killed = chance.random() < 0.4
        for one in list(lived.night.running.values()):
            if chance.random() < 0.3:
                tests = {"boot": "passed"} if one.task.golden else {"x": "passed", "y": "passed"}
                lived.end(one, tests, told=not killed or chance.random() < 0.5)
        if killed:
            lived.go_on()
        if lived.night.over(BEGAN + 10):
            break
    assert lived.night.over(BEGAN + 10)
    for build in builds:
        seen = lived.night.attempts["hall", build, ""]
        assert {test: [one.outcome for one in tries] for test, tries in seen.items()} == {
            "x": ["passed"], "y": ["passed"],
        }  # fmt: skip
    names = [each.assignment.session for each in lived.night.ended]
    assert len(set(names)) == len(names)


def test_a_check_of_long_ago_proves_nothing_in_a_resumed_night(tmp_path: Path) -> None:
    lived = Lived(tmp_path, plan("a", at_once=1))
    (check,) = lived.start()
    lived.end(check, {"boot": "passed"})
    one, _ = lived.again(now=BEGAN + 6 + PROOF_LASTS)
    assert [s.task.golden for s in one.next(BEGAN + 10 + PROOF_LASTS)] == [True]


def test_a_line_that_was_not_written_whole_is_dropped_and_written_over(tmp_path: Path) -> None:
    lived = Lived(tmp_path, plan("a", at_once=1))
    (check,) = lived.start()
    lived.journal.close()
    path = tmp_path / NAME
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"started": {"session": "N.0')
    assert len(read_journal(tmp_path)) == 2
    journal = Journal(tmp_path)
    journal.add(SessionResult(session=check.session, board="a", verdict="passed"))
    journal.close()
    assert path.read_bytes().startswith(whole + b'{"ended"')
    assert len(read_journal(tmp_path)) == 3


@pytest.mark.parametrize("damage", range(0, 2000, 37))
def test_a_changed_byte_is_an_error_or_changes_no_meaning(tmp_path: Path, damage: int) -> None:
    lived = Lived(tmp_path, plan("a", at_once=1))
    (check,) = lived.start()
    lived.end(check, {"boot": "passed"})
    lived.journal.close()
    path = tmp_path / NAME
    data = bytearray(path.read_bytes())
    data[damage % len(data)] ^= 0x01
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        replay(read_journal(tmp_path), tmp_path, now=BEGAN)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not begin with the night's plan"),
        ("{}\n", "journal.jsonl:1"),
        ("[1]\n", "journal.jsonl:1"),
        ('{"ended": {"session": "s", "board": "b"}}\n', "does not begin"),
        ('{"schema": "tfm-harness-night-journal/9", "night": {}}\n', "this version writes"),
        ("nonsense\n", "journal.jsonl:1"),
    ],
)
def test_what_is_no_journal(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_journal(tmp_path)
    assert caught.value.kind == "night-journal"
    assert words in str(caught.value)


def test_an_end_without_a_beginning_contradicts_itself(tmp_path: Path) -> None:
    lived = Lived(tmp_path, plan("a"))
    lived.journal.add(SessionResult(session="nobody", board="a", verdict="passed"))
    with pytest.raises(ConfigError, match="contradicts itself"):
        lived.again()


def test_a_record_that_somebody_changed_is_not_taken(tmp_path: Path) -> None:
    lived = Lived(tmp_path, plan("a", at_once=1))
    (check,) = lived.start()
    lived.end(check, {"boot": "passed"})
    record = tmp_path / check.session / "run.json"
    record.write_text(record.read_text().replace("passed", "failed"))
    with pytest.raises(ConfigError, match="is not what it was"):
        lived.again()
    record.unlink()
    with pytest.raises(ConfigError, match="is not what it was"):
        lived.again()


def test_a_night_knows_how_often_it_was_killed_and_how_long_its_parts_were() -> None:
    planned = plan("a")
    begins = Header(name="N", farm="0" * 64, began=100.0, plan=planned, health={}, times=Times())
    ended = [SessionResult(session="s", board="a", at=at) for at in (110.0, 130.0, 1_007.0, 5_001.0)]
    assert parts([begins]) == (0.0, 0)
    assert parts([begins, *ended[:2]]) == (30.0, 0)
    again: list[Event] = [Resumed(at=1_000.0), ended[2]]
    assert parts([begins, *ended[:2], *again]) == (37.0, 1)
    assert parts([begins, *ended[:2], *again, Resumed(at=4_000.0), Resumed(at=5_000.0), ended[3]]) == (38.0, 3)


def test_which_night_is_the_newest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no night to go on with"):
        newest_night(tmp_path)
    for name in ("2026-01-02_22-00-00", "2026-01-10_22-00-00"):
        Journal(tmp_path / name).close()
    assert newest_night(tmp_path).name == "2026-01-10_22-00-00"


ONE = Assignment(session="N.001.a.fw", task=plan("a").tasks[0], board="a")
FILES = {"build": "aa", "images.0.file": "bb"}
BUILD = PlannedBuild(name="fw", source="fw", files=FILES)


def of_files(files: dict[str, str]) -> tuple[CombinationEntry, ...]:
    entries = [FileEntry(role="image", name=name, path=name, sha256=digest, bytes=1) for name, digest in files.items()]
    entries.append(FileEntry(role="target", name="target", path="t", sha256="any", bytes=1))
    return (CombinationEntry(name="hall+fw", files=tuple(entries)),)


def ended(folder: Path, record: RunRecord | None, **how: object) -> SessionResult:
    if record is not None:
        save_run(record, folder / "run.json")
    return collect(ONE, replace(Finished(session=ONE.session, code=0), **how), folder, BUILD)  # type: ignore[arg-type]


def test_a_whole_record(tmp_path: Path) -> None:
    record = run_record(ONE.session, "a", {"x": "passed", "y": "failed"}, "failed", combinations=of_files(FILES))
    found = ended(tmp_path / "s", record, code=1, host="bench-3", seconds=7.5)
    assert (found.verdict, found.trouble, found.host, found.seconds) == ("failed", "", "bench-3", 7.5)
    assert found.record == "s/run.json"
    assert found.sha256 == hashlib.sha256((tmp_path / "s" / "run.json").read_bytes()).hexdigest()
    assert found.attempts["y"].products


@pytest.mark.parametrize(
    "files",
    [{**FILES, "images.0.file": "cc"}, {"build": "aa"}, {**FILES, "images.1.file": "dd"}],
    ids=["changed", "missing", "added"],
)
def test_a_build_that_is_not_the_planned_one_proves_nothing(tmp_path: Path, files: dict[str, str]) -> None:
    found = ended(tmp_path, run_record(ONE.session, "a", {"x": "passed"}, combinations=of_files(files)))
    assert (found.trouble, found.responsibility) == ("build-changed", "configuration")
    assert not found.attempts
    assert "was changed" in found.headline


@pytest.mark.parametrize(
    ("how", "trouble", "whose"),
    [
        ({"code": -9}, "session-died", "infrastructure"),
        ({"code": 137}, "session-died", "infrastructure"),
        ({"code": None}, "session-died", "infrastructure"),
        ({"code": 10}, "session-died", "infrastructure"),
        ({"code": 4}, "session-refused", "configuration"),
        ({"code": 3}, "session-bug", "harness"),
        ({"code": 0}, "session-bug", "harness"),
        ({"code": 1}, "session-bug", "harness"),
        ({"code": -9, "ended": "time"}, "session-time", "infrastructure"),
        ({"code": None, "ended": "lost"}, "worker-lost", "infrastructure"),
        ({"code": -9, "ended": "night"}, "night-ended", ""),
    ],
)
def test_a_session_without_a_record_says_whose_fault_it_is(
    tmp_path: Path, how: dict[str, object], trouble: str, whose: str
) -> None:
    (tmp_path / "output.txt").write_text("=====\nfirst\n\x1b[31mlast words\n")
    found = ended(tmp_path, None, **how)
    assert (found.trouble, found.responsibility) == (trouble, whose)
    assert "last words" in found.headline
    assert not found.record


def test_damaged_records_are_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": "tfm-harness-run/2", "name": "x"')
    assert ended(tmp_path, None, code=0).trouble == "session-bug"


def test_how_a_record_of_an_ended_session_is_taken(tmp_path: Path) -> None:
    cut = run_record(
        ONE.session,
        "a",
        {"x": "passed", "y": "not run"},
        "interrupted",
        combinations=of_files(FILES),
        interrupted="SIGINT",
    )
    assert ended(tmp_path, cut, ended="night").trouble == "night-ended"
    assert ended(tmp_path, cut, ended="night").attempts["y"].kind == "night-ended"
    assert ended(tmp_path, cut, ended="time").trouble == "session-time"
    broken = replace(cut, interrupted="")  # pytest could not collect
    assert (ended(tmp_path, broken).trouble, ended(tmp_path, broken).responsibility) == (
        "session-refused",
        "configuration",
    )
    assert ended(tmp_path, cut).trouble == "session-ended"
    whole = run_record(ONE.session, "a", {"x": "passed"}, combinations=of_files(FILES))
    assert ended(tmp_path, whole, ended="night").trouble == ""


def test_health_goes_through_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    health = {"a": BoardHealth(name="a", state="Bad", reason="cable", since=1.5, checked=None)}
    header = Header(
        name="N",
        farm="f",
        began=BEGAN,
        plan=plan("a"),
        health=health,
        times=Times(sessions={Times.key("p", "b", golden=True): 1.0}),
    )
    journal.add(header)
    journal.close()
    assert read_journal(tmp_path) == [header]
    assert json.loads((tmp_path / NAME).read_text())["schema"] == "tfm-harness-night-journal/1"
