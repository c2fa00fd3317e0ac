"""The sensors' arithmetic, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.sensors import LSM303DLHC, REST, TMP105, Axis, Magnetometer

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
AXES: tuple[Axis, ...] = get_args(Axis)


def test_magnetometer_known_values() -> None:
    """Figures measured on QEMU 7.2's model and read in the data sheet: 1100 and 980 counts a gauss."""
    assert LSM303DLHC.counts("x", 100_000) == 1100
    assert LSM303DLHC.counts("z", 100_000) == 980
    assert LSM303DLHC.counts("y", 186_181) == 2047
    assert LSM303DLHC.counts("x", 90) == 0
    assert LSM303DLHC.counts("x", 91) == 1
    assert LSM303DLHC.counts("x", -1) == -1
    assert LSM303DLHC.range("x") == (-186_181, 186_181)
    assert Magnetometer(lowest=0).range("z") == (0, 208_979)
    assert Magnetometer(gain=7).counts("x", 890_000) == 2047


@pytest.mark.parametrize("axis", AXES)
def test_every_count_comes_back(axis: Axis) -> None:
    for gain in range(1, 8):
        sensor = Magnetometer(gain=gain)
        for count in range(-2048, 2048):
            least = sensor.nanotesla(axis, count)
            assert sensor.counts(axis, least) == count
            if count > -2048:
                assert sensor.counts(axis, least - 1) == count - 1


@pytest.mark.parametrize("value", [186_182, -186_182, 10**12])
def test_magnetometer_range(value: int) -> None:
    with pytest.raises(ValueError, match=r"outside -186\.181\.\.186\.181 uT"):
        LSM303DLHC.counts("x", value)


def test_thermometer_known_values() -> None:
    """TMP105 data sheet table 5 (12 bit): 127.9375 degC is 0x7FF, 25 is 0x190, -0.25 is 0xFFC, -55 is 0xC90."""
    for millidegrees, word in ((127_938, 0x7FF), (25_000, 0x190), (-250, 0xFFC), (-55_000, 0xC90), (0, 0)):
        assert TMP105.counts(millidegrees) & 0xFFF == word
    assert TMP105.register(25_700, bits=9) == 25 * 256 + 128
    assert TMP105.register(25_700, bits=12) == 25 * 256 + 176
    assert TMP105.counts(-1) == 0  # QEMU rounds towards zero to 1/256 degC first
    assert TMP105.counts(-4) == -1
    for value in (128_000, -128_001):
        with pytest.raises(ValueError, match=r"outside -128\.\.127\.999 degC"):
            TMP105.register(value)


@given(st.integers(-128_000, 127_999))
def test_thermometer_is_within_a_count_of_the_truth(millidegrees: int) -> None:
    count = TMP105.counts(millidegrees)
    assert -2048 <= count <= 2047
    assert abs(count * 62.5 - millidegrees) <= 62.5 + 4
    assert TMP105.counts(TMP105.millidegrees(count)) == count


def test_resting_values_are_the_front_ends_zero() -> None:
    """docs/protocol.md, "Sensor front-end": bias 640 counts and 400 sixteenths of a degree."""
    counts = [LSM303DLHC.counts(axis, REST[axis]) for axis in AXES]
    assert all(abs(count - 640) <= 1 for count in counts)
    assert TMP105.counts(REST["t"]) == 400


def test_the_pico_serves_the_same_bits() -> None:
    """The device side of the stimulus for real boards has its own code for the same register map."""
    path = ROOT / "harness" / "tfm_harness" / "stimulus" / "pico" / "device" / "sensors.py"
    module = load_script(path, "pico_sensors")
    magnetometer = next(value for name, value in vars(module).items() if name.lower().startswith("lsm303"))()
    magnetometer.set_counts(1100, -5, 980)
    magnetometer.begin_write()
    magnetometer.write(0x02)  # MR_REG_M: continuous conversion
    magnetometer.write(0x00)
    magnetometer.begin_write()
    magnetometer.write(0x03)
    magnetometer.begin_read()
    data = bytes(magnetometer.read() for _ in range(6))
    x, z, y = (int.from_bytes(data[at : at + 2], "big", signed=True) for at in (0, 2, 4))
    assert (x, y, z) == (LSM303DLHC.counts("x", 100_000), -5, LSM303DLHC.counts("z", 100_000))


def test_record_layout() -> None:
    assert Sample(x=1, y=-2, z=2047, t=-2048).record() == bytes.fromhex("0100 feff ff07 00f8")
