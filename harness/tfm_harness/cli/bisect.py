"""``tfm-harness bisect``: a run's exit code for ``git bisect run``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from tfm_harness.cli.output import warn, write
from tfm_harness.errors import HarnessError, InfrastructureError

__all__ = ["add_parser", "run"]

_GIT_SECONDS: Final = 60.0
"""Limit for what git only reads."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "bisect",
        help="a run's exit code for `git bisect run`: 0 good, 1 bad, 125 cannot say",
        description="Turn a run's record into what `git bisect run` wants: 0 when the tests passed, 1 when the product"
        " failed, 125 when the bench could not say, or when nothing ran since `git bisect` checked the commit out.",
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
        warn(error)
        return 125
    if _is_of_another_commit(args.run_dir):
        write("cannot say: this record was there before git checked the commit out; nothing ran since\n")
        return 125
    chosen = [test for test in record.tests if fnmatchcase(test.nodeid, args.test)]
    failed = [test for test in chosen if test.outcome == "failed"]
    unsure = [test for test in chosen if test.outcome in {"error", "blocked", "not run"}]
    if failed:
        write(f"bad: {len(failed)} of {len(chosen)} tests failed, {failed[0].nodeid} first\n")
        return 1
    if record.verdict in {"harness", "interrupted"}:
        write(f"cannot say: the run's verdict is {record.verdict}\n")
        return 125
    if unsure or not any(test.outcome == "passed" for test in chosen):
        why = f"{len(unsure)} of {len(chosen)} tests could not be judged" if unsure else "no such test passed"
        write(f"cannot say: {why}\n")
        return 125
    write(f"good: {len(chosen)} tests, none failed\n")
    return 0


def _is_of_another_commit(run_dir: Path) -> bool:
    """Whether `git bisect` has checked out another commit since the record was written.

    A firmware that cannot be built, or a run that is refused, leaves the record of the commit before.
    """
    from tfm_harness.boards.tools import run_tool

    words = ["git", "rev-parse", "--git-path", "BISECT_LOG", "--git-path", "HEAD"]
    try:
        log, head = run_tool(words, _GIT_SECONDS).out.splitlines()
        record = run_dir / "run.json" if run_dir.is_dir() else run_dir
        return Path(log).is_file() and record.stat().st_mtime_ns < Path(head).stat().st_mtime_ns
    except (OSError, ValueError, InfrastructureError):
        return False  # no git, or no repository: then nothing is bisected here
