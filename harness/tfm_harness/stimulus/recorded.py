"""Players that record the samples that they really served: a sample that the device claims must be in the record."""

from __future__ import annotations

import abc
from collections.abc import Mapping

from tfm_harness.config.sensors import BUILT_IN_SENSORS, SensorConfig
from tfm_harness.errors import ConfigError, InfrastructureError, ProductError
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.player import PlayedStimulus

__all__ = ["RecordedStimulus", "only_built_in"]


def only_built_in(sensors: Mapping[str, SensorConfig], player: str) -> None:
    """Refuse sensors that a player of whole samples (x, y, z, t) does not know.

    Raises:
        ConfigError: kind ``stimulus-sensor``.
    """
    for name, sensor in sensors.items():
        if sensor.model not in BUILT_IN_SENSORS:
            raise ConfigError(
                f"{player} does not play sensor {name!r}",
                kind="stimulus-sensor",
                expected=" or ".join(BUILT_IN_SENSORS),
                seen=sensor.model,
                hint="use a stimulus back end that knows this sensor model",
            )


class RecordedStimulus(PlayedStimulus):
    """A back end that counts the samples that were read from it.

    A value stays until the host calls `taken`, after the device has taken a sample. So every read between two calls of
    `taken` gives the same sample, and a device that reads twice changes nothing.
    """

    def __init__(self, sensors: Mapping[str, SensorConfig]) -> None:
        super().__init__(sensors)
        self._seen: int | None = None

    @abc.abstractmethod
    def _served_count(self) -> int:
        """Complete samples served so far."""

    @abc.abstractmethod
    def _last_served(self) -> Sample:
        """The latest complete sample."""

    @abc.abstractmethod
    def _serve(self, sample: Sample) -> None:
        """Serve this sample for every following read."""

    @property
    @abc.abstractmethod
    def _where(self) -> str:
        """The player's name in errors."""

    def _apply(self, values: Mapping[str, int]) -> None:
        self._serve(self._sample_of({**self._values, **values}))

    def rest(self) -> None:
        """See `Stimulus`; earlier reads do not count."""
        super().rest()
        self._seen = self._served_count()

    def taken(self) -> None:
        """See `Stimulus`.

        Raises:
            ProductError: ``sensor-not-read``: the device says that it took a sample, but it did not read the sensor.
            InfrastructureError: ``stimulus-disagrees``: the player served another sample than the one set.
        """
        count, expected = self._served_count(), self.sample()
        if count == (self._seen or 0):
            raise ProductError(
                "the device says that it took a sample, but the sensor was not read",
                kind="sensor-not-read",
                expected="a read of the magnetometer, then of the thermometer",
                seen=f"still {count} complete samples served",
                where=self._where,
                hint="check that the secure side reads this sensor, at these addresses, and no other one",
            )
        served = self._last_served()
        if served != expected:
            raise InfrastructureError(
                "the sensor player served something else than was set",
                kind="stimulus-disagrees",
                expected=str(expected),
                seen=str(served),
                where=self._where,
                hint="check that nothing else sets this player, and that its files are those of this version",
            )
        self._seen = count
        super().taken()
