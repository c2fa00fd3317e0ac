"""Time that passes only when a test says so."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """A monotonic clock for code that takes ``clock: Callable[[], float]``.

    Args:
        start: the first time that it shows, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self.now = start

    def __call__(self) -> float:
        """Seconds now."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass. Raises ValueError for a negative time."""
        if seconds < 0:
            raise ValueError(f"a monotonic clock cannot go back by {-seconds:g} s")
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Replaces `time.sleep`: advances the clock and returns at once."""
        self.advance(max(seconds, 0.0))
