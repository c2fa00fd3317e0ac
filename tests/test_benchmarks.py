"""Benchmarks end, say what they left out, and their results can be compared."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from tfm_harness.testing import smp_frame

from benchmarks import compare
from benchmarks.helper import Helper
from benchmarks.parity import throughput
from benchmarks.results import FOLDER, Results, rounds_within
from benchmarks.run_all import MODULES, ROOT, run
from benchmarks.smp import bench_round_trip
from tests.reference_firmware import needs_firmware


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "results"))
    return tmp_path / "results"


def write(folder: Path, **values: float) -> None:
    results = Results("bench")
    for name, value in values.items():
        results.add(name, value, to="a bare loop", at_most=1.5)
    results.finish()


def test_a_missed_limit_and_nothing_measured_fail(folder: Path) -> None:
    results = Results("bench")
    assert results.finish() == 1
    results.add("first", 1.2, to="a bare loop", at_most=1.5)
    results.add("second", 3.0, unit="s")
    assert results.finish() == 0
    results.add("third", 0.5, to="a bare loop", at_least=0.8)
    assert results.finish() == 1
    said = json.loads((folder / "bench.json").read_text())
    assert [figure["met"] for figure in said["figures"]] == [True, True, False]
    assert said["host"]["cpus"] >= 1


def test_rounds_that_do_not_end_are_left_out_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = iter([1.0, 0.0, 3.0])

    def measure() -> float:
        found = next(outcomes)
        if not found:
            raise TimeoutError("no answer within 20 s")
        return found

    results = Results("bench")
    assert rounds_within(results, "echo", 3, measure) == [1.0, 3.0]
    assert results.left_out == ["echo, round 2: no answer within 20 s"]
    assert "left out: echo, round 2" in capsys.readouterr().out


def test_a_benchmark_most_of_whose_rounds_do_not_end_fails() -> None:
    def measure() -> float:
        raise TimeoutError("stuck")

    with pytest.raises(SystemExit, match="only 0 of 3"):
        rounds_within(Results("bench"), "echo", 3, measure)


def test_one_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    assert run([sys.executable, "-c", code], 0.5, tmp_path) == "not ended within 0.5 s"
    assert run([sys.executable, "-c", "raise SystemExit(3)"], 60, tmp_path) == "exit status 3"
    assert run([sys.executable, "-c", ""], 60, tmp_path) == ""


def test_two_runs_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for place, values in ((before, {"echo": 1.0, "gone": 1.0}), (after, {"echo": 2.0, "new": 1.0})):
        monkeypatch.setenv(FOLDER, str(place))
        write(place, **values)
    capsys.readouterr()
    assert compare.main([str(before), str(after)]) == 1
    lines = capsys.readouterr().out.splitlines()
    (echo,) = [line for line in lines if "echo" in line]
    assert echo.split()[2:] == ["1", "2", "+100.0", "%", "at", "most", "1.5", "MISSED"]
    assert any("gone" in line and " - " in line for line in lines)
    assert compare.main([str(after), str(before)]) == 0
    assert compare.main([str(before), "--markdown"]) == 0
    assert "| bench | echo | 1 | a bare loop | at most 1.5 |" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "other"}', '{"schema": "tfm-harness/benchmarks/1"}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(SystemExit) as end:
        compare.main([str(tmp_path)])
    assert end.value.code == 2


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_is_there_and_told_of(name: str) -> None:
    assert importlib.util.find_spec(MODULES[name][0]) is not None
    assert f"| `{name}` |" in (ROOT / "docs" / "benchmarks.md").read_text()


@needs_firmware
def test_bare_loops_and_the_harness_take_turns_on_a_uart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TURNS": 2, "TRIPS": 3}.items():
        monkeypatch.setattr(bench_round_trip, name, value)
    through, alone = bench_round_trip.one_boot(tmp_path)
    assert through > 0
    assert alone > 0
    inputs = np.zeros((3, 1, 1), np.int8)
    requests = throughput.frames(inputs, 1)
    with throughput.board("sine") as (client, bare):
        assert client.echo("both") == "both"
        client.console.close()
        assert throughput.bare_side(requests, len(inputs), bare) > 0


def test_a_simulated_board_answers_until_it_is_told_to_die() -> None:
    echo = smp_frame(bytes([2 | 1 << 3, 0, 0, 6, 0, 0, 7, 0]) + b"\xa1\x61d\x62hi")
    helper = Helper("benchmarks.farm.simulated", "2")
    try:
        ports = helper.hear()
        boards = [socket.create_connection(("127.0.0.1", port), 20) for port in ports]
        for board in boards:
            board.settimeout(20)
            assert board.recv(100) == b"[NS] ready\n"
            board.sendall(echo)
            assert board.recv(1000)
        helper.tell("die 1")
        assert helper.hear() == {"dies": 1}
        boards[1].sendall(echo)
        assert boards[1].recv(1000) == b""
        assert helper.hear()["died"] == 1
        boards[0].sendall(echo)
        assert boards[0].recv(1000)
        for board in boards:
            board.close()
    finally:
        helper.end()
