"""The sensors that a target offers to the secure side: models of the ``sensors`` key."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tfm_harness.config.fields import Name, Strict
from tfm_harness.config.open_union import OpenUnion

__all__ = ["BUILT_IN_SENSORS", "I2cAddress", "Lsm303Sensor", "SensorBase", "SensorConfig", "Tmp105Sensor"]

I2cAddress = Annotated[int, Field(ge=0x08, le=0x77, description="7-bit I2C address (reserved ones excluded)")]


class SensorBase(Strict):
    """The keys of every sensor of a target. A package's own sensor model extends it."""

    model: str
    bus: Name | None = Field(default=None, description="the board kind's name of the I2C bus; its default when absent")
    address: I2cAddress


class Lsm303Sensor(SensorBase):
    """Magnetometer of ST's LSM303DLHC: channels x, y and z in microtesla."""

    model: Literal["lsm303dlhc"]
    address: I2cAddress = 0x1E


class Tmp105Sensor(SensorBase):
    """Temperature sensor TI TMP105: degrees Celsius."""

    model: Literal["tmp105"]
    address: I2cAddress = 0x48


BUILT_IN_SENSORS: Final = ("lsm303dlhc", "tmp105")
"""Sensor models that come with the harness; the back ends that play whole samples know only these."""

SensorConfig = Annotated[
    SensorBase,
    OpenUnion(Annotated[Lsm303Sensor | Tmp105Sensor, Field(discriminator="model")], SensorBase, "model", "sensors"),
]
