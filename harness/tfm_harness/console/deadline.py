"""One absolute end of a wait: nothing that a device sends can extend it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

__all__ = ["Deadline"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock.

    Attributes:
        at: the moment, in the clock's seconds.
        clock: monotonic seconds; tests give a clock of their own.
    """

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Self:
        """The moment `seconds` from now."""
        return cls(clock() + seconds, clock)

    @property
    def passed(self) -> bool:
        """Whether the moment has come."""
        return self.clock() >= self.at

    def left(self, most: float | None = None) -> float:
        """Seconds until the moment, never negative; at most `most`."""
        seconds = max(self.at - self.clock(), 0.0)
        return seconds if most is None else min(seconds, most)

    def sooner(self, seconds: float) -> Deadline:
        """This moment, or `seconds` from now if that comes first."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock)
