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

from markupsafe import Markup

from tfm_harness.bundled import SUITES
from tfm_harness.report import svg
from tfm_harness.report.harmless import Harmless, harmless
from tfm_harness.report.headline import ORDER, WHOSE, colour, headline, title
from tfm_harness.report.record import (
    FindingEntry,
    LatencyEntry,
    ParityDifference,
    ParityEntry,
    ParityOutput,
    RunRecord,
    TestEntry,
    in_words,
)
from tfm_harness.report.storage import write_text
from tfm_harness.safe_text import safe

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_html", "write_html"]

MAX_LINES = 200
"""The most lines that are shown of each console, if there are few consoles."""

MAX_FINDINGS = 200
"""The most findings of one status, failures, uncovered tests or events that are shown; the page counts the others."""

MAX_CHARTS = 24
"""The most series, comparisons or traces that are shown with a chart."""
MAX_CLASSES = 20
"""The most classes of a confusion matrix that is shown as a table."""

MAX_CONSOLES = 40
"""The most consoles that are shown; together they have at most `MAX_CONSOLE_LINES`."""

MAX_CONSOLE_LINES = 4000
WIDE = 4
"""The most combinations that are columns of the matrix; if there are more, they are rows."""

MARKS: Mapping[str, str] = {"passed": "✓", "failed": "✗", "error": "!", "blocked": "!"}
WORST = ("failed", "error", "blocked", "not run", "passed", "skipped", "not covered")
_RESETS = re.compile(r"reset|power|boot", re.IGNORECASE)


def write_html(run: RunRecord | Harmless[RunRecord], path: Path) -> None:
    """Write the page; whole or not at all.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    write_text(path, render_html(run))


def render_html(run: RunRecord | Harmless[RunRecord]) -> str:
    """The page as text."""
    run = harmless(run).record
    broken = [t for t in run.tests if t.outcome in {"failed", "error"}]
    uncovered = [t for t in run.tests if t.outcome in {"not covered", "skipped", "not run", "blocked"}]
    shown: dict[str, list[tuple[TestEntry, FindingEntry]]] = {"failed": [], "waived": [], "noted": []}
    totals: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for test in run.tests:
        for finding in test.findings:
            totals[finding.status] += 1
            if finding.status == "passed":
                held[finding.id] += 1
            elif len(shown[finding.status]) < MAX_FINDINGS:
                shown[finding.status].append((test, finding))
    # Charts go first to the entries that need attention: those that differ or are slower.
    parity = sorted(run.parity, key=lambda entry: entry.exact)
    latency = sorted(run.latency, key=lambda entry: entry.gate.get("verdict", "") not in {"slower", "drift"})
    lines = max(8, min(MAX_LINES, MAX_CONSOLE_LINES // max(1, min(len(run.consoles), MAX_CONSOLES))))
    events = [(board, event) for board in run.boards for event in board.events]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            title=title(run),
            colour=colour(run),
            headline=run.headline or headline(run),
            outcomes=[(word, run.outcomes()[word]) for word in ORDER if run.outcomes()[word]],
            whose=WHOSE,
            proven=run.proven(),
            not_proven=_not_proven(run),
            open_rows=[row for row in run.requirements if row.state != "proven"][:MAX_FINDINGS],
            matrix=_matrix(run),
            broken=broken[:MAX_FINDINGS],
            broken_total=len(broken),
            uncovered=_reasons(uncovered),
            uncovered_total=len(uncovered),
            failed=shown["failed"],
            waived=shown["waived"],
            noted=shown["noted"],
            totals=totals,
            passed=sorted((name, *_said(run, name), count) for name, count in held.items()),
            retried=[t for t in run.tests if t.tries][:MAX_FINDINGS],
            latency=[_latency(entry) for entry in latency[:MAX_CHARTS]],
            latency_total=len(latency),
            parity=[_parity(entry) for entry in parity[:MAX_CHARTS]],
            parity_total=len(parity),
            parity_exact=all(entry.exact for entry in parity),
            accuracy=run.accuracy[:MAX_CHARTS],
            accuracy_total=len(run.accuracy),
            most_classes=MAX_CLASSES,
            timings=[
                (t, svg.t_values(t.values, t.limits, title=f"t of {t.name} on {t.combination}"))
                for t in run.timings[:MAX_CHARTS]
            ],
            timings_total=len(run.timings),
            traces=[
                (t, svg.traces(t.channels, t.outputs, t.labels, title=f"{t.name} on {t.combination}"))
                for t in run.traces[:MAX_CHARTS]
            ],
            consoles=[(c, tail(safe(c.text), lines)) for c in run.consoles[:MAX_CONSOLES]],
            resets=[pair for pair in events if _RESETS.search(pair[1].kind)][:MAX_FINDINGS],
            resets_total=sum(bool(_RESETS.search(event.kind)) for _, event in events),
            events=[pair for pair in events if not _RESETS.search(pair[1].kind)][:MAX_FINDINGS],
            marks=MARKS,
        )
    )


def _said(run: RunRecord, name: str) -> tuple[str, str]:
    check = run.checks.get(name)
    return (check.title, check.requirement) if check else ("", "")


def _not_proven(run: RunRecord) -> list[str]:
    """The things that this run does not prove, which a reader must know first."""
    words = [
        f"{board.name}: {part}"
        for board in run.boards
        for part in board.facts.get("not proven", "").split("; ")
        if part
    ]
    words += [f"{board.name} was lost and is in quarantine: {board.lost}" for board in run.lost()]
    partly = [suite for suite in run.suites if suite.state == "partly"]
    words += [
        f"{suite.suite} on {suite.combination}: "
        + (f"only {suite.passed}" if suite.passed else "none")
        + f" of {suite.total} tests passed"
        for suite in partly
    ]
    ended = sum(test.outcome == "not run" for test in run.tests)
    if ended:
        words.append(f"{ended} tests were not run" + (f": {run.interrupted} ended the run" if run.interrupted else ""))
    shown = list(dict.fromkeys(words))
    return shown[:20] + ([f"and {len(shown) - 20} more"] if len(shown) > 20 else [])


def _reasons(tests: Iterable[TestEntry]) -> list[tuple[str, str, int, str]]:
    """Outcome, reason, number of tests, and some of their names."""
    grouped: dict[tuple[str, str], list[TestEntry]] = {}
    for test in tests:
        grouped.setdefault((test.outcome, test.message), []).append(test)
    rows = []
    for (outcome, message), members in list(grouped.items())[:MAX_FINDINGS]:
        names = list(dict.fromkeys(test.short for test in members))
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        rows.append((outcome, message, len(members), ", ".join(names[:6]) + more))
    return rows


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
    environment.filters["safe_text"] = safe
    environment.filters["tail"] = tail
    environment.filters["number"] = number
    environment.filters["difference"] = difference
    environment.filters["breakable"] = breakable
    return environment


@dataclass(frozen=True, slots=True)
class _Matrix:
    """Outcomes of suites on combinations: `heads` are the columns, each row has a name and a cell for each column."""

    corner: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def _matrix(run: RunRecord) -> _Matrix:
    counted: Counter[tuple[str, str, str]] = Counter((t.suite, t.combination, t.outcome) for t in run.tests)
    suites = sorted({suite for suite, _, _ in counted}, key=_suite_key)
    names = [c.name for c in run.combinations] or sorted({on for _, on, _ in counted})
    if any(on == "" for _, on, _ in counted) and names:
        names.append("")

    def cell(suite: str, on: str) -> tuple[str, str]:
        found = [(word, counted[suite, on, word]) for word in WORST if counted[suite, on, word]]
        worst = found[0][0] if found else "none"
        return worst.replace(" ", "-"), f"{MARKS.get(worst, '')} {in_words(found)}".strip()

    if len(names) <= WIDE:
        rows = tuple((suite or "(other)", tuple(cell(suite, on) for on in names)) for suite in suites)
        return _Matrix("suite", tuple(on or "no board" for on in names), rows)
    rows = tuple((on or "no board", tuple(_short(cell(suite, on)) for suite in suites)) for on in names)
    return _Matrix("on", tuple(suite or "(other)" for suite in suites), rows)


def _short(cell: tuple[str, str]) -> tuple[str, str]:
    """The short form for a row with many cells: the worst outcome's mark and number."""
    return cell[0], cell[1].partition(",")[0].replace(" passed", "").replace(" not covered", " n/c")


