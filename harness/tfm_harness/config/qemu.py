"""``kind: qemu``: the target model of boards emulated by qemu-system-arm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tfm_harness.config.emulated import EmulatedTarget
from tfm_harness.config.fields import Name, Strict

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["IcountConfig", "QemuTarget"]

Uart = Annotated[str, Field(pattern=r"^uart[0-9]$")]

_OWNED = (
    "-qmp",
    "-serial",
    "-chardev",
    "-kernel",
    "-M",
    "-machine",
    "-monitor",
    "-display",
    "-nographic",
    "-icount",
    "-echr",
)
_HOST = ("-semihosting", "-semihosting-config", "-fsdev", "-virtfs", "-daemonize", "-runas", "-chroot", "-pidfile")


class IcountConfig(Strict):
    """Deterministic counting: each instruction takes 2**shift ns of virtual time."""

    shift: int = Field(default=5, ge=0, le=10)
    sleep: bool = True


class QemuTarget(EmulatedTarget):
    """A board emulated by QEMU."""

    kind: Literal["qemu"]
    machine: Name = Field(description="QEMU machine, e.g. mps3-an547")
    consoles: Mapping[Name, Uart] = Field(min_length=1, description="logical name to UART: {ns: uart0, secure: uart1}")
    binary: str = Field(default="qemu-system-arm", min_length=1, description="program name or path")
    minimum_version: str = Field(default="7.2", pattern=r"^\d+\.\d+(\.\d+)?$")
    icount: IcountConfig = Field(default=IcountConfig(), description="used when a run asks for deterministic counting")
    one_cpu: bool = Field(default=True, description="run the emulator on one CPU of the host: UARTs are faster")
    args: tuple[str, ...] = Field(default=(), description="further arguments for QEMU, word by word")

    @field_validator("consoles")
    @classmethod
    def _distinct(cls, consoles: Mapping[str, str]) -> Mapping[str, str]:
        seen: dict[str, str] = {}
        for name, uart in consoles.items():
            if seen.setdefault(uart, name) != name:
                raise ValueError(f"consoles {seen[uart]!r} and {name!r} are the same {uart}")
        return consoles

    @field_validator("args")
    @classmethod
    def _not_ours(cls, args: tuple[str, ...]) -> tuple[str, ...]:
        for word in args:
            option = re.sub(r"^--", "-", word)
            if option in _OWNED:
                raise ValueError(f"{word} belongs to the harness; see docs/writing-a-target.md")
            if option in _HOST:
                raise ValueError(f"{word} would let firmware or the emulator touch the host")
        return args

    @model_validator(mode="after")
    def _sensible(self) -> QemuTarget:
        models = [sensor.model for sensor in self.sensors.values()]
        if models.count("lsm303dlhc") > 1:
            raise ValueError("one lsm303dlhc at most")
        if self.npu is not None:
            raise ValueError("QEMU emulates no Ethos-U: remove `npu`, and run what Vela compiled on an FVP or a board")
        return self

    def check_build(self, build: Build) -> list[str]:
        """Check QEMU's needs, too: an image to start from, and a separate place for each raw image."""
        problems = super().check_build(build)
        # The CPU starts from a vector table, in an ELF kernel or in a hex or raw image (a merged TF-M image).
        if not any(image.world == "secure" for image in build.images):
            problems.append(f"build {build.name!r} has no secure ELF image (nor another secure one) to start from")
        return problems or list(self._overlaps(build))

    def _overlaps(self, build: Build) -> Iterator[str]:
        """Raw files that overlap each other, or memory that the harness provides: QEMU would not start."""
        slots = self.virtual.model_slots
        taken = {image.slot for image in build.images if image.slot is not None}
        files = [(image.file, image.at, image.slot) for image in build.images]
        files += [(m.image, None, m.slot) for m in build.models.values() if m.image is not None and m.slot not in taken]
        placed = [
            (area.at, 1, what)
            for area, what in ((self.virtual.otp, "the OTP area"), (self.virtual.entropy, "the entropy area"))
            if area is not None
        ]
        for file, at, slot in files:
            start = at if slot is None or slots is None else slots.address(slot)
            if start is not None and file.is_file():
                placed.append((start, file.stat().st_size, f"image {file.name}"))
        for (start, size, what), (after, _, other) in pairwise(sorted(placed)):
            if start + size > after:
                yield f"{what} ({start:#x} to {start + size - 1:#x}) covers {other}, which begins at {after:#x}"
