"""Recordings of other tools: RESD and SDS, resampled, shown and converted; what is broken gets an error."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.stimulus.recordings.resd import encode_resd, read_resd
from tfm_harness.stimulus.recordings.sds import read_sds
from tfm_harness.stimulus.recordings.streams import RULES, Rule, Stream, merge, resample
from tfm_harness.stimulus.trace import Trace, load_trace

HEAD = b"RESD\1\0\0\0"


def block(kind: int, body: bytes, *, block_type: int = 2, channel: int = 0, size: int | None = None) -> bytes:
    return struct.pack("<BHHQ", block_type, kind, channel, len(body) if size is None else size) + body


def constant(start: int, period: int, *samples: bytes, metadata: bytes = b"") -> bytes:
    return struct.pack("<QQQ", start, period, len(metadata)) + metadata + b"".join(samples)


def arbitrary(start: int, *samples: tuple[int, bytes]) -> bytes:
    return struct.pack("<QQ", start, 0) + b"".join(struct.pack("<Q", offset) + data for offset, data in samples)


def i32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


MAG = block(
    8, constant(0, 100_000_000, i32(1000, -2000, 3000), i32(4000, 5000, 6000), i32(7, 8, 9), metadata=b"a\0\1\5")
)
TEMP = block(1, arbitrary(0, (0, i32(20_000)), (150_000_000, i32(-5_500)), (300_000_000, i32(0))), block_type=1)


def test_resd_by_its_bytes() -> None:
    trace = read_resd(HEAD + MAG + TEMP, "x.resd")
    assert trace.columns["mag.x"] == pytest.approx((1.0, 4.0, 0.007))
    assert trace.columns["mag.y"] == pytest.approx((-2.0, 5.0, 0.008))
    assert trace.columns["temp"] == pytest.approx((20.0, 20.0, -5.5))  # the last value held
    assert trace.seconds == pytest.approx((0.0, 0.1, 0.2))
    assert "held" in trace.source


def test_blocks_of_one_channel_follow_each_other_and_second_sensors_have_names() -> None:
    more = block(8, constant(300_000_000, 100_000_000, i32(1, 2, 3)))
    other = block(8, constant(0, 100_000_000, *[i32(9000, 0, 0)] * 4), channel=1)
    trace = read_resd(HEAD + MAG + more + other, "x")
    assert len(trace) == 4
    assert trace.columns["mag1.x"] == pytest.approx((9.0,) * 4)


def test_what_is_not_known_is_named() -> None:
    trace = read_resd(HEAD + MAG + block(6, constant(0, 1, b"\0\0\0\0")) + block(0xF000, b"anything"), "x")
    assert "humidity" in trace.source
    assert "0xf000" in trace.source


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "RESD"),
        (b"RESX\1\0\0\0", "RESD"),
        (b"RESD\2\0\0\0" + MAG, "version 2"),
        (HEAD, "no samples"),
        (HEAD + MAG[:8], "header"),
        (HEAD + MAG[:-1], "left"),
        (HEAD + block(8, constant(0, 0, i32(1, 2, 3))), "period of 0"),
        (HEAD + block(8, constant(0, 1, i32(1, 2))), "multiple of 12"),
        (HEAD + block(8, b"short"), "before its samples"),
        (HEAD + block(8, struct.pack("<QQQ", 0, 1, 99)), "metadata"),
        (HEAD + block(8, MAG, block_type=7), "block type 7"),
        (HEAD + block(8, b"", size=1 << 63), "left"),
        (HEAD + MAG + MAG, "does not rise"),
        (HEAD + MAG + block(1, constant(10**12, 1, i32(1))), "no time in common"),
        (HEAD + block(1, arbitrary(0, (5, i32(1)), (5, i32(1))), block_type=1), "does not rise"),
    ],
)
def test_broken_resd(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_resd(data, "x.resd")
    assert caught.value.kind == "trace-invalid"
    assert words in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_a_trace_or_an_error(data: bytes) -> None:
    for head in (b"", HEAD, HEAD + MAG):
        try:
            read_resd(head + data, "x")
        except ConfigError:
            continue


def test_resd_is_written_and_read_back() -> None:
    trace = Trace(
        {"mag.x": (1.5, -2.25), "mag.y": (0.0, 1.0), "mag.z": (0.001, 9.0), "temp": (21.5, -3.0)}, seconds=(0.0, 0.04)
    )
    back = read_resd(encode_resd(trace), "back")
    assert back.seconds == pytest.approx(trace.seconds)
    for channel, values in trace.columns.items():
        assert back.columns[channel] == pytest.approx(values)
    for wrong in (
        Trace({"mag.x": (1.0,)}, seconds=(0.0,)), Trace({"temp": (1.0,)}), Trace({"noise": (1.0,)}, seconds=(0.0,)),
        Trace({"temp": (1e9,)}, seconds=(0.0,)), Trace({"temp": (1.0,)}, frozenset({"temp"}), (0.0,)),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            encode_resd(wrong)


# -- SDS

DESCRIPTION = """
sds:
  name: sensor
  frequency: 100
  content:
    - {value: x, type: int16_t, scale: 0.5, unit: uT}
    - {value: y, type: int16_t, unit: mT}
    - {value: z, type: float, unit: gauss}
    - {value: die, type: uint8_t, offset: -40, unit: degC}
    - {value: spare, type: uint32_t}
