"""Traces from CSV and .npz."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tfm_harness.errors import ConfigError
from tfm_harness.stimulus.trace import find_trace, load_trace, ramp


def save(path: Path, columns: Mapping[str, Any]) -> None:
    """numpy's own writer; as a mapping, because the names are the trace's channels and no options of the writer."""
    np.savez_compressed(path, **columns)


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(text)
    return path


def test_csv_with_units_time_and_comments(tmp_path: Path) -> None:
    trace = load_trace(csv(tmp_path, "# by hand\nt[s],mag.x[uT], temp[degC] ,mag.y[count]\n0,1.5,20,7\n0.1,-2,2e1,8\n"))
    assert len(trace) == 2
    assert trace.row(1) == {"mag.x": -2.0, "temp": 20.0, "mag.y": 8.0}
    assert trace.raw == {"mag.y"}
    assert trace.seconds == (0.0, 0.1)


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    columns: dict[str, npt.NDArray[np.generic]] = {"mag.x": np.array([1, 2, 3], dtype=np.int16)}
    columns["temp"] = np.array([1.0, 2.0, 3.5], dtype=np.float32)
    save(path, columns)
    trace = load_trace(path)
    assert trace.row(2) == {"mag.x": 3.0, "temp": 3.5}


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("", "empty", ""),
        ("mag.x\n", "no samples", ""),
        ("t\n1\n", "no channel", ""),
        ("mag.x,mag.x\n1,2\n", "appears twice", ":1"),
        ("mag.x[uT],mag.x[count]\n1,2\n", "appears twice", ""),
        ("mag.x[mT]\n1\n", "expected a channel", ""),
        ("mag.x,temp\n1,2\n3\n", "1 values, expected 2", ":3"),
        ("mag.x\n1\nfour\n", "not a number: 'four'", ":3: mag.x"),
        ("mag.x\nnan\n", "not a number", ":2"),
        ("mag.x\n1e999\n", "not a number", ":2"),
        ("t,mag.x\n0,1\n0,1\n", "time does not rise from sample 0 to 1", ""),
        ('mag.x\n"1\n', "not a CSV", ""),
    ],
)
def test_csv_that_is_refused(tmp_path: Path, text: str, words: str, line: str) -> None:
    path = csv(tmp_path, text)
    with pytest.raises(ConfigError, match="trace-invalid") as caught:
        load_trace(path)
    assert words in caught.value.message
    assert (caught.value.where or "").startswith(f"{path}{line}")


def test_files_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trace-missing"):
        load_trace(tmp_path / "none.csv")
    binary = csv(tmp_path, "")
    binary.write_bytes(b"mag.x\n\xff\xfe\n")
    with pytest.raises(ConfigError, match="not a CSV text"):
        load_trace(binary)
    broken = tmp_path / "t.npz"
    for content in (b"", b"PK\x03\x04broken"):
        broken.write_bytes(content)
        with pytest.raises(ConfigError, match=r"not an \.npz"):
            load_trace(broken)
    save(broken, {"mag.x": np.array([1, 2]), "temp": np.array([1])})
    with pytest.raises(ConfigError, match="different length"):
        load_trace(broken)
    save(broken, {"mag.x": np.zeros((2, 2))})
    with pytest.raises(ConfigError, match="one dimension"):
        load_trace(broken)
    save(broken, {"mag.x": np.array([np.inf])})
    with pytest.raises(ConfigError, match="not finite"):
        load_trace(broken)
    save(broken, {"mag.x": np.array([object()])})  # pickled: never loaded
    with pytest.raises(ConfigError, match=r"not an \.npz"):
        load_trace(broken)
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("mag.x", b"1 2 3")
    with pytest.raises(ConfigError, match="not an array"):
        load_trace(broken)
    with zipfile.ZipFile(broken, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mag.x.npy", bytes(65 << 20))
    assert broken.stat().st_size < 1 << 20
    with pytest.raises(ConfigError, match="would grow to"):
        load_trace(broken)


def test_a_damaged_npz_gives_a_trace_or_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    save(path, {"mag.x": np.arange(50.0), "temp": np.arange(50.0)})
    whole, random = path.read_bytes(), Random(3)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(ConfigError):
            load_trace(path)


@pytest.mark.parametrize("cell", ["1_000", "\u0661", "0x10", "1,5", "nan"])
def test_cells_that_are_no_plain_numbers(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ConfigError, match="not a number"):
        load_trace(csv(tmp_path, f'mag.x\n"{cell}"\n'))


def test_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("idle.csv", "vibration.csv", "tamper.csv"):
        trace = load_trace(find_trace(name))
        assert len(trace) == 96
        assert set(trace.columns) == {"mag.x", "mag.y", "mag.z", "temp"}
    (tmp_path / "idle.csv").write_text("mag.x\n1\n")
    assert len(load_trace(find_trace("idle.csv"))) == 1
    with pytest.raises(ConfigError, match=r"no such trace: shak\.csv") as caught:
        find_trace("shak.csv")
    assert "vibration.csv" in (caught.value.expected or "")


def test_ramp() -> None:
    assert ramp("temp", 10, 20, 5).columns["temp"] == (10, 12.5, 15, 17.5, 20)
    with pytest.raises(ConfigError, match="at least two"):
        ramp("temp", 1, 2, 1)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("t;mag.x;temp\n0;1,5;20\n0,5;2,5;21\n", (0, 0.5)),
        ("mag.x\ttemp\n1.5\t20\n2.5\t21\n", ()),
        ("timestamp,mag.x,temp\n2026-01-02T03:04:05Z,1.5,20\n2026-01-02T03:04:05.500Z,2.5,21\n", (0, 0.5)),
        ("timestamp,mag.x,temp\n1767323045000,1.5,20\n1767323045500,2.5,21\n", (0, 0.5)),
        ("timestamp_ms;mag.x;temp\n100;1,5;20\n600;2,5;21\n", (0, 0.5)),
        ("mag.x,temp,Time [s]\n1.5,20,7\n2.5,21,7.5\n", (0, 0.5)),
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_as_loggers_and_spreadsheets_write_it(
    tmp_path: Path, text: str, times: tuple[float, ...], codec: str
) -> None:
    (tmp_path / "trace.csv").write_bytes(text.encode(codec))
    trace = load_trace(tmp_path / "trace.csv")
    assert trace.columns["mag.x"] == (1.5, 2.5)
    assert trace.columns["temp"] == (20, 21)
    assert trace.seconds == pytest.approx(times, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nt;mag.x\r\n0;1,5\r\n0,5;2,5\r\n",
        "sep=,\nt,mag.x\n0,1.5\n0.5,2.5\n",
        "; CSV generated by libsigrok 0.5.2\n; Samplerate: 1 kHz\n;\nt,mag.x\n0,1.5\n0.5,2.5\n",
        "; CSV, generated by PulseView\nTime [s],mag.x\n0,1.5\n0.5,2.5\n",
        "// recorded\n% by us\nt|mag.x\n0|1.5\n0.5|2.5\n",
        "t (s),mag.x (uT)\n0,1.5\n0.5,2.5\n",
        "t,mag.x[\u00b5T]\n0,1.5\n0.5,2.5\n",
        "t,mag.x[\u03bcT]\n0,1.5\n0.5,2.5\n",
        "t;mag.x[\u00b5T];\r\n0;1,5;\r\n0,5;2,5;\r\n",
        '"t";"mag.x"\n"0";"1,5"\n"0,5";"2,5"\n',
        "timestamp;mag.x\n01.05.2026 12:00:00,000;1,5\n01.05.2026 12:00:00,500;2,5\n",
        "DateTime,mag.x\n2026-05-01 12:00:00,1.5\n2026-05-01 12:00:00.5,2.5\n",
        "Time [s],mag.x\n2026-05-01T12:00:00.000000000+00:00,1.5\n2026-05-01T12:00:00.500000000+00:00,2.5\n",
        "t,mag.x\r0,1.5\r0.5,2.5\r",
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_of_analysers_and_spreadsheets(tmp_path: Path, text: str, codec: str) -> None:
    (tmp_path / "trace.csv").write_bytes(text.encode(codec, "replace") if "\u03bc" not in text else text.encode())
    trace = load_trace(tmp_path / "trace.csv")
    assert trace.columns["mag.x"] == (1.5, 2.5)
    assert trace.seconds == pytest.approx((0, 0.5), abs=1e-6)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "git lfs pull"),
        (b"\xef\xbb\xbf<!DOCTYPE html>\n<html></html>\n", "HTML page"),
        (b'{"message": "Not Found"}', "JSON"),
        (b"PK\x03\x04\x14\x00\x06\x00", "zip archive"),
        (b"\x1f\x8b\x08\x00\x00", "gzip"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"<<<<<<< HEAD\nt,mag.x\n", "Git merge"),
        (b"\x00\x01\x02\xff\xfe\xfd" * 40, "binary"),
        (b"0,1.5\n1,2.5\n", "first row must name"),
        (b",t,mag.x\n0,0,1.5\n", "index"),
        (b"timestamp,mag.x\n05/01/2026 12:00:00,1\n", "not a time"),
    ],
)
def test_what_is_no_trace_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "trace.csv").write_bytes(data)
    with pytest.raises(ConfigError, match=words):
        load_trace(tmp_path / "trace.csv")


def test_times_without_a_unit_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no unit: write timestamp\[s\]"):
        load_trace(csv(tmp_path, "timestamp,mag.x\n0,1\n10,2\n"))
    with pytest.raises(ConfigError, match="not a time"):
        load_trace(csv(tmp_path, "timestamp,mag.x\n2026-13-02 03:04:05,1\n"))
    with pytest.raises(ConfigError, match="does not rise"):
        load_trace(csv(tmp_path, "timestamp[ms],mag.x\n10,1\n0,2\n"))
