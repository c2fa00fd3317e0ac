"""``tfm-harness compare RUN RUN``: what changed between two runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfm_harness.cli.output import say
from tfm_harness.safe_text import safe_json

__all__ = ["add_parser", "run"]

_EPILOG = """What both runs have is compared: outcomes, failed checks, parity, latency (rank test and bootstrap,
as the regression gate does). A test that no longer reaches a verdict counts as worse.

exit codes: 0 nothing is worse, 1 something is, 4 wrong files, 5 nothing to compare

example:
  tfm-harness compare runs/2026-11-22_02-00-00 runs/2026-11-23_02-00-00
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "compare",
        help="what changed between two runs",
        description="Compare two runs: outcomes, checks, parity, latency.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "before", metavar="RUN", type=Path, help="the earlier run: its folder, its name in ./runs, run.json"
    )
    parser.add_argument("after", metavar="RUN", type=Path, help="the later run")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare and print; 1 when something got worse, 5 when the runs have nothing in common.

    Raises:
        ConfigError: a run cannot be read.
    """
    from tfm_harness.report.difference import compare_runs
    from tfm_harness.report.storage import load_run

    before, after = load_run(_place(args.before)), load_run(_place(args.after))
    found = compare_runs(before, after)
    if args.json:
        say(safe_json({"before": before.name, "after": after.name, **found.as_dict()}))
    else:
        lines = [f"before {before.name}: {before.verdict}", f"after  {after.name}: {after.verdict}"]
        for change in found.changes:
            mark = "worse " if change.worse else "other "
            lines.append(f"{mark} {change.what}  {change.subject}")
            lines.append(f"         before: {change.before}")
            lines.append(f"         after:  {change.after}")
        worse = sum(change.worse for change in found.changes)
        lines.append(f"{found.compared} compared, {worse} worse, {len(found.changes) - worse} otherwise changed")
        say("\n".join(lines))
    if not found.compared:
        return 5
    return 1 if found.worse else 0


def _place(given: Path) -> Path:
    """A run as given, or by its name in the folder that runs go to."""
    return given if given.exists() or not (Path("runs") / given).exists() else Path("runs") / given
