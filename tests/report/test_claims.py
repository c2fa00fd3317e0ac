"""Claims and requirements: judged by what ran, not by what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfm_harness.report import FindingEntry, TestEntry, TryEntry, claims

README = """# mine

Mine holds.

| check | what it proves | asked for by |
|---|---|---|
| `a.one`, `a.two-*` | both | ISO 0 |
"""
MODULE = "def test_one(): pass\nclass TestMore:\n    def test_two(self): pass\ndef helper(): pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    (path / "README.md").write_text(README)
    (path / "test_mine.py").write_text(MODULE)
    return path


def entry(name: str, outcome: Any = "passed", *statuses: tuple[str, Any], tries: int = 0) -> TestEntry:
    return TestEntry(
        nodeid=f"suites/mine/test_mine.py::{name}[b+f]",
        combination="b+f",
        suite="mine",
        outcome=outcome,
        findings=tuple(FindingEntry(id=check, status=status) for check, status in statuses),
        tries=(TryEntry(why="rerun"),) * tries,
    )


def test_what_stands_on_disk(folder: Path) -> None:
    assert claims.other_tests(folder, set()) == {"test_mine.py::test_one", "test_mine.py::TestMore::test_two"}
    (folder / "test_broken.py").write_text("def test_(:\n")
    assert len(claims.other_tests(folder, set())) == 2


TWO_CLASSES = "class TestA:\n  def test_a(self): ...\nclass TestB:\n  def test_a(self): ...\n"


@pytest.mark.parametrize(
    ("text", "known", "others"),
    [
        ("def test_a(): ...\nasync  def test_b(): ...\n", {"test_a", "test_b"}, set()),
        (TWO_CLASSES, {"TestA::test_a"}, {"TestB::test_a"}),
        ("def test_a(): ...\ndef \\\n test_b(): ...\n", {"test_a"}, {"test_b"}),
        ("def test_ä(): ...\ndef test_äb(): ...\n", {"test_ä"}, {"test_äb"}),
        ("def test_a(): ...\ndef test_b(): ...\n", {"test_a", "test_c"}, {"test_b"}),
    ],
)  # fmt: skip
def test_a_module_is_parsed_unless_its_tests_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, known: set[str], others: set[str]
) -> None:
    (tmp_path / "test_x.py").write_text(text)
    seen = {f"test_x.py::{name}" for name in known} | {"test_y.py::test_z"}
    if not others:
        monkeypatch.setattr("ast.parse", lambda _: pytest.fail("all of its tests are known"))
    assert claims.other_tests(tmp_path, seen) == {f"test_x.py::{name}" for name in others}


@pytest.mark.parametrize(
    ("tests", "left_out", "state", "counted"),
    [
        ([entry("test_one"), entry("TestMore::test_two")], [], "proved", (2, 2)),
        ([entry("test_one")], [], "partly", (1, 2)),  # named on the command line
        ([entry("test_one")], ["TestMore::test_two"], "partly", (1, 2)),  # -k
        ([entry("test_one"), entry("TestMore::test_two", "not covered")], [], "partly", (1, 2)),
        ([entry("test_one"), entry("TestMore::test_two", "failed")], [], "partly", (1, 2)),
        ([entry("test_one"), entry("TestMore::test_two", "not run")], [], "partly", (1, 2)),
        ([entry("test_one"), entry("TestMore::test_two", tries=1)], [], "partly", (2, 2)),
    ],
)
def test_a_claim_is_proved_only_by_all_of_it(
    folder: Path, tests: list[TestEntry], left_out: list[str], state: str, counted: tuple[int, int]
) -> None:
    omitted = {f"suites/mine/test_mine.py::{name}[b+f]": ("b+f", "mine") for name in left_out}
    (found,) = claims.suite_entries(tests, omitted, {"mine": folder}, ["b+f"])
    assert (found.state, (found.passed, found.total)) == (state, counted)


@pytest.mark.parametrize(
    ("statuses", "state", "missing"),
    [
        ([("a.one", "passed"), ("a.two-x", "passed")], "proven", ()),
        ([("a.one", "passed")], "partly", ("a.two-*",)),
        ([], "not proven", ("a.one", "a.two-*")),
        ([("a.one", "passed"), ("a.two-x", "waived")], "excused", ()),
        ([("a.one", "noted"), ("a.two-x", "passed")], "excused", ()),
        ([("a.one", "passed"), ("a.one", "failed")], "failed", ("a.two-*",)),
    ],
)
def test_a_requirement_is_proven_by_its_checks(
    folder: Path, statuses: list[tuple[str, Any]], state: str, missing: tuple[str, ...]
) -> None:
    (row,) = claims.requirement_entries([entry("test_one", "passed", *statuses)], {"mine": folder}, ["b+f"])
    assert (row.state, row.missing) == (state, missing)


def test_suites_that_did_not_take_part_say_nothing(folder: Path) -> None:
    assert list(claims.requirement_entries([], {"mine": folder}, ["b+f"])) == []
    assert list(claims.suite_entries([], {}, {"mine": folder}, ["b+f"])) == []
