"""The page a run leaves behind: `write_html(run, path)` makes ``report.html`` from a `RunRecord`.

One file, no script, no network: it opens from a CI artifact, on a phone, in print.
"""

from tfm_harness.report.record import (
    SCHEMA,
    BoardEntry,
    ConsoleExcerpt,
    FindingEntry,
    LatencyEntry,
    ParityEntry,
    RunRecord,
    TestEntry,
    TraceEntry,
    WaiverEntry,
    load_run,
    save_run,
)
from tfm_harness.report.render import render_html, write_html

__all__ = [
    "SCHEMA",
    "BoardEntry",
    "ConsoleExcerpt",
    "FindingEntry",
    "LatencyEntry",
    "ParityEntry",
    "RunRecord",
    "TestEntry",
    "TraceEntry",
    "WaiverEntry",
    "load_run",
    "render_html",
    "save_run",
    "write_html",
]
