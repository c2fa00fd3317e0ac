"""What is run again, and what several tries say, over all short histories of one test."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from tfm_harness.farm.tries import ENDED, Attempt, judge, wanted

KINDS = {
    "p": ("passed", "", ""),
    "F": ("failed", "product", "assert"),
    "e": ("error", "infrastructure", "console"),
    "b": ("blocked", "infrastructure", "console"),
    "B": ("blocked", "product", "hang"),
    "n": ("not run", "", "the run ended before this test"),
    "t": ("not run", "", "not run: thorough, and the run was asked to be quick"),
    "u": ("not covered", "", "not covered: feature"),
    "h": ("error", "harness", "bug"),
    "c": ("error", "configuration", "config"),
}
BENCH, PRODUCT = set("ebn"), set("FB")


def tries(word: str) -> list[Attempt]:
    found = []
    for n, c in enumerate(word):
        outcome, whose, message = KINDS[c]
        found.append(
            Attempt(session=f"s{n}", board=f"board{n}", outcome=outcome, responsibility=whose, message=message)  # type: ignore[arg-type]
        )
    return found


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("p", ""), ("u", ""), ("t", ""), ("h", ""), ("c", ""),
        ("e", "again"), ("b", "again"), ("n", "again"), ("ee", "again"), ("eee", ""),
        ("F", "confirm"), ("B", "confirm"), ("FF", ""), ("Fp", ""), ("eF", "confirm"), ("Fe", "again"), ("Fep", ""),
        ("pe", "again"), ("ep", ""),
    ],
)  # fmt: skip
def test_what_is_wanted(word: str, want: str) -> None:
    assert wanted(tries(word), tries=3) == want


@pytest.mark.parametrize("word", ["e", "F", "n", "B"])
def test_one_try_means_that_nothing_runs_again(word: str) -> None:
    assert wanted(tries(word), tries=1) == ""


HISTORIES = ["".join(word) for n in (1, 2, 3) for word in itertools.product(KINDS, repeat=n)]


def test_no_failure_is_ever_outvoted_and_no_bench_failure_is_one() -> None:
    for word in HISTORIES:
        judged = judge(tries(word))
        failed, passed = PRODUCT & set(word), "p" in word
        if failed:
            assert judged.responsibility == "product", word
            assert (judged.outcome == "flaky") is passed, word
            assert judged.confirmed is (sum(c in PRODUCT for c in word) > 1), word
        else:
            assert judged.outcome != "failed", word
            assert judged.outcome != "flaky", word
            assert (judged.outcome == "passed") is passed, word
            assert judged.responsibility != "product", word


def test_what_the_bench_kept_from_speaking_names_its_cause() -> None:
    assert judge(tries("en")).decisive.kind == ""
    assert judge(tries("en")).responsibility == "infrastructure"
    assert judge(tries("ue")).outcome == "not covered"
    assert judge(tries("n")).responsibility == "infrastructure"
    assert judge([replace(tries("n")[0], kind=ENDED)]).responsibility == ""
    assert judge(tries("t")).responsibility == ""


def test_every_history_that_wants_more_ends() -> None:
    for word in HISTORIES:
        if len(word) >= 3:
            assert wanted(tries(word), tries=3) == ""


def test_nothing_is_judged_without_a_try() -> None:
    with pytest.raises(ValueError, match="no try"):
        judge([])
