"""From a session's log to the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.baseline import BaselineStore, judge_and_keep
from harness.findings import Report
from harness.latency import Budget, Clock, ClockQuality, Night, Phases, Series, regression_gate
from harness.parity import testkit
from harness.parity.engines import get_engine
from harness.parity.session import run_session
from harness.report import Recordings, collect, load_run, write_run

SERIES = Series(
    name="tamper",
    ticks=tuple(1000 + i % 3 for i in range(30)),
    clock=Clock(source="sse-counter", hz=1_000_000, quality=ClockQuality.DETERMINISTIC),
    board="qemu",
)


@pytest.fixture
def log(tmp_path: Path) -> dict[str, Any]:
    transcript = tmp_path / "ns.log"
    transcript.write_bytes(b"x" * 30_000 + b"\nlast line\n")
    finding = {
        "id": "parity.bit-exact",
        "title": "t",
        "requirement": "r",
        "severity": "failure",
        "status": "failed",
        "expected": "e",
        "seen": "s",
        "where": "",
        "subject": "",
        "waiver": "",
        "waived_by": "",
    }
    test = {
        "nodeid": "suites/parity/test_parity.py::test_x[q+r]",
        "pair": "q+r",
        "suite": "parity",
        "outcome": "failed",
        "fault": "product",
        "kind": "",
        "seconds": 1.5,
        "message": "m",
        "findings": [finding, {**finding, "status": "passed"}],
    }
    return {
        "schema": "tfm-harness-tests/1",
        "policies": {"q+r": "port"},
        "began": 1_700_000_000.0,
        "seconds": 12.0,
        "boards": {
            "q+r": {
                "board": {"emulator": "QEMU 7.2"},
                "firmware": "ref 1.0",
                "measurements": {"SPE": "ab"},
                "link": "",
                "boots": 2,
                "events": [{"at": 3.21, "kind": "host-reset", "detail": "warm"}, "plain"],
                "transcripts": [str(transcript), str(tmp_path / "gone.log")],
            }
        },
        "tests": [test],
        "waivers": [
            {"pair": "q+r", "finding": "a.b", "reason": "because of x", "where": "b.yaml:3", "state": "unused"}
        ],
    }


def test_log_becomes_record_and_page(log: dict[str, Any], tmp_path: Path) -> None:
    record = collect(log, name="night", exit_code=1, version="0.1")
    assert record.verdict == "failed"
    assert record.headline == "1 tests failed: parity.bit-exact on q+r"
    (board,) = record.boards
    assert (board.target, board.build, board.policy, board.firmware) == ("q", "r", "port", "ref 1.0")
    assert board.facts == {"emulator": "QEMU 7.2", "SPE": "ab", "boots": "2"}
    assert board.events == ("3.2 s host-reset warm", "plain")
    assert record.tests[0].findings[0].status == "failed"
    assert record.consoles[0].text == "last line\n"
    assert "cannot be read" in record.consoles[1].text
    assert record.started.startswith("2023-11-14T")
    assert "python" in record.environment
    page = write_run(record, tmp_path / "run")
    assert page == tmp_path / "run" / "report.html"
    assert load_run(tmp_path / "run").as_dict() == record.as_dict()
    assert "last line" in page.read_text()
    assert write_run(record, tmp_path / "run", html=tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "passed"), (1, "failed"), (3, "bug"), (4, "config"), (5, "nothing proved"), (10, "bench")]
)
def test_verdict_follows_the_exit_code(log: dict[str, Any], code: int, verdict: str) -> None:
    record = collect(log, name="n", exit_code=code, version="")
    assert record.verdict == verdict
    if code == 4:
        assert record.headline == "waivers that match nothing: a.b"
    assert collect(log, name="n", exit_code=77, version="").verdict == "bug", "an unknown code is no pass"


def test_bench_headline_names_the_kinds(log: dict[str, Any]) -> None:
    log["tests"][0] |= {"outcome": "error", "fault": "infrastructure", "kind": "console-closed"}
    assert collect(log, name="n", exit_code=10, version="").headline == "console-closed (1)"
    log["tests"][0] |= {"outcome": "not covered"}
    assert "1 tests were not covered" in collect(log, name="n", exit_code=0, version="").headline


def test_recordings_fill_the_page(log: dict[str, Any], tmp_path: Path) -> None:
    kept = Recordings("q+r")
    baseline = Night("yesterday", replace(SERIES, ticks=tuple(t - 100 for t in SERIES.ticks)))
    gate = regression_gate(SERIES, baseline, Report())
    kept.add_series(SERIES, budgets=[Budget(model="*", seconds=0.002)], baseline=baseline, gate=gate)
    phases = Phases({"dispatch": 5, "inference": 1000}, 0.001005, 0.002)
    kept.add_phases("tamper", phases, phases.seconds(SERIES.clock))
    kept.add_trace("idle", {"mag.x": [1, 2, 3]}, [(2, [0.5, 0.5])], ["a", "b"])
    model = testkit.dense()
    inputs = np.random.default_rng(1).integers(-128, 128, (20, 1, 16), dtype=np.int8)
    with get_engine() as engine, get_engine() as device:

        def wrong(batch: Sequence[bytes], _size: int) -> list[bytes]:
            arrays = [np.frombuffer(b"".join(batch), np.int8).reshape(-1, 1, 16)]
            outputs = [o.tobytes() for o in device.run(model, arrays)[0]]
            return [bytes([o[0] ^ 1, *o[1:]]) for o in outputs]

        kept.add_session(run_session(engine, model, inputs, wrong, Report(), name="dense", save_to=tmp_path))
    record = collect(log, name="n", exit_code=1, version="", recordings=[kept])
    write_run(record, tmp_path)
    page = (tmp_path / "report.html").read_text()
    for words in ("baseline yesterday", "slower", "inference 1 ms", "tfm-harness replay", "140 of 160"):
        assert words in page, words
    assert load_run(tmp_path).as_dict() == record.as_dict()


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
