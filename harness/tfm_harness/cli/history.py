"""``tfm-harness history import|show|prune``: what many nights say together."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.errors import ConfigError, HarnessError

if TYPE_CHECKING:
    from tfm_harness.history.classify import Classified
    from tfm_harness.history.memory import Memory, StoredRun

__all__ = ["add_bisect", "add_parser", "bisect", "run"]

EPILOG = """\
The memory lies beside the latency baselines: SQLite in the state folder, or what --store or TFM_HARNESS_BASELINE names
(a path, or postgresql://user@host/database). A run is taken in once; a second import changes nothing.

examples:
  tfm-harness history import runs/*
  tfm-harness history show                                  the newest run beside those before
  tfm-harness history show --format markdown >> "$GITHUB_STEP_SUMMARY"
  tfm-harness history show --issues known.yaml --nights 30
  tfm-harness history prune --keep-days 365
"""
_QUIET = frozenset({"passed"})


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``history`` and ``bisect``."""
    parser = subparsers.add_parser(
        "history",
        help="the memory of runs: what is new, what is flaky, what the bench failed at",
        description="What many nights say together.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    take = actions.add_parser("import", help="take runs in", description="Take runs in; what is there already is left.")
    take.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run.json, or a run's folder")
    take.set_defaults(action=_import)
    show = actions.add_parser(
        "show", help="the newest run beside those before", description="Classify a run's outcomes."
    )
    show.add_argument("--run", metavar="NAME", dest="shown_run", help="another run than the newest")
    show.add_argument("--nights", metavar="N", type=int, default=20, help="how many runs before it count (default: 20)")
    show.add_argument("--issues", metavar="FILE", type=Path, help="known issues (YAML)")
    show.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    show.add_argument("--all", action="store_true", help="list what passed as well")
    show.set_defaults(action=_show)
    prune = actions.add_parser("prune", help="forget old runs", description="Forget old runs; baselines stay.")
    prune.add_argument("--keep-days", metavar="N", type=int, required=True, help="days that are kept")
    prune.set_defaults(action=_prune)
    for one in (take, show, prune):
        one.add_argument("--store", metavar="URL|PATH", help="another store")
        one.add_argument("--state-dir", metavar="DIR", type=Path, help="the state folder that the runs were given")
    parser.set_defaults(run=run)
    add_bisect(subparsers)


def add_bisect(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``bisect``."""
    parser = subparsers.add_parser(
        "bisect",
        help="a run's exit code for `git bisect run`: 0 good, 1 bad, 125 cannot say",
        description="Turn a run's record into what `git bisect run` wants: 0 when the tests passed, 1 when the product"
        " failed, 125 when the bench could not say.",
    )
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="run.json, or a run's folder")
    parser.add_argument("--test", metavar="PATTERN", default="*", help="only tests like this (default: all)")
    parser.set_defaults(run=bisect)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status.

    Raises:
        ConfigError: no such run, a damaged record, a wrong file of issues.
        InfrastructureError: the store cannot be used.
    """
    from tfm_harness.history import default_url
    from tfm_harness.history.memory import Memory

    with Memory(args.store or default_url(args.state_dir)) as memory:
        status: int = args.action(args, memory)
        return status


def bisect(args: argparse.Namespace) -> int:
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


def _import(args: argparse.Namespace, memory: Memory) -> int:
    taken = known = 0
    for path in args.runs:
        if memory.import_run(path):
            taken += 1
        else:
            known += 1
    sys.stdout.write(f"{taken} taken in, {known} known already; {memory.shown}\n")
    return 0


def _prune(args: argparse.Namespace, memory: Memory) -> int:
    if args.keep_days < 1:
        raise ConfigError("one day at least is kept", kind="usage", seen=str(args.keep_days))
    gone = memory.prune(dt.datetime.now(dt.UTC) - dt.timedelta(days=args.keep_days))
    sys.stdout.write(f"{gone} runs forgotten\n")
    return 0


def _show(args: argparse.Namespace, memory: Memory) -> int:
    from tfm_harness.history.classify import classify
    from tfm_harness.history.issues import load_issues

    issues = load_issues(args.issues) if args.issues is not None else ()
    runs = memory.remembered()
    shown = _chosen(runs, args.shown_run, memory)
    before = [one for one in runs if one.started <= shown.started and one.id != shown.id][-max(1, args.nights) :]
    outcomes = memory.outcomes([*(one.id for one in before), shown.id])
    found = classify(outcomes, shown.name, issues=issues, today=shown.started.date())
    if args.format == "json":
        sys.stdout.write(_json(shown, found))
    else:
        sys.stdout.write(_words(shown, found, len(before), markdown=args.format == "markdown", everything=args.all))
    return 0


def _chosen(runs: Sequence[StoredRun], name: str | None, memory: Memory) -> StoredRun:
    named = [one for one in runs if name in {None, one.name}]
    if not named:
        known = ", ".join(one.name for one in runs[-5:])
        raise ConfigError(
            "no such run is remembered", kind="history-run", expected=f"one of: {known}" if known else "any run",
            seen=name or "none", where=memory.shown, hint="take runs in: tfm-harness history import RUN",
        )  # fmt: skip
    return named[-1]


def _words(shown: StoredRun, found: Sequence[Classified], before: int, *, markdown: bool, everything: bool) -> str:
    from collections import Counter

    from tfm_harness.safe_text import safe

    counts = Counter(one.kind for one in found)
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no outcome"
    lines = [f"# {shown.name}: {summary}" if markdown else f"{shown.name}: {summary}"]
    lines += ["", f"{shown.headline or shown.verdict}; beside {before} runs before it"]
    for kind in counts:
        if kind in _QUIET and not everything:
            continue
        lines += ["", f"## {kind}" if markdown else f"{kind}:"]
        for one in found:
            if one.kind == kind:
                text = safe(_line(one))
                lines.append(f"- {text.replace('<', '&lt;')}" if markdown else f"  {text}")
    return "\n".join(lines) + "\n"


def _line(one: Classified) -> str:
    parts = [one.newest.test]
    if one.first_bad is not None:
        firmware = f" with {one.first_bad.identity}" if one.first_bad.identity else ""
        parts.append(f"since {one.first_bad.run}{firmware}")
    if one.last_good is not None:
        parts.append(f"last good in {one.last_good.run}")
    if one.rate is not None and one.kind == "flaky":
        share, low, high = one.rate
        parts.append(f"fails in {share:.0%} ({low:.0%} to {high:.0%})")
    if len(one.boards) > 1 and one.kind != "passed":
        parts.append(", ".join(f"{board}: {outcome}" for board, outcome in one.boards))
    if one.ticket:
        parts.append(one.ticket)
    if one.kind == "infrastructure":
        parts.append(f"{one.newest.kind} on {one.newest.board or 'no board'}")
    return "; ".join(parts)


def _json(shown: StoredRun, found: Sequence[Classified]) -> str:
    plain = {
        "schema": "tfm-harness/history/1",
        "run": shown.name,
        "started": shown.started.isoformat(),
        "tests": [
            {
                "test": one.newest.test, "combination": one.newest.combination, "class": one.kind,
                "outcome": one.newest.outcome, "boards": dict(one.boards), "ticket": one.ticket,
                "first_bad": {"run": one.first_bad.run, "firmware": one.first_bad.identity} if one.first_bad else None,
                "last_good": one.last_good.run if one.last_good else None,
                "rate": list(one.rate) if one.rate else None,
            }
            for one in found
        ],
    }  # fmt: skip
    return json.dumps(plain, indent=1) + "\n"
