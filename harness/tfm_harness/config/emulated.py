"""Base of the targets that a program of this host emulates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.config.target import TargetBase
from tfm_harness.config.virtual import VirtualConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfm_harness.config.build import Build

__all__ = ["EmulatedTarget"]


class EmulatedTarget(TargetBase):
    """A board that a program emulates: the harness provides its fuses, random numbers and memory."""

    virtual: VirtualConfig = VirtualConfig()

    def check_build(self, build: Build) -> list[str]:
        """Check the model slots, too: they must exist, and be large enough for the build's files."""
        return [*super().check_build(build), *self._slot_problems(build)]

    def _slot_problems(self, build: Build) -> Iterator[str]:
        slots = self.virtual.model_slots
        placed = [(image.slot, image.file) for image in build.images]
        placed += [(model.slot, model.image) for model in build.models.values() if model.image is not None]
        for slot, file in placed:
            if slot is None:
                continue
            if slots is None:
                yield f"build {build.name!r} uses model slot {slot}; the target has no `virtual.model_slots`"
            elif slot >= slots.count:
                yield f"build {build.name!r} uses model slot {slot}; the target has 0..{slots.count - 1}"
            elif file.is_file() and (size := file.stat().st_size) > slots.stride:
                yield (
                    f"image {file.name} has {size} bytes and would reach beyond model slot {slot};"
                    f" a slot of the target has {slots.stride} (`virtual.model_slots.stride`)"
                )
