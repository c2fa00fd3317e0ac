"""From what a session gathered to a `RunRecord`, its ``run.json`` and its page.

The plugin's log (schema ``tfm-harness-tests/1``) holds tests, boards and waivers. What boards measured comes
in a `Recordings` for each pair; everything in it is plain data, so that it crosses process borders.
"""

from __future__ import annotations

import datetime as dt
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.report.record import (
    BoardEntry,
    ConsoleExcerpt,
    FindingEntry,
    LatencyEntry,
    ParityEntry,
    RunRecord,
    TestEntry,
    TraceEntry,
    WaiverEntry,
    save_run,
)

if TYPE_CHECKING:
    from harness.latency.budget import Budget
    from harness.latency.phases import Phases
    from harness.latency.regression import GateResult, Night
    from harness.latency.series import Series
    from harness.parity.session import SessionResult

__all__ = ["Recordings", "collect", "write_run"]

VERDICTS = {0: "passed", 1: "failed", 2: "bench", 3: "bug", 4: "config", 5: "nothing proved", 10: "bench"}
"""Verdict by the session's exit code."""

EXCERPT = 24_000
"""Bytes of each transcript's end that go into the record."""


class Recordings:
    """What one pair of target and build measured."""

    def __init__(self, board: str) -> None:
        self.board = board
        self._latency: dict[str, LatencyEntry] = {}
        self._phases: dict[str, dict[str, float]] = {}
        self.parity: list[ParityEntry] = []
        self.traces: list[TraceEntry] = []

    def add_series(
        self,
        series: Series,
        *,
        budgets: Iterable[Budget] = (),
        baseline: Night | None = None,
        gate: GateResult | None = None,
    ) -> None:
        """Keep a series; a later one of the same name replaces it."""
        self._latency[series.name] = LatencyEntry(
            board=self.board,
            series=series.as_dict(),
            baseline=baseline.series.as_dict() if baseline else None,
            baseline_name=baseline.run if baseline else "",
            budgets={b.statistic: b.seconds for b in budgets if b.covers(series.name)},
            gate=_gate_words(gate) if gate else {},
        )

    def add_phases(self, model: str, phases: Phases, seconds: Mapping[str, float]) -> None:
        """Keep a typical request's breakdown (`Phases.seconds`)."""
        if phases.host_seconds > 0:
            self._phases[model] = dict(seconds)

    def add_session(self, session: SessionResult) -> None:
        """Keep a parity session."""
        self.parity.append(ParityEntry(board=self.board, session=session.as_dict()))

    def add_trace(
        self,
        name: str,
        channels: Mapping[str, Sequence[float]],
        outputs: Iterable[tuple[int, Sequence[float]]] = (),
        labels: Sequence[str] = (),
    ) -> None:
        """Keep what the sensor played, and outputs by the number of the sample they followed."""
        self.traces.append(
            TraceEntry(
                board=self.board,
                name=name,
                channels={k: tuple(float(v) for v in vs) for k, vs in channels.items()},
                outputs=tuple((int(at), tuple(float(v) for v in vs)) for at, vs in outputs),
                labels=tuple(labels),
            )
        )

    @property
    def latency(self) -> list[LatencyEntry]:
        """Series with their phases."""
        return [
            LatencyEntry(**{f.name: getattr(e, f.name) for f in fields(e)} | {"phases": self._phases.get(name, {})})
            for name, e in self._latency.items()
        ]


def collect(
    log: Mapping[str, Any],
    *,
    name: str,
    exit_code: int,
    version: str,
    recordings: Iterable[Recordings] = (),
    pairs: Mapping[str, Mapping[str, str]] | None = None,
) -> RunRecord:
    """Build a run's record.

    Args:
        log: ``RunLog.as_dict`` of the plugin.
        exit_code: the session's, which follows from whose fault it was.
        pairs: for each pair its ``target``, ``build`` and ``clock`` in words, where known.
    """
    kept = list(recordings)
    tests = tuple(_test(t) for t in log["tests"])
    boards: Mapping[str, Mapping[str, Any]] = log.get("boards", {})
    known = pairs or {}
    names = list(dict.fromkeys([*log.get("policies", {}), *boards, *(t.board for t in tests if t.board)]))
    verdict = VERDICTS.get(exit_code, "bug")
    return RunRecord(
        name=name,
        verdict=verdict,
        headline=_headline(verdict, tests, log),
        started=dt.datetime.fromtimestamp(float(log.get("began", 0)), dt.UTC).isoformat(timespec="seconds"),
        seconds=float(log.get("seconds", 0)),
        version=version,
        boards=tuple(
            _board(n, boards.get(n, {}), str(log.get("policies", {}).get(n, "")), known.get(n, {})) for n in names
        ),
        tests=tests,
        waivers=tuple(
            WaiverEntry(
                board=str(w["pair"]),
                finding=str(w["finding"]),
                reason=str(w["reason"]),
                where=str(w["where"]),
                state=str(w["state"]),
            )
            for w in log.get("waivers", ())
        ),
        latency=tuple(entry for r in kept for entry in r.latency),
        parity=tuple(entry for r in kept for entry in r.parity),
        traces=tuple(entry for r in kept for entry in r.traces),
        consoles=tuple(e for n, facts in boards.items() for e in _consoles(n, facts.get("transcripts", ()))),
        environment=environment(),
    )


