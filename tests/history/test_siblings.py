"""Pools: emulators of a target share their series; a real board without a baseline whose sibling has one says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.findings import Report
from tfm_harness.history import BaselineStore, judge_and_keep
from tfm_harness.latency import Clock, Series
from tfm_harness.latency.series import series_board

CLOCK = Clock(source="dwt-cyccnt", hz=1_000_000)
SERIES = Series(name="tamper", ticks=tuple(10_000 + n % 5 for n in range(60)), clock=CLOCK, board="mps3-1")


def test_a_slower_firmware_fails_on_whichever_emulator_of_the_pool(tmp_path: Path) -> None:
    members = ["an547.1", "an547.2"]
    names = [series_board(member, "an547", len(members), virtual=True) for member in members]
    with BaselineStore(str(tmp_path / "s.sqlite")) as store:
        judge_and_keep(store, "monday", replace(SERIES, board=names[0]), Report())
        store.accept("monday", reason="first")
        slower = replace(SERIES, board=names[1], ticks=tuple(round(t * 1.056) for t in SERIES.ticks))
        report = Report()
        assert judge_and_keep(store, "tuesday", slower, report).result.verdict == "slower"
        assert [f.id for f in report.failed] == ["latency.not-slower"]


def test_a_board_without_a_baseline_whose_sibling_has_one_says_so(tmp_path: Path) -> None:
    with BaselineStore(str(tmp_path / "s.sqlite")) as store:
        first = Report()
        judge_and_keep(store, "monday", SERIES, first)
        assert [f.passed for f in first if f.id == "latency.sibling-baseline"] == [True]
        store.accept("monday", reason="first")
        report = Report()
        assert judge_and_keep(store, "tuesday", replace(SERIES, board="mps3-2"), report).result.verdict == "no-baseline"
        (finding,) = [f for f in report if f.id == "latency.sibling-baseline"]
        assert not finding.passed
        assert "mps3-1 (run monday)" in finding.seen
        other_model = Report()
        judge_and_keep(store, "tuesday", replace(SERIES, board="mps3-2", name="sine"), other_model)
        assert [f.passed for f in other_model if f.id == "latency.sibling-baseline"] == [True]


def test_an_export_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "export", "--store", str(tmp_path / "empty.sqlite")]) == 0
    shown = capsys.readouterr()
    assert "the export is empty" in shown.err
    assert json.loads(shown.out) == []
