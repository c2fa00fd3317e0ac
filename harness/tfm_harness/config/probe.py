"""``kind: probe``: the target model of boards flashed and reset by a debug probe (pyOCD)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from tfm_harness.config.endpoint import Endpoint, endpoint_resource
from tfm_harness.config.fields import Address, ConfigPath, Name, Seconds, Size, Strict
from tfm_harness.config.stimulus import StimulusConfig
from tfm_harness.config.target import TargetBase

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["ProbeResets", "ProbeTarget", "RamRegion"]

ResetLine = Literal["hardware", "sysresetreq", "vectreset", "emulated", "default"]


class RamRegion(Strict):
    """Memory that is written like RAM and that pyOCD's map of the part does not contain."""

    start: Address
    size: Size = Field(gt=0)


class ProbeResets(Strict):
    """How the probe resets the board."""

    warm: ResetLine = Field(default="sysresetreq", description="used by warm resets")
    flash: ResetLine = Field(default="hardware", description="used after flashing")


class ProbeTarget(TargetBase):
    """A board behind a debug probe that pyOCD knows.

    There is no key for pyOCD's ``auto_unlock``: a locked part would be erased as a whole, keys included,
    so it is always off.
    """

    kind: Literal["probe"]
    probe: str = Field(min_length=1, description="the probe's whole unique id, as `pyocd list` prints it")
    part: str = Field(default="cortex_m", min_length=1, description="pyOCD's target name (`pyocd list --targets`)")
    pack: ConfigPath | None = Field(default=None, description="CMSIS-Pack that describes the part")
    frequency: int | None = Field(default=None, ge=1_000, le=100_000_000, description="SWD clock in Hz")
    connect: Literal["halt", "pre-reset", "under-reset"] = Field(
        default="halt", description="how the core is halted before flashing"
    )
    erase: Literal["auto", "sector", "chip"] = "sector"
    regions: Mapping[Name, RamRegion] = Field(default_factory=dict)
    start: Address | None = Field(
        default=None,
        description="vector table to start from after each reset: for images in RAM, which no reset vector finds",
    )
    skip_identical: bool = Field(default=True, description="do not write what reads back as it should be")
    resets: ProbeResets = ProbeResets()
    consoles: Mapping[Name, Endpoint] = Field(min_length=1, description="logical name to serial port")
    stimulus: StimulusConfig | None = Field(default=None, description="what plays the sensors on the board's I2C bus")
    operation_timeout: Seconds = Field(default=120.0, description="limit of one operation of the probe")

    @model_validator(mode="after")
    def _distinct(self) -> ProbeTarget:
        names = self.resources()
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise ValueError(f"{double} is used twice")
        ordered = sorted(self.regions.items(), key=lambda item: item[1].start)
        for (first, one), (second, two) in pairwise(ordered):
            if two.start < one.start + one.size:
                raise ValueError(f"regions {first!r} and {second!r} overlap")
        return self

    def resources(self) -> tuple[str, ...]:
        """The probe and every port belong to one session."""
        names = [f"probe {self.probe}", *(endpoint_resource(endpoint) for endpoint in self.consoles.values())]
        if self.stimulus is not None:
            names.append(self.stimulus.resource())
        return tuple(names)

    def check_build(self, build: Build) -> list[str]:
        """Check a probe's needs, too: images with addresses."""
        problems = super().check_build(build)
        problems += self._slots_are_addresses(build, "a probe")
        return problems
