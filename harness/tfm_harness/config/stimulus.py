"""What plays the sensors of a real board: models of its ``stimulus`` key."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field

from tfm_harness.config.endpoint import Endpoint, endpoint_resource
from tfm_harness.config.fields import Strict
from tfm_harness.config.open_union import OpenUnion
from tfm_harness.config.sensors import I2cAddress

__all__ = ["Ft4222StimulusConfig", "PicoStimulusConfig", "StimulusBase", "StimulusConfig"]


class StimulusBase(Strict):
    """The keys of every player of a real board's sensors. A package's own back end extends it."""

    kind: str

    def resource(self) -> str:
        """The physical thing that only one session may use at a time, in words: ``serial port /dev/ttyACM0``."""
        return f"stimulus {self.kind}"


class PicoStimulusConfig(StimulusBase):
    """A Raspberry Pi Pico as I2C target, running the files of ``harness/tfm_harness/stimulus/pico/device``."""

    kind: Literal["pico"]
    port: str | None = Field(default=None, pattern=r"^/", description="its USB tty; use /dev/serial/by-id/...")
    endpoint: Endpoint | None = Field(default=None, description="instead of `port`: a serial server in front of it")
    timeout: float = Field(default=1.0, gt=0, le=60, description="limit of one answer, in seconds")

    def model_post_init(self, _context: object) -> None:
        """Refuse a configuration with both ways to reach it, or with none."""
        if (self.port is None) == (self.endpoint is None):
            raise ValueError("give either `port` or `endpoint`")

    def resource(self) -> str:
        """What only one session may use at a time."""
        if self.endpoint is not None:
            return endpoint_resource(self.endpoint)
        return f"serial port {os.path.realpath(self.port or '')}"


class Ft4222StimulusConfig(StimulusBase):
    """An FT4222H as I2C target (PyPI ``ft4222``): answers are loaded beforehand, one sensor only.

    It has no register pointer: every read of any register returns the bytes loaded last.
    """

    kind: Literal["ft4222"]
    description: str = Field(default="FT4222 A", min_length=1, description="the device's description string")
    sensor: I2cAddress = Field(description="address of the one sensor it plays")

    def resource(self) -> str:
        """What only one session may use at a time."""
        return f"ft4222 {self.description}"


StimulusConfig = Annotated[
    StimulusBase,
    OpenUnion(
        Annotated[PicoStimulusConfig | Ft4222StimulusConfig, Field(discriminator="kind")],
        StimulusBase,
        "kind",
        "stimuli",
    ),
]
