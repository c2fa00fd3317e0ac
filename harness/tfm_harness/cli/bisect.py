"""``tfm-harness bisect``: a run's exit code for ``git bisect run``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tfm_harness.errors import HarnessError

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "bisect",
        help="a run's exit code for `git bisect run`: 0 good, 1 bad, 125 cannot say",
        description="Turn a run's record into what `git bisect run` wants: 0 when the tests passed, 1 when the product"
        " failed, 125 when the bench could not say.",
    )
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="run.json, or a run's folder")
    parser.add_argument("--test", metavar="PATTERN", default="*", help="only tests like this (default: all)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0, 1 or 125."""
    from fnmatch import fnmatchcase

    from tfm_harness.report.storage import load_run

    try:
        record = load_run(args.run_dir)
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return 125
    chosen = [test for test in record.tests if fnmatchcase(test.nodeid, args.test)]
    failed = [test for test in chosen if test.outcome == "failed"]
    unsure = [test for test in chosen if test.outcome in {"error", "blocked", "not run"}]
    if failed:
        sys.stdout.write(f"bad: {len(failed)} of {len(chosen)} tests failed, {failed[0].nodeid} first\n")
        return 1
    if unsure or not any(test.outcome == "passed" for test in chosen):
        why = f"{len(unsure)} of {len(chosen)} tests could not be judged" if unsure else "no such test passed"
        sys.stdout.write(f"cannot say: {why}\n")
        return 125
    sys.stdout.write(f"good: {len(chosen)} tests, none failed\n")
    return 0
