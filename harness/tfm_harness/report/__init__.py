"""The page of a run: `write_html(run, path)` makes ``report.html`` from a `RunRecord`.

The page is one file without script or network access: it can be opened from a CI artifact or on a phone, and printed.
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
