"""``kind: mps3``: the target model of an Arm MPS3 board with a Corstone-300 image (AN547, AN552)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from tfm_harness.config.endpoint import Endpoint, endpoint_resource
from tfm_harness.config.fields import Address, Name, Seconds, Size, Strict
from tfm_harness.config.stimulus import StimulusConfig
from tfm_harness.config.target import TargetBase

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["DiskConfig", "MccWindowConfig", "Mps3Target"]


class DiskConfig(Strict):
    """Where the board's card appears.

    Either `label` (and `usb_serial`, when several boards are plugged in): the harness mounts it with
    udisks; or `mount`: a folder where it is mounted already, or that is used in its place.
    """

    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,11}$")] | None = None
    usb_serial: str | None = Field(default=None, min_length=1)
    mount: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> DiskConfig:
        if (self.label is None) == (self.mount is None):
            raise ValueError("give either `label` (a USB disk) or `mount` (a folder)")
        if self.usb_serial is not None and self.label is None:
            raise ValueError("`usb_serial` belongs to `label`")
        return self


class MccWindowConfig(Strict):
    """One line of an MCC address map of the board's own."""

    name: str
    mcc: Address
    cpu: tuple[Address, ...] = Field(min_length=1)
    size: Size = Field(gt=0)
    port: int = Field(default=0, ge=0, le=15)
    qspi: bool = False


class Mps3Target(TargetBase):
    """An MPS3 board on this host's USB."""

    kind: Literal["mps3"]
    application_note: Literal["AN547", "AN552"] = "AN547"
    dialect: Literal["address", "port"] | None = Field(
        default=None, description="how images.txt gives addresses; as the file on the card does when absent"
    )
    disk: DiskConfig
    mcc: Endpoint = Field(description="the MCC's console: the first of the four serial ports")
    consoles: Mapping[Name, Endpoint] = Field(min_length=1, description="logical name to serial port")
    reboot: Literal["mcc", "reboot.txt", "power"] = Field(
        default="mcc",
        description="how the board is rebooted after its card was written; by `power` too when that does not help",
    )
    mcc_map: tuple[MccWindowConfig, ...] = Field(default=(), description="instead of the application note's own map")
    stimulus: StimulusConfig | None = Field(default=None, description="what plays the sensors on the board's I2C bus")
    restore: bool = Field(default=False, description="restore the card's original content at release")
    start_timeout: Seconds = Field(default=90.0, description="longest silence of the MCC while it loads images")

    def known_by(self) -> tuple[str, ...]:
        """The card: the backup of its content belongs to the card, whatever ports the board has."""
        return (f"disk {self.disk.usb_serial or self.disk.label or self.disk.mount}",)

    def resources(self) -> tuple[str, ...]:
        """The card and every port belong to one session."""
        names = [*self.known_by()]
        names += [endpoint_resource(endpoint) for endpoint in (self.mcc, *self.consoles.values())]
        if self.stimulus is not None:
            names.append(self.stimulus.resource())
        return tuple(names)

    @model_validator(mode="after")
    def _distinct(self) -> Mps3Target:
        names = self.resources()
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise ValueError(f"{double} is used twice (MCC, consoles and stimulus need ports of their own)")
        if "mcc" in self.consoles:
            raise ValueError("`mcc` is no console's name: it is the board controller's own port")
        if self.reboot == "power" and self.power is None:
            raise ValueError("`reboot: power` needs `power`")
        return self

    def check_build(self, build: Build) -> list[str]:
        """Check the MCC's needs, too: raw images at addresses."""
        problems = super().check_build(build)
        problems += self._slots_are_addresses(build, "an MPS3")
        return problems
