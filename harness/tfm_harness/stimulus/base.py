"""What a stimulus is to the rest of the harness."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tfm_harness.config.sensors import SensorBase
    from tfm_harness.config.stimulus import StimulusBase

__all__ = ["Sample", "Stimulus", "StimulusBackend"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the secure side must have read, to the register bit.

    Attributes:
        x, y, z: magnetometer raw counts (int16; LSM303DLHC).
        t: temperature in 1/16 degC (TMP105, 12 bit, int16).
        extra: counts of channels beyond these, from sensor models of packages, in the order of the target's sensors.
    """

    x: int
    y: int
    z: int
    t: int
    extra: tuple[int, ...] = field(default=(), kw_only=True)

    def record(self) -> bytes:
        """The record for the signed result's input digest (docs/protocol.md): 8 bytes, and 2 for each extra channel."""
        return b"".join(v.to_bytes(2, "little", signed=True) for v in (self.x, self.y, self.z, self.t, *self.extra))


class Stimulus(abc.ABC):
    """Plays the sensor.

    Channels: ``mag.x``, ``mag.y``, ``mag.z`` in microtesla, ``temp`` in degrees Celsius.
    """

    @abc.abstractmethod
    def set(self, channel: str, value: float) -> None:
        """Set one channel now."""

    @abc.abstractmethod
    def sample(self) -> Sample:
        """The sample that the device reads if it samples now."""

    @abc.abstractmethod
    def taken(self) -> None:
        """Note that the device has just taken a sample: record it, and move a playing trace to its next row."""

    @abc.abstractmethod
    def expected_samples(self, count: int | None = None) -> Sequence[Sample]:
        """The last `count` samples that the secure side must have read, oldest first."""

    @abc.abstractmethod
    def play(self, trace: str | Path) -> None:
        """Play a recorded trace (CSV or .npz) from its beginning, one row for each sample taken.

        A relative path is searched in the working directory, then among the traces that come with the harness.
        """

    @abc.abstractmethod
    def rest(self) -> None:
        """Begin a test: set every channel to its resting value, stop a trace, forget recorded samples."""

    def restate(self) -> None:  # noqa: B027 - only sensors that forget need it
        """Set every channel's present value again, because a reset may have cleared the sensors."""

    def close(self) -> None:  # noqa: B027 - only what has opened something needs it
        """Close everything that was opened. Safe to call twice."""


class StimulusBackend(Stimulus):
    """A stimulus that a target names under ``stimulus``: the entry-point group ``tfm_harness.stimuli``.

    A back end that only has to set sensor values also derives from `tfm_harness.PlayedStimulus`, which handles
    channels, traces and samples.

    Args:
        config: the target's ``stimulus``, as `config_model` reads it.
        sensors: the target's sensors by name.

    Raises:
        InfrastructureError: the player of the sensors is missing or does not answer.
        ConfigError: it cannot play these sensors.
    """

    config_model: ClassVar[type[StimulusBase]]

    @abc.abstractmethod
    def __init__(self, config: StimulusBase, sensors: Mapping[str, SensorBase]) -> None: ...
