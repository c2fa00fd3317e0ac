"""``tfm-harness history show``: a night's outcomes beside those before, as text, Markdown or JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import write
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfm_harness.history.classify import Classified
    from tfm_harness.history.database import Database
    from tfm_harness.history.judged import Judged

__all__ = ["add_options", "in_a_line", "show"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``history show``."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--night", default="", metavar="NAME", help="another night than the newest")
    which.add_argument("--run", metavar="NAME", dest="shown_run", help="one run, beside the runs before it")
    parser.add_argument(
        "--nights", metavar="N", type=int, default=20, help="how many nights (or runs) before it count (default: 20)"
    )
    parser.add_argument("--issues", metavar="FILE", type=Path, help="known issues (YAML)")
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parser.add_argument("--all", action="store_true", help="list what passed as well")


def show(database: Database, args: argparse.Namespace) -> int:
    """Print it."""
    from tfm_harness.history.issues import load_issues
    from tfm_harness.history.judged import judge_night, judge_run

    issues = load_issues(args.issues) if args.issues is not None else ()
    if args.shown_run:
        judged = judge_run(database, args.shown_run, before=args.nights, issues=issues, everything=args.all)
    else:
        judged = judge_night(database, args.night, before=args.nights, issues=issues, everything=args.all)
    text = _json(judged) if args.format == "json" else _words(judged, markdown=args.format == "markdown")
    write(text)
    return 0


def _words(judged: Judged, *, markdown: bool) -> str:
    from tfm_harness.safe_text import safe

    summary = safe(", ".join(f"{count} {kind}" for kind, count in judged.counts.items()) or "no outcome")
    title = f"{safe(judged.name)}: {summary}"
    lines = [f"# {_plain(title)}" if markdown else title, ""]
    for run in judged.runs[:20]:
        text = safe(f"{run.name}: {run.headline or run.verdict}")
        lines.append(f"- {_plain(text)}" if markdown else f"  {text}")
    if len(judged.runs) > 20:
        lines.append(f"  and {len(judged.runs) - 20} more runs")
    lines += ["", f"beside {judged.before} before it"]
    for kind in judged.counts:
        listed = [one for one in judged.tests if one.kind == kind]
        if listed:
            lines += ["", f"## {kind}" if markdown else f"{kind}:"]
        for one in listed:
            text = safe(in_a_line(one))
            lines.append(f"- {_plain(text)}" if markdown else f"  {text}")
    if judged.never:
        lines += ["", "## planned, and never ran" if markdown else "planned, and never ran:"]
    for combination, why in judged.never[:20]:
        text = safe(f"{combination}: {why}")
        lines.append(f"- {_plain(text)}" if markdown else f"  {text}")
    if judged.lost:
        lines += ["", "## what the bench lost" if markdown else "what the bench lost:"]
    for board, why, count in judged.lost[:20]:
        text = safe(f"{count} tests on {board or 'no board'}: {why or 'no kind'}")
        lines.append(f"- {_plain(text)}" if markdown else f"  {text}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    from tfm_harness.report.markdown import plain

    return plain(text)


def in_a_line(one: Classified) -> str:
    """What is to be said of a test, in a line."""
    parts = [one.newest.test]
    if one.newest.combination:
        parts[0] += f" on {one.newest.combination}"
    if one.first_bad is not None:
        firmware = f" with {one.first_bad.firmware}" if one.first_bad.firmware else ""
        parts.append(f"since {one.first_bad.run}{' or before' * one.or_before}{firmware}")
    if one.last_good is not None:
        parts.append(f"last good in {one.last_good.run}{', with the same firmware' * one.same_firmware}")
    if one.checks:
        parts.append(f"failed before, and now for another reason too: {', '.join(one.checks)}")
    if one.rate is not None and one.kind == "flaky":
        share, low, high = one.rate
        parts.append(f"fails in {share:.0%} ({low:.0%} to {high:.0%})")
    if len(one.boards) > 1 and one.kind != "passed":
        parts.append(", ".join(f"{board}: {outcome}" for board, outcome in one.boards))
    if one.ticket:
        parts.append(one.ticket)
    if one.kind == "infrastructure":
        parts.append(f"{one.newest.kind or one.newest.outcome} on {one.newest.board or 'no board'}")
    return "; ".join(parts)


def _by_board(outcomes: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Outcomes by board; a board that had several says all of them."""
    found: dict[str, str] = {}
    for board, outcome in outcomes:
        found[board] = f"{found[board]}, {outcome}" if board in found else outcome
    return found


def _json(judged: Judged) -> str:
    plain = {
        "schema": "tfm-harness/history/2",
        "name": judged.name,
        "runs": [{"run": run.name, "started": run.started and run.started.isoformat()} for run in judged.runs],
        "counts": dict(judged.counts),
        "never_ran": [{"combination": combination, "why": why} for combination, why in judged.never],
        "tests": [
            {
                "test": one.newest.test, "combination": one.newest.combination, "class": one.kind,
                "outcome": one.newest.outcome, "boards": _by_board(one.boards), "ticket": one.ticket,
                "first_bad": {"run": one.first_bad.run, "firmware": one.first_bad.firmware} if one.first_bad else None,
                "last_good": one.last_good.run if one.last_good else None,
                "or_before": one.or_before, "same_firmware": one.same_firmware, "new_reasons": list(one.checks),
                "rate": list(one.rate) if one.rate else None,
            }
            for one in judged.tests
        ],
    }  # fmt: skip
    return safe_json(plain) + "\n"
