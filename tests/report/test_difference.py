"""`tfm-harness compare`: each way a run can be worse must be seen, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.cli.main import main
from tfm_harness.latency import Clock, ClockQuality, Series
from tfm_harness.report import FindingEntry, LatencyEntry, ParityOutput, RunRecord, TestEntry, save_run
from tfm_harness.report.difference import compare_runs


def series(centre: int) -> Series:
    clock = Clock(source="c", hz=1000, bits=32, quality=ClockQuality.DETERMINISTIC)
    return Series(name="tamper", ticks=tuple(centre + i % 2 for i in range(30)), clock=clock, board="b")


def parity(exact: int, lsb: int) -> tuple[ParityOutput, ...]:
    return (ParityOutput(index=0, elements=100, exact_elements=exact, max_lsb=lsb, histogram={"0": exact}),)


@pytest.fixture
def base(sample_run: RunRecord) -> RunRecord:
    return RunRecord(
        name="monday",
        verdict="passed",
        tests=(
            TestEntry(nodeid="a", findings=(FindingEntry(id="x.y"),)),
            TestEntry(nodeid="b", outcome="failed"),
            TestEntry(nodeid="c", outcome="not covered"),
        ),
        latency=(LatencyEntry(combination="b", series=series(10_000)),),
        parity=(replace(sample_run.parity[0], combination="b", outputs=parity(100, 0)),),
    )


def test_the_same_run_has_no_difference(base: RunRecord) -> None:
    found = compare_runs(base, base)
    assert found.changes == ()
    assert found.compared == 5
    assert not found.worse


def outcome(run: RunRecord, nodeid: str, new: Any) -> RunRecord:
    return replace(run, tests=tuple(replace(t, outcome=new) if t.nodeid == nodeid else t for t in run.tests))


@pytest.mark.parametrize(
    ("change", "worse"),
    [
        (lambda r: outcome(r, "a", "failed"), True),
        (lambda r: outcome(r, "a", "error"), True),
        (lambda r: outcome(r, "a", "not covered"), True),
        (lambda r: replace(r, tests=r.tests[1:]), True),
        (lambda r: outcome(r, "b", "passed"), False),
        (lambda r: outcome(r, "c", "passed"), False),
        (lambda r: outcome(r, "c", "failed"), True),
        (lambda r: outcome(r, "c", "skipped"), False),
        (
            lambda r: replace(
                r, tests=(replace(r.tests[0], findings=(FindingEntry(id="x.y", status="failed"),)), *r.tests[1:])
            ),
            True,
        ),
        (lambda r: replace(r, latency=(LatencyEntry(combination="b", series=series(10_300)),)), True),
        (lambda r: replace(r, latency=(LatencyEntry(combination="b", series=series(9_000)),)), False),
        (lambda r: replace(r, parity=(replace(r.parity[0], outputs=parity(99, 1)),)), True),
        (lambda r: replace(r, parity=(replace(r.parity[0], outputs=parity(100, 3)),)), True),
    ],
)
def test_each_change(base: RunRecord, change: Callable[[RunRecord], RunRecord], worse: bool) -> None:
    found = compare_runs(base, change(base))
    assert found.changes
    assert found.worse is worse


def test_better_parity_is_not_worse(base: RunRecord) -> None:
    before = replace(base, parity=(replace(base.parity[0], outputs=parity(99, 1)),))
    found = compare_runs(before, base)
    assert [c.worse for c in found.changes] == [False]


def test_command_line(base: RunRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, run in (("a", base), ("b", replace(outcome(base, "a", "failed"), name="tuesday"))):
        (tmp_path / name).mkdir()
        save_run(run, tmp_path / name / "run.json")
    a, b = str(tmp_path / "a"), str(tmp_path / "b" / "run.json")
    assert main(["compare", a, a]) == 0
    assert "5 compared, 0 worse" in capsys.readouterr().out
    assert main(["compare", a, b]) == 1
    shown = capsys.readouterr().out
    assert "before monday: passed" in shown
    assert "worse  test  a" in shown
    assert main(["compare", a, b, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["worse"] is True
    assert main(["compare", a, str(tmp_path / "none")]) == 4
    assert "run.json" in capsys.readouterr().err
    save_run(RunRecord(name="empty", verdict="nothing proved"), tmp_path / "empty.json")
    assert main(["compare", str(tmp_path / "empty.json"), str(tmp_path / "empty.json")]) == 5


def test_damaged_series_are_a_wrong_file(base: RunRecord, tmp_path: Path) -> None:
    save_run(base, tmp_path / "run.json")
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace('"hz":1000', '"hz":"fast"'))
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 4
