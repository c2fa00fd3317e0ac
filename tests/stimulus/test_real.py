"""Stimuli of real boards: the Pico over a pty, the VSI folder, an FT4222H behind a fake driver."""

from __future__ import annotations

import os
import random
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tfm_harness.boards.attach.board import AttachBoard
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.config.attach import AttachTarget
from tfm_harness.config.sensors import Lsm303Sensor, SensorConfig, Tmp105Sensor
from tfm_harness.config.stimulus import Ft4222StimulusConfig, PicoStimulusConfig
from tfm_harness.errors import ConfigError, InfrastructureError, ProductError
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.ft4222 import Ft4222Stimulus
from tfm_harness.stimulus.pico.simulator import SimulatedPico
from tfm_harness.stimulus.pico.stimulus import EndpointLines, PicoStimulus
from tfm_harness.stimulus.player import PlayedStimulus
from tfm_harness.stimulus.sensors import LSM303DLHC, TMP105
from tfm_harness.stimulus.vsi.player import decode_record
from tfm_harness.stimulus.vsi.stimulus import VsiStimulus

SENSORS: dict[str, SensorConfig] = {"mag": Lsm303Sensor(model="lsm303dlhc"), "temp": Tmp105Sensor(model="tmp105")}
MAG, TEMP = 0x1E, 0x48


@pytest.fixture
def pico() -> Iterator[SimulatedPico]:
    with SimulatedPico() as simulated:
        yield simulated


@pytest.fixture
def stimulus(pico: SimulatedPico) -> Iterator[PicoStimulus]:
    played = PicoStimulus(PicoStimulusConfig(kind="pico", port=pico.port), SENSORS)
    yield played
    played.close()


def device_reads(pico: SimulatedPico) -> Sample:
    """What a driver on the board's I2C bus makes of both sensors' registers."""
    raw = pico.read_register(MAG, 0x03, 6)
    x, z, y = (int.from_bytes(raw[i : i + 2], "big", signed=True) for i in (0, 2, 4))
    pico.write(TEMP, b"\x01\x60")  # 12 bit
    t = int.from_bytes(pico.read_register(TEMP, 0x00, 2), "big", signed=True) >> 4
    return Sample(x, y, z, t)


def test_what_is_set_is_what_the_board_reads(pico: SimulatedPico, stimulus: PicoStimulus) -> None:
    stimulus.set("mag.x", -100.0)
    stimulus.set("temp", -12.5)
    read = device_reads(pico)
    assert read == stimulus.sample()
    assert read.x == -1100
    assert read.t == -200
    stimulus.taken()
    assert stimulus.expected_samples() == [read]


def test_a_trace_steps_with_the_samples_taken(pico: SimulatedPico, stimulus: PicoStimulus) -> None:
    stimulus.ramp("temp", 20.0, 23.0, 4)
    read = []
    for _ in range(4):
        read.append(device_reads(pico))
        stimulus.taken()
    assert [sample.t for sample in read] == [320, 336, 352, 368]
    assert stimulus.expected_samples(4) == read


def test_a_device_that_made_its_sample_up_is_caught(pico: SimulatedPico, stimulus: PicoStimulus) -> None:
    device_reads(pico)
    stimulus.taken()
    with pytest.raises(ProductError) as caught:
        stimulus.taken()
    assert caught.value.kind == "sensor-not-read"
    # Half a sample is none: the magnetometer alone.
    pico.read_register(MAG, 0x03, 6)
    with pytest.raises(ProductError):
        stimulus.taken()


def test_reads_from_before_do_not_count(pico: SimulatedPico, stimulus: PicoStimulus) -> None:
    device_reads(pico)
    stimulus.rest()
    with pytest.raises(ProductError):
        stimulus.taken()


def test_reading_twice_is_allowed(pico: SimulatedPico, stimulus: PicoStimulus) -> None:
    device_reads(pico)
    read = device_reads(pico)
    stimulus.taken()
    assert stimulus.expected_samples() == [read]


def test_a_player_set_by_somebody_else_is_noticed(pico: SimulatedPico, stimulus: PicoStimulus) -> None:
    pico.mag.set_counts(1, 2, 3)
    pico.player.set(1, 2, 3, 4)
    device_reads(pico)
    with pytest.raises(InfrastructureError) as caught:
        stimulus.taken()
    assert caught.value.kind == "stimulus-disagrees"


def test_a_fault_left_by_an_earlier_session_is_taken_away(pico: SimulatedPico) -> None:
    first = PicoStimulus(PicoStimulusConfig(kind="pico", port=pico.port), SENSORS)
    first.link.fault("mag", "absent")
    with pytest.raises(OSError, match="not acknowledged"):
        device_reads(pico)
    first.close()
    second = PicoStimulus(PicoStimulusConfig(kind="pico", port=pico.port), SENSORS)
    second.close()
    assert device_reads(pico) == second.sample()


