"""``tfm-harness coverage``: which requirement each suite would prove for a build, and which are not covered."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from tfm_harness.cli.output import say, write
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from tfm_harness.boards.base import Board
    from tfm_harness.config.build import Build
    from tfm_harness.config.target import TargetBase
    from tfm_harness.coverage.suites import Coverage

__all__ = ["add_parser", "build_features", "run"]

_EPILOG = """\
Nothing is run and no board is touched. A requirement would be proven when at least one test that checks it finds the
features it needs; without --target, what only a target can offer (stimulus, resets, ...) counts as there.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "coverage",
        help="which requirement each suite would prove for a build, and which are not covered",
        description="Say which requirement each suite would prove for a build, and which are not covered.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="suites by name (default: all)")
    parser.add_argument("--build", required=True, metavar="NAME", help="name or path of a build")
    parser.add_argument("--target", metavar="NAME", help="name or path of a target")
    parser.add_argument("--missing", action="store_true", help="only what is not covered")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the coverage; returns the exit status.

    Raises:
        ConfigError: unknown suite, build or target.
    """
    from tfm_harness.cli.run import suite_paths
    from tfm_harness.config.loading import check_combination, load_build, load_target
    from tfm_harness.coverage.suites import cover, read_suite
    from tfm_harness.verify.catalogue import ALL

    build = load_build(args.build, require_files=False)
    target = load_target(args.target) if args.target else None
    if target is not None:
        check_combination(target, build)
    suites = [read_suite(path) for path in suite_paths(args.suites)]
    names = [] if args.suites else [check.id for check in ALL]
    coverage = cover(suites, build_features(build, target), names)
    on = f"target {target.name}" if target else "any target"
    if args.json:
        say(safe_json(_as_json(coverage, build.name, target.name if target else None), indent=2))
    else:
        write(_as_text(coverage, f"build {build.name} (protocol {build.protocol}) on {on}", args.missing))
    return 0


def build_features(build: Build, target: TargetBase | None) -> frozenset[str]:
    """What firmware, build and target offer, as far as their descriptions tell."""
    from tfm_harness.bench.capabilities import BOARD_WORDS, build_capabilities
    from tfm_harness.protocol.base import Feature

    features: set[str] = set()
    if build.protocol != "none":
        from tfm_harness.protocol.clients import client_class

        features |= {str(feature) for feature in client_class(build.protocol).features}
    features |= build_capabilities(build, target)
    if target is None:
        return frozenset(features.union(BOARD_WORDS, ("memory-map", "services")))
    board = _board(target)
    features |= board.capabilities
    if not board.resets:
        features.discard(str(Feature.RESET))  # this board cannot be reset from here, even where the firmware could
    if target.sensors:
        features.add("stimulus")
    else:
        features.discard(str(Feature.SENSOR))
    return frozenset(features)


def _board(target: TargetBase) -> Board:
    """A board of the target that is never acquired: it is only asked what it offers."""
    import tempfile
    from pathlib import Path

    from tfm_harness.boards.base import RunContext
    from tfm_harness.boards.registry import make_board

    with tempfile.TemporaryDirectory(prefix="tfm-harness-") as folder:
        return make_board(target, RunContext(Path(folder), Path(folder)))


def _as_json(coverage: Coverage, build: str, target: str | None) -> dict[str, object]:
    return {
        "schema": 1,
        "build": build,
        "target": target,
        "features": sorted(coverage.features),
        "requirements": [
            {
                "suite": row.suite,
                "checks": list(row.checks),
                "proves": row.proves,
                "requirement": row.requirement,
                "covered": row.covered,
                "tests": row.tests,
                "missing": list(row.missing),
            }
            for row in coverage.rows
        ],
        "checks_of_no_suite": list(coverage.unclaimed),
    }


def _as_text(coverage: Coverage, what: str, missing_only: bool) -> str:
    out = [f"coverage of {what}"]
    suite = ""
    for row in coverage.rows:
        if missing_only and row.covered:
            continue
        if row.suite != suite:
            suite = row.suite
            out += ["", suite]
        state = f"would prove ({row.tests} test{'s' if row.tests > 1 else ''})" if row.covered else "NOT COVERED"
        asked = f"  [{row.requirement}]" if row.requirement not in {"-", ""} else ""
        out.append(f"  {state:<23} {row.proves}{asked}")
        if row.missing:
            out.append(f"  {'':<18}   needs {', '.join(row.missing)}")
    covered = sum(row.covered for row in coverage.rows)
    out += [
        "",
        f"{covered} of {len(coverage.rows)} requirements would be proven, {len(coverage.rows) - covered} not covered",
    ]
    if coverage.unclaimed:
        out += ["", f"checks that no suite's table names ({len(coverage.unclaimed)}):"]
        out += textwrap.wrap(", ".join(coverage.unclaimed), 116, initial_indent="  ", subsequent_indent="  ",
                             break_on_hyphens=False)  # fmt: skip
    return "\n".join(out) + "\n"
