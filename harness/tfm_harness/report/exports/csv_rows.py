"""CSV: a row for each test, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from typing import Final

from tfm_harness.report.exports.names import bounded
from tfm_harness.report.record import RunRecord

__all__ = ["files"]

COLUMNS: Final = (
    "run", "started", "combination", "board", "suite", "test", "outcome", "responsibility", "kind", "seconds", "tries",
    "checks_passed", "checks_failed", "checks_waived", "checks_noted", "message",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def files(run: RunRecord) -> dict[str, str]:
    """``tests.csv``: UTF-8, comma, a header, LF."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for test in run.tests:
        states = [finding.status for finding in test.findings]
        texts = (run.name, run.started, test.combination, test.board, test.suite, test.nodeid, test.outcome,
                 test.responsibility, test.kind)  # fmt: skip
        writer.writerow(
            [
                *(_cell(text, 1000) for text in texts), f"{test.seconds:.6g}", len(test.tries),
                *(states.count(word) for word in ("passed", "failed", "waived", "noted")), _cell(test.message, 4000),
            ]
        )  # fmt: skip
    return {"tests.csv": out.getvalue()}


def _cell(text: str, limit: int) -> str:
    """The text in a form that no spreadsheet reads as a formula."""
    clean = bounded(text, limit)
    return f"'{clean}" if clean.startswith(_FORMULA) else clean