def test_port_without_a_pico() -> None:
    with pytest.raises(InfrastructureError, match="there is no port"):
        PicoStimulus(PicoStimulusConfig(kind="pico", port="/dev/serial/by-id/none"), SENSORS)
    master, slave = os.openpty()
    try:
        config = PicoStimulusConfig(kind="pico", port=os.ttyname(slave), timeout=0.05)
        with pytest.raises(InfrastructureError) as caught:
            PicoStimulus(config, SENSORS)
        assert caught.value.kind == "pico-silent"
        # The port was given back.
        with pytest.raises(InfrastructureError, match="did not answer"):
            PicoStimulus(config, SENSORS)
    finally:
        os.close(master)
        os.close(slave)


def test_sensors_the_pico_does_not_play(pico: SimulatedPico) -> None:
    with pytest.raises(ConfigError) as caught:
        PicoStimulus(PicoStimulusConfig(kind="pico", port=pico.port), {"t": Tmp105Sensor(model="tmp105", address=0x49)})
    assert caught.value.kind == "stimulus-sensor"
    with pytest.raises(ValidationError, match="either `port` or `endpoint`"):
        PicoStimulusConfig(kind="pico")


def test_endless_noise_is_bounded_and_the_end_is_told() -> None:
    class Noise:
        def __init__(self) -> None:
            self.read, self._write = os.pipe()
            os.write(self._write, b"x" * 60000 + b"\nline\n")
            os.close(self._write)

        def fileno(self) -> int:
            return self.read

        def read_into(self, buffer: memoryview) -> int | None:
            return os.readv(self.read, [buffer])

        def write(self, data: bytes | memoryview) -> int:
            raise OSError("gone")

        def close(self) -> None:
            os.close(self.read)

    lines = EndpointLines(Noise(), "noise")
    try:
        first = lines.receive(5.0)
        assert first is not None
        assert len(first) <= 512
        assert lines.receive(5.0) == b"line"
        with pytest.raises(InfrastructureError, match="went away"):
            lines.receive(5.0)
    finally:
        lines.close()


# --- the same bits on every back end


def random_values(rng: random.Random) -> dict[str, float]:
    values = {f"mag.{axis}": rng.randrange(0, 186_000) / 1000 for axis in "xy"}
    values["mag.z"] = rng.randrange(0, 208_000) / 1000
    values["temp"] = rng.randrange(-128_000, 127_999) / 1000
    return values


@pytest.mark.qemu
def test_host_pico_vsi_and_qemu_agree_to_the_bit(
    pico: SimulatedPico, stimulus: PicoStimulus, probe_board: QemuBoard, tmp_path: Path
) -> None:
    """The same values into all four; registers read over I2C from the Pico's models and by firmware in QEMU."""
    qemu = probe_board.stimulus()
    assert isinstance(qemu, PlayedStimulus)
    vsi = VsiStimulus(tmp_path / "vsi", SENSORS)
    console = probe_board.console("ns")

    def firmware(word: str) -> bytes:
        mark = console.mark()
        console.write(word.encode() + b"\n")
        found = console.wait_for(re.compile(rb"([0-9a-f]+)\n"), timeout=10, since=mark)
        return bytes.fromhex((found.groups[0] or b"").decode())

    rng = random.Random(7)
    for _ in range(40):
        values = random_values(rng)
        for channel, value in values.items():
            for player in (qemu, stimulus, vsi):
                player.set(channel, value)
        field = {channel: round(value * 1000) for channel, value in values.items()}
        expected = Sample(
            LSM303DLHC.counts("x", field["mag.x"]),
            LSM303DLHC.counts("y", field["mag.y"]),
            LSM303DLHC.counts("z", field["mag.z"]),
            TMP105.counts(field["temp"]),
        )
        mag, temp = firmware("mag"), firmware("temp")
        assert mag[:6] == pico.read_register(MAG, 0x03, 6)
        pico.write(TEMP, b"\x01\x60")
        assert temp[:2] == pico.read_register(TEMP, 0x00, 2)
        x, z, y = (int.from_bytes(mag[i : i + 2], "big", signed=True) for i in (0, 2, 4))
        assert Sample(x, y, z, int.from_bytes(temp[:2], "big", signed=True) >> 4) == expected
        assert stimulus.sample() == expected
        assert decode_record((tmp_path / "vsi" / "now.bin").read_bytes()) == expected


# --- VSI


