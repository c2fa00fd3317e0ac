"""What tests measured on one bench, for the run's record: latency, phases, parity, sensor traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.latency.series import Series

__all__ = ["RunMetrics"]


class RunMetrics:
    """Collected while tests run.

    Attributes:
        parity: one entry for each comparison with a reference interpreter.
        traces: one entry for each window of the sensor with what the model made of it.
    """

    def __init__(self) -> None:
        self.parity: list[dict[str, object]] = []
        self.traces: list[dict[str, object]] = []
        self._latency: dict[str, dict[str, object]] = {}
        self._phases: dict[str, dict[str, float]] = {}

    def keep_series(self, series: Series, **judged: object) -> None:
        """Keep a latency series, with what it was judged against (`LatencyEntry`'s fields)."""
        self._latency[series.name] = {"series": series.as_dict(), **judged}

    def keep_phases(self, model: str, seconds: Mapping[str, float]) -> None:
        """Keep one request's seconds by phase."""
        self._phases[model] = dict(seconds)

    def as_record(self) -> dict[str, object]:
        """The entries ``latency``, ``parity`` and ``traces`` of a board in ``run.json``."""
        return {
            "latency": [{"phases": self._phases.get(name, {}), **entry} for name, entry in self._latency.items()],
            "parity": self.parity,
            "traces": self.traces,
        }
