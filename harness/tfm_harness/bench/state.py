"""What the host knows of a device at the moment at which evidence of it is judged."""

from __future__ import annotations

from dataclasses import dataclass

from tfm_harness.protocol.base import Description
from tfm_harness.trust.anchors import Trust

__all__ = ["DeviceState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A moment of a device. Resets, updates and other fuses make another one.

    Attributes:
        board: the board's name.
        trust: the build, the board's identity, the keys and measurements known beforehand.
        description: who the firmware said it is, last time it was asked.
        boot: which boot of the board this is, 0 for the first after flashing.
        boot_seed: this boot's seed; None where it is not known.
        asked_results: signed results that the device was asked for so far.
        history: which course of the device's memory this is: another one after tests put older memory back, or erased
            it, when counters rightly come again.
        counts_instructions: the device's time follows its instructions, so it may run ahead of the host's.
    """

    board: str
    trust: Trust
    description: Description
    boot: int
    boot_seed: bytes | None
    asked_results: int
    counts_instructions: bool = False
    history: str = ""
