"""The sensors that a target offers to the secure side: models of the ``sensors`` key."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfm_harness.config.fields import Name, Strict

__all__ = ["I2cAddress", "Lsm303Sensor", "SensorConfig", "Tmp105Sensor"]

I2cAddress = Annotated[int, Field(ge=0x08, le=0x77, description="7-bit I2C address (reserved ones excluded)")]


class _Sensor(Strict):
    bus: Name | None = Field(default=None, description="the board kind's name of the I2C bus; its default when absent")


class Lsm303Sensor(_Sensor):
    """Magnetometer of ST's LSM303DLHC: channels x, y and z in microtesla."""

    model: Literal["lsm303dlhc"]
    address: I2cAddress = 0x1E


class Tmp105Sensor(_Sensor):
    """Temperature sensor TI TMP105: degrees Celsius."""

    model: Literal["tmp105"]
    address: I2cAddress = 0x48


SensorConfig = Annotated[Lsm303Sensor | Tmp105Sensor, Field(discriminator="model")]
