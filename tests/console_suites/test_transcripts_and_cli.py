"""Saved transcripts of all kinds, and the command."""

from __future__ import annotations

import argparse
import io
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.cli import console_suite as cli_console_suite
from tfm_harness.console_suites import LineSplitter, Verdict
from tfm_harness.console_suites.lines import MAX_LINE
from tfm_harness.console_suites.transcripts import detect, judge_file, judge_stream
from tfm_harness.errors import ConfigError

from tests.console_suites.helpers import GOOD, PASSING, recording

DATA = GOOD.encode("latin-1")


def stamped(form: str) -> bytes:
    return b"".join(
        form.format(s=index % 60, i=index).encode() + line for index, line in enumerate(DATA.splitlines(keepends=True))
    )


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("iso-stamps", "2024-05-01T10:00:{s:02d}.123Z "),
        ("iso-stamps", "[2024-05-01 10:00:{s:02d},123] "),
        ("second-stamps", "[{i:5d}.250000] "),
        ("syslog-stamps", "Nov 23 10:00:{s:02d} "),
        ("clock-stamps", "[10:00:{s:02d}.500] "),
    ],
)
def test_time_stamps_are_undone(kind: str, form: str) -> None:
    data = stamped(form)
    assert detect(data) == kind
    judgement = judge_stream(io.BytesIO(data), "tf-m")
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    assert judgement.cases[0].seconds == 2.0
    assert judge_stream(io.BytesIO(data[:-20]), "tf-m").verdict is not Verdict.PASSED


def test_lava_output_counts_only_what_the_target_said() -> None:
    lines = GOOD.split("\r\n")
    rows = [
        json.dumps({"dt": f"2024-05-01T10:00:00.{i:06d}", "lvl": "target", "msg": line}) for i, line in enumerate(lines)
    ]
    rows.insert(3, json.dumps({"dt": "2024-05-01T10:00:00.000000", "lvl": "debug", "msg": "TEST: T_1001 - PASSED!"}))
    data = "".join(f"- {row}\n" for row in rows).encode()
    assert detect(data) == "lava"
    judgement = judge_stream(io.BytesIO(data), "tf-m")
    assert judgement.verdict is Verdict.PASSED, judgement.problems
    forged = data.replace(b'"target"', b'"info"')
    assert judge_stream(io.BytesIO(forged), "tf-m").verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_windows_files(encoding: str) -> None:
    assert judge_stream(io.BytesIO(GOOD.encode(encoding)), "tf-m").verdict is Verdict.PASSED


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=20))
def test_any_bytes_in_any_chunks(data: bytes, cuts: list[int]) -> None:
    whole = LineSplitter()
    lines = list(whole.feed(data))
    pieces = LineSplitter()
    found = []
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for start, end in itertools.pairwise(edges):
        found += list(pieces.feed(data[start:end]))
    assert found == lines
    assert (whole.cut, whole.tail, whole.number) == (pieces.cut, pieces.tail, pieces.number)


def test_a_line_without_end_is_bounded() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert list(splitter.feed(b"x" * 10_000)) == []
    (line,) = splitter.feed(b"\n")
    assert len(line.text) == MAX_LINE


def command(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    cli_console_suite.add_parser(parser.add_subparsers())
    args = parser.parse_args(["console-suite", *argv])
    return int(args.run(args))


def test_command_passes_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, cut = tmp_path / "good.log", tmp_path / "cut.log"
    good.write_bytes(DATA)
    cut.write_bytes(DATA[: DATA.index(b"  TEST: T_2001")])
    assert command(str(good), "--suite", "tf-m") == 0
    assert "tf-m: passed: 4 cases: 4 passed" in capsys.readouterr().out
    assert command(str(cut), "--suite", "tf-m") == 1
    out = capsys.readouterr().out
    assert f"{cut}:13: T_2001 incomplete" in out
    assert "tf-m: incomplete" in out


def test_command_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "good.log"
    good.write_bytes(DATA)
    assert command(str(good), "--suite", "tf-m", "--json", "--expect", "T_9XXX") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "incomplete"
    assert [p["kind"] for p in document["problems"]] == ["missing-suite"]
    assert document["cases"][0] == {
        "id": "T_1001", "suite": "One (T_1XXX)", "area": "Secure", "outcome": "passed",
        "description": "about T_1001", "line": 5, "end_line": 7, "seconds": None, "detail": [],
    }  # fmt: skip


def test_command_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="transcript-unreadable") as caught:
        command(str(tmp_path / "none.log"), "--suite", "tf-m")
    assert "none.log" in str(caught.value)
    with pytest.raises(ConfigError, match="transcript-unreadable"):
        judge_file(tmp_path, "tf-m")


@pytest.mark.parametrize("name", PASSING)
def test_line_numbers_are_the_files(name: str) -> None:
    data = recording(name)
    judgement = judge_stream(io.BytesIO(data), PASSING[name][0])
    lines = data.decode("latin-1").split("\n")
    for case in judgement.cases:
        assert case.id in lines[case.line - 1]
        assert "PASSED" in lines[case.end_line - 1]
