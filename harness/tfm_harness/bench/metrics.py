"""Keeps the figures that tests measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tfm_harness.latency.series import Series

__all__ = ["Metrics", "Unkept"]


class Metrics(Protocol):
    """Keeps figures.

    Attributes:
        parity: one entry for each comparison with a reference interpreter, from `SessionResult.as_dict`.
        accuracy: one entry for each model on labelled data, from `AccuracyResult.as_dict`.
        traces: one entry for each window of the sensor, with the model's outputs.
    """

    accuracy: list[dict[str, Any]]
    parity: list[dict[str, Any]]
    traces: list[dict[str, Any]]

    def keep_series(self, series: Series, **judged: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Keep a latency series, with the limits that judged it."""

    def keep_phases(self, model: str, seconds: Mapping[str, float]) -> None:
        """Keep one request's seconds by phase."""


class Unkept:
    """Metrics for commands, which do not read the figures afterwards."""

    def __init__(self) -> None:
        self.accuracy: list[dict[str, Any]] = []
        self.parity: list[dict[str, Any]] = []
        self.traces: list[dict[str, Any]] = []

    def keep_series(self, series: Series, **judged: object) -> None:
        """See `Metrics`."""

    def keep_phases(self, model: str, seconds: Mapping[str, float]) -> None:
        """See `Metrics`."""