def test_vsi_counts_what_the_model_served(tmp_path: Path) -> None:
    vsi = VsiStimulus(tmp_path, SENSORS)
    vsi.set("temp", 30.0)
    with pytest.raises(ProductError):
        vsi.taken()
    with (tmp_path / "served.bin").open("ab") as file:  # as arm_vsi.py appends
        file.write((tmp_path / "now.bin").read_bytes())
    vsi.taken()
    assert vsi.expected_samples()[0].t == 480


# --- FT4222H


class FakeFt4222:
    """What AN_329 says of the slave functions: a queue of answers, a queue of bytes written by the controller."""

    def __init__(self) -> None:
        self.address = 0
        self.queue = b""
        self.written = b""
        self.closed = 0

    def i2cSlave_Init(self) -> None:  # noqa: N802
        self.address = 0x40

    def i2cSlave_SetAddress(self, address: int) -> None:  # noqa: N802
        self.address = address

    def i2cSlave_Reset(self) -> None:  # noqa: N802
        self.queue, self.written = b"", b""

    def i2cSlave_Write(self, data: bytes) -> None:  # noqa: N802
        self.queue = (self.queue + data)[:256]

    def i2cSlave_GetRxStatus(self) -> int:  # noqa: N802
        return len(self.written)

    def close(self) -> None:
        self.closed += 1

    def controller_reads(self, register: int, count: int) -> bytes:
        self.written += bytes([register])
        data, self.queue = self.queue[:count], self.queue[count:]
        return data.ljust(count, b"\xff")


def ft4222_with(monkeypatch: pytest.MonkeyPatch, device: Any) -> None:
    module = types.ModuleType("ft4222")

    def open_by(_: str) -> Any:
        if device is None:
            raise RuntimeError("FT_DEVICE_NOT_FOUND")
        return device

    module.openByDescription = open_by  # type: ignore[attr-defined]  # a simulator for a module
    monkeypatch.setitem(sys.modules, "ft4222", module)


CONFIG = Ft4222StimulusConfig(kind="ft4222", sensor=TEMP)
ONE: dict[str, SensorConfig] = {"temp": Tmp105Sensor(model="tmp105")}


def test_ft4222_plays_a_thermometer(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeFt4222()
    ft4222_with(monkeypatch, device)
    played = Ft4222Stimulus(CONFIG, ONE)
    assert device.address == TEMP
    played.ramp("temp", -1.0, 1.0, 3)
    read = []
    for _ in range(3):
        read.append(int.from_bytes(device.controller_reads(0, 2), "big", signed=True) >> 4)
        played.taken()
    assert read == [-16, 0, 16]
    assert [sample.t for sample in played.expected_samples()] == read
    with pytest.raises(ProductError) as caught:
        played.taken()
    assert caught.value.kind == "sensor-not-read"
    played.close()
    played.close()
    assert device.closed == 1


def test_ft4222_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as wrong:
        Ft4222Stimulus(CONFIG, SENSORS)
    assert wrong.value.kind == "stimulus-sensor"
    monkeypatch.setitem(sys.modules, "ft4222", None)
    with pytest.raises(InfrastructureError) as missing:
        Ft4222Stimulus(CONFIG, ONE)
    assert missing.value.kind == "tool-missing"
    ft4222_with(monkeypatch, None)
    with pytest.raises(InfrastructureError) as unplugged:
        Ft4222Stimulus(CONFIG, ONE)
    assert unplugged.value.kind == "ft4222-missing"


def test_a_boards_target_names_its_player(pico: SimulatedPico, tmp_path: Path) -> None:
    """`stimulus` in a target: opened with the board, given back with it, and nobody else's meanwhile."""
    master, slave = os.openpty()
    words = {
        "name": "wired",
        "kind": "attach",
        "consoles": {"ns": {"kind": "serial", "port": os.ttyname(slave)}},
        "sensors": {"mag": {"model": "lsm303dlhc"}, "temp": {"model": "tmp105"}},
        "stimulus": {"kind": "pico", "port": pico.port},
    }
    target = AttachTarget.model_validate(words)
    context = RunContext(tmp_path / "run", tmp_path / "state")
    try:
        with AttachBoard(target, context) as board:
            played = board.stimulus()
            assert isinstance(played, PicoStimulus)
            played.set("temp", 20.0)
            assert device_reads(pico).t == 320
            other = AttachBoard(target.model_copy(update={"name": "other"}), context)
            with pytest.raises(InfrastructureError, match="in use"):
                other.acquire()
        assert board.stimulus() is None
        # The port is free again.
        PicoStimulus(PicoStimulusConfig(kind="pico", port=pico.port), SENSORS).close()
    finally:
        os.close(master)
        os.close(slave)
