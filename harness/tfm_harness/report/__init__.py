"""The page a run leaves behind: `write_html(run, path)` makes ``report.html`` from a `RunRecord`.

One file, no script, no network: it opens from a CI artifact, on a phone, in print.
"""

from tfm_harness.report.record import (
    SCHEMA,
    BoardEntry,
    CheckEntry,
    CombinationEntry,
    ConsoleExcerpt,
    EventEntry,
    FindingEntry,
    LatencyEntry,
    MoveEntry,
    ParityEntry,
    ParityOutput,
    RequirementEntry,
    RunRecord,
    SuiteEntry,
    TestEntry,
    TraceEntry,
    TryEntry,
    WaiverEntry,
)
from tfm_harness.report.render import render_html, write_html
from tfm_harness.report.storage import load_run, save_run

__all__ = [
    "SCHEMA",
    "BoardEntry",
    "CheckEntry",
    "CombinationEntry",
    "ConsoleExcerpt",
    "EventEntry",
    "FindingEntry",
    "LatencyEntry",
    "MoveEntry",
    "ParityEntry",
    "ParityOutput",
    "RequirementEntry",
    "RunRecord",
    "SuiteEntry",
    "TestEntry",
    "TraceEntry",
    "TryEntry",
    "WaiverEntry",
    "load_run",
    "render_html",
    "save_run",
    "write_html",
]
