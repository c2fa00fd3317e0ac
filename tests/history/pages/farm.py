"""A small farm of hand-made records: six nights, four boards, and one story for each class of outcome."""

from __future__ import annotations

from pathlib import Path

from tfm_harness.history.database import Database
from tfm_harness.history.health import set_health
from tfm_harness.history.keep import keep_run
from tfm_harness.latency import Clock, ClockQuality, Series
from tfm_harness.report import write_html
from tfm_harness.report.record import (
    BoardEntry,
    CheckEntry,
    CombinationEntry,
    FindingEntry,
    LatencyEntry,
    ParityEntry,
    ParityOutput,
    RunRecord,
    SuiteEntry,
    TestEntry,
    TryEntry,
)
from tfm_harness.report.storage import save_run

BOARDS = ("bench-a", "bench-b", "bench-c", "Odd board/../<b>")
BUILDS = ("app", "bootloader")
NIGHTS = 6
HOSTILE = (
    "</pre><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31mred\x1b[m\x00\u202e::error::x"
)
CLOCK = Clock(source="sse-counter", hz=1_000_000, bits=64, quality=ClockQuality.DETERMINISTIC)


def story(test: str, night: int, board: str, build: str) -> str:
    """The outcome of a test: what each night's story is."""
    if board == BOARDS[2] and night >= 4:
        return "error"  # a bad cable
    if build == "app":
        if test == "attestation/test_token" and night == 6:
            return "failed"  # broken tonight
        if test == "results/test_signed" and night >= 3:
            return "failed"  # since night 3
        if test == "isolation/test_probe" and board == BOARDS[1] and night == 6:
            return "failed"  # on one board only
        if test == "boot/test_reset" and night == 5:
            return "failed"  # mended tonight
    if build == "bootloader" and test == "sensor/test_rate" and night % 2 == 0 and board == BOARDS[0]:
        return "failed"  # flaky, under one firmware
    return "not covered" if test == "update/test_model" and build == "bootloader" else "passed"


TESTS = (
    "boot/test_boots", "boot/test_reset", "isolation/test_probe", "sensor/test_rate", "results/test_signed",
    "attestation/test_token", "update/test_model",
)  # fmt: skip


def record(night: int, board: str, build: str) -> RunRecord:
    """One session of one night."""
    on = f"mps3+{build}"
    version = "0a" if night < 3 or build == "bootloader" else "0b" if night < 6 else "0c"
    tests = []
    for name in TESTS:
        suite, _, short = name.partition("/")
        outcome = story(name, night, board, build)
        failed = FindingEntry(
            id=f"{suite}.{short}", status="failed", expected="a valid signature", seen=HOSTILE, where="byte 17"
        )
        tests.append(
            TestEntry(
                nodeid=f"suites/{suite}/test_{suite}.py::{short}[{on}]", combination=on, board=board, suite=suite,
                outcome=outcome, seconds=1.5, kind="console-closed" if outcome == "error" else "",  # type: ignore[arg-type] # a word
                responsibility={"failed": "product", "error": "infrastructure"}.get(outcome, ""),  # type: ignore[arg-type] # same
                message={"failed": HOSTILE, "error": "the transport is gone"}.get(outcome, ""),
                findings=(failed,) if outcome == "failed" else (FindingEntry(id=f"{suite}.{short}"),),
                tries=(TryEntry(why="moved", board=BOARDS[2], outcome="error", responsibility="infrastructure"),)
                if name == "boot/test_boots" and night == 6 and board == BOARDS[0] else (),
            )
        )  # fmt: skip
    words = [test.outcome for test in tests]
    verdict = "failed" if "failed" in words else "infrastructure" if "error" in words else "passed"
    slower = build == "app" and night >= 5
    ticks = tuple(range(1000 + 90 * slower, 1040 + 90 * slower))
    return RunRecord(
        name=f"night-{night}.{BOARDS.index(board)}.{build}", verdict=verdict, headline=f"{len(tests)} tests",  # type: ignore[arg-type] # a word
        started=f"2026-11-{20 + night:02}T23:0{BOARDS.index(board)}:00+00:00", seconds=30.0,
        combinations=(CombinationEntry(name=on, target="mps3", build=build, firmware=f"{build} 1.{night}",
                                       image={"SPE": version * 6}),),
        boards=(BoardEntry(combination=on, name=board, transcripts=("ns.log",), measurements={"SPE": version * 32}),),
        suites=tuple(
            SuiteEntry(combination=on, suite=suite, claim=f"The {suite} holds.", state="proved", passed=1, total=1)
            for suite in ("boot", "results")
        ),
        checks={"results.test_signed": CheckEntry("the result is signed", "RFC 9052 s.4.4")},
        tests=tuple(tests),
        latency=(LatencyEntry(
            combination=on, board=board, gate={"verdict": "slower" if slower else "passed", "change": "+9 %"},
            baseline_name="night-1" if slower else "",
            series=Series(name="tamper", board=board, clock=CLOCK, ticks=ticks),
        ),),
        parity=(ParityEntry(
            combination=on, board=board, model="tamper", vectors=8, first_op="SOFTMAX",
            outputs=(ParityOutput(index=0, elements=4, exact_elements=4 - (night == 6), max_lsb=int(night == 6),
                                  passed=night != 6),),
        ),),
    )  # fmt: skip


def fill(database: Database, folder: Path) -> None:
    """All nights into a store; their folders have pages, records and transcripts."""
    for night in range(1, NIGHTS + 1):
        for board in BOARDS:
            for build in BUILDS:
                made = record(night, board, build)
                place = folder / made.name
                place.mkdir(parents=True)
                if board == BOARDS[0]:
                    save_run(made, place / "run.json")
                    write_html(made, place / "report.html")
                    (place / "ns.log").write_text(HOSTILE)
                keep_run(database, made, folder=str(place), night=f"night-{night}")
    set_health(database, BOARDS[2], "Bad", reason=f"the golden build did not boot {HOSTILE}", by="health check")
    for board in (BOARDS[0], BOARDS[1]):
        set_health(database, board, "Good", reason="the golden build booted", by="health check")
