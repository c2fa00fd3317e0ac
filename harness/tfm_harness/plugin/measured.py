"""What tests measured on one board, for the run's record: latency, phases, parity, timings, sensor traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tfm_harness.latency.series import Series
    from tfm_harness.report.record import AccuracyEntry, LatencyEntry, ParityEntry, TimingEntry, TraceEntry

__all__ = ["RunMetrics"]

T = TypeVar("T")


class RunMetrics:
    """Collected while tests run.

    Attributes:
        accuracy: one entry for each model on labelled data, as `AccuracyResult.as_dict` gives it.
        parity: one entry for each comparison with a reference interpreter, as `SessionResult.as_dict` gives it.
        timings: one entry for each operation whose time was compared between two classes of inputs.
        traces: one entry for each window of the sensor with what the model made of it.
    """

    def __init__(self) -> None:
        self.accuracy: list[dict[str, Any]] = []
        self.parity: list[dict[str, Any]] = []
        self.timings: list[dict[str, Any]] = []
        self.traces: list[dict[str, Any]] = []
        self._latency: dict[str, tuple[Series, dict[str, Any]]] = {}
        self._phases: dict[str, dict[str, float]] = {}

    def keep_series(self, series: Series, **judged: object) -> None:
        """Keep a latency series, with what it was judged against (`LatencyEntry`'s fields)."""
        self._latency[series.name] = series, judged

    def keep_phases(self, model: str, seconds: Mapping[str, float]) -> None:
        """Keep one request's seconds by phase."""
        self._phases[model] = dict(seconds)

    def latency_entries(self, combination: str, board: str) -> tuple[LatencyEntry, ...]:
        """The series, as the record has them."""
        from tfm_harness.report.record import LatencyEntry

        return tuple(
            LatencyEntry(
                combination=combination, board=board, series=series, phases=self._phases.get(name, {}), **judged
            )
            for name, (series, judged) in self._latency.items()
        )

    def parity_entries(self, combination: str, board: str) -> tuple[ParityEntry, ...]:
        """The comparisons, as the record has them."""
        from tfm_harness.report.record import ParityEntry

        rows = []
        for session in self.parity:
            rest = dict(session)
            compared = rest.pop("comparison")
            rows.append(
                {
                    **{key: compared[key] for key in ("model", "vectors", "failing", "outputs")},
                    **{key: value for key, value in rest.items() if key != "engine"},
                    "engine": {key: str(value) for key, value in rest["engine"].items()},
                }
            )
        return _entries(ParityEntry, rows, combination, board)

    def timing_entries(self, combination: str, board: str) -> tuple[TimingEntry, ...]:
        """Operations timed by two classes of inputs, as the record has them."""
        from tfm_harness.report.record import TimingEntry

        return _entries(TimingEntry, self.timings, combination, board)

    def trace_entries(self, combination: str, board: str) -> tuple[TraceEntry, ...]:
        """The sensor's traces, as the record has them."""
        from tfm_harness.report.record import TraceEntry

        return _entries(TraceEntry, self.traces, combination, board)

    def accuracy_entries(self, combination: str, board: str) -> tuple[AccuracyEntry, ...]:
        """Models on labelled data, as the record has them."""
        from tfm_harness.report.record import AccuracyEntry

        return _entries(AccuracyEntry, self.accuracy, combination, board)


def _entries(kind: type[T], rows: Iterable[Mapping[str, Any]], combination: str, board: str) -> tuple[T, ...]:
    """Plain data of one board as the record has it."""
    from tfm_harness.report.storage import plain

    return tuple(plain(kind, {"combination": combination, "board": board, **row}) for row in rows)
