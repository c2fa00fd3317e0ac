"""A record into the store and out of it again, on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from tfm_harness.errors import ConfigError
from tfm_harness.history import BaselineStore
from tfm_harness.history.database import Database
from tfm_harness.history.keep import import_run, keep_run, record_digest
from tfm_harness.history.names import clean, firmware_of, night_of, test_name
from tfm_harness.history.prune import prune
from tfm_harness.history.queries import Memory
from tfm_harness.report import TestEntry, load_run, save_run

from tests.history.records import record


def test_a_run_comes_back_whole(database: Database) -> None:
    kept = keep_run(database, record(), folder="/runs/1")
    memory = Memory(database)
    assert kept.new
    (night,) = memory.nights()
    assert (night.name, night.runs, night.verdicts) == ("2026-11-01", 1, {"failed": 1})
    assert night.started == dt.datetime(2026, 11, 1, 22, tzinfo=dt.UTC)
    (run,) = memory.runs(night="2026-11-01")
    assert (run.id, run.name, run.folder, run.headline) == (kept.run_id, "run-1-b0", "/runs/1", "2 passed, 1 failed")
    by_test = {row.test.rpartition("::")[2]: row for row in memory.outcomes()}
    assert set(by_test) == {"test_good", "test_cases[5]", "test_cases[7]"}, "the combination is no part of the name"
    assert (by_test["test_good"].outcome, by_test["test_good"].passed) == ("passed", 2)
    failed = by_test["test_cases[5]"]
    assert (failed.outcome, failed.responsibility, failed.message) == ("failed", "product", "1 is not 2")
    assert (failed.board, failed.combination, failed.build, failed.suite) == ("b0", "mps3+app", "app", "boot")
    assert [row.test for row in memory.outcomes(passed=False)] == [failed.test]
    findings = memory.findings(run_id=kept.run_id)
    assert [(f.check, f.status) for f in findings] == [("check.waived", "waived"), ("check.failed", "failed")]
    assert (findings[1].title, findings[1].requirement) == ("one is one", "RFC 1 s.2")
    assert (findings[1].seen, findings[1].where) == ("2", "byte 7")
    (tried,) = memory.tries(run_id=kept.run_id)
    assert (tried.board, tried.outcome, tried.responsibility, tried.kind) == (
        "b9", "error", "infrastructure", "probe-lost",
    )  # fmt: skip
    (suite,) = memory.suites(nights=["2026-11-01"])
    assert (suite.state, suite.passed, suite.proven, suite.requirements) == ("partly", 2, 1, 2)
    (firmware,) = memory.firmware()
    assert firmware.measurements == {"SPE": "01" * 32}
    assert (firmware.first_run, firmware.build, firmware.said) == ("run-1-b0", "app", "app 1.0")
    assert memory.suites(firmware=firmware.digest) == [suite]
    assert memory.suites(firmware="0" * 64) == []
    (latency,) = memory.figures("latency", what="tamper", board="b0")
    assert latency.verdict == "slower"
    assert latency.figures["median"] == pytest.approx(1049e-6)
    assert latency.figures["most"] == pytest.approx(1099e-6)
    (parity,) = memory.figures("parity")
    assert (parity.verdict, parity.figures["max_lsb"]) == ("passed", 1)
    assert {board.name for board in memory.boards()} == {"b0", "b9"}
    (cell,) = memory.grid(["2026-11-01"])
    assert cell.outcomes == {"passed": 2, "failed": 1}


def test_nothing_is_kept_twice(database: Database, tmp_path: Path) -> None:
    first = keep_run(database, record())
    again = keep_run(database, record(), folder="/elsewhere")
    assert (again.run_id, again.new) == (first.run_id, False)
    save_run(record(), tmp_path / "run.json")
    assert not import_run(database, tmp_path).new, "the file of a run that was kept when it ended"
    assert len(Memory(database).outcomes()) == 3
    assert keep_run(database, record(day=2)).new
    assert keep_run(database, record(board="b1")).new
    assert [n.runs for n in Memory(database).nights()] == [1, 2]


def test_a_record_and_its_file_have_one_digest(tmp_path: Path) -> None:
    save_run(record(), tmp_path / "run.json")
    assert record_digest(load_run(tmp_path)) == record_digest(record())
    assert record_digest(replace(record(), seconds=1.0)) != record_digest(record())


def test_two_tests_of_one_name_are_both_kept(database: Database) -> None:
    twice = TestEntry(nodeid="t.py::test[mps3+app]", combination="mps3+app", outcome="failed", responsibility="product")
    keep_run(database, record(tests=(twice, replace(twice, outcome="passed", responsibility=""))))
    rows = {row.test: row.outcome for row in Memory(database).outcomes()}
    assert rows == {"t.py::test": "failed", "t.py::test #2": "passed"}


def test_what_no_database_takes_is_kept_readable(database: Database) -> None:
    odd = TestEntry(
        nodeid="t.py::test[mps3+app]", combination="mps3+app", outcome="failed", responsibility="product",
        message="nul \0 " + "x" * 200_000,
    )  # fmt: skip
    keep_run(database, record(tests=(odd,), environment={"a\0": "b\0"}, seconds=float("inf")))
    (row,) = Memory(database).outcomes()
    assert row.message.startswith("nul \\x00 xxx")
    assert "200006 characters" in row.message
    assert len(row.message) < 17_000


def test_a_run_of_unknown_date_is_kept(database: Database) -> None:
    for started in ("", "yesterday", "0001-01-01T00:00:00+14:00"):
        assert keep_run(database, record(name=f"at {started}", started=started)).new
    assert {run.night for run in Memory(database).runs()} == {"undated"}


def test_a_failed_write_leaves_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tfm_harness.history.keep_rows.RunRows._parity", ends)
    with pytest.raises(KeyboardInterrupt):
        keep_run(database, record())
    assert Memory(database).runs() == []
    assert Memory(database).outcomes() == []


def test_outcomes_can_be_chosen(database: Database) -> None:
    for day in (1, 2, 3):
        for board in ("b0", "b1"):
            keep_run(database, record(day=day, board=board, image="bb" if day == 3 else "aa"))
    memory = Memory(database)
    assert len(memory.outcomes(nights=["2026-11-02"])) == 6
    assert len(memory.outcomes(board="b1")) == 9
    new, old = memory.firmware()
    assert new.first_night == "2026-11-03"
    assert len(memory.outcomes(firmware=new.digest)) == 6
    name = "suites/boot/test_a.py::test_cases[5]"
    assert [row.night for row in memory.outcomes(test=name, board="b0")] == ["2026-11-03", "2026-11-02", "2026-11-01"]
    assert len(memory.outcomes(limit=4)) == 4
    assert [night.name for night in memory.nights(before="2026-11-03")] == ["2026-11-02", "2026-11-01"]
    boards = {b.name: b for b in memory.boards(nights=["2026-11-02"])}
    assert boards["b0"].outcomes == {"passed": 2, "failed": 1}
    assert boards["b0"].bench_failures == 0
    found = memory.search("cases 5")
    assert found["tests"] == [name]
    assert memory.search("100%_nothing")["tests"] == []
    assert old.digest in memory.search(old.digest[:12])["firmware"]


def bench_error(board: str, name: str, seconds: float) -> TestEntry:
    return TestEntry(nodeid=name, outcome="error", board=board, seconds=seconds, responsibility="infrastructure",
                     combination="mps3+app")  # fmt: skip


def other(board: str, name: str, seconds: float, outcome: Literal["passed", "not covered", "not run"]) -> TestEntry:
    return TestEntry(nodeid=name, outcome=outcome, board=board, seconds=seconds, combination="mps3+app")


def test_time_lost_is_the_runs_where_the_bench_left_no_verdict(database: Database) -> None:
    """A board that dies at once has short tests, and is gone for as long as its run takes."""
    fruitless = (bench_error("b0", "a", 0.5), bench_error("b0", "b", 0.25), other("b0", "c", 0, "not run"))
    keep_run(database, replace(record(board="b0"), tests=fruitless, seconds=100.0))
    some = (bench_error("b1", "a", 0.5), other("b1", "b", 7.0, "passed"))
    keep_run(database, replace(record(board="b1"), tests=some, seconds=200.0))
    good = (other("b2", "a", 3.0, "passed"), other("b2", "b", 1.0, "not covered"))
    keep_run(database, replace(record(board="b2"), tests=good, seconds=400.0))
    without_any = record(board="b3")
    gone = replace(without_any.boards[0], lost="it does not answer")
    keep_run(database, replace(without_any, boards=(gone,), tests=(), seconds=800.0))
    found = {row.name: row.seconds_lost for row in Memory(database).boards(nights=["2026-11-01"])}
    assert {name: found[name] for name in ("b0", "b1", "b2", "b3")} == {"b0": 100.0, "b1": 0.5, "b2": 0.0, "b3": 800.0}


@pytest.mark.parametrize(
    ("garbage", "says"),
    [
        (b"", "Expecting value"),
        (b"\0\xff\xfe", "decode"),
        (b'{"schema": "tfm-harness-run/2", "name": 1}', "name"),
        (b'{"schema": "tfm-harness-run/9", "name": "x"}', "tfm-harness-run/9"),
        (b"[" * 100_000, "recursion|Recursion"),
        (b'{"schema": "tfm-harness-run/2", "name": "x", "verdict": "passed", "tests": [{}]}', "tests.0.nodeid"),
    ],
    ids=["empty", "bytes", "wrong type", "later", "deep", "test without a name"],
)
def test_garbage_is_refused_by_name(tmp_path: Path, garbage: bytes, says: str) -> None:
    (tmp_path / "run.json").write_bytes(garbage)
    with Database(str(tmp_path / "s.sqlite")) as database:
        with pytest.raises(ConfigError, match="not a run's record") as caught:
            import_run(database, tmp_path)
        import re

        assert re.search(says, caught.value.seen or "")
        assert Memory(database).runs() == []


def test_prune_keeps_the_newest_nights_and_the_baselines(database: Database) -> None:
    for day in (1, 2, 3):
        keep_run(database, record(day=day))
    with BaselineStore(database.url) as store:
        series = record().latency[0].series
        store.add("run-0", series, taken=dt.datetime(2026, 10, 1, tzinfo=dt.UTC))
        store.accept("run-0", reason="first")
        store.add("old", replace(series, name="other"), taken=dt.datetime(2026, 10, 2, tzinfo=dt.UTC))
    assert prune(database, keep_nights=1, dry_run=True).runs == 2
    assert len(Memory(database).nights()) == 3
    gone = prune(database, keep_nights=1)
    assert (gone.runs, gone.nights) == (2, 2)
    memory = Memory(database)
    assert [night.name for night in memory.nights()] == ["2026-11-03"]
    assert len(memory.outcomes()) == 3
    with BaselineStore(database.url) as store:
        assert store.baseline(series) is not None
        assert store.series_of("old") == [], "a series of before the oldest run, and no baseline"
    assert prune(database, before=dt.datetime(2026, 11, 4, tzinfo=dt.UTC)).runs == 1
    assert memory.search("cases")["tests"] == []
    assert memory.search("check")["checks"] == []
    assert prune(database, keep_nights=5).runs == 0


def test_two_processes_may_import_the_same_run(tmp_path: Path) -> None:
    for day in range(1, 9):
        save_run(record(day=day), tmp_path / f"{day}" / "run.json")
    command = [
        sys.executable,
        "-m",
        "tfm_harness.cli.main",
        "history",
        "import",
        *map(str, sorted(tmp_path.glob("*/"))),
    ]
    command += ["--store", str(tmp_path / "s.sqlite")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum(text.count(": night ") for text in said) == 8
    with Database(str(tmp_path / "s.sqlite")) as database:
        assert len(Memory(database).runs()) == 8


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("s/t.py::a[q+r]", "s/t.py::a"),
        ("s/t.py::a[q+r-5]", "s/t.py::a[5]"),
        ("s/t.py::a[5-q+r]", "s/t.py::a[5]"),
        ("s/t.py::a[x-q+r-5]", "s/t.py::a[x-5]"),
        ("s/t.py::a[5]", "s/t.py::a[5]"),
        ("s/t.py::a", "s/t.py::a"),
    ],
)
def test_names_of_tests(nodeid: str, name: str) -> None:
    assert test_name(nodeid, "q+r") == name


def test_a_night_lasts_from_noon_to_noon() -> None:
    assert night_of(dt.datetime(2026, 11, 28, 22, tzinfo=dt.UTC)) == "2026-11-28"
    assert night_of(dt.datetime(2026, 11, 29, 11, 59, tzinfo=dt.UTC)) == "2026-11-28"
    assert night_of(dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)) == "2026-11-29"
    assert night_of(None) == "undated"


def test_firmware_is_known_by_its_images() -> None:
    def digest(**more: object) -> str:
        made = record(**more)  # type: ignore[arg-type] # fields by name
        identity = firmware_of(made, made.combinations[0])
        return identity.digest if identity else ""

    assert digest() == digest(board="b7", day=9)
    assert digest() != digest(image="bb")
    made = record()
    nothing = replace(made.combinations[0], files=(), image={}, firmware="")
    assert firmware_of(replace(made, boards=()), nothing) is None
    measured = firmware_of(made, nothing)
    assert measured is not None
    assert measured.measurements == {"SPE": "01" * 32}


def test_clean_text_is_short_and_says_what_is_missing() -> None:
    assert clean("a" * 50, 50) == "a" * 50
    cut = clean("a" * 5000, 1000)
    assert len(cut) == 1000
    assert "5000 characters" in cut
    assert clean("a" * 5000, 1000) != clean("a" * 4999 + "b", 1000), "two long names stay two"


def test_the_command_imports_lists_and_prunes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tfm_harness.cli.main import main

    store = ["--store", str(tmp_path / "s.sqlite")]
    for day in (1, 2):
        save_run(record(day=day), tmp_path / "runs" / f"{day}" / "run.json")
    paths = [str(path) for path in sorted((tmp_path / "runs").glob("*"))]
    assert main(["history", "import", *paths, *store]) == 0
    assert "2 imported; store" in capsys.readouterr().out
    (tmp_path / "bad.json").write_text("no record")
    assert main(["history", "import", *paths, str(tmp_path / "bad.json"), *store]) == 4, "the good ones are taken"
    said = capsys.readouterr()
    assert "0 imported, 2 already there, 1 refused" in said.out
    assert "bad.json" in said.err
    assert main(["history", "runs", *store]) == 0
    assert "2026-11-02  1 failed" in capsys.readouterr().out
    assert main(["history", "runs", "--json", *store]) == 0
    assert [n["night"] for n in json.loads(capsys.readouterr().out)["nights"]] == ["2026-11-02", "2026-11-01"]
    assert main(["history", "prune", "--keep-nights", "1", "--dry-run", *store]) == 0
    assert "1 runs of 1 nights would go" in capsys.readouterr().out
    assert main(["history", "prune", "--before", "2026-11-02", *store]) == 0
    assert "removed" in capsys.readouterr().out
    for wrong in (["--keep-nights", "0"], ["--before", "soon"], []):
        with pytest.raises(SystemExit):
            main(["history", "prune", *wrong, *store])


def test_a_file_that_is_no_database_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tfm_harness.cli.main import main

    (tmp_path / "s.sqlite").write_bytes(b"this is no database" * 100)
    assert main(["history", "runs", "--store", str(tmp_path / "s.sqlite")]) == 10
    assert "store-failed" in capsys.readouterr().err


def test_foreign_keys_hold(tmp_path: Path) -> None:
    with Database(str(tmp_path / "s.sqlite")) as database:
        keep_run(database, record())
        with sqlite3.connect(tmp_path / "s.sqlite") as connection:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
