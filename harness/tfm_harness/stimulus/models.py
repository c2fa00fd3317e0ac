"""Sensor models: from a channel's physical value to the counts that the secure side reads, and back.

Packages add theirs in the entry-point group ``tfm_harness.sensors``.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar, Final

from tfm_harness.config.sensors import Lsm303Sensor, SensorBase, Tmp105Sensor
from tfm_harness.errors import HarnessBug
from tfm_harness.extensions import blamed, find, load_class
from tfm_harness.stimulus.sensors import REST, TMP105, Axis, Magnetometer

__all__ = ["SAMPLE_FIELDS", "SensorModel", "make_sensor"]

SAMPLE_FIELDS: Final = ("x", "y", "z", "t")
"""Fields of `Sample` that the sensors of the reference firmware fill; other channels go to its `extra`."""


class SensorModel(abc.ABC):
    """One sensor of a target. Stateless: it only computes.

    A channel's name is the sensor's name, a dot and the channel's key in `channels` (``mag.x``), or the sensor's name
    alone if the key is empty. Values are integers in the model's own (*native*) unit, so that the host's expectation
    and the device's reading agree to the bit.

    Attributes:
        config_model: the strict model of the sensor's entry in a target's YAML.
        channels: channel to the field of `Sample` that it fills (x, y, z, t); None: the next one of `Sample.extra`.
        qemu_device: QEMU's name of the device; None: QEMU does not have it.
    """

    config_model: ClassVar[type[SensorBase]]
    channels: ClassVar[Mapping[str, str | None]]
    qemu_device: ClassVar[str | None] = None

    @abc.abstractmethod
    def __init__(self, config: SensorBase) -> None: ...

    @abc.abstractmethod
    def rest(self, channel: str) -> int:
        """The native value of a board at rest."""

    @abc.abstractmethod
    def native(self, channel: str, value: float) -> int:
        """The native value nearest to `value`, which is in the channel's physical unit."""

    @abc.abstractmethod
    def counts(self, channel: str, native: int) -> int:
        """The secure side's counts: at most 16 bits, signed. Raises ValueError outside the sensor's range."""

    @abc.abstractmethod
    def from_counts(self, channel: str, counts: int) -> int:
        """A native value that reads as `counts`. Raises ValueError outside the sensor's range."""

    def qemu_property(self, channel: str) -> str:
        """The property of QEMU's device that holds the channel's native value."""
        raise NotImplementedError(f"{type(self).__name__} has no QEMU property for {channel!r}")


class Lsm303Model(SensorModel):
    """The magnetometer of ST's LSM303DLHC; physical unit microtesla, native unit nanotesla."""

    config_model = Lsm303Sensor
    channels: ClassVar[Mapping[str, str | None]] = {"x": "x", "y": "y", "z": "z"}
    qemu_device = "lsm303dlhc_mag"
    _AXES: ClassVar[Mapping[str, Axis]] = {"x": "x", "y": "y", "z": "z"}

    def __init__(self, _config: SensorBase, *, lowest: int = -2048) -> None:
        self._arithmetic = Magnetometer(lowest=lowest)

    def rest(self, channel: str) -> int:
        """See `SensorModel`."""
        return REST[channel]

    def native(self, _channel: str, value: float) -> int:
        """See `SensorModel`."""
        return round(value * 1000)

    def counts(self, channel: str, native: int) -> int:
        """See `SensorModel`."""
        return self._arithmetic.counts(self._AXES[channel], native)

    def from_counts(self, channel: str, counts: int) -> int:
        """See `SensorModel`."""
        return self._arithmetic.nanotesla(self._AXES[channel], counts)

    def qemu_property(self, channel: str) -> str:
        """See `SensorModel`."""
        return f"mag-{channel}"


class Tmp105Model(SensorModel):
    """TI's TMP105; physical unit degree Celsius, native unit a thousandth of it."""

    config_model = Tmp105Sensor
    channels: ClassVar[Mapping[str, str | None]] = {"": "t"}
    qemu_device = "tmp105"

    def __init__(self, _config: SensorBase) -> None: ...

    def rest(self, _channel: str) -> int:
        """See `SensorModel`."""
        return REST["t"]

    def native(self, _channel: str, value: float) -> int:
        """See `SensorModel`."""
        return round(value * 1000)

    def counts(self, _channel: str, native: int) -> int:
        """See `SensorModel`."""
        return TMP105.counts(native)

    def from_counts(self, _channel: str, counts: int) -> int:
        """See `SensorModel`."""
        return TMP105.millidegrees(counts)

    def qemu_property(self, _channel: str) -> str:
        """See `SensorModel`."""
        return "temperature"


def make_sensor(config: SensorBase, *, lowest: int = -2048) -> SensorModel:
    """The arithmetic of a target's sensor.

    Args:
        config: its entry in the target.
        lowest: least magnetometer count that the back end can play (QEMU 7.2: 0).

    Raises:
        ExtensionError: the package that adds it cannot be used.
    """
    match config:
        case Lsm303Sensor():
            return Lsm303Model(config, lowest=lowest)
        case Tmp105Sensor():
            return Tmp105Model(config)
    extension = find("sensors", config.model)
    if extension is None:
        raise HarnessBug(f"no sensor model is called {config.model!r}", kind="sensor-class")
    made = load_class(extension, SensorModel)
    with blamed(extension):
        model: SensorModel = made(config)
        _check_channels(model.channels)
    return model


def _check_channels(channels: Mapping[str, str | None]) -> None:
    if not channels or set(filter(None, channels.values())) - set(SAMPLE_FIELDS):
        raise ValueError(f"channels {dict(channels)!r}: a field is one of {', '.join(SAMPLE_FIELDS)}, or None")
