"""The gate joined with the store, as a night's run uses it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tfm_harness.findings import Report
from tfm_harness.history import BaselineStore, judge_and_keep
from tfm_harness.latency import Clock, ClockQuality, Series

SERIES = Series(
    name="tamper",
    ticks=tuple(1000 + i % 3 for i in range(30)),
    clock=Clock(source="sse-counter", hz=1_000_000, quality=ClockQuality.DETERMINISTIC),
    board="qemu",
)


def test_judge_and_keep(tmp_path: Path) -> None:
    with BaselineStore(str(tmp_path / "s.sqlite")) as store:
        assert judge_and_keep(store, "n1", SERIES, Report()).result.verdict == "no-baseline"
        store.accept("n1", reason="first")
        slower = replace(SERIES, ticks=tuple(t + 50 for t in SERIES.ticks))
        report = Report()
        judged = judge_and_keep(store, "n2", slower, report)
        assert judged.result.verdict == "slower"
        assert judged.baseline is not None
        assert judged.baseline.run == "n1"
        assert not report.ok
        assert [run for run, _, _ in store.runs()] == ["n1", "n2"]
        # the same run again does not count itself among its nights
        assert judge_and_keep(store, "n2", slower, Report(), threshold=0.1).result.verdict == "passed"
        free = replace(SERIES, clock=replace(SERIES.clock, quality=ClockQuality.MEANINGLESS))
        assert judge_and_keep(store, "n3", free, Report()).result.verdict == "not-judged"
        assert len(store.runs()) == 2
