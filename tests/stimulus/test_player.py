"""Playing: what is set, what the device must have read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tfm_harness.config.sensors import Lsm303Sensor, SensorConfig, Tmp105Sensor
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.player import PlayedStimulus
from tfm_harness.stimulus.qmp import QmpStimulus
from tfm_harness.stimulus.trace import Trace

SENSORS: Mapping[str, SensorConfig] = {"mag": Lsm303Sensor(model="lsm303dlhc"), "temp": Tmp105Sensor(model="tmp105")}
REST = Sample(x=640, y=640, z=640, t=400)


class Recorder(PlayedStimulus):
    def __init__(self, **options: int) -> None:
        self.applied: list[dict[str, int]] = []
        self.broken = False
        super().__init__(SENSORS, **options)

    def _apply(self, values: Mapping[str, int]) -> None:
        if self.broken:
            raise InfrastructureError("the monitor is gone", kind="qmp-lost")
        self.applied.append(dict(values))


def test_at_rest() -> None:
    stimulus = Recorder()
    assert stimulus.channels == ("mag.x", "mag.y", "mag.z", "temp")
    stimulus.rest()
    assert stimulus.sample() == REST
    assert set(stimulus.applied[-1]) == set(stimulus.channels)
    stimulus.restate()
    assert stimulus.applied[-1] == stimulus.applied[-2]


def test_set_applies_only_what_changes() -> None:
    stimulus = Recorder()
    stimulus.set("mag.x", 100)
    stimulus.set("mag.x", 100)
    stimulus.set("temp", -0.25)
    assert stimulus.applied == [{"mag.x": 100_000}, {"temp": -250}]
    assert stimulus.sample() == Sample(x=1100, y=640, z=640, t=-4)


def test_a_value_that_was_not_set_is_not_expected() -> None:
    stimulus = Recorder()
    stimulus.broken = True
    with pytest.raises(InfrastructureError):
        stimulus.set("mag.x", 100)
    assert stimulus.sample() == REST


def test_a_trace_goes_on_with_each_sample_taken() -> None:
    stimulus = Recorder()
    stimulus.play(Trace({"mag.x": (0.0, 10.0, 20.0)}))
    for _ in range(5):
        stimulus.taken()
    assert [sample.x for sample in stimulus.expected_samples()] == [0, 110, 220, 220, 220]
    assert [sample.x for sample in stimulus.expected_samples(2)] == [220, 220]
    assert stimulus.expected_samples(0) == []
    assert len(stimulus.expected_samples(99)) == 5
    stimulus.rest()
    assert stimulus.expected_samples() == []
    assert stimulus.sample() == REST


def test_loop_ramp_and_counts() -> None:
    stimulus = Recorder()
    stimulus.play(
        Trace({"mag.z": (5.0, 2047.0), "temp": (-2048.0, 2047.0)}, raw=frozenset({"mag.z", "temp"})), loop=True
    )
    for _ in range(3):
        stimulus.taken()
    assert [(sample.z, sample.t) for sample in stimulus.expected_samples()] == [(5, -2048), (2047, 2047), (5, -2048)]
    stimulus.rest()
    stimulus.ramp("temp", 0, 10, 3)
    for _ in range(3):
        stimulus.taken()
    assert [sample.t for sample in stimulus.expected_samples()] == [0, 80, 160]


def test_setting_a_channel_ends_a_playing_trace() -> None:
    stimulus = Recorder()
    stimulus.play(Trace({"mag.x": (0.0, 10.0)}))
    stimulus.set("temp", 30)
    stimulus.taken()
    assert stimulus.sample().x == 0


@pytest.mark.parametrize(
    ("channel", "value", "words"),
    [
        ("mag.w", 1, "stimulus-channel"),
        ("mag", 1, "stimulus-channel"),
        ("mag.x", 187, "outside -186.181..186.181 uT"),
        ("temp", 128, "outside -128..127.999 degC"),
        ("temp", float("nan"), "stimulus-range"),
        ("temp", float("inf"), "stimulus-range"),
    ],
)
def test_what_cannot_be_played(channel: str, value: float, words: str) -> None:
    stimulus = Recorder()
    with pytest.raises(ConfigError) as caught:
        stimulus.set(channel, value)
    assert words in str(caught.value)
    assert stimulus.applied == []


def test_a_whole_trace_is_checked_before_its_first_row(tmp_path: Path) -> None:
    stimulus = Recorder(lowest=0)
    path = tmp_path / "t.csv"
    path.write_text("mag.x\n1\n2\n-1\n")
    with pytest.raises(ConfigError, match=r"outside 0\.\.186\.181 uT") as caught:
        stimulus.play(path)
    assert caught.value.where == f"{path}, sample 2"
    assert stimulus.applied == []
    with pytest.raises(ConfigError, match="no whole count"):
        stimulus.play(Trace({"mag.x": (0.5,)}, raw=frozenset({"mag.x"})))
    stimulus.play("tamper.csv")
    assert len(stimulus.applied) == 1


def test_qmp_back_end_names_properties() -> None:
    class Board:
        def __init__(self) -> None:
            self.values: dict[tuple[str, str], object] = {}

        def set_properties(self, values: Mapping[tuple[str, str], object]) -> None:
            self.values.update(values)

    board = Board()
    QmpStimulus(board, SENSORS).rest()
    assert board.values == {
        ("/machine/peripheral/sensor-mag", "mag-x"): 58_200,
        ("/machine/peripheral/sensor-mag", "mag-y"): 58_200,
        ("/machine/peripheral/sensor-mag", "mag-z"): 65_350,
        ("/machine/peripheral/sensor-temp", "temperature"): 25_000,
    }
    with pytest.raises(ConfigError, match=r"outside 0\.\."):
        QmpStimulus(board, SENSORS).set("mag.x", -1)


def test_a_sensor_that_the_target_lacks_reads_zero() -> None:
    stimulus = QmpStimulus(type("B", (), {"set_properties": lambda *_: None})(), {"temp": SENSORS["temp"]})
    assert stimulus.sample() == Sample(x=0, y=0, z=0, t=400)
