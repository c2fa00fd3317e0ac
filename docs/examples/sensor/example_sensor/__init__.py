"""A sensor model of its own: a hygrometer with one channel, in percent relative humidity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from tfm_harness import SensorBase, SensorModel


class HygrometerConfig(SensorBase):
    """Its entry under ``sensors`` in a target."""

    model: Literal["example-hygrometer"]
    address: Annotated[int, Field(ge=0x08, le=0x77)] = 0x40


class Hygrometer(SensorModel):
    """Native unit: hundredths of a percent. The register counts in steps of 1/128 percent."""

    config_model: ClassVar[type[SensorBase]] = HygrometerConfig
    channels: ClassVar[Mapping[str, str | None]] = {"": None}  # no field of Sample: it goes to `extra`

    def __init__(self, config: SensorBase) -> None: ...

    def rest(self, channel: str) -> int:
        return 40_00

    def native(self, channel: str, value: float) -> int:
        return round(value * 100)

    def counts(self, channel: str, native: int) -> int:
        if not 0 <= native <= 100_00:
            raise ValueError(f"{native / 100:g} % is outside 0..100 %")
        return native * 128 // 100

    def from_counts(self, channel: str, counts: int) -> int:
        return -(-counts * 100 // 128)
