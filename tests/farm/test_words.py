"""The summary of a night and its JUnit: who is responsible, every try shown, nothing that a terminal obeys."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from tfm_harness.farm.junit import night_junit
from tfm_harness.farm.night import Night
from tfm_harness.farm.record import NightRecord
from tfm_harness.farm.tasks import Assignment, SessionResult
from tfm_harness.farm.verdict import make_record
from tfm_harness.farm.words import summary_words
from tfm_harness.report.headline import failing_line

from tests.farm.farms import bench_fails, night, passed, plan, play, product_fails, silent


def lived(answer: object, *boards: str, each: bool = False) -> tuple[Night, NightRecord]:
    one = night(plan(*boards, builds=("fw", "fw2"), each=each))
    play(one, answer)  # type: ignore[arg-type]
    return one, make_record(one, farm="farm", farm_sha256="", seconds=12.0)


def by_build(one: Assignment, _: int) -> SessionResult:
    if one.task.golden:
        return passed(one)
    if one.task.build == "fw":
        return bench_fails(one) if one.board == "a" else passed(one)
    return product_fails(one, "test_two")


def test_the_summary_says_whose_responsibility_each_loss_is() -> None:
    _, record = lived(by_build, "a", "b")
    said = summary_words(record)
    assert said.startswith("night N of farm: FAILED\n")
    assert "the product\n  test_two: failed in two tries, on " in said
    assert "2 tests that a failed at passed in another try: console-closed" in said
    assert "responsible: the product for 1" in said


def test_a_failure_whose_second_try_the_bench_failed_says_so() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        if one.task.golden:
            return passed(one)
        return bench_fails(one) if one.task.tried else product_fails(one, "test_two")

    _, record = lived(answer, "a", "b")
    assert "test_two: failed once; the bench failed in the second try (" in summary_words(record)
    assert record.verdict == "failed"


def test_what_never_ran_and_what_left_no_record_is_told_in_text_and_junit() -> None:
    def answer(one: Assignment, _: int) -> SessionResult:
        if one.board == "a":
            return product_fails(one, "test_one") if one.task.golden else passed(one)
        return passed(one) if one.task.golden else silent(one)

    one, record = lived(answer, "a", "b", each=True)
    said = summary_words(record)
    assert "a is Bad: the golden build failed: check-failed: test_one failed" in said
    assert "never ran\n  fw on a (mine): a: Bad" in said
    assert "session-died: it was killed by signal 9" in said
    root = ET.fromstring(night_junit(one, record))
    errors = [case.get("name") for case in root.iter("testcase") if case.find("error") is not None]
    assert "fw on a: mine" in errors
    assert len(errors) == len(set(errors)) == int(root.get("errors") or 0)
    assert root.get("failures") == "0"


def test_a_devices_words_do_nothing_in_a_terminal_or_in_xml() -> None:
    def answer(one: Assignment, number: int) -> SessionResult:
        made = by_build(one, number)
        hostile = "\x1b[2J\x00::error::x\n##[command]\u202e ]]> <x>"
        return replace(made, attempts={k: replace(v, message=hostile, kind="\x07k") for k, v in made.attempts.items()})

    one, record = lived(answer, "a", "b")
    said = summary_words(record)
    assert not {"\x1b", "\x00", "\x07", "\u202e"} & set(said)
    text = night_junit(one, record)
    assert not {"\x1b", "\x00", "\x07", "\u202e"} & set(text)
    assert ET.fromstring(text).tag == "testsuites"


def test_the_line_that_says_what_is_wrong() -> None:
    assert failing_line("") == ""
    assert failing_line("bench = <Bench>\nE   assert 1 == 2\nE   more") == "assert 1 == 2"
    assert (
        failing_line("test_x.py:59: 4 checks failed:\n  a.b: not c\n  d") == "test_x.py:59: 4 checks failed: a.b: not c"
    )
    assert failing_line("only this:") == "only this:"


def test_a_flood_of_losses_is_cut_and_the_record_has_all() -> None:
    _, record = lived(by_build, "a", "b")
    many = replace(record, tests=record.tests * 100)
    shown = summary_words(many)
    assert "more: night.json has all of them" in shown
    assert len(shown.splitlines()) < 100
