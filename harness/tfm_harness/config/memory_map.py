"""A target's memory and peripherals with their owners, and the services that its firmware offers to non-secure clients.

The isolation and confidentiality suites judge by these lists only. Without them these suites are not covered: no suite
guesses a map from a machine's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from tfm_harness.config.fields import Address, HexBytes, Size, Strict

__all__ = ["MemoryMap", "MemoryRegion", "PeripheralRegion", "ServiceCall", "ServiceConfig", "service_of"]

Owner = Literal["secure", "nonsecure"]
MessageType = Annotated[int, Field(ge=0, le=0x7FFF)]
_STATELESS = 1 << 30
_RESERVED_HANDLE_BITS = 0xBFFF_00E0
"""Bits of a stateless handle (TF-M's manifest tool) other than the index, the version and the bit "stateless"."""
_SHARED_STATUSES = range(-256, -128)
"""Statuses of the PSA APIs and the SPM (PSA Status Code API 1.0 s.2.1); a service uses -1 to -128 and below -256."""


class MemoryRegion(Strict):
    """Memory that belongs as a whole to one side. Each of its aliases is a separate region."""

    name: str = Field(min_length=1)
    at: Address
    size: Size
    owner: Owner
    block: Size = Field(default=0x1000, ge=32, description="the least size that its protection can tell apart")
    executable: bool = Field(default=False, description="non-secure: code lies here, and services may refuse to write")
    holds: frozenset[Literal["model", "window", "secrets", "otp", "nv", "entropy", "storage"]] = frozenset()
    scratch: Address | None = Field(
        default=None, description="non-secure RAM from here to the region's end that the firmware does not use"
    )

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.at + self.size

    @model_validator(mode="after")
    def _inside(self) -> MemoryRegion:
        if self.size == 0 or self.end > 1 << 32:
            raise ValueError("a region has at least one byte, and ends within 4 GiB")
        if self.scratch is not None and not self.at <= self.scratch < self.end:
            raise ValueError("scratch lies inside its region")
        return self


class PeripheralRegion(Strict):
    """A peripheral's registers, at one alias or at two."""

    name: str = Field(min_length=1)
    at: Address = Field(description="address of the non-secure alias")
    alias: Address | None = Field(default=None, description="address of the secure alias")
    size: Size = 0x1000
    owner: Owner = Field(
        description="which side may use it through the non-secure alias; the secure alias belongs to the secure side"
    )
    role: Literal["sensor", "console", "timer", "protection", "debug", "other"] = "other"
    interrupts: tuple[Annotated[int, Field(ge=0, le=479)], ...] = Field(
        default=(), description="numbers of its interrupts, as the NVIC counts them; they go to the owner's side"
    )


class ServiceCall(Strict):
    """A call that a service accepts; tests then change its pointers to addresses that the service must refuse."""

    type: MessageType
    inputs: tuple[HexBytes, ...] = ()
    outputs: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = ()
    repeatable: bool = Field(default=False, description="the same call gives the same bytes, whatever was asked before")


class ServiceConfig(Strict):
    """A service that non-secure clients may call."""

    handle: Address
    types: tuple[MessageType, ...] = Field(min_length=1, description="message types documented for non-secure clients")
    debug_types: tuple[MessageType, ...] = Field(
        default=(), description="further types, answered in the lifecycle `assembly and test` (0x10xx) only"
    )
    resets: tuple[MessageType, ...] = Field(
        default=(), description="those of `types` that reset the device on purpose: random calls leave them out"
    )
    own_errors: tuple[int, ...] = Field(
        default=(), description="answers by which it refuses, besides the errors of the PSA APIs, as its own API says"
    )
    calls: tuple[ServiceCall, ...] = ()

    def refuses(self, status: int) -> bool:
        """Whether a status of this service means that it refused the call."""
        return status < 0 or status in self.own_errors

    def has_alias(self, handle: int) -> bool:
        """Whether a handle differs from this service's stateless handle only in reserved bits, which TF-M ignores."""
        differ = handle ^ self.handle
        return bool(self.handle & _STATELESS) and differ != 0 and differ & ~_RESERVED_HANDLE_BITS == 0

    @model_validator(mode="after")
    def _documented(self) -> ServiceConfig:
        if any(status == 0 or status in _SHARED_STATUSES for status in self.own_errors):
            raise ValueError("`own_errors` holds none of the PSA APIs' statuses: neither 0 nor -256 to -129")
        if any(call.type not in self.types for call in self.calls):
            raise ValueError("a call of a type that is not among `types`")
        if not set(self.resets) <= set(self.types):
            raise ValueError("`resets` names a type that is not among `types`")
        return self


class MemoryMap(Strict):
    """The target's memory and peripherals."""

    memory: tuple[MemoryRegion, ...] = Field(min_length=1)
    peripherals: tuple[PeripheralRegion, ...] = ()
    holes: tuple[Address, ...] = Field(default=(), description="addresses where nothing is: an access must fault")

    @model_validator(mode="after")
    def _apart(self) -> MemoryMap:
        regions = sorted(self.memory, key=lambda region: region.at)
        for one, two in pairwise(regions):
            if one.end > two.at:
                raise ValueError(f"{one.name!r} and {two.name!r} overlap at {two.at:#x}")
        if not any(region.owner == "nonsecure" for region in regions):
            raise ValueError("no region belongs to the non-secure side")
        return self

    def owned_by(self, owner: Owner) -> tuple[MemoryRegion, ...]:
        """The regions of one side, in ascending order."""
        return self._sides[owner]

    @cached_property
    def _sides(self) -> Mapping[Owner, tuple[MemoryRegion, ...]]:
        regions = sorted(self.memory, key=lambda region: region.at)
        return {owner: tuple(r for r in regions if r.owner == owner) for owner in get_args(Owner)}

    def is_nonsecure(self, address: int, size: int = 1) -> bool:
        """Whether the non-secure side may access these bytes as memory. Regions that touch count as one."""
        end = address + size
        for region in self.owned_by("nonsecure"):
            if region.at <= address < region.end:
                address = region.end
        return address >= end

    @property
    def scratch(self) -> tuple[int, int] | None:
        """(address, size) of non-secure RAM that the firmware does not use; None if the target names none."""
        return next(((r.scratch, r.end - r.scratch) for r in self.memory if r.scratch is not None), None)


def service_of(services: Iterable[ServiceConfig], handle: int) -> ServiceConfig | None:
    """The service of a handle, also of a handle that differs only in reserved bits (`ServiceConfig.has_alias`)."""
    known = tuple(services)
    own = next((each for each in known if each.handle == handle), None)
    return own or next((each for each in known if each.has_alias(handle)), None)
