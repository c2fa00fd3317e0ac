"""What every target has that a program of this host emulates."""

from __future__ import annotations

from tfm_harness.config.target import TargetBase
from tfm_harness.config.virtual import VirtualConfig

__all__ = ["EmulatedTarget"]


class EmulatedTarget(TargetBase):
    """A board that a program emulates: the harness lays out its fuses, random numbers and memory."""

    virtual: VirtualConfig = VirtualConfig()
