"""`tfm-harness baseline` as users see it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.history import BaselineStore, default_url, run_name
from tfm_harness.latency import Clock, ClockQuality, Series
from tfm_harness.report import LatencyEntry, RunRecord, save_run

SERIES = Series(
    name="tamper",
    ticks=tuple(1000 + i for i in range(10)),
    clock=Clock(source="sse-counter", hz=32_000_000, quality=ClockQuality.DETERMINISTIC),
    empty=(10,),
    board="qemu",
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = str(tmp_path / "store.sqlite")
    monkeypatch.setenv("TFM_HARNESS_BASELINE", url)
    with BaselineStore(url) as opened:
        opened.add("night-1", SERIES)
    return url


def test_show_accept_show(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "show"]) == 0
    shown = capsys.readouterr().out
    assert "no accepted baseline" in shown
    assert "night-1" in shown
    assert main(["baseline", "accept", "night-1", "--reason", "first night"]) == 0
    assert "accepted qemu  tamper  median 994.5 ticks" in capsys.readouterr().out
    assert main(["baseline", "show", "--store", store]) == 0
    assert "first night" in capsys.readouterr().out
    assert main(["baseline", "show", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["baselines"][0]["series"]["ticks"] == list(SERIES.ticks)


def test_accept_from_a_run_file(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunRecord(name="night-2", verdict="passed", latency=(LatencyEntry(combination="qemu", series=SERIES),))
    save_run(run, tmp_path / "run.json")
    assert main(["baseline", "accept", str(tmp_path / "run.json"), "--reason", "r"]) == 0
    with BaselineStore(store) as opened:
        assert [b.run for b in opened.baselines()] == ["night-2"]
    save_run(RunRecord(name="night-3", verdict="passed"), tmp_path / "hollow.json")
    assert main(["baseline", "accept", str(tmp_path / "hollow.json"), "--reason", "r"]) == 4
    damaged = (tmp_path / "run.json").read_text().replace('"clock":{', '"clock":{"odd":1,')
    (tmp_path / "damaged.json").write_text(damaged)
    assert main(["baseline", "accept", str(tmp_path / "damaged.json"), "--reason", "r"]) == 4


def test_accept_needs_a_known_run_and_a_reason(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "accept", "night-9", "--reason", "r"]) == 4
    assert "the last ones are: night-1" in capsys.readouterr().err
    assert main(["baseline", "accept", "night-1", "--reason", " "]) == 4


def test_accept_without_a_name_takes_the_latest_run(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with BaselineStore(store) as opened:
        opened.add("night-2", SERIES)
    assert main(["baseline", "accept"]) == 0
    assert "run night-2" in capsys.readouterr().out
    with BaselineStore(store) as opened:
        assert [(b.run, b.reason) for b in opened.baselines()] == [("night-2", "accepted by hand")]
    assert main(["baseline", "accept", "--store", str(tmp_path / "empty.sqlite")]) == 4
    assert "no run to accept" in capsys.readouterr().err


def test_a_folder_used_every_night_keeps_its_nights(store: str, tmp_path: Path) -> None:
    """Runs of one folder name are told apart by their time; the name alone means the latest."""
    nights = [dt.datetime(2026, 11, day, 2, tzinfo=dt.UTC) for day in (1, 2)]
    names = [run_name(tmp_path / "out", started=night) for night in nights]
    assert names == ["out@2026-11-01_02-00-00", "out@2026-11-02_02-00-00"]
    assert run_name(tmp_path / "2026-11-23_02-00-00", started=nights[0]) == "2026-11-23_02-00-00"
    with BaselineStore(store) as opened:
        for name, night in zip(names, nights, strict=True):
            opened.add(name, SERIES, taken=night)
        assert [n.run for n in opened.nights(SERIES, before="night-1")] == names
    assert main(["baseline", "accept", "out"]) == 0
    with BaselineStore(store) as opened:
        assert [b.run for b in opened.baselines()] == [names[1]]
        assert main(["baseline", "accept", names[0]]) == 0
        assert [b.run for b in opened.baselines()] == [names[0]]
    # the folder of a run that has stored its series names that run
    record = RunRecord(name="out", verdict="passed", latency=(LatencyEntry(combination="qemu", series=SERIES),))
    save_run(record, tmp_path / "out" / "run.json")
    assert main(["baseline", "accept", str(tmp_path / "out")]) == 0
    with BaselineStore(store) as opened:
        assert "out" not in [run for run, _, _ in opened.runs()]


def test_commands_read_what_runs_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TFM_HARNESS_BASELINE", raising=False)
    monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(tmp_path / "state"))
    with BaselineStore(default_url(tmp_path / "state")) as opened:
        opened.add("night-1", SERIES)
    assert default_url() == default_url(tmp_path / "state")
    assert main(["baseline", "accept"]) == 0
    monkeypatch.delenv("TFM_HARNESS_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert main(["baseline", "accept"]) == 4
    assert main(["baseline", "accept", "--state-dir", str(tmp_path / "state")]) == 0


def test_export(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "export"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["baseline", "export", "--run", "night-1"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["run"] == "night-1"
    assert main(["baseline", "export", "--run", "night-1", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 10
    assert rows[3]["ticks"] == "1003"
    assert rows[3]["ticks_less_empty"] == "993.0"
    assert main(["baseline", "export", "--run", "night-9"]) == 4
    file = tmp_path / "deep" / "out.json"
    assert main(["baseline", "export", "--run", "night-1", "--output", str(file)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(file.read_text())[0]["run"] == "night-1"


def test_unusable_store_is_the_benchs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "show", "--store", str(tmp_path)]) == 10
    assert "store-failed" in capsys.readouterr().err
