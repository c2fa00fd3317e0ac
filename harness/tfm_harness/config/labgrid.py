"""``kind: labgrid``: the target model of boards that a labgrid coordinator lends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from tfm_harness.config.fields import Name, Seconds, Strict
from tfm_harness.config.stimulus import StimulusConfig
from tfm_harness.config.target import TargetBase

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["CommandFlash", "DriverFlash", "LabgridConsole", "LabgridTarget"]

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class LabgridConsole(Strict):
    """A serial resource of the place."""

    resource: str = Field(min_length=1, description="its name in the place, as `labgrid-client resources` prints it")
    reconnect: float = Field(
        default=10.0, ge=0, le=600, description="seconds to wait for it to come back, for instance after a power cycle"
    )


class CommandFlash(Strict):
    """The user's own command, run once for each image: ``{image}`` and ``{address}`` are replaced."""

    kind: Literal["command"]
    command: Words


class DriverFlash(Strict):
    """A labgrid driver of the place, called once for each image; ``{image}`` and ``{address}`` are replaced."""

    kind: Literal["driver"]
    driver: str = Field(pattern=r"^[A-Z]\w+Driver$", description="labgrid's driver class, e.g. OpenOCDDriver")
    method: Name = Field(default="load", description="its method")
    arguments: tuple[str, ...] = ("{image}",)
    options: Mapping[Name, str | int | bool] = Field(default_factory=dict, description="the driver's own settings")


class LabgridTarget(TargetBase):
    """A place of a labgrid installation."""

    kind: Literal["labgrid"]
    coordinator: str | None = Field(
        default=None,
        pattern=r"^[^\s:]+(:\d+)?$|^\[[0-9a-fA-F:]+\](:\d+)?$",
        description="host:port; from LG_COORDINATOR when absent, else 127.0.0.1:20408",
    )
    place: str | None = Field(default=None, min_length=1, description="the place's name")
    tags: Mapping[str, str] = Field(default_factory=dict, description="reserve any place with these tags instead")
    python: str | None = Field(
        default=None, min_length=1, description="Python interpreter that has labgrid 26; the harness's own when absent"
    )
    consoles: Mapping[Name, LabgridConsole] = Field(min_length=1, description="logical name to serial resource")
    power_resource: str | None = Field(
        default=None, min_length=1, description="the place's power resource; the only one it has when absent"
    )
    flash: Annotated[CommandFlash | DriverFlash, Field(discriminator="kind")] | None = Field(
        default=None, description="nothing is flashed without it"
    )
    reset: Words | None = Field(default=None, description="the user's command for a warm reset")
    stimulus: StimulusConfig | None = Field(default=None, description="what plays the sensors on the board's I2C bus")
    operation_timeout: Seconds = Field(default=60.0, description="limit of one request to labgrid")

    @model_validator(mode="after")
    def _one_way(self) -> LabgridTarget:
        if (self.place is None) == (not self.tags):
            raise ValueError("give either `place` or `tags`")
        seen: dict[str, str] = {}
        for name, console in self.consoles.items():
            if seen.setdefault(console.resource, name) != name:
                raise ValueError(f"consoles {seen[console.resource]!r} and {name!r} are the same resource")
        return self

    def resources(self) -> tuple[str, ...]:
        """The place, if the target names one: the place of a reservation is not known in advance."""
        names = [f"labgrid place {self.place}"] if self.place is not None else []
        if self.stimulus is not None:
            names.append(self.stimulus.resource())
        return tuple(names)

    def check_build(self, build: Build) -> list[str]:
        """Check the needs of flashing, too: files to flash at addresses."""
        problems = super().check_build(build)
        if self.flash is not None:
            problems += self._slots_are_addresses(build, "a labgrid place")
        return problems
