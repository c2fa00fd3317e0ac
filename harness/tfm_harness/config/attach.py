"""``kind: attach``: the target model of a board that is already running behind ttys or ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from tfm_harness.config.endpoint import Endpoint, endpoint_resource
from tfm_harness.config.fields import ConfigPath, Name, Seconds, Strict
from tfm_harness.config.stimulus import StimulusConfig
from tfm_harness.config.target import TargetBase

__all__ = ["AttachTarget", "ResetCommand"]


class ResetCommand(Strict):
    """The user's own commands that reset the board (lists of words, no shell)."""

    warm: tuple[str, ...] = Field(min_length=1, description="resets it, power kept")
    cold: tuple[str, ...] | None = Field(default=None, min_length=1, description="as after a power cycle")
    timeout: Seconds = 30.0
    at_start: bool = Field(default=True, description="reset before the first test, so that it starts from a known boot")


class AttachTarget(TargetBase):
    """A board that already runs. The harness does not flash it, and resets it only if a command is given."""

    kind: Literal["attach"]
    consoles: Mapping[Name, Endpoint] = Field(min_length=1, description="logical name to where it is reached")
    reset: ResetCommand | None = None
    qemu_monitor: ConfigPath | None = Field(
        default=None, description="the unix socket of the QMP monitor, where a QEMU stands behind the ports"
    )
    stimulus: StimulusConfig | None = Field(default=None, description="what plays the sensors on the board's I2C bus")

    def resources(self) -> tuple[str, ...]:
        """Ttys and ports: one session each."""
        names = sorted(endpoint_resource(endpoint) for endpoint in self.consoles.values())
        return (*names, self.stimulus.resource()) if self.stimulus is not None else tuple(names)
