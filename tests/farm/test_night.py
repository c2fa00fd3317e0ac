"""The night as a state machine, on farms made in code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tfm_harness.farm.health import BoardHealth, State
from tfm_harness.farm.night import BUSY_PAUSE, Night
from tfm_harness.farm.simulate import simulate
from tfm_harness.farm.tasks import Assignment, SessionResult
from tfm_harness.farm.tries import judge
from tfm_harness.farm.verdict import make_record
from tfm_harness.farm.words import plan_words

from tests.farm.farms import (
    BEGAN,
    bench_fails,
    night,
    passed,
    plan,
    play,
    product_fails,
    result,
    silent,
    where,
)


def verdict(one: Night, *, flaky_fails: bool = True) -> str:
    return make_record(one, farm="farm", farm_sha256="", seconds=1.0, flaky_fails=flaky_fails).verdict


def test_the_golden_build_comes_before_anything_else_on_every_board() -> None:
    started = play(night(plan("a", "b", builds=("fw", "fw2"), each=True)))
    for board in ("a", "b"):
        assert [one.task.golden for one in started if one.board == board] == [True, False, False]
    assert len({one.session for one in started}) == len(started)


def test_a_pool_runs_each_build_once_and_checks_every_board_once() -> None:
    one = night(plan("a", "b", "c", builds=("fw",)))
    started = play(one)
    assert len(where(started)) == 1
    assert sorted(board for build, board in where(started, golden_too=True) if build == "gold") == ["a", "b", "c"]
    assert verdict(one) == "passed"


def test_a_board_proved_of_late_is_not_checked_again() -> None:
    known = BoardHealth(name="a", state="Good", checked=BEGAN - 50.0)
    assert [one.task.golden for one in play(night(plan("a", every=100.0), known))] == [False]
    assert [one.task.golden for one in play(night(plan("a", every=40.0), known))] == [True, False]
    assert [one.task.golden for one in play(night(plan("a"), known))] == [True, False]


def test_a_board_on_which_the_golden_build_fails_is_bad_and_runs_nothing() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        return product_fails(one, "test_one") if one.task.golden and one.board == "a" else passed(one)

    one = night(plan("a", "b", builds=("fw", "fw2")))
    started = play(one, answer)
    assert where(started) == [("fw", "b"), ("fw2", "b")]
    assert one.boards["a"].health.state == "Bad"
    assert "test_one failed" in one.boards["a"].health.reason
    assert verdict(one) == "passed"


@pytest.mark.parametrize("state", ["Bad", "Maintenance", "Retired", "Looping"])
def test_no_build_comes_onto_a_board_that_is_out_and_its_reason_is_told(state: State) -> None:
    one = night(plan("a", each=True), BoardHealth(name="a", state=state, reason="the cable is broken"))
    started = play(one)
    assert where(started) == []
    assert bool(started) == (state == "Looping")
    assert one.boards["a"].health.state == state
    (never,) = one.not_run
    assert state in never.why
    assert "the cable is broken" in never.why
    assert verdict(one) == "infrastructure"


def test_a_looping_board_is_checked_again_and_again_while_there_is_work() -> None:
    one = night(plan("a", "b", builds=("1", "2", "3", "4"), loops=3), BoardHealth(name="a", state="Looping"))
    started = play(one, lambda s, _: product_fails(s, "test_one") if s.board == "a" else passed(s))
    assert [s.board for s in started if s.task.golden].count("a") == 3
    assert one.boards["a"].health.state == "Looping"
    assert {board for _, board in where(started)} == {"b"}


def test_the_least_failed_board_goes_first() -> None:
    good = [BoardHealth(name=name, state="Good", checked=BEGAN) for name in "abc"]
    one = night(plan("a", "b", "c"), *good, failures={"a": 5, "b": 1, "c": 2})
    assert where(play(one)) == [("fw", "b")]


def test_of_equal_boards_the_one_that_did_least_goes_first() -> None:
    good = [BoardHealth(name=name, state="Good", checked=BEGAN) for name in "ab"]
    started = play(night(plan("a", "b", builds=("1", "2", "3", "4"), at_once=1), *good))
    assert [board for _, board in where(started)] == ["a", "b", "a", "b"]


def test_tests_that_never_ran_are_no_pass() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        if one.task.golden:
            return passed(one)
        cut = {"test_one": ("passed", "", ""), "test_two": ("not run", "", "")}
        ran = {name: words for name, words in cut.items() if name in (one.task.only or cut)}
        return result(one, "interrupted", ran, trouble="session-time", responsibility="infrastructure")

    one = night(plan("a", "b", "c", "d"))
    assert len(where(play(one, answer))) == 3
    assert verdict(one) == "infrastructure"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("failed", "failed"), ("configuration", "configuration"), ("harness", "harness"), ("test", "test"),
        ("interrupted", "infrastructure"), ("too little proved", "nothing proved"),
        ("nothing proved", "nothing proved"), ("passed", "passed"),
    ],
)  # fmt: skip
def test_a_session_that_did_not_pass_is_no_pass_though_all_of_its_tests_did(word: str, expected: str) -> None:
    one = night(plan("a"))
    play(one, lambda s, _: passed(s) if s.task.golden else replace(passed(s), verdict=word))
    assert verdict(one) == expected


def test_what_was_left_out_on_purpose_is_counted_and_not_listed() -> None:
    thorough = ("not run", "", "")

    def answer(one: Assignment, _: int) -> SessionResult:
        if one.task.golden:
            return passed(one)
        made = result(one, "passed", {"test_one": ("passed", "", ""), "test_two": thorough})
        left_out = replace(made.attempts["test_two"], message="not run: thorough, and the run was asked to be quick")
        return replace(made, attempts={**made.attempts, "test_two": left_out})

    one = night(plan("a", "b"))
    assert len(where(play(one, answer))) == 1
    record = make_record(one, farm="f", farm_sha256="", seconds=1.0)
    assert record.tests == ()
    assert dict(record.counts[0].outcomes) == {"passed": 1, "not run": 1}
    assert record.verdict == "passed"


def test_the_benchs_failure_is_tried_again_on_another_board() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        return bench_fails(one) if not one.task.golden and one.board == "a" else passed(one)

    one = night(plan("a", "b"))
    started = play(one, answer)
    assert where(started) == [("fw", "a"), ("fw", "b")]
    again = [s for s in started if s.task.tried]
    assert again[0].task.only == ("test_one", "test_two")
    assert all(judge(tries).outcome == "passed" for tries in one.attempts["hall", "fw", ""].values())
    assert one.boards["a"].failed_tonight == 1
    assert verdict(one) == "passed"


def test_a_board_on_which_the_bench_failed_is_proved_again_before_it_is_used() -> None:
    fails = iter([True])

    def answer(one: Assignment, _: int) -> SessionResult:
        return bench_fails(one) if not one.task.golden and next(fails, False) else passed(one)

    started = play(night(plan("a", builds=("fw", "fw2"))), answer)
    assert [(s.task.build, s.task.tried) for s in started] == [
        ("gold", 0), ("fw", 0), ("gold", 0), ("fw2", 0), ("fw", 1),
    ]  # fmt: skip


def test_a_failure_of_the_product_runs_once_more_elsewhere_and_both_fail() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        return passed(one) if one.task.golden else product_fails(one, "test_two")

    one = night(plan("a", "b", "c"))
    started = play(one, answer)
    assert [s.task.only for s in started if not s.task.golden] == [(), ("test_two",)]
    assert len({s.board for s in started if not s.task.golden}) == 2
    judged = judge(one.attempts["hall", "fw", ""]["test_two"])
    assert judged.confirmed
    assert verdict(one) == "failed"


def test_a_flake_is_no_fact_and_never_hidden() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        return passed(one) if one.task.golden or one.task.tried else product_fails(one, "test_two")

    one = night(plan("a", "b"))
    play(one, answer)
    assert judge(one.attempts["hall", "fw", ""]["test_two"]).outcome == "flaky"
    assert verdict(one) == "flaky"
    assert verdict(one, flaky_fails=False) == "passed"
    (test,) = make_record(one, farm="f", farm_sha256="", seconds=1.0).tests
    assert [(each.outcome, each.board) for each in test.tries] == [("failed", "a"), ("passed", "b")]


def test_without_another_board_the_same_one_is_used() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        return passed(one) if one.task.golden else product_fails(one, "test_two")

    one = night(plan("a"))
    assert where(play(one, answer)) == [("fw", "a"), ("fw", "a")]
    judged = judge(one.attempts["hall", "fw", ""]["test_two"])
    assert (judged.confirmed, judged.boards) == (True, ("a",))


def test_a_further_try_that_has_no_board_leaves_what_came_before() -> None:
    def answer(one: Assignment, number: int) -> SessionResult:
        if one.task.golden:
            return passed(one) if number == 0 else product_fails(one, "test_one")
        return bench_fails(one)

    one = night(plan("a"))
    play(one, answer)
    assert one.boards["a"].health.state == "Bad"
    assert verdict(one) == "infrastructure"
    assert one.not_run == []


def test_tries_end() -> None:
    one = night(plan("a", "b", "c", "d", tries=3))
    started = play(one, lambda s, _: passed(s) if s.task.golden else bench_fails(s))
    assert len(where(started)) == 3
    assert verdict(one) == "infrastructure"


def test_a_session_without_a_record_runs_elsewhere_and_ends_too() -> None:
    one = night(plan("a", "b", "c", "d", tries=2))
    started = play(one, lambda s, _: passed(s) if s.task.golden else silent(s))
    assert len({board for _, board in where(started)}) == len(where(started)) == 2
    assert verdict(one) == "infrastructure"


@pytest.mark.parametrize(("whose", "word"), [("harness", "harness"), ("configuration", "configuration")])
def test_what_is_nobodys_bench_is_not_tried_again(whose: str, word: str) -> None:
    one = night(plan("a", "b"))
    started = play(one, lambda s, _: passed(s) if s.task.golden else silent(s, "session-refused", whose))
    assert len(where(started)) == 1
    assert verdict(one) == word
    assert one.boards["a"].failed_tonight == 0


@pytest.mark.parametrize("word", ["nothing proved", "configuration", "harness", "too little proved"])
def test_a_golden_build_that_cannot_say_condemns_no_board_and_proves_none(word: str) -> None:
    one = night(plan("a"))
    started = play(one, lambda s, _: result(s, word, {}) if s.task.golden else passed(s))
    assert where(started) == []
    assert one.boards["a"].health.state == "Unknown"
    assert "the golden build could not" in one.not_run[0].why
    assert verdict(one) == "infrastructure"


def test_a_board_that_somebody_else_holds_is_left_alone_and_not_condemned() -> None:
    one = night(plan("a", "b"))
    started = play(one, lambda s, _: bench_fails(s, "board-busy") if s.board == "a" else passed(s))
    assert where(started) == [("fw", "b")]
    assert one.boards["a"].health.state == "Unknown"
    assert [s.board for s in started].count("a") == 1


def test_a_busy_board_that_is_alone_is_waited_for_and_at_last_given_up() -> None:
    one = night(plan("a"))
    started = play(one, lambda s, _: bench_fails(s, "board-busy"))
    assert len(started) == 3
    assert one.boards["a"].away == "in use by somebody else"
    assert "in use" in one.not_run[0].why
    freed = night(plan("a"))
    started = play(freed, lambda s, n: bench_fails(s, "board-busy") if n == 0 else passed(s))
    assert where(started) == [("fw", "a")]
    assert freed.boards["a"].busy_until == BEGAN + 10.0 + BUSY_PAUSE


def test_no_more_sessions_at_a_time_than_allowed_and_one_a_board() -> None:
    one = night(plan("a", "b", "c", builds=("1", "2", "3"), each=True, at_once=2))
    now, running = BEGAN, []
    while not one.over(now):
        running += one.next(now)
        assert 1 <= len(running) <= 2
        assert len({s.board for s in running}) == len(running)
        now += 10
        one.take(passed(running.pop(0)), now)
    assert len(one.ended) == 3 + 9


def test_a_board_without_a_worker_is_waited_for_and_then_its_work_goes_elsewhere() -> None:
    one = night(plan("a", "b"))
    one.absent({"a"}, BEGAN)
    assert [s.board for s in one.next(BEGAN)] == ["b"]
    alone = night(plan("a"))
    alone.absent({"a"}, BEGAN)
    assert alone.next(BEGAN) == []
    assert not alone.over(BEGAN)
    assert play(alone) == []
    assert alone.not_run[0].why == "a: no worker offers it"
    back = night(plan("a"))
    back.absent({"a"}, BEGAN)
    assert back.next(BEGAN) == []
    back.absent((), BEGAN + 5)
    assert where(play(back)) == [("fw", "a")]


def test_a_lost_worker_says_nothing_about_the_board() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        return silent(one, "worker-lost") if one.board == "a" and not one.task.golden else passed(one)

    one = night(plan("a", "b"))
    assert where(play(one, answer)) == [("fw", "a"), ("fw", "b")]
    assert one.boards["a"].health.state == "Good"
    assert one.boards["a"].failed_tonight == 0
    assert verdict(one) == "passed"


def test_an_ended_night_starts_nothing_and_is_no_pass() -> None:
    one = night(plan("a", builds=("1", "2", "3"), at_once=1))
    (check,) = one.next(BEGAN)
    one.take(passed(check), BEGAN + 1)
    (first,) = one.next(BEGAN + 1)
    one.close("SIGINT")
    assert one.next(BEGAN + 2) == []
    assert not one.over(BEGAN + 2)
    cut = result(first, "interrupted", {"test_one": ("passed", "", ""), "test_two": ("not run", "", "")},
                 trouble="night-ended")  # fmt: skip
    one.take(cut, BEGAN + 3)
    assert one.over(BEGAN + 3)
    assert [never.task.build for never in one.not_run] == ["2", "3"]
    assert verdict(one) == "interrupted"


def test_resumed_what_ran_does_not_run_again_and_a_failure_of_before_is_confirmed() -> None:
    one = night(plan("a", "b"))
    first = next(s for s in _started(one) if not s.task.golden)
    earlier = {"test_one": ("failed", "product", "assert"), "test_three": ("passed", "", "")}
    cut = result(first, "interrupted", {**earlier, "test_two": ("not run", "", "")}, trouble="night-ended")
    one.take(cut, BEGAN + 50)
    ran = [s.task for s in play(one) if not s.task.golden]
    assert sorted(task.only for task in ran) == [("test_one",), ("test_two",)]
    tries = one.attempts["hall", "fw", ""]
    assert [each.outcome for each in tries["test_one"]] == ["failed", "passed"]
    assert [each.outcome for each in tries["test_two"]] == ["passed"]
    assert [each.outcome for each in tries["test_three"]] == ["passed"]


def _started(one: Night) -> list[Assignment]:
    """Until a session of a build under test runs; everything else has passed."""
    now = BEGAN
    found: list[Assignment] = []
    while not any(not s.task.golden for s in found):
        for session in one.next(now):
            found.append(session)
            if session.task.golden:
                one.take(passed(session), now + 1)
        now += 1
    return found


def test_a_person_may_take_a_board_out_while_the_night_runs() -> None:
    one = night(plan("a", "b", builds=("1", "2"), each=True))
    one.set_health(BoardHealth(name="a", state="Maintenance", reason="new cable", since=BEGAN))
    assert {board for _, board in where(play(one))} == {"b"}
    assert ["new cable" in never.why for never in one.not_run] == [True, True]


def test_the_expected_times_are_those_of_a_night_on_a_clock_in_memory() -> None:
    planned = plan("a", "b", builds=("1", "2", "3"), expected={"1": 100.0, "2": 40.0, "3": 10.0})
    good = [BoardHealth(name=name, state="Good", checked=BEGAN) for name in "ab"]
    expected = simulate(night(replace(planned, at_once=2), *good))
    assert [(s.begins, s.assignment.task.build) for s in expected.steps] == [(0.0, "1"), (0.0, "2"), (40.0, "3")]
    assert (expected.seconds, expected.unknown) == (100.0, 0)


def test_a_plan_says_what_will_never_run() -> None:
    bad = BoardHealth(name="a", state="Bad", reason="the cable is broken")
    planned = plan("a", "b", each=True)
    shown = plan_words(night(planned, bad), simulate(night(planned, bad)))
    assert "never: fw on a: a: Bad: the cable is broken" in shown
    assert "gold: golden check: boot" in shown
    assert "no earlier night is in the store" in shown
