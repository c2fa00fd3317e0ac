"""Everything that the harness makes of a run's record, as text by name."""

from __future__ import annotations

from tfm_harness.report import RunRecord
from tfm_harness.report.difference import compare_runs
from tfm_harness.report.exports import FORMATS
from tfm_harness.report.headline import headline, title
from tfm_harness.report.render import render_html

__all__ = ["every_export"]


def every_export(run: RunRecord) -> dict[str, str]:
    """The page, each format of ``export``, the headline, and the comparison with an empty run."""
    made = {f"{format_}/{name}": text for format_, files in FORMATS.items() for name, text in files(run).items()}
    empty = RunRecord(name="empty", verdict="passed")
    changes = compare_runs(empty, run).changes + compare_runs(run, empty).changes
    return {
        **made,
        "report.html": render_html(run),
        "headline": f"{title(run)}\n{headline(run)}",
        "compare": "\n".join(str(change) for change in changes),
    }
