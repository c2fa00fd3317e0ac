"""``tfm-harness export``: a run's record in other systems' formats."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from tfm_harness.cli.output import write, write_exactly

__all__ = ["add_parser", "run"]

NAMES = ("squad", "lava", "kcidb", "github", "junit", "prometheus", "csv")
EPILOG = """\
squad       a folder for each target with build: tests.json, metrics.json, metadata.json (needs --output DIR)
lava        signals of lava-test-shell
kcidb       KCIDB 5.3 JSON; nothing is uploaded
github      annotations; the Markdown goes to --output, else to $GITHUB_STEP_SUMMARY, else to standard output too
junit       JUnit XML for GitLab, Jenkins and GitHub's viewers, with earlier tries
prometheus  text format, for a textfile collector
csv         a row for each test

examples:
  tfm-harness export runs/night --format junit --output junit.xml
  tfm-harness export runs/night --format squad --output squad/
  tfm-harness export runs/night --format github
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "export",
        help="a run for SQUAD, LAVA, KCIDB, GitHub, JUnit viewers, Prometheus or a spreadsheet",
        description="Write a run's record in another system's format.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="run.json, or a run's folder")
    parser.add_argument("--format", choices=NAMES, required=True, help="which format")
    parser.add_argument(
        "--output", metavar="PATH", type=Path, help="a file, or the folder of squad; default: standard output"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write it.

    Raises:
        ConfigError: kind ``run-file``; kind ``bad-option``: squad without a folder.
        InfrastructureError: kind ``report-write``.
    """
    from tfm_harness.errors import ConfigError
    from tfm_harness.report.exports import FORMATS
    from tfm_harness.report.storage import load_run, write_text

    files = FORMATS[args.format](load_run(args.run_dir))
    if args.format == "squad":
        if args.output is None:
            raise ConfigError("SQUAD's files need a folder", kind="bad-option", expected="--output DIR", seen="none")
        for name, text in files.items():
            write_text(args.output / name, text)
        write(f"{len(files)} files in {args.output}\n")
    elif args.format == "github":
        _github(files, args.output)
    elif args.output is not None:
        write_text(args.output, *files.values())
    else:
        write_exactly("".join(files.values()))
    return 0


def _github(files: Mapping[str, str], output: Path | None) -> None:
    from tfm_harness.errors import InfrastructureError
    from tfm_harness.report.storage import write_text

    write_exactly(files["annotations.txt"])
    step = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if output is not None:
        write_text(output, files["summary.md"])
    elif step:
        try:
            with Path(step).open("a", encoding="utf-8") as summary:
                summary.write(files["summary.md"])
        except OSError as error:
            raise InfrastructureError(
                "the step's summary cannot be written", kind="report-write", seen=str(error), where=step
            ) from error
    else:
        write_exactly(files["summary.md"])
