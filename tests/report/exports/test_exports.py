"""A run in other systems' formats, read back with their own libraries and by their written rules."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.cli.main import main
from tfm_harness.report import RunRecord, TestEntry, save_run
from tfm_harness.report.exports import FORMATS
from tfm_harness.report.exports.github import MOST_BYTES as MOST_SUMMARY
from tfm_harness.report.exports.names import identifier
from tfm_harness.report.record import TryEntry

HOSTILE = ']]></failure><script>\x1b[31mred\x00\x07\ufffe\ud800\u202e\r\n::error::x <LAVA_SIGNAL_TESTRAISE no> "q" 100%'
SQUAD_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
ON = "qemu+app"


def test_entry(nodeid: str, **more: Any) -> TestEntry:
    base: dict[str, Any] = {"combination": ON, "board": "b1", "suite": "boot", "seconds": 1.0}
    return TestEntry(nodeid=nodeid, **{**base, **more})


test_entry.__test__ = False  # type: ignore[attr-defined] # makes entries


@pytest.fixture
def odd_run(sample_run: RunRecord) -> RunRecord:
    """A run with each outcome, names that clash, and a device that says what would break each format."""
    bench = {"responsibility": "infrastructure", "kind": "console-closed"}
    fails: dict[str, Any] = {"outcome": "failed", "responsibility": "product"}
    earlier = TryEntry(why="rerun", outcome="failed", responsibility="product", board="b1", message=HOSTILE)
    moved = TryEntry(why="moved", outcome="error", board="b2", message="gone", **bench)  # type: ignore[arg-type] # fields by name
    tests = (
        test_entry(f"suites/boot/test_a.py::test_x[{ON}-5]"),
        test_entry(f"suites/boot/test_b.py::test_x[{ON}-5]", **fails, message=HOSTILE),
        test_entry(f"suites/boot/test_b.py::test_x[{ON}-5]", **fails, message="second"),
        test_entry(f"suites/boot/test_a.py::test_x[{ON}/5]"),
        test_entry(f"suites/boot/test_a.py::TEST_X[{ON}-5]"),
        test_entry(f"suites/boot/test_a.py::test_e[{ON}]", outcome="error", message="the transport is gone", **bench),
        test_entry(f"suites/boot/test_a.py::test_bl[{ON}]", outcome="blocked", blocked_by="test_e", board="", **bench),
        test_entry(f"suites/boot/test_a.py::test_n[{ON}]", outcome="not run"),
        test_entry(f"suites/boot/test_a.py::test_c[{ON}]", outcome="not covered", message="no feature update"),
        test_entry(f"suites/boot/test_a.py::test_flaky[{ON}]", tries=(earlier, moved)),
        test_entry(f"suites/boot/test_a.py::test_bad[{ON}]", **fails, tries=(earlier,)),
        test_entry(f"suites/boot/test_a.py::test_{HOSTILE}[{ON}]", suite=f"s {HOSTILE}", board=HOSTILE),
        test_entry("=cmd|' /C calc'!A0", combination="", suite="", board="", seconds=float("inf"), message="=1+1"),
    )  # fmt: skip
    return replace(sample_run, name=f"night {HOSTILE}", headline=HOSTILE, tests=tests)


def texts(run: RunRecord, kind: str) -> dict[str, str]:
    found = dict(FORMATS[kind](run))
    for text in found.values():
        text.encode()
        assert "\x1b" not in text
        assert "\x00" not in text
        assert "\u202e" not in text
    return found


# -- JUnit


def test_junit_is_read_whole_by_its_library(odd_run: RunRecord) -> None:
    junitparser = pytest.importorskip("junitparser")
    (text,) = texts(odd_run, "junit").values()
    suites = junitparser.JUnitXml.fromstring(text.encode())
    cases = [case for suite in suites for case in suite]
    assert len(cases) == len(odd_run.tests)
    assert (suites.tests, suites.failures, suites.errors, suites.skipped) == (13, 3, 3, 1)
    by_name = {case.name: case for case in cases}
    (failure,) = by_name["test_b.test_x-5"].result
    assert isinstance(failure, junitparser.Failure)
    assert failure.message.startswith("[board b1; responsible: the product]")
    assert "::error" not in failure.text.replace("\\x3a:error", "")
    (error,) = by_name["test_e"].result
    assert isinstance(error, junitparser.Error), "the bench's failure is an error, never a failure"
    assert error.type == "console-closed"
    assert "the bench" in error.message


def test_junit_drops_no_test_and_shows_earlier_tries(odd_run: RunRecord) -> None:
    root = ET.fromstring(texts(odd_run, "junit")["junit.xml"])
    names = Counter((case.get("classname", "").lower(), case.get("name", "").lower()) for case in root.iter("testcase"))
    assert max(names.values()) == 1
    flaky = next(case for case in root.iter("testcase") if case.get("name") == "test_flaky")
    assert [child.tag for child in flaky] == ["flakyFailure", "flakyError"]
    assert "board b2; responsible: the bench" in (flaky[1].get("message") or "")
    bad = next(case for case in root.iter("testcase") if case.get("name") == "test_bad")
    assert [child.tag for child in bad] == ["failure", "rerunFailure"]
    assert "earlier try 1: failed on b1" in (bad[0].text or "")


def test_junit_stays_below_what_gitlab_takes(odd_run: RunRecord) -> None:
    long = tuple(
        test_entry(f"t.py::test_{n}", outcome="failed", responsibility="product", message="ä" * 20_000)
        for n in range(1000)
    )
    text = texts(replace(odd_run, tests=long), "junit")["junit.xml"]
    assert len(text.encode()) < 30_000_000
    assert len(list(ET.fromstring(text).iter("testcase"))) == 1000


# -- SQUAD


def test_squad_files_keep_its_rules(odd_run: RunRecord) -> None:
    found = texts(odd_run, "squad")
    tests = json.loads(found["qemu-app/tests.json"])
    for name in tests:
        suite, _, test = name.partition("/")
        assert SQUAD_ID.fullmatch(suite), name
        assert SQUAD_ID.fullmatch(test), name
    assert tests["boot/test_e"]["result"] == "error", "never fail: the bench's"
    assert tests["boot/test_bl"]["result"] == "error"
    assert tests["boot/test_a.test_x-5"] == {"result": "pass"}
    assert tests["boot/test_b.test_x-5"]["result"] == "fail"
    assert sum(len(json.loads(text)) for name, text in found.items() if name.endswith("tests.json")) == 13
    assert [one for one in tests.values() if one["result"] == "fail"], "what failed is there"
    for name, text in found.items():
        if name.endswith("metadata.json"):
            facts = json.loads(text)
            assert all(isinstance(value, str) for value in facts.values())
            assert SQUAD_ID.fullmatch(facts["job_id"])
        if name.endswith("metrics.json"):
            for metric, value in json.loads(text).items():
                assert re.fullmatch(r"[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+", metric)
                assert all(isinstance(one, (int, float)) for one in (value if isinstance(value, list) else [value]))
    ids = [json.loads(text)["job_id"] for name, text in found.items() if name.endswith("metadata.json")]
    assert len(set(ids)) == len(ids)
    metrics = json.loads(found["qemu-an547-reference/metrics.json"])
    assert len(metrics["latency/tamper.seconds"]) == 120
    assert metrics["parity/tamper.max-lsb"] == 2


# -- LAVA

SIGNAL = re.compile(
    r"<LAVA_SIGNAL_(TESTSET START [^\s<>]+|TESTSET STOP|TESTRAISE [^<>]+|TESTCASE TEST_CASE_ID=[^\s<>]+"
    r" RESULT=(pass|fail|skip|unknown)( UNITS=\S+ MEASUREMENT=\d+\.\d{1,10})?)>"
)


def test_lava_signals_keep_its_rules(odd_run: RunRecord) -> None:
    lines = texts(odd_run, "lava")["lava-signals.txt"].splitlines()
    for line in lines:
        assert SIGNAL.fullmatch(line), line
    opened = 0
    for line in lines:
        opened += "TESTSET START" in line
        opened -= "TESTSET STOP" in line
        assert 0 <= opened <= 1
    assert sum("TESTCASE" in line and "UNITS" not in line for line in lines) == 13
    assert any("TEST_CASE_ID=test_e RESULT=unknown" in line for line in lines)
    assert any("UNITS=seconds" in line and "RESULT=fail" in line for line in lines), "the gate said slower"
    assert not any(line.startswith("<LAVA_SIGNAL_TESTRAISE") for line in lines), (
        "the product failed: the job has a result"
    )
    bench = texts(replace(odd_run, verdict="infrastructure", headline="probe > lost"), "lava")["lava-signals.txt"]
    assert bench.splitlines()[-1] == "<LAVA_SIGNAL_TESTRAISE probe lost>"


# -- KCIDB


def test_kcidb_validates_with_its_schema(odd_run: RunRecord, sample_run: RunRecord) -> None:
    kcidb_io = pytest.importorskip("kcidb_io")
    for run in (odd_run, sample_run, replace(odd_run, started="yesterday"), RunRecord(name="", verdict="passed")):
        data = json.loads(texts(run, "kcidb")["kcidb.json"])
        assert kcidb_io.schema.V5_3.validate(data)
    data = json.loads(texts(odd_run, "kcidb")["kcidb.json"])
    status = {one["path"]: one["status"] for one in data["tests"]}
    assert status["boot.test_e"] == "ERROR"
    assert status["boot.test_bl"] == "MISS"
    assert status["boot.test_n"] == "MISS"
    assert status["boot.test_b_test_x-5"] == "FAIL"
    assert len({one["id"] for one in data["tests"]}) == len(data["tests"])
    done = [one for one in data["tests"] if one["status"] == "DONE"]
    assert done[0]["number"]["unit"] == "s"
    data["tests"][0]["status"] = "BROKEN"
    with pytest.raises(Exception, match="BROKEN"):
        kcidb_io.schema.V5_3.validate(data)


# -- GitHub


def test_github_annotations_are_commands_that_say_nothing_else(odd_run: RunRecord) -> None:
    found = texts(odd_run, "github")
    lines = found["annotations.txt"].splitlines()
    assert len(lines) == 6
    for line in lines:
        matched = re.fullmatch(r"::(error|warning) file=([^:,\s]*),title=([^:,]*)::(.*)", line)
        assert matched, line
        assert not re.search(r"%(?!25|0D|0A|3A|2C)", line)
    assert sum(line.startswith("::error") for line in lines) == 3, "the bench's are warnings"
    many = tuple(test_entry(f"t.py::test_{n}", outcome="failed", responsibility="product") for n in range(50))
    assert len(texts(replace(odd_run, tests=many), "github")["annotations.txt"].splitlines()) == 10


def test_github_summary_is_plain_and_bounded(odd_run: RunRecord) -> None:
    summary = texts(odd_run, "github")["summary.md"]
    assert "<script" not in summary
    assert "## What failed" in summary
    assert "## What the bench failed at" in summary
    assert "Passed, but not at the first try" in summary
    many = tuple(
        test_entry(f"t.py::test_{n}", outcome="failed", responsibility="product", message="ä" * 300)
        for n in range(5000)
    )
    large = texts(replace(odd_run, tests=many), "github")["summary.md"]
    assert len(large.encode()) < MOST_SUMMARY + 200 < 1 << 20
    assert "more lines" in large


# -- Prometheus, CSV


def test_prometheus_is_read_by_its_library(odd_run: RunRecord) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    families = {
        f.name: f for f in parser.text_string_to_metric_families(texts(odd_run, "prometheus")["tfm_harness.prom"])
    }
    tests = families["tfm_harness_tests"]
    assert sum(sample.value for sample in tests.samples) == 13
    assert sum(s.value for s in tests.samples if s.labels["responsibility"] == "infrastructure") == 2
    assert all(len(value) <= 120 for family in families.values() for s in family.samples for value in s.labels.values())
    histogram = families["tfm_harness_latency_seconds"]
    assert histogram.type == "histogram"
    by_series: dict[str, list[Any]] = {}
    for sample in histogram.samples:
        by_series.setdefault(sample.labels["combination"], []).append(sample)
    for samples in by_series.values():
        buckets = [s.value for s in samples if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == next(s.value for s in samples if s.name.endswith("_count")) == 120
    assert {s.labels["verdict"] for s in families["tfm_harness_run"].samples} == {odd_run.verdict}


def test_csv_has_a_row_for_each_test_and_no_formula(odd_run: RunRecord) -> None:
    rows = list(csv.DictReader(io.StringIO(texts(odd_run, "csv")["tests.csv"])))
    assert len(rows) == 13
    assert rows[5]["responsibility"] == "infrastructure"
    assert rows[9]["tries"] == "2"
    assert rows[-1]["message"] == "'=1+1"
    assert not any(value.startswith(("=", "+", "@")) for row in rows for value in row.values())


@pytest.mark.parametrize("text", ["", "-x", "..", "a b/c", "ä", "x" * 500, "ok-1.2_3", HOSTILE])
def test_identifiers_are_what_squad_and_lava_take(text: str) -> None:
    assert SQUAD_ID.fullmatch(identifier(text))
    assert len(identifier(text)) <= 200
    assert identifier("x" * 500) != identifier("x" * 501)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_run_without_anything_has_each_format(kind: str) -> None:
    found = texts(RunRecord(name="", verdict="nothing proved"), kind)
    assert found or kind == "squad"


def test_what_was_left_out_on_purpose_is_a_skip_and_nothing_to_look_at(odd_run: RunRecord) -> None:
    quick = test_entry(
        f"t.py::test_quick[{ON}]", outcome="not run", message="not run: thorough, and the run was asked to be quick"
    )
    run = replace(odd_run, tests=(quick,))
    assert json.loads(texts(run, "squad")["qemu-app/tests.json"])["boot/test_quick"]["result"] == "skip"
    assert "TEST_CASE_ID=test_quick RESULT=skip" in texts(run, "lava")["lava-signals.txt"]
    assert json.loads(texts(run, "kcidb")["kcidb.json"])["tests"][0]["status"] == "SKIP"
    assert texts(run, "github")["annotations.txt"] == ""
    assert "Never ran" not in texts(run, "github")["summary.md"]
    case = ET.fromstring(texts(run, "junit")["junit.xml"]).find(".//testcase")
    assert case is not None
    assert [child.tag for child in case] == ["skipped"]
    ended = replace(quick, message="the run ended before this test")
    assert json.loads(texts(replace(odd_run, tests=(ended,)), "kcidb")["kcidb.json"])["tests"][0]["status"] == "MISS"


# -- the command


def test_the_command_writes_each_format(
    sample_run: RunRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    save_run(sample_run, tmp_path / "run.json")
    run = str(tmp_path)
    for kind in ("lava", "kcidb", "junit", "prometheus", "csv"):
        assert main(["export", run, "--format", kind]) == 0
        printed = capsys.readouterr().out
        assert main(["export", run, "--format", kind, "--output", str(tmp_path / kind)]) == 0
        assert (tmp_path / kind).read_text() == printed != ""
    capsys.readouterr()
    assert main(["export", run, "--format", "squad"]) == 4
    assert "--output DIR" in capsys.readouterr().err
    assert main(["export", run, "--format", "squad", "--output", str(tmp_path / "s")]) == 0
    assert (tmp_path / "s" / "qemu-an547-reference" / "tests.json").is_file()
    assert main(["export", str(tmp_path / "nowhere"), "--format", "csv"]) == 4


def test_github_goes_where_github_reads(
    sample_run: RunRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_run(sample_run, tmp_path / "run.json")
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    assert main(["export", str(tmp_path), "--format", "github"]) == 0
    assert capsys.readouterr().out.startswith("::error file=")
    assert step.read_text().startswith("before\n# Failed")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "step.md"))
    assert main(["export", str(tmp_path), "--format", "github"]) == 10
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert main(["export", str(tmp_path), "--format", "github"]) == 0
    assert "# Failed" in capsys.readouterr().out
