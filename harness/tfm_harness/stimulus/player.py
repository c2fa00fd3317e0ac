"""Playing sensors: what every back end shares. A back end only puts values into its sensors."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tfm_harness.config.sensors import SensorConfig
from tfm_harness.errors import ConfigError
from tfm_harness.stimulus.base import Sample, Stimulus
from tfm_harness.stimulus.sensors import REST, TMP105, Axis, Magnetometer
from tfm_harness.stimulus.trace import Trace, find_trace, load_trace, ramp

__all__ = ["PlayedStimulus"]

_HISTORY: Final = 65_536
_AXES: Final[tuple[Axis, ...]] = ("x", "y", "z")


class PlayedStimulus(Stimulus):
    """A stimulus that knows what it last set, and so what the device must have read.

    Args:
        sensors: the target's sensors by name; channels are ``NAME.x``, ``NAME.y``, ``NAME.z`` for a
            magnetometer and ``NAME`` for a thermometer.
        lowest: least magnetometer count that the back end can play (QEMU 7.2: 0).
    """

    def __init__(self, sensors: Mapping[str, SensorConfig], *, lowest: int = -2048) -> None:
        self._magnetometer = Magnetometer(lowest=lowest)
        self._values: dict[str, int] = {}  # nanotesla, or thousandths of a degree
        self._axis: dict[str, Axis | None] = {}
        for name, sensor in sensors.items():
            if sensor.model == "lsm303dlhc":
                for axis in _AXES:
                    self._axis[f"{name}.{axis}"] = axis
            else:
                self._axis[name] = None
        for channel, its_axis in self._axis.items():
            self._values[channel] = REST[its_axis or "t"]
        self._trace: Trace | None = None
        self._row = 0
        self._loop = False
        self._taken: deque[Sample] = deque(maxlen=_HISTORY)

    @abc.abstractmethod
    def _apply(self, values: Mapping[str, int]) -> None:
        """Put values (channel to nanotesla or thousandths of a degree) into the sensors now."""

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
        """See `Stimulus`. With `loop` the trace begins again after its last row; else the last row stays.

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
        for channel, value in values.items():
            axis = self._axis[channel]
            found[axis or "t"] = self._magnetometer.counts(axis, value) if axis else TMP105.counts(value)
        return Sample(**found)

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
        self._put({channel: REST[axis or "t"] for channel, axis in self._axis.items()}, force=True)

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
        if channel not in self._axis:
            known = ", ".join(self._axis) or "no channel: the target declares no sensors"
            raise ConfigError(f"unknown channel {channel!r}", kind="stimulus-channel", expected=known, where=where)
        axis = self._axis[channel]
        try:
            if raw:
                if value != int(value):
                    raise ValueError(f"{value:g} is no whole count")  # noqa: TRY301 - one place words the error
                native = self._magnetometer.nanotesla(axis, int(value)) if axis else TMP105.millidegrees(int(value))
            else:
                native = round(value * 1000)
            _ = self._magnetometer.counts(axis, native) if axis else TMP105.counts(native)
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"channel {channel!r}: {error}", kind="stimulus-range", where=where) from error
        return native