def _suite_key(suite: str) -> tuple[int, str]:
    return (SUITES.index(suite) if suite in SUITES else len(SUITES), suite)


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
    from tfm_harness.latency.statistics import summarise

    series, baseline = entry.series, entry.baseline
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
    title = f"Latency of {series.name} on {entry.combination}"
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
    engine: str
    outputs: tuple[tuple[ParityOutput, Markup], ...]
    edges: tuple[str, ...]  # every edge that some operator has


def _parity(entry: ParityEntry) -> _Parity:
    outputs = []
    for output in entry.outputs:
        histogram = {int(k): v for k, v in output.histogram.items()}
        name = f"LSB differences of {entry.model} output {output.index}"
        outputs.append((output, Markup("") if output.exact else svg.histogram(histogram, title=name)))
    words = " ".join(entry.engine.get(part, "") for part in ("name", "version", "resolver")).strip()
    edges = dict.fromkeys(edge for row in entry.edges.values() for edge in row)
    return _Parity(entry, words, tuple(outputs), tuple(edges))


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def number(value: float | None, form: str) -> str:
    """A figure, finite or not."""
    if value is None:
        return "-"
    return form % value if math.isfinite(value) else str(value).replace("inf", "∞").replace("nan", "NaN")


def difference(first: ParityDifference) -> str:
    """The first element that differs, in words."""
    reference, device = (number(value, "%.9g") for value in (first.reference, first.device))
    return f"vector {first.vector}, index {list(first.index)}: reference {reference}, device {device}"


def tail(text: str, lines: int = MAX_LINES) -> str:
    """The last lines, with a note of how many were cut; very long lines are cut too."""
    found = text.split("\n")
    kept = [line if len(line) <= 400 else f"{line[:400]}... ({len(line)} characters)" for line in found[-lines:]]
    cut = len(found) - len(kept)
    return "\n".join(([f"({cut} lines before)"] if cut > 0 else []) + kept)


def breakable(text: str) -> Markup:
    """Long ids and hex that may break over lines: break opportunities after punctuation."""
    from markupsafe import escape

    return Markup(re.sub(r"([./:\[_-])", r"\1<wbr>", str(escape(text))))  # noqa: S704 - escaped before
