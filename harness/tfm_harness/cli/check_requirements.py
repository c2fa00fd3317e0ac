"""``tfm-harness check-requirements``: catalogues of requirements against suites, or against a run."""

from __future__ import annotations

import argparse
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import write
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from tfm_harness.coverage.requirements import Catalogue, JudgedItem

__all__ = ["add_parser", "run"]

EPILOG = """\
Without RUN: which checks would prove each item, before anything runs. With RUN: what that run proved, by its findings.
An item without checks has its reason: what no test can show.

exit status: 0  listed; with RUN: no item failed
             1  an item failed in that run
             4  no such catalogue, a file that breaks the form, no run

examples:
  tfm-harness check-requirements
  tfm-harness check-requirements tf-m-threats --run runs/2026-11-28_10-00-00
  tfm-harness check-requirements my-catalogue.yaml --json
"""
_WOULD = "would be proven by"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "check-requirements",
        help="which check proves which requirement of PSA, TF-M and CRA catalogues",
        description="Show which check proves which requirement, what a run proved, and what no test can show.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("catalogue", nargs="*", metavar="CATALOGUE", help="a name or a YAML file (default: all)")
    parser.add_argument("--run", metavar="RUN", type=Path, dest="run_dir", help="a run's folder or its run.json")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the catalogues; returns the exit status.

    Raises:
        ConfigError: no such catalogue, or no run.
    """
    from tfm_harness.coverage.requirements import catalogue_names, judge_items, load_catalogue

    catalogues = [load_catalogue(name) for name in args.catalogue or catalogue_names()]
    made = _findings(args.run_dir) if args.run_dir is not None else None
    judged = [(catalogue, judge_items(catalogue, made or {})) for catalogue in catalogues]
    write(_json(judged, made is not None) if args.json else _text(judged, made is not None))
    failed = made is not None and any(item.state == "failed" for _, items in judged for item in items)
    return 1 if failed else 0


def _findings(path: Path) -> Mapping[str, set[str]]:
    from tfm_harness.report.storage import load_run

    found: dict[str, set[str]] = {}
    for test in load_run(path).tests:
        for finding in test.findings:
            found.setdefault(finding.id, set()).add(finding.status)
    return found


def _text(judged: Sequence[tuple[Catalogue, Sequence[JudgedItem]]], ran: bool) -> str:
    lines: list[str] = []
    for catalogue, items in judged:
        lines += [f"{catalogue.title} ({catalogue.source})"]
        for found in items:
            item = found.item
            state = found.state if ran or not item.checks else _WOULD
            said = f"{item.id}: {item.title}. {state}" + (f": {', '.join(item.checks)}" if item.checks else "")
            said += f"; failing: {', '.join(found.failing)}" if found.failing else ""
            said += f"; did not run: {', '.join(found.missing)}" if ran and found.missing else ""
            said += f". No test shows: {item.cannot}" if item.cannot else ""
            lines += textwrap.wrap(said, 100, initial_indent="  ", subsequent_indent="    ")
        lines += [f"  {_count(items, ran)}", ""]
    return "\n".join(lines)


def _count(items: Sequence[JudgedItem], ran: bool) -> str:
    if ran:
        counted = Counter(item.state for item in items)
        return f"{len(items)} items: " + ", ".join(f"{count} {state}" for state, count in counted.items())
    covered = sum(bool(item.item.checks) for item in items)
    return f"{covered} of {len(items)} items have checks that would prove them"


def _json(judged: Sequence[tuple[Catalogue, Sequence[JudgedItem]]], ran: bool) -> str:
    plain = {
        "schema": "tfm-harness/requirements/1",
        "of_a_run": ran,
        "catalogues": [
            {
                "name": catalogue.name, "title": catalogue.title, "source": catalogue.source,
                "items": [
                    {
                        "id": found.item.id, "title": found.item.title, "checks": list(found.item.checks),
                        "cannot": found.item.cannot, "missing": list(found.missing) if ran else [],
                        "failing": list(found.failing),
                        "state": found.state if ran or not found.item.checks else "would be proven",
                    }
                    for found in items
                ],
            }
            for catalogue, items in judged
        ],
    }  # fmt: skip
    return safe_json(plain) + "\n"
