"""``tfm-harness history``: the store of all runs."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.history_show import add_options, show
from tfm_harness.cli.output import say, warn, write
from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.files import resolved
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from tfm_harness.history.database import Database
    from tfm_harness.report.record import RunRecord

__all__ = ["add_parser", "add_store_options", "open_store", "run"]

_EPILOG = """The store is SQLite in the state folder (--state-dir, TFM_HARNESS_STATE_DIR, or the user's own), or what
--store or TFM_HARNESS_STORE names: a path, or postgresql://user@host/database.

examples:
  tfm-harness run --target qemu-an547 --build reference --store farm.sqlite   a run that remembers
  tfm-harness history import runs/* --store farm.sqlite                       runs of before; none twice
  tfm-harness history show                                  compare the newest night with earlier ones
  tfm-harness history show --format markdown >> "$GITHUB_STEP_SUMMARY"
  tfm-harness history show --issues known.yaml --nights 30
  tfm-harness history summary --since 2026-11-21 --link https://farm.example.org >> "$GITHUB_STEP_SUMMARY"
  tfm-harness history runs
  tfm-harness history export-site public/                   the dashboard's pages as files
  tfm-harness history prune --keep-nights 365
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "history",
        help="the store of all runs: what is new, what is flaky, what failed because of the bench",
        description="The store of all runs: outcomes, findings, firmware, boards, figures.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    imported = actions.add_parser("import", help="add the records of runs, each once")
    imported.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or its run.json")
    imported.add_argument(
        "--night", default="", metavar="NAME", help="the night they belong to (default: their date's)"
    )
    imported.set_defaults(act=_import)
    shown = actions.add_parser("show", help="compare the newest night with earlier ones")
    add_options(shown)
    shown.set_defaults(act=show)
    listed = actions.add_parser("runs", help="the last nights and their runs")
    listed.add_argument("--nights", type=_count, default=7, metavar="N", help="how many nights (default: 7)")
    listed.add_argument("--json", action="store_true", help="print as JSON")
    listed.set_defaults(act=_runs)
    mail = actions.add_parser(
        "summary", help="Markdown, short enough for a mail: the newest night, and what is new since a day"
    )
    mail.add_argument("--since", type=_date, metavar="DATE", help="default: seven days before the newest night")
    mail.add_argument("--issues", metavar="FILE", type=Path, help="known issues (YAML)")
    mail.add_argument("--link", default="", metavar="URL", help="address of the pages, for links to the evidence")
    mail.set_defaults(act=_summary)
    site = actions.add_parser("export-site", help="write the pages of `tfm-harness dashboard` as files")
    site.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder, or one that was written before")
    site.add_argument("--nights", type=_count, default=14, metavar="N", help="nights that have pages (default: 14)")
    site.add_argument(
        "--no-files", action="store_true", help="leave the runs' own files (page, record, transcripts) out"
    )
    site.set_defaults(act=_site)
    pruned = actions.add_parser("prune", help="remove old runs; accepted baselines stay")
    which = pruned.add_mutually_exclusive_group(required=True)
    which.add_argument("--keep-nights", type=_count, metavar="N", help="keep this many newest nights")
    which.add_argument("--keep-days", type=_days, dest="before", metavar="N", help="keep the runs of the last N days")
    which.add_argument("--before", type=_date, metavar="DATE", help="remove runs that began before this day (UTC)")
    pruned.add_argument("--dry-run", action="store_true", help="only say what would go")
    pruned.set_defaults(act=_prune)
    for action in (imported, shown, listed, mail, site, pruned):
        add_store_options(action)
    parser.set_defaults(run=run)


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """``--store`` and ``--state-dir``."""
    parser.add_argument("--store", metavar="URL|PATH", help="another store")
    parser.add_argument("--state-dir", metavar="DIR", type=Path, help="the state folder that the runs were given")


def open_store(args: argparse.Namespace) -> Database:
    """The store that the options name.

    Raises:
        ConfigError: kind ``store-url``.
        InfrastructureError: kind ``store-failed``.
    """
    from tfm_harness.history.database import Database, default_url

    return Database(args.store or default_url(args.state_dir))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) < 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of nights or days")
    return int(text)


def _days(text: str) -> dt.datetime:
    days = _count(text)
    now = dt.datetime.now(dt.UTC)
    return now - dt.timedelta(days=min(days, (now - dt.datetime.min.replace(tzinfo=dt.UTC)).days))


def _date(text: str) -> dt.datetime:
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2026-11-28") from error


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    with open_store(args) as database:
        code: int = args.act(database, args)
    return code


def _import(database: Database, args: argparse.Namespace) -> int:
    from tfm_harness.history.keep import keep_runs
    from tfm_harness.report.storage import load_run

    paths = list(dict.fromkeys(args.runs))
    wrong: list[HarnessError] = []

    def records() -> Iterator[tuple[RunRecord, str]]:
        for path in paths:
            try:
                record = load_run(path)
            except HarnessError as error:
                wrong.append(error)
                warn(error)
            else:
                yield record, str(resolved(path if path.is_dir() else path.parent))

    new = 0
    for kept in keep_runs(database, records(), night=args.night):
        new += kept.new
        if kept.new:
            say(f"{kept.name}: night {kept.night}")
    already = len(paths) - new - len(wrong)
    words = [f"{new} imported", *([f"{already} already there"] if already else [])]
    words += [f"{len(wrong)} refused"] if wrong else []
    say(f"{', '.join(words)}; store {database.shown}")
    return 4 if wrong else 0


def _runs(database: Database, args: argparse.Namespace) -> int:
    from tfm_harness.history.queries import Memory

    memory = Memory(database)
    nights = memory.nights(limit=args.nights)
    if args.json:
        rows = [
            {
                "night": night.name,
                "runs": [
                    {"run": r.name, "started": r.started and r.started.isoformat(), "verdict": r.verdict,
                     "headline": r.headline, "folder": r.folder}
                    for r in memory.runs(night=night.name)
                ],
            }
            for night in nights
        ]  # fmt: skip
        say(safe_json({"store": database.shown, "nights": rows}))
        return 0
    lines: list[str] = [f"store {database.shown}"]
    for night in nights:
        lines.append(f"{night.name}  {_verdicts(night.verdicts)}")
        lines += [f"    {r.name}  {r.headline or r.verdict}" for r in memory.runs(night=night.name)]
    if not nights:
        lines.append("no run; `tfm-harness history import runs/*` adds earlier ones, --store on `run` the next ones")
    say("\n".join(lines))
    return 0


def _verdicts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counted.items()))


def _summary(database: Database, args: argparse.Namespace) -> int:
    from tfm_harness.history.issues import load_issues
    from tfm_harness.history.summary import summary

    if args.link and not re.fullmatch(r"https?://[^\s<>()\[\]\"']+", args.link):
        raise ConfigError("--link takes the pages' address", kind="bad-option", expected="https://...", seen=args.link)
    issues = load_issues(args.issues) if args.issues is not None else ()
    write(summary(database, args.since, issues=issues, link=args.link))
    return 0


def _site(database: Database, args: argparse.Namespace) -> int:
    from tfm_harness.history.pages import Site

    count = Site(database).write(args.folder, nights=args.nights, files=not args.no_files)
    say(f"{count} pages; open {args.folder / 'index.html'}")
    return 0


def _prune(database: Database, args: argparse.Namespace) -> int:
    from tfm_harness.history.prune import prune

    gone = prune(database, keep_nights=args.keep_nights, before=args.before, dry_run=args.dry_run)
    would = "would go" if args.dry_run else "removed"
    say(f"{gone.runs} runs of {gone.nights} nights {would}; store {database.shown}")
    return 0