"""


def record(slot: int, *rows: tuple[Any, ...], form: str = "<hhfBI") -> bytes:
    data = b"".join(struct.pack(form, *row) for row in rows)
    return struct.pack("<II", slot, len(data)) + data


@pytest.fixture
def sds(tmp_path: Path) -> Path:
    (tmp_path / "sensor.sds.yml").write_text(DESCRIPTION)
    path = tmp_path / "sensor.0.sds"
    path.write_bytes(record(10, (2, 1, 0.5, 60, 7), (4, 2, 0.25, 61, 8)) + record(30, (-6, 3, 0.0, 62, 9)))
    return path


def test_sds_by_its_description(sds: Path) -> None:
    trace = load_trace(sds)
    assert trace.columns["mag.x"] == (1.0, 2.0, -3.0)
    assert trace.columns["mag.y"] == (1000.0, 2000.0, 3000.0)
    assert trace.columns["mag.z"] == (50.0, 25.0, 0.0)
    assert trace.columns["temp"] == (20.0, 21.0, 22.0)
    assert trace.seconds == pytest.approx((0.0, 0.01, 0.02))
    assert "spare left out" in trace.source


def test_a_counter_that_begins_anew_goes_on(sds: Path) -> None:
    row = (0, 0, 0.0, 0, 0)
    sds.write_bytes(record(0xFFFFFFF0, row) + record(4, row))
    assert load_trace(sds).seconds == pytest.approx((0.0, 0.02))


def test_values_can_be_named(sds: Path) -> None:
    trace = read_sds(sds.read_bytes(), sds, {"x": "mag.z", "spare": "noise", "z": "mag.x"})
    assert trace.columns["mag.z"] == (1.0, 2.0, -3.0)
    assert trace.columns["noise"] == (7, 8, 9)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (None, "trace-missing"),
        ("", "trace-invalid"),
        ("sds: {name: x}", "trace-invalid"),
        ("a: [", "trace-invalid"),
        (DESCRIPTION.replace("int16_t", "uint32_t:1"), "trace-invalid"),
        (DESCRIPTION.replace("frequency: 100", "frequency: 0"), "trace-invalid"),
        ("sds: {name: x, frequency: 1, content: [{value: a, type: float}]}", "trace-invalid"),
        (DESCRIPTION.replace("type: uint32_t", "type: uint16_t"), "trace-invalid"),
    ],
)
def test_broken_descriptions(sds: Path, text: str | None, kind: str) -> None:
    description = sds.with_name("sensor.sds.yml")
    description.unlink() if text is None else description.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_trace(sds)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0" * 7, record(0)[:8] + b"", struct.pack("<II", 0, 99), struct.pack("<II", 0, 3) + b"abc"]
)
def test_broken_sds(sds: Path, data: bytes) -> None:
    sds.write_bytes(data)
    with pytest.raises(ConfigError):
        load_trace(sds)


# -- resampling


def test_resampling_says_its_rule() -> None:
    trace = Trace({"a": (0.0, 10.0, 0.0)}, seconds=(0.0, 1.0, 2.0), source="s")
    held, line = resample(trace, 2.0, "hold"), resample(trace, 2.0, "linear")
    assert held.columns["a"] == (0.0, 0.0, 10.0, 10.0, 0.0)
    assert line.columns["a"] == pytest.approx((0.0, 5.0, 10.0, 5.0, 0.0))
    assert "2 Hz (the last value held)" in held.source
    assert "straight lines" in line.source
    for hz in (0.0, -1.0, float("inf"), 1e9):
        with pytest.raises(ConfigError):
            resample(trace, hz)
    with pytest.raises(ConfigError):
        resample(Trace({"a": (1.0,)}), 1.0)


@pytest.mark.parametrize("start", [0, 10**13, 1_700_000_000 * 10**9])
@pytest.mark.parametrize("rule", RULES)
def test_the_rate_of_the_recording_gives_the_recording(start: int, rule: Rule) -> None:
    """Nanoseconds since 1970 are too many for a float of seconds: values were held from the sample before."""
    rows = [i32(index * 1000) for index in range(1000)]
    each = [(index * 100_000_000, row) for index, row in enumerate(rows)]
    for body in (block(1, constant(start, 100_000_000, *rows)), block(1, arbitrary(start, *each), block_type=1)):
        trace = read_resd(HEAD + body, "x.resd")
        assert resample(trace, 10.0, rule).columns["temp"] == pytest.approx(trace.columns["temp"])
    doubled = resample(trace, 20.0, "hold").columns["temp"]
    assert doubled == pytest.approx([index // 2 for index in range(1999)])


def test_a_late_time_slot_loses_no_sample(sds: Path) -> None:
    rows = [(2 * index, 0, 0.0, 40, 0) for index in range(1000)]
    sds.write_bytes(b"".join(record((0xFFFFF000 + 10 * n) & 0xFFFFFFFF, row) for n, row in enumerate(rows)))
    assert resample(load_trace(sds), 100.0).columns["mag.x"] == tuple(map(float, range(1000)))


def test_seconds_since_1970_lose_no_sample() -> None:
    values = tuple(map(float, range(500)))
    trace = Trace({"a": values}, seconds=tuple(1.7e9 + index / 10 for index in range(500)), source="s")
    assert resample(trace, 10.0).columns["a"] == values


def test_a_channel_that_two_streams_have_is_refused() -> None:
    with pytest.raises(ConfigError):
        merge([Stream("a", (0.0,), {"x": (1.0,)}), Stream("b", (0.0,), {"x": (1.0,)})], "s")


# -- the command


def test_show_and_convert(sds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "show", str(sds), "--svg", str(tmp_path / "x.svg")]) == 0
    out = capsys.readouterr().out
    assert "3 samples, 0.02 s" in out
    assert "mag.y" in out
    assert ET.parse(tmp_path / "x.svg").getroot().tag.endswith("svg")
    for name in ("x.csv", "x.npz", "x.resd"):
        assert main(["trace", "convert", str(sds), str(tmp_path / name), "--rate", "200", "--rule", "linear"]) == 0
        back = load_trace(tmp_path / name)
        assert len(back) == 5
        assert back.columns["temp"] == pytest.approx((20.0, 20.5, 21.0, 21.5, 22.0))
    assert "resampled to 200 Hz" in capsys.readouterr().out
    assert "resampled" in (tmp_path / "x.csv").read_text().splitlines()[0]
    for words in (
        [str(sds), str(tmp_path / "x.txt")], ["missing.resd", "x.csv"], [str(sds), "x.csv", "--map", "x"],
        ["tamper.csv", "x.csv", "--map", "x=mag.x"], ["tamper.csv", str(tmp_path / "y.csv"), "--rate", "5"],
    ):  # fmt: skip
        assert main(["trace", "convert", *words]) == 4
    assert main(["trace", "convert", str(sds), str(tmp_path / "no/folder.csv")]) == 10
