"""The mutation score of the harness: which changes are made, and that the tree is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutation import score
from benchmarks.mutation.operators import Mutant, all_mutants, sample

CODE = '''
def judge(value: int, limit: int, names: list[str]) -> str:
    """1 < 2 stays."""
    if value < limit and names:
        names.append("x")
        value += 3
    return "é" if value == 0 else names[0]
'''


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    (tmp_path / "code.py").write_text(CODE)
    return all_mutants(tmp_path, [tmp_path / "code.py"])


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


def test_what_is_known_to_change_nothing_is_still_there() -> None:
    """An entry whose line has changed says nothing any more."""
    there = {(str(one.file), score.source_line(one), one.change) for one in score.every_change()}
    assert set(score.equivalents()) <= there
    assert all(score.equivalents().values())


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


def test_the_rooms_have_code_and_tests() -> None:
    found = score.candidates()
    assert {score.room_of(one.file) for one in found} == set(score.ROOMS)
    assert all((score.ROOT / test).exists() for tests in score.ROOMS.values() for test in tests)


def test_a_change_is_made_in_a_copy_and_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = next(one for one in score.candidates() if one.file.name == "metrics.py")
    right = (score.PACKAGE / mutant.file).read_bytes()
    seen = []

    def tests(copy: Path, order: list[str]) -> tuple[int, str]:
        seen.append((copy / "tfm_harness" / mutant.file).read_bytes())
        assert order == ["tests/x.py::test_y"]
        return 1, order[0]

    monkeypatch.setattr(score, "run_tests", tests)
    copy = score.make_copy(tmp_path / "copy")
    verdict = score.judged(mutant, copy, ["tests/x.py::test_y"])
    assert (verdict.killed, verdict.by, verdict.tests) == (True, "tests/x.py::test_y", 1)
    assert seen == [mutant.text(right)]
    assert (copy / "tfm_harness" / mutant.file).read_bytes() == right
    assert (score.PACKAGE / mutant.file).read_bytes() == right


def test_what_no_test_reaches_survives(tmp_path: Path) -> None:
    assert not score.judged(score.candidates()[0], tmp_path, []).killed


def test_kills_are_kept_as_long_as_the_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Survivors are not: a test may have been added."""
    monkeypatch.setattr(score, "PACKAGE", tmp_path)
    (tmp_path / "code.py").write_text(CODE)
    killed, survived = all_mutants(tmp_path, [tmp_path / "code.py"])[:2]
    kept = score.Kept(tmp_path / "kills.jsonl")
    kept.add(score.Verdict(killed, killed=True, seconds=1.0, by="tests/x.py::test_y", tests=3))
    kept.add(score.Verdict(survived, killed=False, seconds=1.0, by="", tests=3))
    again = score.Kept(tmp_path / "kills.jsonl")
    found = again.verdict(killed)
    assert found is not None
    assert (found.killed, found.by) == (True, "tests/x.py::test_y")
    assert again.verdict(survived) is None
    assert (again.survived(survived), again.survived(killed)) == (True, False)
    (tmp_path / "code.py").write_text(CODE + "\n")
    assert again.verdict(killed) is None


def test_the_goal_holds_for_each_room(mutants: list[Mutant], capsys: pytest.CaptureFixture[str]) -> None:
    def verdicts(room: str, killed: int, survived: int) -> list[score.Verdict]:
        one = Mutant(Path(room, "x.py"), 7, "logic", 0, 1, "and", "or")
        return [score.Verdict(one, n < killed, 0.0, "", n) for n in range(killed + survived)]

    assert score.report([*verdicts("verify", 9, 1), *verdicts("latency", 10, 0)])
    assert "SURVIVED verify/x.py:7 logic: and -> or (9 tests reach it)" in capsys.readouterr().out
    assert not score.report([*verdicts("verify", 8, 2), *verdicts("latency", 100, 0)])
    assert not score.report([])
