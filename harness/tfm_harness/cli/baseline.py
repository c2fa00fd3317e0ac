"""``tfm-harness baseline show|accept|export``."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tfm_harness.cli.output import say, warn
from tfm_harness.errors import ConfigError
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from tfm_harness.history import BaselineStore
    from tfm_harness.latency.series import Series

__all__ = ["add_parser", "run"]

_EPILOG = """The store is SQLite in the state folder (--state-dir, TFM_HARNESS_STATE_DIR, or the user's own), or what
--store or TFM_HARNESS_STORE names: a path, or postgresql://user@host/database.

examples:
  tfm-harness baseline show
  tfm-harness baseline accept --reason "first night"                      the latest stored run
  tfm-harness baseline accept 2026-11-23_02-00-00 --reason "release 1.4"
  tfm-harness baseline accept runs/2026-11-23_02-00-00/run.json --reason "first night"
  tfm-harness baseline export --format csv > series.csv
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "baseline",
        help="show, accept or export latency baselines",
        description="The latency series of earlier runs, and which of them are accepted baselines.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    show = actions.add_parser("show", help="accepted baselines and stored runs")
    show.add_argument("--json", action="store_true", help="print as JSON")
    accept = actions.add_parser("accept", help="make a run's series the baselines of what they measure")
    accept.add_argument(
        "accepted_run",
        metavar="RUN",
        nargs="?",
        help="a stored run's name, a run.json, or a run's folder (default: the latest stored run)",
    )
    accept.add_argument("--reason", default="accepted by hand", help="why; kept with the baseline")
    accept.add_argument("--name", metavar="MODEL", help="only this series")
    export = actions.add_parser("export", help="print raw series")
    export.add_argument("--format", choices=("json", "csv"), default="json")
    export.add_argument("--run", dest="exported_run", metavar="RUN", help="only this run (default: accepted baselines)")
    export.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    for action in (show, accept, export):
        action.add_argument("--store", metavar="URL|PATH", help="another store")
        action.add_argument("--state-dir", metavar="DIR", type=Path, help="the state folder that the runs were given")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tfm_harness.history import BaselineStore, default_url

    with BaselineStore(args.store or default_url(args.state_dir)) as store:
        if args.action == "show":
            return _show(store, as_json=args.json)
        if args.action == "accept":
            return _accept(store, args)
        return _export(store, args)


def _show(store: BaselineStore, *, as_json: bool) -> int:
    baselines, runs = store.baselines(), store.runs()
    if as_json:
        say(
            safe_json(
                {
                    "store": store.shown,
                    "baselines": [
                        {
                            "run": b.run,
                            "accepted": b.accepted.isoformat(),
                            "reason": b.reason,
                            "series": b.series.as_dict(),
                        }
                        for b in baselines
                    ],
                    "runs": [{"run": name, "taken": taken.isoformat(), "series": n} for name, taken, n in runs],
                }
            )
        )
        return 0
    lines = [f"store {store.shown}"]
    if not baselines:
        lines.append("no accepted baseline; `tfm-harness baseline accept RUN --reason TEXT` makes one")
    for b in baselines:
        lines.append(f"{b.series.board}  {b.series.name}  {_words(b.series)}")
        lines.append(f"    run {b.run}, accepted {b.accepted:%Y-%m-%d}: {b.reason}")
    lines.append(f"{len(runs)} stored runs" + (", the last ones:" if runs else ""))
    lines += [f"    {name}  {taken:%Y-%m-%d %H:%M}  {count} series" for name, taken, count in runs[-10:]]
    say("\n".join(lines))
    return 0


def _words(series: Series) -> str:
    from tfm_harness.latency.statistics import summarise

    if not series.ticks:
        return "no values"
    found = summarise(series.values)
    return (
        f"median {found.median:,.10g} ticks ({series.clock.seconds(found.median) * 1e3:.4g} ms), "
        f"p99 {found.p99:,.10g}, n {found.n}; {series.clock.source}: {series.clock.quality.value}"
    )


def _accept(store: BaselineStore, args: argparse.Namespace) -> int:
    name = args.accepted_run
    if name is None:
        runs = store.runs()
        if not runs:
            raise ConfigError(
                "the store holds no run to accept",
                kind="baseline-run",
                where=store.shown,
                hint="a run of the latency suite on a clock that repeats stores one; or name a run's folder",
            )
        name = runs[-1][0]
        say(f"run {name}")
    elif Path(name).exists():
        name = _take(store, Path(name))
    for series in store.accept(name, reason=args.reason, name=args.name):
        say(f"accepted {series.board}  {series.name}  {_words(series)}")
    return 0


def _take(store: BaselineStore, path: Path) -> str:
    """Store the series of a run.json under the run's name."""
    from tfm_harness.report.storage import load_run

    record = load_run(path)
    stored = {run: store.series_of(run) for run, _, _ in store.runs() if run.partition("@")[0] == record.name}
    if not record.latency:
        raise ConfigError("the run has no latency series", kind="baseline-run", where=str(path))
    found = [entry.series for entry in record.latency]
    for run, held in stored.items():
        if all(series in held for series in found):
            return run  # the run itself has stored them
    for series in found:
        store.add(record.name, series)
    return record.name


def _export(store: BaselineStore, args: argparse.Namespace) -> int:
    if args.exported_run:
        found = [(args.exported_run, series) for series in store.series_of(args.exported_run)]
        if not found:
            raise ConfigError(f"no series of run {args.exported_run!r}", kind="baseline-run", where=store.shown)
    else:
        found = [(b.run, b.series) for b in store.baselines()]
    if not found:
        warn(f"no accepted baseline in {store.shown}: the export is empty; `tfm-harness baseline accept RUN` makes one")
    if args.output is None:
        _write(sys.stdout, found, args.format)
        return 0
    from tfm_harness.report.storage import write_text

    text = io.StringIO()
    _write(text, found, args.format)
    write_text(args.output, text.getvalue())
    return 0


def _write(out: TextIO, found: list[tuple[str, Series]], form: str) -> None:
    if form == "json":
        out.write(safe_json([{"run": run_name, **series.as_dict()} for run_name, series in found]) + "\n")
        return
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "board", "name", "clock", "hz", "quality", "number", "ticks", "ticks_less_empty"])
    for run_name, series in found:
        clock = series.clock
        for number, (raw, value) in enumerate(zip(series.ticks, series.values, strict=True)):
            writer.writerow(
                [run_name, series.board, series.name, clock.source, clock.hz, clock.quality.value, number, raw, value]
            )
