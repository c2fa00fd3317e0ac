"""From a `RunRecord` to one HTML page."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfm_harness.report import svg
from tfm_harness.report.record import FindingEntry, LatencyEntry, ParityEntry, RunRecord, TestEntry, write_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["render_html", "write_html"]

MAX_LINES = 200
"""Console lines shown for each console."""

MAX_FINDINGS = 500
"""Findings of one status shown in full; the page says how many more the record holds."""

SUITE_ORDER = (
    "boot",
    "isolation",
    "sensor",
    "results",
    "attestation",
    "parity",
    "latency",
    "provisioning",
    "update",
    "robustness",
)
VERDICTS = {
    "passed": ("Passed", "every check that ran holds"),
    "failed": ("Failed", "the product does not do what it must"),
    "bench": ("Bench failed", "nothing was learnt about the product"),
    "config": ("Configuration wrong", "nothing was tested"),
    "bug": ("Harness bug", "please report it"),
    "interrupted": ("Interrupted", "stopped before its end: what ran is shown, nothing is passed"),
    "nothing proved": ("Nothing proved", "no test reached a verdict"),
}
MARKS = {"passed": "✓", "failed": "✗", "error": "!", "not covered": "·", "skipped": "·", "not run": "·"}
WORST = ("failed", "error", "passed", "skipped", "not covered", "not run")


def write_html(run: RunRecord, path: Path) -> None:
    """Write the page; whole or not at all.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    write_text(path, render_html(run))


def render_html(run: RunRecord) -> str:
    """The page as text."""
    verdict, meaning = VERDICTS.get(run.verdict, (run.verdict, ""))
    findings = [(test, f) for test in run.tests for f in test.findings]
    by_status = {s: [(t, f) for t, f in findings if f.status == s] for s in ("failed", "waived", "noted", "passed")}
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            verdict=verdict,
            verdict_class=run.verdict.replace(" ", "-") if run.verdict in VERDICTS else "failed",
            headline=run.headline or meaning,
            outcomes=run.outcomes(),
            matrix=_matrix(run),
            broken=[t for t in run.tests if t.outcome in {"failed", "error"}],
            uncovered=[t for t in run.tests if t.outcome in {"not covered", "skipped", "not run"}],
            failed=by_status["failed"][:MAX_FINDINGS],
            waived=by_status["waived"][:MAX_FINDINGS],
            noted=by_status["noted"][:MAX_FINDINGS],
            totals={status: len(found) for status, found in by_status.items()},
            passed=_passed(by_status["passed"]),
            latency=[_latency(entry) for entry in run.latency],
            parity=[_parity(entry) for entry in run.parity],
            traces=[
                (t, svg.traces(t.channels, t.outputs, t.labels, title=f"{t.name} on {t.board}")) for t in run.traces
            ],
            marks=MARKS,
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["printable"] = printable
    environment.filters["tail"] = tail
    environment.filters["number"] = number
    environment.filters["difference"] = difference
    environment.filters["breakable"] = breakable
    return environment


@dataclass(frozen=True, slots=True)
class _Row:
    suite: str
    cells: tuple[tuple[str, str], ...]  # (css class, text)


def _matrix(run: RunRecord) -> list[_Row]:
    boards = [b.name for b in run.boards] or sorted({t.board for t in run.tests})
    suites = sorted({t.suite for t in run.tests}, key=_suite_key)
    rows = []
    for suite in suites:
        cells = []
        for board in boards:
            counts = Counter(t.outcome for t in run.tests if t.suite == suite and t.board == board)
            worst = next((o for o in WORST if counts[o]), "none")
            text = ", ".join(f"{counts[o]} {o}" for o in WORST if counts[o])
            cells.append((worst.replace(" ", "-"), f"{MARKS.get(worst, '')} {text}".strip()))
        rows.append(_Row(suite or "(other)", tuple(cells)))
    return rows


def _suite_key(suite: str) -> tuple[int, str]:
    return (SUITE_ORDER.index(suite) if suite in SUITE_ORDER else len(SUITE_ORDER), suite)


def _passed(found: Iterable[tuple[TestEntry, FindingEntry]]) -> list[tuple[str, str, str, int]]:
    counts: Counter[tuple[str, str, str]] = Counter((f.id, f.title, f.requirement) for _, f in found)
    return sorted((*key, count) for key, count in counts.items())


@dataclass(frozen=True, slots=True)
class _Latency:
    entry: LatencyEntry
    name: str
    note: str
    unit: str
    rows: tuple[tuple[str, str, str], ...]
    chart: Markup
    phases: Markup


