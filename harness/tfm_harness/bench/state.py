"""The facts that the host knows about a device when its evidence is judged."""

from __future__ import annotations

from dataclasses import dataclass

from tfm_harness.protocol.base import Description
from tfm_harness.trust.anchors import Trust

__all__ = ["DeviceState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """The state of a device at one moment. Resets, updates and other fuses change it.

    Attributes:
        board: the board's name.
        trust: the build, the board's identity, the keys and measurements known beforehand.
        description: the firmware's last description of itself.
        boot: the number of the board's boot, 0 for the first after flashing.
        boot_seed: this boot's seed; None when it is not known.
        asked_results: number of signed results that were requested so far.
        history: names one course of the device's memory. After tests put older memory back or erased it, another course
            begins, in which counters rightly repeat.
        counts_instructions: whether the device's time counts instructions, so it may run ahead of the host's.
    """

    board: str
    trust: Trust
    description: Description
    boot: int
    boot_seed: bytes | None
    asked_results: int
    counts_instructions: bool = False
    history: str = ""
