"""The mutation score: which changes are made, and what is said of their fate."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.report.record import FindingEntry, RunRecord, TestEntry
from tfm_harness.report.storage import save_run

FIRMWARE = Path(__file__).resolve().parents[2] / "fw_builds" / "reference"


@pytest.fixture(scope="module")
def mutation() -> Iterator[Any]:
    """The package beside the firmware."""
    if shutil.which("arm-none-eabi-gcc") is None or not list((FIRMWARE / "build").glob("key-*")):
        pytest.skip("the firmware is not built: make firmware")
    sys.path.insert(0, str(FIRMWARE))
    importlib.import_module("mutation.c_mutator")
    importlib.import_module("mutation.order")
    importlib.import_module("mutation.score")
    yield importlib.import_module("mutation")
    sys.path.remove(str(FIRMWARE))


def test_each_kind_of_change_is_made(mutation: Any) -> None:
    mutants = mutation.c_mutator.all_mutants("spe/boot/mcuboot_image.c")
    made = {(one.function, one.operator, one.change) for one in mutants}
    assert ("mcuboot_check_counter", "comparison", "< -> <=") in made
    assert ("mcuboot_check_counter", "return value", "MCUBOOT_OK -> 1") in made
    assert ("mcuboot_check_counter", "return value", "MCUBOOT_ROLLED_BACK -> 0") in made
    condition = "image->security_counter < lowest_counter"
    assert ("mcuboot_check_counter", "negate condition", f"{condition} -> !({condition})") in made
    kinds = {one.operator for one in mutation.c_mutator.all_mutants("spe/")}
    assert kinds == {
        *("comparison", "return value", "negate condition", "constant", "statement dropped"),
        *("logic", "arithmetic", "assignments swapped"),
    }


def test_a_change_is_one_small_patch_that_applies(mutation: Any, tmp_path: Path) -> None:
    mutants = mutation.c_mutator.all_mutants("spe/storage/otp.c")
    assert len(mutants) > 40
    for one in mutants[::10]:
        fault = tmp_path / f"{one.name}.patch"
        fault.write_text(one.patch())
        command = [str(FIRMWARE / "tools" / "faulty_sources.sh"), str(FIRMWARE), str(fault), str(tmp_path / "copy")]
        subprocess.run(command, check=True, timeout=60)
        assert (tmp_path / "copy" / one.file).read_text() != (FIRMWARE / one.file).read_text()


def test_samples_are_seeded_and_grow(mutation: Any) -> None:
    mutants = mutation.c_mutator.all_mutants("spe/storage")
    sample = mutation.c_mutator.sample
    assert sample(mutants, 20, 7) == sample(mutants, 20, 7)
    assert sample(mutants, 20, 7) == sample(mutants, 40, 7)[:20]
    assert sample(mutants, 20, 7) != sample(mutants, 20, 8)
    assert len({one.name for one in mutants}) == len(mutants)


def test_a_name_and_a_place_in_the_sample_outlast_changes_elsewhere(
    mutation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = mutation.c_mutator
    file = tmp_path / "spe" / "two.c"
    file.parent.mkdir()
    monkeypatch.setattr(module, "REFERENCE", tmp_path)
    monkeypatch.setattr(module, "arguments", lambda: ["-xc"])

    def changes(first: str) -> list[Any]:
        file.write_text(f"int first(int a) {{ return {first}; }}\nint second(int a) {{ return a < 1 || a > 1 + 1; }}\n")
        return [one for one in module.sample(module.all_mutants(), 100, 1) if one.function == "second"]

    before, after = changes("a"), changes("a + a + a")
    assert [one.name for one in before] == [one.name for one in after]
    assert len({one.name for one in before}) == len(before) > 5
    assert before[0].start != after[0].start
    file.write_text(file.read_text().replace("a < 1", "a < 2"))
    assert not {one.name for one in module.all_mutants()} & {one.name for one in before}


def verdicts(mutation: Any, killed: int, survived: int, file: str = "spe/a.c") -> list[Any]:
    kinds = ["killed"] * killed + ["survived"] * survived
    return [mutation.score.Verdict(f"M{n}", file, n, "f", "logic", f"{n}", kind) for n, kind in enumerate(kinds)]


def test_goals_and_survivors(
    mutation: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = mutation.score.report
    assert report(verdicts(mutation, 20, 1), [])
    assert "SURVIVED spe/a.c:20 f(): logic: 20" in capsys.readouterr().out
    assert not report(verdicts(mutation, 20, 2), [])
    monkeypatch.setattr(mutation.verdicts, "REFERENCE", tmp_path)
    (tmp_path / "spe").mkdir()
    (tmp_path / "spe" / "a.c").write_text("a line of C\n" * 30)
    known = [{"file": "spe/a.c", "function": "f", "change": "20", "reason": "why"}]
    assert report(verdicts(mutation, 20, 2), known)
    monkeypatch.undo()
    assert "1 known to change nothing" in capsys.readouterr().out
    # without `change` every change counts, and `in` keeps it to some lines
    (survivor,) = verdicts(mutation, 0, 1, "spe/core/fault.c")
    known_equivalent = mutation.verdicts.known_equivalent
    entry = {"file": "spe/core/fault.c", "function": "f", "reason": "why"}
    assert known_equivalent(replace(survivor, line=1), [entry]) == "why"
    assert known_equivalent(replace(survivor, line=1), [{**entry, "in": ["nothing", "SPDX"]}]) == "why"
    assert not known_equivalent(replace(survivor, line=1), [{**entry, "in": "nothing"}])
    assert not known_equivalent(replace(survivor, line=1), [{**entry, "change": "another"}])
    # one bad file is not outweighed by good ones
    assert not report([*verdicts(mutation, 4, 1), *verdicts(mutation, 500, 0, "spe/b.c")], [])
    assert "below the goal" in capsys.readouterr().out


def test_verdicts_hold_for_the_sources_they_were_found_with(
    mutation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = mutation.verdicts
    now = {module.FIRMWARE: "firmware", module.SUITES: "suites"}
    monkeypatch.setattr(module, "digest", now.__getitem__)
    file = tmp_path / "folder" / "results.jsonl"
    results = module.Results.load(file)
    results.add_costs({"results/test_results.py::test_a": 0.5})
    for one in verdicts(mutation, 1, 1):
        results.add(replace(one, test="results/test_results.py::test_a" if one.state == "killed" else ""))
    kept = module.Results.load(file)
    assert (kept.known, kept.costs, kept.kills) == (results.known, results.costs, results.kills)
    now[module.SUITES] = "more checks"
    fewer = module.Results.load(file)
    assert (fewer.known, fewer.costs, fewer.kills) == ({}, {}, results.kills)
    assert list(module.Results.load(file, keep_kills=True).known) == ["M0"]
    now[module.FIRMWARE] = "other C"
    assert list(module.Results.load(file, keep_kills=True).known) == ["M0"]  # the name says: the same function
    assert module.Results.load(file).known == {}


def test_the_last_verdict_of_a_mutant_counts(mutation: Any, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    results = mutation.verdicts.Results.load(file)
    (survived,) = verdicts(mutation, 0, 1)
    results.add(replace(survived, reach="near"))
    results.add(replace(survived, reach="near near-all"))
    assert mutation.verdicts.Results.load(file).known["M0"].reach == "near near-all"


def test_what_noticed_changes_nearby_is_tried_first(mutation: Any) -> None:
    results = mutation.verdicts.Results(None)
    results.kills = [
        ("spe/core/spm.c", "call", "isolation/test_a.py::test_folder"),
        ("spe/core/irq.c", "other", "isolation/test_a.py::test_file"),
        ("spe/core/irq.c", "handle", "isolation/test_a.py::test_function"),
        ("partition/der.c", "handle", "provisioning/test_b.py::test_elsewhere"),
    ]
    mutant = mutation.c_mutator.Mutant("spe/core/irq.c", 1, "handle", "logic", 0, 1, "a", "b")
    first = results.likely(mutant)
    assert [name.rpartition("_")[2] for name in first] == ["function", "file", "folder"]

    def place(nodeid: str) -> tuple[int, float]:
        costs = {"update/test_u.py::test_dear": 9.0, "results/test_r.py::test_cheap": 1.0}
        found: tuple[int, float] = mutation.order.rank(nodeid, first, ["update"], costs)
        return found

    tests = [
        "suites/update/test_u.py::test_dear[board]",
        "suites/results/test_r.py::test_cheap[board]",
        "suites/isolation/test_a.py::test_file[board-1]",
        "suites/isolation/test_a.py::test_function[board-2]",
    ]
    assert sorted(tests, key=place) == [tests[3], tests[2], tests[1], tests[0]]
    assert place("suites/update/test_u.py::test_new") < place("suites/latency/test_l.py::test_new")


@pytest.mark.parametrize(
    ("runs", "killed"),
    [
        (["failed", "failed"], True),
        (["failed", "passed"], False),
        (["failed", "error"], True),
        (["error", "passed"], False),
        (["error", "error"], True),
        (["passed"], False),
    ],
)
def test_a_busy_bench_kills_nothing(
    mutation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[str], killed: bool
) -> None:
    importlib.import_module("mutation.judge")
    judge = object.__new__(mutation.judge.Judge)
    judge.results = mutation.verdicts.Results(None)
    left, firsts = list(runs), []

    def run(outcome: Any, folder: Path, suites: list[str], first: list[str], *_: object, **__: object) -> None:
        firsts.append(list(first))
        what = left.pop(0)
        outcome.ended_at = "" if what == "passed" else "boot/test_boot.py::test_it"
        outcome.failed = {"boot": {"a.check"}} if what == "failed" else {}
        outcome.errors = ["the bench"] if what == "error" else []

    monkeypatch.setattr(judge, "_run", run)
    mutant = mutation.c_mutator.Mutant("spe/boot/mcuboot_image.c", 1, "f", "logic", 0, 1, "a", "b")
    found = judge._killed(mutant, tmp_path, ["boot", "latency"], ["boot"], ("-x",))
    assert (found is not None, left) == (killed, [])
    assert firsts[1:] == [["boot/test_boot.py::test_it"]] * (len(runs) - 1)


def test_tests_run_in_the_order_asked_for(
    mutation: Any, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_m="def test_a(): pass\ndef test_b(): pass\ndef test_c(): pass")
    folder = pytester.path.name
    order = pytester.path / "order.json"
    costs = {f"{folder}/test_m.py::test_a": 2.0, f"{folder}/test_m.py::test_b": 1.0}
    order.write_text(json.dumps({"first": [f"{folder}/test_m.py::test_c"], "near": [folder], "costs": costs}))
    monkeypatch.setenv("MUTATION_ORDER", str(order))
    words = ["-p", "mutation.order", "-p", "no:rerunfailures"]  # that one leaves a thread, where xdist is installed
    ran = pytester.runpytest(*words, "-v", f"--rootdir={pytester.path.parent}")
    ran.stdout.fnmatch_lines(["*::test_c PASSED*", "*::test_b PASSED*", "*::test_a PASSED*"])


def test_every_file_has_nearest_suites_that_exist(mutation: Any) -> None:
    suites = {path.name for path in (FIRMWARE.parents[1] / "suites").iterdir()}
    for path in mutation.c_mutator.sources():
        near, others = mutation.judge.suites_for(str(path.relative_to(FIRMWARE)))
        assert near, path
        assert set(near) | set(others) <= suites
    # Every suite that can notice anything on the emulated board takes part.
    no_part = {"console", "application_evidence", "__pycache__"}
    assert {path.name for path in (FIRMWARE.parents[1] / "suites").glob("*/")} - no_part == set(mutation.judge.SUITES)


def test_what_a_run_records_is_what_the_runner_sees(mutation: Any, tmp_path: Path) -> None:
    importlib.import_module("mutation.suite_run")
    tests = (
        TestEntry(nodeid="a", suite="results", findings=(FindingEntry(id="cose.alg"),)),
        TestEntry(
            nodeid="b",
            suite="parity",
            outcome="failed",
            findings=(FindingEntry(id="parity.bit-exact", status="failed", where="op 0"),),
        ),
        TestEntry(nodeid="c", suite="boot", outcome="error", responsibility="infrastructure", kind="boot-hung"),
        TestEntry(nodeid="d", suite="boot", outcome="blocked", blocked_by="c"),
        TestEntry(nodeid="e", suite="update", outcome="not run"),
    )
    save_run(
        RunRecord(name="a run", verdict="failed", started="2026-01-01T00:00:00+00:00", tests=tests),
        tmp_path / "run.json",
    )
    seen = mutation.suite_run.Outcome("M")
    mutation.suite_run.read_record(seen, tmp_path / "run.json")
    assert seen.ended_at == mutation.order.test_name("b")
    assert seen.failed == {"parity": {"parity.bit-exact"}}
    assert seen.places["parity"] == {"op 0"}
    assert seen.passed == {"results": 1, "parity": 0, "boot": 0, "update": 0}
    assert [error[:8] for error in seen.errors] == ["c: error", "d: block"]
