"""The values of a trace, from any kind of file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_ROWS", "Trace"]

MAX_ROWS: Final = 1_000_000
"""Most rows of a trace."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Named columns of equal length.

    Attributes:
        columns: channel (``mag.x``, ``temp``, ...) to values: microtesla or degrees Celsius, or register counts.
        raw: the channels given in register counts.
        seconds: when each row was recorded, rising; empty when the trace has no time.
        source: where the trace came from, for errors.
    """

    columns: Mapping[str, tuple[float, ...]]
    raw: frozenset[str] = frozenset()
    seconds: tuple[float, ...] = ()
    source: str = "a trace made in code"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def row(self, index: int) -> dict[str, float]:
        """All channels of one row."""
        return {channel: values[index] for channel, values in self.columns.items()}
