"""A board's state: the whole table of what a check and a session may change."""

from __future__ import annotations

import pytest
from tfm_harness.farm.health import (
    STATES,
    BoardHealth,
    State,
    after_check,
    after_session,
    check_due,
    may_check,
    may_run,
)


def board(state: State, checked: float | None = None, since: float = 1.0) -> BoardHealth:
    return BoardHealth(name="b", state=state, reason="before", since=since, checked=checked)


@pytest.mark.parametrize(
    ("state", "passed", "failed"),
    [
        ("Good", "Good", "Bad"),
        ("Unknown", "Good", "Bad"),
        ("Looping", "Looping", "Looping"),
        ("Bad", "Bad", "Bad"),
        ("Maintenance", "Maintenance", "Maintenance"),
        ("Retired", "Retired", "Retired"),
    ],
)
def test_what_a_check_makes_of_each_state(state: State, passed: State, failed: State) -> None:
    for check, expected in (("passed", passed), ("failed", failed), ("undecided", state)):
        after = after_check(board(state), check, now=9.0, reason="the cable", by="N")  # type: ignore[arg-type]
        assert after.state == expected
        if expected != state:
            assert (after.since, after.changed_by) == (9.0, "N")
        if expected == "Bad" and state != "Bad":
            assert after.reason == "the cable"


def test_only_a_person_brings_a_bad_board_back() -> None:
    assert after_check(board("Bad"), "passed", now=9.0, reason="", by="N").state == "Bad"
    assert not may_check("Bad")


def test_who_may_do_what() -> None:
    assert [state for state in STATES if may_run(state)] == ["Good", "Unknown"]
    assert [state for state in STATES if may_check(state)] == ["Good", "Unknown", "Looping"]


@pytest.mark.parametrize(
    ("state", "checked", "every", "due"),
    [
        ("Good", 99.0, 0.0, True),  # of the night before
        ("Good", 101.0, 0.0, False),
        ("Good", None, 0.0, True),
        ("Good", 99.0, 50.0, False),
        ("Good", 60.0, 50.0, True),
        ("Good", 500.0, 50.0, True),  # of the future: a clock was set back
        ("Unknown", 101.0, 0.0, True),
        ("Looping", 101.0, 50.0, True),
    ],
)
def test_when_a_check_is_due(state: State, checked: float | None, every: float, due: bool) -> None:
    assert check_due(board(state, checked), began=100.0, now=110.0, every=every) is due


@pytest.mark.parametrize("state", STATES)
def test_after_a_bench_failure_a_good_board_must_prove_itself_again(state: State) -> None:
    assert after_session(board(state), "", now=9.0, by="N") == board(state)
    after = after_session(board(state), "console-closed", now=9.0, by="N")
    assert after.state == ("Unknown" if state == "Good" else state)
    if state == "Good":
        assert "console-closed" in after.reason
        assert check_due(after, began=0.0, now=9.0, every=1e9)


def test_a_good_board_that_passes_again_is_as_long_good_as_it_is() -> None:
    after = after_check(board("Good", checked=2.0), "passed", now=9.0, reason="", by="N")
    assert (after.since, after.checked) == (1.0, 9.0)


def test_the_words_are_the_stores() -> None:
    from tfm_harness.history.health import HEALTH, RUNS_NOTHING

    assert HEALTH == STATES
    assert {state for state in STATES if not may_check(state)} == RUNS_NOTHING