def _latency(entry: LatencyEntry) -> _Latency:
    from tfm_harness.latency.series import Series
    from tfm_harness.latency.statistics import summarise

    series = Series.from_dict(entry.series)
    baseline = Series.from_dict(entry.baseline) if entry.baseline else None
    largest = max(series.seconds, default=0.0)
    unit, factor = ("ms", 1e3) if largest >= 1e-3 else ("us", 1e6)
    now = summarise([s * factor for s in series.seconds]) if series.ticks else None
    then = summarise([s * factor for s in baseline.seconds]) if baseline and baseline.ticks else None
    rows = []
    for label, name in (
        ("n", "n"),
        ("min", "min"),
        ("median", "median"),
        ("p90", "p90"),
        ("p99", "p99"),
        ("max", "max"),
    ):
        rows.append((label, _figure(now, name), _figure(then, name)))
    rows.append(("MAD", _figure(now, "mad"), _figure(then, "mad")))
    rows += [(f"median, 99 % {end}", _figure(now, f"ci_{end}"), _figure(then, f"ci_{end}")) for end in ("low", "high")]
    curves = [("this run", "s0", [s * factor for s in series.seconds])]
    if baseline:
        curves.append((f"baseline {entry.baseline_name}".strip(), "base", [s * factor for s in baseline.seconds]))
    judged = "" if series.clock.quality.carries_budget else ", not judged"
    limits = [
        (f"budget {name} {seconds * factor:.4g} {unit}{judged}", seconds * factor)
        for name, seconds in entry.budgets.items()
    ]
    title = f"Latency of {series.name} on {entry.board}"
    return _Latency(
        entry,
        series.name,
        f"{series.clock.source} at {series.clock.hz:,} Hz; {series.clock.quality.note}",
        unit,
        tuple(rows),
        svg.ecdf(curves, limits, unit=f"inference [{unit}]", title=title),
        svg.phases(entry.phases, title=f"Phases of one request: {series.name}"),
    )


def _figure(statistics: Any, name: str) -> str:  # noqa: ANN401 - Statistics or None, typed where it is made
    if statistics is None:
        return ""
    value = getattr(statistics, name)
    return f"{value}" if isinstance(value, int) else f"{value:.6g}"


@dataclass(frozen=True, slots=True)
class _Parity:
    entry: ParityEntry
    model: str
    engine: str
    outputs: tuple[tuple[Mapping[str, Any], Markup], ...]


def _parity(entry: ParityEntry) -> _Parity:
    comparison = entry.session["comparison"]
    engine = entry.session.get("engine") or {}
    outputs = []
    for output in comparison["outputs"]:
        histogram = {int(k): int(v) for k, v in output["histogram"].items()}
        chart = svg.histogram(histogram, title=f"LSB differences of {comparison['model']} output {output['index']}")
        outputs.append((output, chart))
    words = " ".join(str(engine.get(k, "")) for k in ("name", "version", "resolver")).strip()
    return _Parity(entry, str(comparison["model"]), words, tuple(outputs))


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def number(value: float | str | None, form: str) -> str:
    """A figure; what is not finite stands as text in the record and is shown as it is."""
    if value is None:
        return "-"
    found = float(value)
    return form % found if math.isfinite(found) else str(value).replace("inf", "∞").replace("nan", "NaN")


def difference(first: Mapping[str, Any]) -> str:
    """The first element that differs, in words."""
    reference, device = (number(first[side], "%.9g") for side in ("reference", "device"))
    return f"vector {first['vector']}, index {list(first['index'])}: reference {reference}, device {device}"


_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")


def printable(text: str) -> str:
    """Device text without terminal controls; other control characters as their pictures."""
    clean = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return "".join(c if c in "\n\t" or c.isprintable() else "�" for c in clean)


def tail(text: str, lines: int = MAX_LINES) -> str:
    """The last lines, with a note of how many were cut; very long lines are cut too."""
    found = text.split("\n")
    kept = [line if len(line) <= 400 else f"{line[:400]}... ({len(line)} characters)" for line in found[-lines:]]
    cut = len(found) - len(kept)
    return "\n".join(([f"({cut} lines before)"] if cut > 0 else []) + kept)


def breakable(text: str) -> Markup:
    """Long ids and hex that may break over lines: break opportunities after punctuation."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([./:\[_-])", r"\1<wbr>", str(escape(text))))  # noqa: S704 - escaped before
