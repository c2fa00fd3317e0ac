"""Prometheus' text format, for a node exporter's textfile collector or a push gateway."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tfm_harness.report.exports.names import bounded
from tfm_harness.report.record import RunRecord

__all__ = ["files"]

MOST_LABEL: Final = 120
BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper limits of the buckets of the latency histogram, seconds."""
Sample = tuple[str, Mapping[str, str], float]


def files(run: RunRecord) -> dict[str, str]:
    """``tfm_harness.prom``."""
    return {"tfm_harness.prom": "".join(_blocks(run))}


def _blocks(run: RunRecord) -> Iterator[str]:
    outcomes = Counter((t.combination, t.board, t.suite, t.outcome, t.responsibility) for t in run.tests)
    labels = ("combination", "board", "suite", "outcome", "responsibility")
    yield _block(
        "tfm_harness_tests", "gauge", "Tests of the newest run by outcome.",
        [("", dict(zip(labels, key, strict=True)), count) for key, count in outcomes.items()],
    )  # fmt: skip
    kinds = Counter((t.combination, t.board, t.kind) for t in run.tests if t.outcome == "error")
    yield _block(
        "tfm_harness_errors", "gauge", "Tests that ended without a verdict on the product, by kind of error.",
        [("", dict(zip(("combination", "board", "kind"), key, strict=True)), count) for key, count in kinds.items()],
    )  # fmt: skip
    yield _block(
        "tfm_harness_run", "gauge", "1 for the verdict of the newest run.", [("", {"verdict": run.verdict}, 1)]
    )
    yield _block("tfm_harness_run_seconds", "gauge", "Wall time of the newest run.", [("", {}, run.seconds)])
    try:
        began = dt.datetime.fromisoformat(run.started)
        when = (began if began.tzinfo else began.replace(tzinfo=dt.UTC)).timestamp()
        yield _block(
            "tfm_harness_run_started_seconds", "gauge", "Start of the newest run, since 1970.", [("", {}, when)]
        )
    except (ValueError, OverflowError):
        pass
    boards: dict[tuple[str, str], tuple[int, float, bool]] = {}
    for board in run.boards:
        boots, busy, lost = boards.get((board.combination, board.name), (0, 0.0, False))
        key = board.combination, board.name
        boards[key] = boots + board.boots, busy + board.device_seconds, lost or bool(board.lost)
    for at, (name, about) in enumerate((
        ("tfm_harness_boots", "Starts of the board in the newest run."),
        ("tfm_harness_device_seconds", "Seconds for which the harness waited for the board."),
        ("tfm_harness_board_lost", "1 for a board that was lost in the newest run."),
    )):  # fmt: skip
        rows = [("", {"combination": on, "board": board}, float(facts[at])) for (on, board), facts in boards.items()]
        yield _block(name, "gauge", about, rows)
    yield _block("tfm_harness_latency_seconds", "histogram", "Inferences of the newest run.", list(_histograms(run)))


def _histograms(run: RunRecord) -> Iterator[Sample]:
    series: dict[tuple[str, str, str], list[float]] = {}
    for entry in run.latency:
        if entry.series.ticks:
            key = entry.combination, entry.board or entry.series.board, entry.series.name
            series.setdefault(key, []).extend(entry.series.seconds)
    for key, seconds in series.items():
        labels = dict(zip(("combination", "board", "operation"), key, strict=True))
        for limit in BUCKETS:
            yield "_bucket", {**labels, "le": f"{limit:g}"}, sum(value <= limit for value in seconds)
        yield "_bucket", {**labels, "le": "+Inf"}, len(seconds)
        yield "_sum", labels, math.fsum(seconds)
        yield "_count", labels, len(seconds)


def _block(name: str, kind: str, about: str, samples: Iterable[Sample]) -> str:
    lines = [f"{name}{suffix}{_labels(labels)} {_number(value)}\n" for suffix, labels, value in samples]
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n{''.join(lines)}" if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{_value(value)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _value(text: str) -> str:
    short = bounded(text, MOST_LABEL)
    return short.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return f"{value:.12g}"
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
