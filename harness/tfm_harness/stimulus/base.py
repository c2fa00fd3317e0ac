"""What a stimulus is to the rest of the harness."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sample", "Stimulus"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the secure side must have read, to the register bit.

    Attributes:
        x, y, z: magnetometer raw counts (int16; LSM303DLHC).
        t: temperature in 1/16 degC (TMP105, 12 bit, int16).
    """

    x: int
    y: int
    z: int
    t: int

    def record(self) -> bytes:
        """The 8-byte window record of the signed result's input digest (docs/protocol.md)."""
        return b"".join(v.to_bytes(2, "little", signed=True) for v in (self.x, self.y, self.z, self.t))


class Stimulus(abc.ABC):
    """Plays the sensor.

    Channels: ``mag.x``, ``mag.y``, ``mag.z`` in microtesla, ``temp`` in degrees Celsius.
    """

    @abc.abstractmethod
    def set(self, channel: str, value: float) -> None:
        """Set one channel now."""

    @abc.abstractmethod
    def sample(self) -> Sample:
        """What the device reads if it samples now."""

    @abc.abstractmethod
    def taken(self) -> None:
        """Tell that the device has just taken a sample: it is recorded, and a playing trace goes on."""

    @abc.abstractmethod
    def expected_samples(self, count: int | None = None) -> Sequence[Sample]:
        """The last `count` samples the secure side must have read, oldest first."""

    @abc.abstractmethod
    def play(self, trace: str | Path) -> None:
        """Play a recorded trace (CSV or .npz) from its beginning, one row for each sample taken.

        A relative path is looked for in the working directory, then among the traces that came
        with the harness.
        """

    @abc.abstractmethod
    def rest(self) -> None:
        """Every channel at its resting value, no trace playing, no samples recorded: how a test begins."""

    def restate(self) -> None:  # noqa: B027 - only sensors that forget need it
        """Set every channel's present value again: a reset may have made the sensors forget."""
