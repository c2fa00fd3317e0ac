"""Hand-made records."""

from __future__ import annotations

from tfm_harness.latency import Clock, ClockQuality, Series
from tfm_harness.report.record import (
    BoardEntry,
    CheckEntry,
    CombinationEntry,
    FileEntry,
    FindingEntry,
    LatencyEntry,
    ParityEntry,
    ParityOutput,
    RequirementEntry,
    RunRecord,
    SuiteEntry,
    TestEntry,
    TryEntry,
)

CLOCK = Clock(source="sse-counter", hz=1_000_000, bits=64, quality=ClockQuality.DETERMINISTIC)


def record(*, day: int = 1, board: str = "b0", image: str = "aa", **more: object) -> RunRecord:
    """A run on one board with a bit of everything."""
    name = "mps3+app"
    waived = FindingEntry(id="check.waived", status="waived", waiver="known", waived_by="check.*")
    failed = FindingEntry(id="check.failed", status="failed", expected="1", seen="2", where="byte 7")
    lost = TryEntry(
        why="moved", outcome="error", board="b9", seconds=2, responsibility="infrastructure", kind="probe-lost"
    )
    base: dict[str, object] = {
        "name": f"run-{day}-{board}",
        "verdict": "failed",
        "headline": "2 passed, 1 failed",
        "started": f"2026-11-{day:02}T22:00:00+00:00",
        "seconds": 12.5,
        "collected": 3,
        "environment": {"python": "3.11"},
        "combinations": (
            CombinationEntry(
                name=name, target="mps3", build="app", kind="mps3", firmware="app 1.0", image={"SPE": "01"},
                files=(FileEntry(role="image", name="images.0.file", path="a.bin", sha256=image * 32, bytes=9),),
            ),
        ),
        "boards": (
            BoardEntry(combination=name, name=board, boots=2, measurements={"SPE": "01" * 32}, device_seconds=3.5),
        ),
        "suites": (SuiteEntry(combination=name, suite="boot", claim="It boots.", state="partly", passed=2, total=3),),
        "requirements": (
            RequirementEntry(combination=name, suite="boot", checks=("check.failed",), state="failed"),
            RequirementEntry(combination=name, suite="boot", checks=("check.good",), state="proven"),
        ),
        "latency": (
            LatencyEntry(
                combination=name, board=board, gate={"verdict": "slower"}, baseline_name="run-0",
                series=Series(name="tamper", board=board, clock=CLOCK, ticks=tuple(range(1000, 1100))),
            ),
        ),
        "parity": (
            ParityEntry(
                combination=name, board=board, model="tamper", vectors=8,
                outputs=(ParityOutput(index=0, elements=4, exact_elements=3, max_lsb=1, max_abs=float("inf")),),
            ),
        ),
        "checks": {"check.failed": CheckEntry(title="one is one", requirement="RFC 1 s.2")},
        "tests": (
            TestEntry(
                nodeid=f"suites/boot/test_a.py::test_good[{name}]", combination=name, board=board, suite="boot",
                seconds=1.0, findings=(FindingEntry(id="check.good"), FindingEntry(id="check.good"), waived),
            ),
            TestEntry(
                nodeid=f"suites/boot/test_a.py::test_cases[{name}-5]", combination=name, board=board, suite="boot",
                outcome="failed", responsibility="product", message="1 is not 2", seconds=2.0, findings=(failed,),
            ),
            TestEntry(
                nodeid=f"suites/boot/test_a.py::test_cases[{name}-7]", combination=name, board=board, suite="boot",
                tries=(lost,),
            ),
        ),
    }  # fmt: skip
    return RunRecord(**{**base, **more})  # type: ignore[arg-type] # fields by name