def write_run(record: RunRecord, folder: Path, *, html: Path | None = None) -> Path:
    """Write ``run.json`` and the page (default: ``report.html`` beside it); returns the page's path.

    Raises:
        BenchError: kind ``report-write``.
    """
    from harness.report.render import write_html

    page = html or folder / "report.html"
    save_run(record, folder / "run.json")
    write_html(record, page)
    return page


def environment() -> dict[str, str]:
    """The bench's own facts: Python, system, versions of what decides verdicts."""
    facts = {
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for package in ("tflite-runtime", "ai-edge-litert", "tflite-micro", "numpy", "cryptography", "smp", "pytest"):
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return facts


def _test(data: Mapping[str, Any]) -> TestEntry:
    allowed = {f.name for f in fields(FindingEntry)}
    return TestEntry(
        nodeid=str(data["nodeid"]),
        board=str(data.get("pair", "")),
        suite=str(data.get("suite", "")),
        outcome=str(data.get("outcome", "")),
        fault=str(data.get("fault", "")),
        kind=str(data.get("kind", "")),
        seconds=float(data.get("seconds", 0)),
        message=str(data.get("message", "")),
        findings=tuple(
            FindingEntry(**{k: str(v) for k, v in f.items() if k in allowed}) for f in data.get("findings", ())
        ),
    )


def _board(name: str, facts: Mapping[str, Any], policy: str, known: Mapping[str, str]) -> BoardEntry:
    target, _, build = name.partition("+")
    shown: dict[str, str] = {}
    for key, value in facts.items():
        if key in {"firmware", "events", "transcripts"} or value in ("", None, [], {}):
            continue
        if isinstance(value, Mapping):
            shown |= {str(k): str(v) for k, v in value.items()}
        else:
            shown[str(key)] = str(value)
    return BoardEntry(
        name=name,
        target=known.get("target", target),
        build=known.get("build", build),
        policy=policy,
        firmware=str(facts.get("firmware", "")),
        clock=known.get("clock", ""),
        facts=shown,
        events=tuple(_event(e) for e in facts.get("events", ())),
    )


def _event(event: object) -> str:
    if isinstance(event, Mapping):
        at = event.get("at")
        when = f"{at:.1f} s " if isinstance(at, int | float) else ""
        return f"{when}{event.get('kind', '')} {event.get('detail', '')}".strip()
    return str(event)


def _consoles(board: str, transcripts: Iterable[str]) -> list[ConsoleExcerpt]:
    found = []
    for transcript in transcripts:
        path = Path(transcript)
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - EXCERPT))
                data = file.read(EXCERPT)
        except OSError as exc:
            found.append(ConsoleExcerpt(board=board, name=path.name, text=f"(cannot be read: {exc})"))
            continue
        if size > EXCERPT:  # begin with a whole line
            data = data.partition(b"\n")[2]
        found.append(ConsoleExcerpt(board=board, name=path.name, text=data.decode("utf-8", "replace")))
    return found


def _headline(verdict: str, tests: Sequence[TestEntry], log: Mapping[str, Any]) -> str:
    outcomes = Counter(t.outcome for t in tests)
    if verdict == "passed":
        held = sum(f.status == "passed" for t in tests for f in t.findings)
        words = f"{outcomes['passed']} tests passed, {held} checks held"
        uncovered = outcomes["not covered"] + outcomes["skipped"]
        return words + (f"; {uncovered} tests were not covered" if uncovered else "")
    if verdict == "failed":
        checks = Counter((f.id, t.board) for t in tests for f in t.findings if f.status == "failed")
        named = ", ".join(f"{check} on {board}" if board else check for (check, board), _ in checks.most_common(3))
        more = f" and {len(checks) - 3} more" if len(checks) > 3 else ""
        return f"{outcomes['failed']} tests failed" + (f": {named}{more}" if named else "")
    unused = [w["finding"] for w in log.get("waivers", ()) if w.get("state") == "unused"]
    if verdict == "config" and unused:
        return f"waivers that match nothing: {', '.join(map(str, unused))}"
    kinds = Counter(t.kind or t.fault for t in tests if t.outcome == "error")
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(3))


def _gate_words(gate: GateResult) -> dict[str, str]:
    words = {"verdict": gate.verdict}
    if gate.change is not None:
        words["change"] = f"{gate.change:+.2%} of the median"
    if gate.interval is not None:
        words["99 % interval"] = f"{gate.interval[0]:+.2%} to {gate.interval[1]:+.2%}"
    if gate.p_value is not None:
        words["p (slower)"] = f"{gate.p_value:.2g}"
    if gate.drift is not None:
        words["drift"] = f"{gate.drift:+.2%} against {gate.nights} nights"
    return words
