"""The quality of a device's tick counter."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Clock", "ClockQuality"]


class ClockQuality(enum.StrEnum):
    """The meaning of ticks; the same words as `tfm_harness.boards.base.ClockQuality`, which is an I/O layer."""

    CYCLE_EXACT = "cycle-exact"  # real silicon: budgets, change detection, figures
    DECLARED = "declared"  # claimed by the target of a board that the harness did not start: used like cycle-exact
    DETERMINISTIC = "deterministic"  # repeats but is not time (QEMU icount): change detection only
    MEANINGLESS = "meaningless"  # emulator without icount, FVP: nothing is judged

    @property
    def carries_budget(self) -> bool:
        """Whether a budget may be judged on this clock."""
        return self in {ClockQuality.CYCLE_EXACT, ClockQuality.DECLARED}

    @property
    def carries_change(self) -> bool:
        """Whether a change against a baseline may be judged on this clock."""
        return self is not ClockQuality.MEANINGLESS

    @property
    def note(self) -> str:
        """The note to print beside each figure."""
        return {
            ClockQuality.CYCLE_EXACT: "cycle-exact: device time",
            ClockQuality.DECLARED: "declared by the target, not proven: device time if that is right",
            ClockQuality.DETERMINISTIC: "deterministic emulation: change detection only, not performance",
            ClockQuality.MEANINGLESS: "emulation without cycle model: not performance, not judged",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A device counter as declared.

    Attributes:
        source: its name (``sse-counter``, ``dwt-cyccnt``, ``systick``).
        hz: declared frequency in ticks per second.
        bits: width; readings wrap at 2**bits.
        quality: the meaning of ticks.
        tracks_host: whether the counter should run at `hz` of the host's clock (default: only when
            cycle-exact; QEMU's free-running counters do as well, FVP and icount do not).
    """

    source: str
    hz: int
    bits: int = 32
    quality: ClockQuality = ClockQuality.CYCLE_EXACT
    tracks_host: bool | None = None

    def __post_init__(self) -> None:
        if self.hz <= 0 or not 8 <= self.bits <= 64:
            raise ValueError(f"a clock of {self.hz} Hz and {self.bits} bits")

    @property
    def follows_host(self) -> bool:
        """Whether the counter's rate can be judged against the host's clock."""
        return self.quality.carries_budget if self.tracks_host is None else self.tracks_host

    @property
    def wrap_seconds(self) -> float:
        """The seconds after which the counter repeats."""
        return float(2**self.bits / self.hz)

    def seconds(self, ticks: float) -> float:
        """Ticks in seconds."""
        return ticks / self.hz

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Clock:
        """From `as_dict`."""
        return cls(**{**data, "quality": ClockQuality(data["quality"])})
