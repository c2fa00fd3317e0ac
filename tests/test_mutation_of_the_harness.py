"""The mutation score of the harness: which changes are made, and that the tree is left alone."""

from __future__ import annotations

import shutil
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
    """The copy shares its files with the tree; the tree's must not change."""
    mutant = next(one for one in score.candidates() if one.file.name == "metrics.py")
    right = (score.PACKAGE / mutant.file).read_bytes()
    folder = score.ROOT / "build" / tmp_path.name
    seen = []

    def tests(copy: Path, room: str) -> int:
        seen.append((copy / "tfm_harness" / mutant.file).read_bytes())
        assert room == "parity"
        return 1

    monkeypatch.setattr(score, "run_tests", tests)
    folder.parent.mkdir(exist_ok=True)
    try:
        copy = score.make_copy(folder)
        assert score.judged(mutant, copy).killed
        assert seen == [mutant.text(right)]
        assert (copy / "tfm_harness" / mutant.file).read_bytes() == right
    finally:
        shutil.rmtree(folder)
    assert (score.PACKAGE / mutant.file).read_bytes() == right


def test_the_goal_holds_for_each_room(mutants: list[Mutant], capsys: pytest.CaptureFixture[str]) -> None:
    def verdicts(room: str, killed: int, survived: int) -> list[score.Verdict]:
        one = Mutant(Path(room, "x.py"), 7, "logic", 0, 1, "and", "or")
        return [score.Verdict(one, n < killed, 0.0) for n in range(killed + survived)]

    assert score.report([*verdicts("verify", 9, 1), *verdicts("latency", 10, 0)])
    assert "SURVIVED verify/x.py:7 logic: and -> or" in capsys.readouterr().out
    assert not score.report([*verdicts("verify", 8, 2), *verdicts("latency", 100, 0)])
