"""The mutation score of the harness: which changes are made, and that the tree is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutation import score
from benchmarks.mutation.operators import Mutant, all_mutants, numbered, sample
from benchmarks.mutation.reach import Reach, function_at
from benchmarks.mutation.runs import ROOT, Outcome

CODE = '''
def judge(value: int, limit: int, names: list[str]) -> str:
    """1 < 2 stays."""
    if value < limit and names:
        names.append("x")
        value += 3
    kept: dict[str, int | None] = {}
    return "é" if value == 0 else names[0]
'''


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    (tmp_path / "code.py").write_text(CODE)
    return all_mutants(tmp_path, [tmp_path / "code.py"])


@pytest.fixture(scope="module")
def every() -> list[Mutant]:
    """All changes of the harness."""
    return score.every_change()


def test_each_kind_of_change_is_made_once(mutants: list[Mutant]) -> None:
    made = sorted((one.operator, one.change) for one in mutants)
    assert made == sorted(
        [
            ("negate condition", "value < limit and names -> (not (value < limit and names))"),
            ("negate condition", "value == 0 -> (not (value == 0))"),
            ("comparison", "< -> <="),
            ("comparison", "== -> !="),
            ("logic", "and -> or"),
            ("constant", "3 -> 4"),
            ("constant", "0 -> 1"),
            ("constant", "0 -> 1"),
            ("statement dropped", 'names.append("x") -> pass'),
            ("statement dropped", "value += 3 -> pass"),
            ("return value", '"é" if value == 0 else names[0] -> None'),
        ]
    )


def test_what_is_known_to_change_nothing_is_still_there(every: list[Mutant]) -> None:
    """An entry whose line has changed says nothing any more."""
    for entry in score.equivalents():
        assert len(entry.found_in(every)) == len(entry.which), entry
        assert entry.reason


def test_equal_changes_are_told_apart_by_their_number(mutants: list[Mutant], tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(CODE + CODE)
    found = all_mutants(tmp_path, [tmp_path / "twice.py"])
    second = score.Equivalent("twice.py", "value += 3", "3 -> 4", "why", which=(2,))
    assert [one.line for one in second.found_in(found)] == [14]
    assert not second.found_in(mutants)


def test_a_change_changes_one_place(mutants: list[Mutant]) -> None:
    original = CODE.encode()
    for one in mutants:
        changed = one.text(original)
        assert changed != original
        assert changed.startswith(original[: one.start])
        assert changed.endswith(original[one.end :])


def test_samples_are_seeded_and_grow(mutants: list[Mutant]) -> None:
    assert sample(mutants, 4, 1) == sample(mutants, 8, 1)[:4]
    assert sample(mutants, 8, 1) != sample(mutants, 8, 2)


def test_a_change_keeps_its_place_when_other_lines_change(mutants: list[Mutant], tmp_path: Path) -> None:
    """Equal changes of equal lines have places of their own."""
    (tmp_path / "code.py").write_text("def other(): return 1\n\n" + CODE)
    longer = sample(all_mutants(tmp_path, [tmp_path / "code.py"]), 100, 1)
    assert len(longer) == len(mutants) + 2
    here = [(one.source, one.change, one.operator) for one in sample(mutants, 100, 1)]
    assert [(one.source, one.change, one.operator) for one in longer if "other" not in one.source] == here


def test_what_changes_nothing_keeps_its_place_and_is_not_run(
    every: list[Mutant], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [one for one in every if score.room_of(one.file) == "parity"]
    first = score.chosen_of(found, 20, 1)
    known = score.Equivalent(str(first[2].file), first[2].source, first[2].change, "why", (numbered(found)[first[2]],))
    monkeypatch.setattr(score, "equivalents", lambda: [known])
    assert score.chosen_of(found, 20, 1) == [one for one in sample(found, 20, 1) if one != first[2]]
    assert score.chosen_of(found, 20, 1, slice(2, None, 3)) == sample(found, 20, 1)[5::3]


def test_the_rooms_have_code_and_tests(every: list[Mutant]) -> None:
    assert {score.room_of(one.file) for one in every} == set(score.ROOMS)
    assert all((ROOT / test).exists() for tests in score.ROOMS.values() for test in tests)


class Given:
    """Instead of a process that runs tests: says what it was given, and what the copy held then."""

    def __init__(self, copy: Path, outcome: Outcome | None, *, passing: bool = True) -> None:
        self._copy = copy
        self.why = "E  assert False"
        self._outcome = outcome
        self._passing = passing
        self.seen: list[tuple[bytes, list[str], float]] = []

    def run(self, order: list[str], limit: float, file: Path, right: bytes) -> Outcome | None:
        self.seen.append(((self._copy / "tfm_harness" / file).read_bytes(), order, limit))
        assert right == (score.PACKAGE / file).read_bytes()
        return self._outcome

    def passes(self, _test: str) -> bool:
        return self._passing


@pytest.fixture(scope="module")
def mutant(every: list[Mutant]) -> Mutant:
    return next(one for one in every if one.file.name == "metrics.py")


def reach_of(mutant: Mutant, *, loaded: bool = False) -> Reach:
    function = function_at((score.PACKAGE / mutant.file).read_bytes(), mutant.file.as_posix(), mutant.line)
    tests = {function: frozenset({"tests/x.py::test_y"})}
    return Reach({"tests/x.py::test_y": 1.0}, tests, frozenset(tests if loaded else ()))


def judged(mutant: Mutant, copy: Path, tests: Given, reach: Reach) -> score.Verdict:
    return score.judged(mutant, copy, tests, reach, [], 9.0)  # type: ignore[arg-type]


def test_a_change_is_made_in_a_copy_and_taken_back(tmp_path: Path, mutant: Mutant) -> None:
    right = (score.PACKAGE / mutant.file).read_bytes()
    copy = score.make_copy(tmp_path / "copy")
    tests = Given(copy, Outcome(killed=True, by="tests/x.py::test_y", tests=1))
    assert judged(mutant, copy, tests, reach_of(mutant)).killed
    assert tests.seen == [(mutant.text(right), ["tests/x.py::test_y"], 9.0)]
    assert (copy / "tfm_harness" / mutant.file).read_bytes() == right
    assert (score.PACKAGE / mutant.file).read_bytes() == right


@pytest.mark.parametrize("loaded", [True, False])
def test_what_runs_while_tests_are_loaded_is_loaded_anew(
    tmp_path: Path, mutant: Mutant, monkeypatch: pytest.MonkeyPatch, *, loaded: bool
) -> None:
    """Also what cannot be put into loaded functions."""
    copy = score.make_copy(tmp_path / "copy")
    warm = Given(copy, None)
    monkeypatch.setattr(score, "run_cold", lambda _copy, order: Outcome(killed=False, tests=len(order)))
    assert judged(mutant, copy, warm, reach_of(mutant, loaded=loaded)).outcome == Outcome(killed=False, tests=1)
    assert len(warm.seen) == (not loaded)


def test_a_test_that_fails_anyway_ends_the_measurement(tmp_path: Path, mutant: Mutant) -> None:
    copy = score.make_copy(tmp_path / "copy")
    tests = Given(copy, Outcome(killed=True, by="tests/x.py::test_y", tests=1), passing=False)
    with pytest.raises(SystemExit, match=r"test_y fails without a change(.|\n)*assert False"):
        judged(mutant, copy, tests, reach_of(mutant))


@pytest.mark.parametrize("loads", [True, False])
def test_tests_that_cannot_be_loaded_notice_only_what_the_change_broke(
    tmp_path: Path, mutant: Mutant, monkeypatch: pytest.MonkeyPatch, *, loads: bool
) -> None:
    copy = score.make_copy(tmp_path / "copy")
    monkeypatch.setattr(score, "loads", lambda _copy, _order: loads)
    tests = Given(copy, Outcome(killed=True, by="", tests=1))
    if loads:
        assert judged(mutant, copy, tests, reach_of(mutant)).killed
        return
    with pytest.raises(SystemExit, match="cannot be loaded without a change"):
        judged(mutant, copy, tests, reach_of(mutant))


def test_what_no_test_reaches_survives(tmp_path: Path, mutant: Mutant) -> None:
    found = judged(mutant, tmp_path, Given(tmp_path, None), Reach({}, {}))
    assert (found.killed, found.outcome.why) == (False, "no test reaches it")


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Outcome(killed=False, tests=3, skipped=3), "not measured: all 3 tests that reach it are skipped"),
        (Outcome(killed=False, tests=3, skipped=1), "3 tests reach it, 1 are skipped"),
        (Outcome(killed=False, tests=3, left=2), "3 tests reach it, not measured with 2, time was up"),
    ],
)
def test_tests_that_did_not_run_are_named(outcome: Outcome, why: str) -> None:
    assert outcome.why == why


def test_verdicts_are_kept_as_long_as_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills as long as the file stays; survivors while the tests stay as well: one may have been added."""
    monkeypatch.setattr(score, "PACKAGE", tmp_path)
    monkeypatch.setattr(score, "ROOT", tmp_path)
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "test_x.py").write_text("def test_y(): pass")
    order = ["test_x.py::test_y"]
    killed, survived = all_mutants(tmp_path, [tmp_path / "code.py"])[:2]
    verdicts = [
        score.Verdict(killed, Outcome(killed=True, by="tests/x.py::test_y", tests=1)),
        score.Verdict(survived, Outcome(killed=False, tests=1, skipped=1, left=0)),
    ]
    kept = score.Kept(tmp_path / "kept.jsonl")
    for verdict in verdicts:
        kept.add(verdict, order)
    again = score.Kept(tmp_path / "kept.jsonl")
    assert [again.verdict(one, order) for one in (killed, survived)] == verdicts
    assert again.verdict(survived, []) is None
    (tmp_path / "test_x.py").write_text("def test_y(): return")
    assert (again.verdict(killed, order), again.verdict(survived, order)) == (verdicts[0], None)
    (tmp_path / "code.py").write_text(CODE + "\n")
    assert again.verdict(killed, order) is None


def test_the_goal_holds_for_each_room(mutants: list[Mutant], capsys: pytest.CaptureFixture[str]) -> None:
    def verdicts(room: str, killed: int, survived: int) -> list[score.Verdict]:
        one = Mutant(Path(room, "x.py"), 7, "logic", 0, 1, "and", "or")
        return [score.Verdict(one, Outcome(n < killed, "", n)) for n in range(killed + survived)]

    assert score.report([*verdicts("verify", 9, 1), *verdicts("latency", 10, 0)])
    assert "SURVIVED verify/x.py:7 logic: and -> or (9 tests reach it)" in capsys.readouterr().out
    assert not score.report([*verdicts("verify", 8, 2), *verdicts("latency", 100, 0)])
    assert not score.report([])
