"""Where the figures go that tests measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tfm_harness.latency.series import Series

__all__ = ["Metrics", "Unkept"]


class Metrics(Protocol):
    """Keeps figures.

    Attributes:
        parity: one entry for each comparison with a reference interpreter, as `SessionResult.as_dict` gives it.
        accuracy: one entry for each model on labelled data, as `AccuracyResult.as_dict` gives it.
        traces: one entry for each window of the sensor with what the model made of it.
    """

    accuracy: list[dict[str, Any]]
    parity: list[dict[str, Any]]
    traces: list[dict[str, Any]]

    def keep_series(self, series: Series, **judged: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Keep a latency series, with what it was judged against."""

    def keep_phases(self, model: str, seconds: Mapping[str, float]) -> None:
        """Keep one request's seconds by phase."""


class Unkept:
    """For commands: the figures are not read afterwards."""

    def __init__(self) -> None:
        self.accuracy: list[dict[str, Any]] = []
        self.parity: list[dict[str, Any]] = []
        self.traces: list[dict[str, Any]] = []

    def keep_series(self, series: Series, **judged: object) -> None:
        """See `Metrics`."""

    def keep_phases(self, model: str, seconds: Mapping[str, float]) -> None:
        """See `Metrics`."""
