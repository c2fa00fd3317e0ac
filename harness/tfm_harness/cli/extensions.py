"""``tfm-harness extensions``: what can be added to the harness, what is installed, and whether it can be used."""

from __future__ import annotations

import argparse
from typing import Any

from tfm_harness.cli.output import say
from tfm_harness.extensions import API_VERSION, POINTS, installed, problem_of
from tfm_harness.safe_text import safe_json

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "extensions",
        help="what installed packages add, and whether it can be used",
        description="List what installed packages add to the harness: board kinds, protocols, sensors, suites and more."
        " Each one is imported, so that a broken package is found here. Exit code 4 when one cannot be used."
        f" This harness has extension API v{API_VERSION}.",
        epilog="examples:\n  tfm-harness extensions\n  tfm-harness extensions boards protocols\n"
        "  tfm-harness extensions --all        the built-in names too\n  tfm-harness extensions --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("point", nargs="*", choices=[*POINTS, []], metavar="POINT", help=f"one of {', '.join(POINTS)}")
    parser.add_argument("--all", action="store_true", help="show what is built in as well")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    rows = [row for point in args.point or POINTS for row in _rows(point, built_in=args.all)]
    wrong = any(row["problem"] for row in rows)
    if args.json:
        say(safe_json({"api": API_VERSION, "extensions": rows}))
        return 4 if wrong else 0
    width = max((len(f"{row['point']} {row['name']}") for row in rows), default=0)
    for row in rows:
        say(f"{row['point'] + ' ' + row['name']:<{width}}  {row['distribution'] or 'built in'}  {row['value']}")
        if row["problem"]:
            say("    " + row["problem"].replace("\n", "\n    "))
    if not rows:
        say("no installed package extends tfm-harness; docs/extending.md shows how to write one")
    return 4 if wrong else 0


def _rows(point: str, *, built_in: bool) -> list[dict[str, Any]]:
    own = POINTS[point].built_in
    if point == "suites":
        from tfm_harness.bundled import bundled

        own = tuple(sorted(path.parent.name for path in bundled("suites").glob("*/README.md")))
    group = POINTS[point].group
    rows: list[dict[str, Any]] = []
    if built_in:
        rows += [
            {"point": point, "group": group, "name": name, "value": "", "distribution": "", "problem": ""}
            for name in own
        ]
    for extension in installed(point):
        problem = problem_of(extension, own)
        rows.append(
            {
                "point": point,
                "group": group,
                "name": extension.name,
                "value": extension.value,
                "distribution": extension.distribution,
                "problem": str(problem or ""),
            }
        )
    return rows
