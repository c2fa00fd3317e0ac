"""What a night keeps in the store, and what it takes from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.night import Night
from tfm_harness.farm.store_book import StoreBook, session_times
from tfm_harness.farm.tasks import Times
from tfm_harness.history.database import Database
from tfm_harness.history.health import set_health
from tfm_harness.history.queries import Memory
from tfm_harness.report.storage import save_run

from tests.farm.farms import BEGAN, night, passed, plan, play, silent
from tests.farm.test_journal import run_record


@pytest.fixture
def book(tmp_path: Path) -> Iterator[StoreBook]:
    made = StoreBook(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield made
    made.close()


def lived(tmp_path: Path) -> Night:
    """Board `a` is Bad, the first session on `b` left no record."""
    one = night(plan("a", "b", each=True), BoardHealth(name="a", state="Bad", reason="cable"))

    def answer(session: object, _: int) -> object:
        made = passed(session) if session.task.golden or session.task.tried else silent(session)  # type: ignore[attr-defined, arg-type]
        if made.record:
            started = f"2026-11-28T22:00:{len(list(tmp_path.glob('N.*'))):02d}+00:00"
            record = run_record(made.session, made.board, {"x": "passed"}, started=started)
            save_run(record, tmp_path / made.session / "run.json")
        return replace(made, at=BEGAN + 100 + len(one.ended))

    play(one, answer)  # type: ignore[arg-type]
    return one


def test_sessions_with_and_without_a_record_and_what_never_ran(book: StoreBook, tmp_path: Path) -> None:
    one = lived(tmp_path)
    for _ in range(2):  # a resumed night says it all again
        book.begin(one, "farm")
        for ended in one.ended:
            book.take(one, ended.assignment, ended.result, tmp_path / ended.result.session)
        book.end(one, "farm", "infrastructure")
    with Database(book.url) as database:
        rows = Memory(database).sessions("N")
        (seen,) = Memory(database).nights()
    assert seen.runs == sum(bool(ended.result.record) for ended in one.ended) == 3
    assert [(row["key"], row["number"], row["board"], row["state"], bool(row["run_id"])) for row in rows] == [
        ("hall fw a", 1, "a", "never ran", False),
        ("hall fw b", 1, "b", "session-died", False),
        ("hall fw b", 2, "b", "passed", True),
        ("hall gold b golden", 1, "b", "passed", True),
        ("hall gold b golden", 2, "b", "passed", True),
    ]
    assert "cable" in rows[0]["reason"]
    assert "signal 9" in rows[1]["reason"]
    assert {row["combination"] for row in rows} == {"a|b+fw", "a|b+gold"}


def test_health_comes_back_as_it_was_kept(book: StoreBook) -> None:
    for health in (
        BoardHealth(name="a", state="Good", reason="the golden build passed", since=BEGAN, checked=BEGAN + 5),
        BoardHealth(name="b", state="Bad", reason="cable", since=BEGAN + 7, checked=BEGAN, changed_by="N"),
        BoardHealth(name="c", state="Unknown", reason="the bench failed: x", since=BEGAN + 9),
    ):
        book.set_health(health, "N")
    found = book.health(["a", "b", "c", "nobody"])
    assert {name: (one.state, one.reason) for name, one in found.items()} == {
        "a": ("Good", "the golden build passed"), "b": ("Bad", "cable"), "c": ("Unknown", "the bench failed: x"),
    }  # fmt: skip
    assert found["a"].checked == pytest.approx(BEGAN + 5)
    assert found["b"].since == pytest.approx(BEGAN + 7)


def test_a_person_is_seen(book: StoreBook) -> None:
    book.set_health(BoardHealth(name="a", state="Bad", reason="cable", since=BEGAN), "N")
    with Database(book.url) as database:
        set_health(database, "a", "unknown", reason="new cable", by="me")
    now = book.health(["a"])["a"]
    assert (now.state, now.reason, now.changed_by) == ("Unknown", "new cable", "me")
    assert now.since > BEGAN


def test_a_board_of_which_nobody_said_anything_is_not_told(book: StoreBook, tmp_path: Path) -> None:
    one = lived(tmp_path)
    book.begin(one, "farm")
    for ended in one.ended:
        book.take(one, ended.assignment, ended.result, tmp_path / ended.result.session)
    assert book.health(["b"]) == {}


def test_times_of_sessions_from_times_of_suites() -> None:
    planned = plan("a", "b")
    taken = {
        "a|b+fw": {"mine": 30.0, "": 5.0},
        "a|b+gold": {"boot": 4.0, "": 5.0},
        "a|b+old": {"mine": 10.0, "": 5.0},
        "other+fw": {"mine": 999.0},
    }
    found = Times(sessions=session_times(taken, planned.pools.values()))
    assert found.expected("hall", "fw", golden=False) == 35.0
    assert found.expected("hall", "gold", golden=True) == 9.0
    assert found.expected("hall", "new", golden=False) == 15.0  # the median of what was seen there
    assert found.expected("other", "fw", golden=False) is None
