"""The sensors' arithmetic: from a physical value to the register's bits and back, as QEMU's models do it.

Integers only, so that the host's expectation and the device's reading agree to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["LSM303DLHC", "TMP105", "Axis", "Magnetometer", "Thermometer"]

Axis = Literal["x", "y", "z"]
"""An axis of the magnetometer."""

# LSM303DLHC data sheet (DocID018771) table 75: counts per gauss for gain settings GN 1..7; GN 0 is not defined
# there and QEMU treats it as 1.
_GAIN_XY: Final = (1100, 1100, 855, 670, 450, 400, 330, 230)
_GAIN_Z: Final = (980, 980, 760, 600, 400, 355, 295, 205)
_NANOTESLA_PER_GAUSS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Magnetometer:
    """LSM303DLHC, magnetometer half. Values are nanotesla (QEMU's property unit), counts 12-bit signed."""

    gain: int = 1
    lowest: int = -2048
    highest: int = 2047

    def _scale(self, axis: Axis) -> int:
        return (_GAIN_Z if axis == "z" else _GAIN_XY)[self.gain]

    def counts(self, axis: Axis, nanotesla: int) -> int:
        """The register's value. Raises ValueError outside `lowest`..`highest`."""
        count = nanotesla * self._scale(axis) // _NANOTESLA_PER_GAUSS
        if not self.lowest <= count <= self.highest:
            least, most = self.range(axis)
            raise ValueError(f"{nanotesla / 1000:g} uT is outside {least / 1000:g}..{most / 1000:g} uT")
        return count

    def nanotesla(self, axis: Axis, counts: int) -> int:
        """The smallest value that reads as `counts`."""
        return -(-counts * _NANOTESLA_PER_GAUSS // self._scale(axis))

    def range(self, axis: Axis) -> tuple[int, int]:
        """Least and greatest value in nanotesla."""
        return self.nanotesla(axis, self.lowest), self.nanotesla(axis, self.highest + 1) - 1


@dataclass(frozen=True, slots=True)
class Thermometer:
    """TMP105. Values are thousandths of a degree Celsius (QEMU's property unit)."""

    lowest: int = -128_000
    highest: int = 127_999

    def register(self, millidegrees: int, bits: int = 12) -> int:
        """The 16-bit temperature register, signed, at a resolution of 9 to 12 bits.

        QEMU rounds towards zero to 1/256 degC, then clears the bits below the resolution.

        Raises:
            ValueError: outside -128.000..127.999 degC.
        """
        if not self.lowest <= millidegrees <= self.highest:
            raise ValueError(
                f"{millidegrees / 1000:g} degC is outside {self.lowest / 1000:g}..{self.highest / 1000:g} degC"
            )
        magnitude = abs(millidegrees) * 256 // 1000
        fine = magnitude if millidegrees >= 0 else -magnitude
        return fine >> (16 - bits) << (16 - bits)

    def counts(self, millidegrees: int) -> int:
        """The 12-bit reading in 1/16 degC, as in the window records of the signed result."""
        return self.register(millidegrees) >> 4

    def millidegrees(self, counts: int) -> int:
        """A value that reads as `counts` (12 bit): the nearest one to zero, rounded away from zero."""
        magnitude = -(-abs(counts) * 1000 // 16)
        return magnitude if counts >= 0 else -magnitude


LSM303DLHC: Final = Magnetometer()
"""The magnetometer half of ST's LSM303DLHC, at its default gain."""
TMP105: Final = Thermometer()
"""TI's temperature sensor TMP105."""

REST: Final[Mapping[str, int]] = {"x": 58_200, "y": 58_200, "z": 65_350, "t": 25_000}
"""A board at rest: about the earth's field along some direction (640 counts an axis), 25 degC."""
