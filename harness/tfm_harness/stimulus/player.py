"""Plays sensors: the part that all back ends share. A back end only sets the values of its sensors."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfm_harness.config.sensors import SensorConfig
from tfm_harness.errors import ConfigError
from tfm_harness.stimulus.base import Sample, Stimulus
from tfm_harness.stimulus.models import SensorModel, make_sensor
from tfm_harness.stimulus.trace import Trace, find_trace, load_trace, ramp

__all__ = ["PlayedChannel", "PlayedStimulus"]

_HISTORY: Final = 65_536


@dataclass(frozen=True, slots=True)
class PlayedChannel:
    """One channel of one sensor: `sensor` is the sensor's name in the target, `key` the channel's key in the model."""

    sensor: str
    key: str
    model: SensorModel

    @property
    def field(self) -> str | None:
        """The field of `Sample` that the channel fills; None if it is one of `extra`."""
        return self.model.channels[self.key]

    @property
    def rest(self) -> int:
        """The native value at rest."""
        return self.model.rest(self.key)

    def counts(self, native: int) -> int:
        """The counts that the secure side reads."""
        return self.model.counts(self.key, native)

    def native(self, value: float, *, raw: bool) -> int:
        """The native value for a physical value, or for a count if `raw`. Raises ValueError out of range."""
        if not raw:
            return self.model.native(self.key, value)
        if value != int(value):
            raise ValueError(f"{value:g} is no whole count")
        return self.model.from_counts(self.key, int(value))


class PlayedStimulus(Stimulus):
    """A stimulus that remembers the values that it set, and thus knows what the device must have read.

    Args:
        sensors: the target's sensors by name; channels are ``NAME.x``, ``NAME.y``, ``NAME.z`` for a
            magnetometer, ``NAME`` for a thermometer, and those of a package's sensor model.
        lowest: least magnetometer count that the back end can play (QEMU 7.2: 0).
    """

    def __init__(self, sensors: Mapping[str, SensorConfig], *, lowest: int = -2048) -> None:
        self._channels: dict[str, PlayedChannel] = {}
        for name, sensor in sensors.items():
            model = make_sensor(sensor, lowest=lowest)
            for key in model.channels:
                self._channels[f"{name}.{key}" if key else name] = PlayedChannel(name, key, model)
        self._values = {name: channel.rest for name, channel in self._channels.items()}  # in native units
        self._trace: Trace | None = None
        self._row = 0
        self._loop = False
        self._taken: deque[Sample] = deque(maxlen=_HISTORY)

    @abc.abstractmethod
    def _apply(self, values: Mapping[str, int]) -> None:
        """Set the sensors to these values (channel to native units, see `SensorModel`) now."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that can be set."""
        return tuple(self._values)

    def set(self, channel: str, value: float) -> None:
        """See `Stimulus`; ends a playing trace.

        Raises:
            ConfigError: kind ``stimulus-channel`` or ``stimulus-range``.
        """
        self._trace = None
        self._put({channel: self._native(channel, value, raw=False, where="")})

    def play(self, trace: str | Path | Trace, *, loop: bool = False) -> None:
        """See `Stimulus`. With `loop` the trace starts again after its last row; otherwise the last row stays.

        Raises:
            ConfigError: kind ``trace-missing``, ``trace-invalid``, ``stimulus-channel`` or ``stimulus-range``:
                the whole trace is checked before its first row is played.
        """
        if not isinstance(trace, Trace):
            trace = load_trace(find_trace(trace))
        for index in range(len(trace)):
            self._row_values(trace, index)
        self._trace, self._row, self._loop = trace, 0, loop
        self._put(self._row_values(trace, 0))

    def ramp(self, channel: str, start: float, stop: float, count: int) -> None:
        """Play `count` values in equal steps, `start` first, one for each sample taken."""
        self.play(ramp(channel, start, stop, count))

    def sample(self) -> Sample:
        """See `Stimulus`. A sensor that the target lacks reads 0."""
        return self._sample_of(self._values)

    def _sample_of(self, values: Mapping[str, int]) -> Sample:
        found = {"x": 0, "y": 0, "z": 0, "t": 0}
        extra = []
        for name, channel in self._channels.items():
            counts = channel.counts(values[name])
            if channel.field is None:
                extra.append(counts)
            else:
                found[channel.field] = counts
        return Sample(**found, extra=tuple(extra))

    def taken(self) -> None:
        """See `Stimulus`."""
        self._taken.append(self.sample())
        if self._trace is None:
            return
        self._row += 1
        if self._row >= len(self._trace) and self._loop:
            self._row = 0
        if self._row < len(self._trace):
            self._put(self._row_values(self._trace, self._row))
        else:
            self._trace = None

    def expected_samples(self, count: int | None = None) -> Sequence[Sample]:
        """See `Stimulus`; at most the last 65,536."""
        samples = list(self._taken)
        return samples if count is None else samples[max(len(samples) - count, 0) :]

    def rest(self) -> None:
        """See `Stimulus`."""
        self._trace = None
        self._taken.clear()
        self._put({name: channel.rest for name, channel in self._channels.items()}, force=True)

    def restate(self) -> None:
        """See `Stimulus`."""
        self._apply(dict(self._values))

    def _put(self, values: Mapping[str, int], *, force: bool = False) -> None:
        changed = {channel: value for channel, value in values.items() if force or self._values[channel] != value}
        if changed:
            self._apply(changed)
            self._values.update(changed)

    def _row_values(self, trace: Trace, index: int) -> dict[str, int]:
        where = f"{trace.source}, sample {index}"
        return {
            channel: self._native(channel, value, raw=channel in trace.raw, where=where)
            for channel, value in trace.row(index).items()
        }

    def _native(self, channel: str, value: float, *, raw: bool, where: str) -> int:
        played = self._channels.get(channel)
        if played is None:
            known = ", ".join(self._channels) or "no channel: the target declares no sensors"
            from tfm_harness.config.nearest import did_you_mean

            near = did_you_mean(str(channel), self._channels)
            raise ConfigError(
                f"unknown channel {channel!r}{near}", kind="stimulus-channel", expected=known, where=where
            )
        try:
            native = played.native(value, raw=raw)
            played.counts(native)
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"channel {channel!r}: {error}", kind="stimulus-range", where=where) from error
        return native
