"""From the session's log to the run's record on disk and the report page."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfm_harness.errors import Responsibility
from tfm_harness.plugin.record import RunLog
from tfm_harness.version import __version__

if TYPE_CHECKING:
    from tfm_harness.report.record import RunRecord

__all__ = ["make_record", "verdict_of", "write_run"]

_VERDICTS = {0: "passed", 1: "failed", 3: "bug", 4: "config", 5: "nothing proved", 10: "bench"}


def verdict_of(code: int) -> str:
    """The run's verdict in a word, by its exit code."""
    return _VERDICTS.get(code, "interrupted" if code == 2 else "bug")


def write_run(log: RunLog, run_dir: Path, code: int, *, html: str = "") -> Path:
    """Write ``run.json`` and ``report.html`` into the run's folder, and the page once more where `html` says.

    Raises:
        InfrastructureError: disk full and the like.
    """
    from tfm_harness.report import save_run, write_html

    record = make_record(log, run_dir.name, code)
    path = run_dir / "run.json"
    save_run(record, path)
    for page in (run_dir / "report.html", *([Path(html)] if html else [])):
        write_html(record, page)
    return path


def make_record(log: RunLog, name: str, code: int) -> RunRecord:
    """The session's log as a run's record."""
    from tfm_harness.report.record import (
        BoardEntry,
        ConsoleExcerpt,
        FindingEntry,
        LatencyEntry,
        ParityEntry,
        RunRecord,
        TestEntry,
        TraceEntry,
        WaiverEntry,
    )

    outcomes = log.outcomes()
    counted = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()) or "no test"
    boards: list[BoardEntry] = []
    latency: list[LatencyEntry] = []
    parity: list[ParityEntry] = []
    traces: list[TraceEntry] = []
    consoles: list[ConsoleExcerpt] = []
    for pair in log.pairs:
        facts: Mapping[str, Any] = log.boards.get(pair.name, {})
        boards.append(
            BoardEntry(
                name=pair.name,
                target=pair.target.name,
                build=pair.build.name,
                policy=str(pair.policy),
                firmware=str(facts.get("firmware", "never ready")),
                clock=str(facts.get("clock", "")),
                facts={
                    **{str(key): str(value) for key, value in facts.get("board", {}).items()},
                    "console link": str(facts.get("link") or "clean"),
                    "boots": str(facts.get("boots", 0)),
                    "device busy or booting, seconds": f"{facts.get('device_seconds', 0.0):.2f}",
                },
                events=tuple(facts.get("events", ())),
            )
        )
        latency += [LatencyEntry(board=pair.name, **entry) for entry in facts.get("latency", ())]
        parity += [ParityEntry(board=pair.name, session=session) for session in facts.get("parity", ())]
        consoles += [ConsoleExcerpt(board=pair.name, **excerpt) for excerpt in facts.get("consoles", ())]
        traces += [
            TraceEntry(
                board=pair.name,
                name=trace["name"],
                channels={key: tuple(values) for key, values in trace["channels"].items()},
                outputs=tuple((at, tuple(values)) for at, values in trace["outputs"]),
                labels=tuple(trace["labels"]),
            )
            for trace in facts.get("traces", ())
        ]
    return RunRecord(
        name=name,
        verdict=verdict_of(code),
        headline=f"{counted} in {log.seconds:.0f} s" + _blame(log),
        started=dt.datetime.fromtimestamp(log.began, dt.UTC).isoformat(timespec="seconds"),
        seconds=log.seconds,
        version=__version__,
        boards=tuple(boards),
        tests=tuple(
            TestEntry(
                nodeid=test.nodeid,
                board=test.pair,
                suite=test.suite,
                outcome=test.outcome,
                fault=test.fault,
                kind=test.kind,
                seconds=test.seconds,
                message=test.message,
                findings=tuple(FindingEntry(**finding) for finding in test.findings),
            )
            for test in log.tests.values()
        ),
        waivers=tuple(
            WaiverEntry(
                board=waiver.pair,
                finding=waiver.finding,
                reason=waiver.reason,
                where=waiver.where,
                state=waiver.state,
            )
            for waiver in log.waivers
        ),
        latency=tuple(latency),
        parity=tuple(parity),
        traces=tuple(traces),
        consoles=tuple(consoles),
        environment={"python": platform.python_version(), "system": platform.platform()},
    )


def _blame(log: RunLog) -> str:
    faults = log.faults()
    if not faults:
        return ""
    words = {
        Responsibility.PRODUCT: "the product's fault",
        Responsibility.INFRASTRUCTURE: "the bench's",
        Responsibility.CONFIG: "configuration",
    }
    return "; " + ", ".join(
        f"{count} {words.get(Responsibility(fault), 'a bug')}" for fault, count in faults.most_common()
    )
