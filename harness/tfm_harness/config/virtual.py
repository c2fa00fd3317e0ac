"""Virtual boards (emulators): what the harness provides instead of fuses and flash.

Models of the ``virtual`` key. All of it is optional: firmware that does not use it boots without it.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tfm_harness.config.fields import Address, HexBytes, Name, Size, Strict

__all__ = ["EntropyConfig", "ModelSlots", "NvArea", "NvConfig", "OtpConfig", "VirtualConfig"]


class OtpConfig(Strict):
    """One-time-programmable area that the harness provisions (docs/protocol.md, "OTP area")."""

    at: Address
    lifecycle: Annotated[int, Field(ge=0, le=0xFFFF)] = Field(
        default=0x3000, description="PSA security lifecycle claim (RFC 9783 s.4.3.1): 0x3000 secured, 0x1000 assembly"
    )
    implementation_id: HexBytes | None = Field(default=None, min_length=32, max_length=32)
    certification_reference: str | None = Field(default=None, pattern=r"^[0-9]{13}-[0-9]{5}$")
    verification_service: str | None = Field(default=None, min_length=1, max_length=60, pattern=r"^[\x21-\x7e]+$")


class EntropyConfig(Strict):
    """Fresh random bytes at each cold boot, if the emulator models no random number generator."""

    at: Address


class NvArea(Strict):
    """The part of the memory that firmware uses; tests save, damage and restore it."""

    at: Address = Field(description="where the secure side sees it")
    offset: Address = Field(description="where it begins inside the memory")
    size: Size = Field(gt=0)


class NvConfig(Strict):
    """Memory that keeps its content over resets: a file of the host mapped as the machine's RAM."""

    memory: Name = Field(description="the machine's name of the memory to back, e.g. `ddr`")
    size: Size = Field(description="the whole memory's size; the file is sparse")
    area: NvArea | None = Field(default=None, description="without it no test can look at what firmware keeps")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.area is not None and self.area.offset + self.area.size > self.size:
            raise ValueError("`area` ends behind the memory's `size`")
        return self


class ModelSlots(Strict):
    """Where factory model images are loaded: slot n at base + n * stride."""

    base: Address
    stride: Size = Field(gt=0)
    count: int = Field(ge=1, le=64)

    def address(self, slot: int) -> int:
        """The address of `slot`. Raises IndexError outside 0..count-1."""
        if not 0 <= slot < self.count:
            raise IndexError(slot)
        return self.base + slot * self.stride


class VirtualConfig(Strict):
    """What the harness provides instead of fuses, random numbers and flash."""

    otp: OtpConfig | None = None
    entropy: EntropyConfig | None = None
    nv: NvConfig | None = None
    model_slots: ModelSlots | None = None
