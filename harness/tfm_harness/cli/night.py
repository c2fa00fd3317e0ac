"""``tfm-harness night``: a farm's whole night in one command."""

from __future__ import annotations

import argparse
import datetime as dt
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import write
from tfm_harness.errors import ConfigError
from tfm_harness.files import resolved

if TYPE_CHECKING:
    from tfm_harness.config.farm import Farm
    from tfm_harness.farm.book import Book
    from tfm_harness.farm.engines.base import Engine
    from tfm_harness.farm.load import OpenedFarm
    from tfm_harness.farm.night import Night

__all__ = ["add_parser", "run"]

EPILOG = """\
The farm file is validated whole, with everything that it names, before anything runs. Each board must pass with a build
that is known to be good before a build under test comes onto it. What the bench failed at is tried again on another
board; what the product failed at runs once more on another board; all tries are shown. docs/nights.md has the file.

exit codes: as those of `run`; 0 only when everything that was planned ran and nothing failed

examples:
  tfm-harness night farm.yaml --plan       what would run where, and how long it should take
  tfm-harness night farm.yaml
  tfm-harness night farm.yaml --resume     go on with the newest night of this farm, nothing twice
  tfm-harness night farm.yaml --engine tls://scheduler:8786      on bench hosts, by way of Dask
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "night",
        help="run builds on a farm of boards: the bench is proved first",
        description="Run every build of a farm file on its boards; the bench is proved first.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("farm", type=Path, help="the farm file (YAML)")
    parser.add_argument("--plan", action="store_true", help="print what would run where and how long, and end")
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="NIGHT",
        help="go on with an interrupted night: its folder, or its name; default: the newest",
    )  # fmt: skip
    parser.add_argument("--store", metavar="URL|PATH", help="another store than the farm file names")
    parser.add_argument("--no-store", action="store_true", help="keep no record of this night, and use no earlier one")
    parser.add_argument(
        "--engine", metavar="tls://HOST:PORT", help="another Dask scheduler than the farm file's `engine` names"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status.

    Raises:
        ConfigError: the farm file or what it names is wrong; no night to go on with.
        InfrastructureError: the store or the folder of results cannot be used.
    """
    from tfm_harness.cli.run import suites
    from tfm_harness.config.farm import load_farm
    from tfm_harness.farm.load import open_farm
    from tfm_harness.farm.resume import digest_of
    from tfm_harness.plugin.run_files import build_files

    farm = _with_engine(load_farm(args.farm), args.engine)
    opened = open_farm(farm, suites(), digests=build_files)
    book = _book(args, farm)
    try:
        if args.plan:
            return _plan(opened, book)
        return _night(args, opened, book, digest_of(args.farm))
    finally:
        book.close()


def _with_engine(farm: Farm, scheduler: str | None) -> Farm:
    """The farm with the scheduler of the command line; the certificates are the farm file's.

    Raises:
        ConfigError: kind ``engine-certificate``: the farm file names none; ``bad-argument``: no such address.
    """
    if scheduler is None:
        return farm
    if farm.engine is None:
        raise ConfigError(
            "--engine needs certificates", kind="engine-certificate",
            expected="engine: {scheduler, ca, certificate, key} in the farm file", where=str(farm.name),
        )  # fmt: skip
    from tfm_harness.config.farm import SCHEDULER

    if re.fullmatch(SCHEDULER, scheduler) is None:
        raise ConfigError("this is no scheduler's address", kind="bad-argument", expected="tls://HOST:PORT",
                          seen=scheduler)  # fmt: skip
    return farm.model_copy(update={"engine": farm.engine.model_copy(update={"scheduler": scheduler})})


def _book(args: argparse.Namespace, farm: Farm) -> Book:
    if args.no_store:
        from tfm_harness.farm.book import NoBook

        return NoBook()
    from tfm_harness.farm.store_book import StoreBook

    return StoreBook(_store_url(args, farm))


def _store_url(args: argparse.Namespace, farm: Farm) -> str:
    from tfm_harness.history import default_url

    url: str = args.store or farm.store or ""
    if not url:
        return default_url(farm.state_dir)
    if "://" in url:
        return url
    base = (
        Path.cwd() if args.store or farm.document is None or farm.document.path is None else farm.document.path.parent
    )
    return str(resolved(base / url))


def _new(opened: OpenedFarm, book: Book) -> Night:
    from tfm_harness.farm.load import make_plan
    from tfm_harness.farm.night import Night

    times = book.times(opened.pools)
    boards = [board for pool in opened.pools for board in pool.boards]
    name = dt.datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    return Night(make_plan(opened, times), book.health(boards), times, name=name, began=time.time())


def _plan(opened: OpenedFarm, book: Book) -> int:
    from tfm_harness.farm.simulate import simulate
    from tfm_harness.farm.words import plan_words

    write(plan_words(_new(opened, book), simulate(_new(opened, book))))
    return 0


def _night(args: argparse.Namespace, opened: OpenedFarm, book: Book, digest: str) -> int:
    from tfm_harness.farm.journal import Journal
    from tfm_harness.farm.junit import write_junit
    from tfm_harness.farm.runner import EndSignals, run_night
    from tfm_harness.farm.storage import save_night
    from tfm_harness.farm.verdict import EXIT_CODES, make_record
    from tfm_harness.farm.words import counted, summary_words

    farm = opened.farm
    began = time.monotonic()
    engine = _engine(opened, book)
    try:
        if args.resume is None:
            night, folder, before, resumed = *_begin(opened, book, digest), 0.0, 0
        else:
            night, folder, before, resumed = _go_on(args, opened, book, digest)
    except BaseException:
        engine.close()
        raise
    say = _Teller()
    waiting = f"{counted(len(night.waiting), 'session')} on {counted(len(night.boards), 'board')}"
    say(f"night {night.name}: {waiting}; {folder}")
    signals = EndSignals()
    signals.install()
    journal = Journal(folder)
    try:
        book.begin(night, farm.name)
        run_night(
            night, engine, journal, book, folder,
            policy=str(farm.policy or ""), say=say, ended=lambda: signals.name,
        )  # fmt: skip
        record = make_record(
            night, farm=farm.name, farm_sha256=digest, seconds=before + time.monotonic() - began,
            flaky_fails=farm.flaky == "fails", engine=farm.engine.scheduler if farm.engine else "this host",
            resumed=resumed,
        )  # fmt: skip
        save_night(record, folder / "night.json")
        write_junit(night, record, folder / "junit.xml")
        book.end(night, farm.name, record.verdict)
    finally:
        journal.close()
        signals.remove()
    write("\n" + summary_words(record))
    write(f"\nrecord: {folder / 'night.json'}\nJUnit:  {folder / 'junit.xml'}\n")
    if record.ended_early:
        write(f"go on:  tfm-harness night {args.farm} --resume {folder}\n")
    return EXIT_CODES[record.verdict]


def _begin(opened: OpenedFarm, book: Book, digest: str) -> tuple[Night, Path]:
    """A new night with its folder and the first line of its journal."""
    from tfm_harness.errors import InfrastructureError
    from tfm_harness.farm.journal import Header, Journal

    while True:
        night = _new(opened, book)
        folder = resolved(opened.farm.results) / night.name
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:  # another night of this second
            time.sleep(1)
        except OSError as error:
            raise InfrastructureError(
                "the night's folder cannot be made", kind="night-write", seen=str(error), where=str(folder),
                hint="free space, or name another folder as `results`",
            ) from error  # fmt: skip
    journal = Journal(folder)
    health = {name: board.health for name, board in night.boards.items()}
    journal.add(
        Header(name=night.name, farm=digest, began=night.began, plan=night.plan, health=health, times=night.times)
    )
    journal.close()
    return night, folder


def _go_on(args: argparse.Namespace, opened: OpenedFarm, book: Book, digest: str) -> tuple[Night, Path, float, int]:
    """The night as it was, with the seconds and the number of its parts so far."""
    from tfm_harness.farm.journal import Header, Journal, Resumed, parts, read_journal
    from tfm_harness.farm.load import make_plan
    from tfm_harness.farm.resume import newest_night, replay
    from tfm_harness.farm.runner import keep

    results = resolved(opened.farm.results)
    given = Path(args.resume)
    folder = newest_night(results) if not args.resume else resolved(given) if given.is_dir() else results / args.resume
    events = read_journal(folder)
    header = events[0]
    assert isinstance(header, Header)  # noqa: S101 - read_journal has seen to it
    plan = make_plan(opened, header.times)
    if plan.pools != header.plan.pools or plan.builds != header.plan.builds or plan.tasks != header.plan.tasks:
        raise ConfigError(
            f"the night {header.name} was planned otherwise", kind="night-changed",
            expected="the farm file, the targets and the builds as they were when the night began",
            seen=_difference(plan.builds, header.plan.builds, digest), where=str(folder),
            hint="bring them back, or begin a new night: its results would not be about the same firmware",
        )  # fmt: skip
    now = time.time()
    night, found = replay(events, folder, now=now)
    seconds, resumed = parts(events)
    journal = Journal(folder)
    journal.add(Resumed(at=now))
    book.begin(night, opened.farm.name)
    for one in found:
        journal.add(one.result)
        keep(book, night, one.assignment, one.result, folder / one.result.session, header.health[one.result.board])
    journal.close()
    return night, folder, seconds, resumed + 1


def _difference(now: Mapping[str, object], then: Mapping[str, object], digest: str) -> str:
    """Which of them has changed, in words."""
    for name in {**then, **now}:
        if now.get(name) != then.get(name):
            return f"the build {name} has changed"
    return f"the farm file or its targets have changed (the file's SHA-256 is {digest} now)"


def _engine(opened: OpenedFarm, book: Book) -> Engine:
    # Sessions take their latency baselines from the store; the night itself keeps their records in it.
    environment = {"TFM_HARNESS_BASELINE": book.url} if book.url else {}
    farm = opened.farm
    if farm.engine is not None:
        from tfm_harness.farm.engines.dask import DaskEngine

        if book.url.startswith("sqlite"):
            environment = {}  # a file of this host
        return DaskEngine(farm.engine, list(opened.kinds), environment=environment)
    from tfm_harness.farm.engines.local import LocalEngine

    return LocalEngine(state=str(opened.farm.state_dir or ""), environment=environment)


class _Teller:
    """One line for each thing that happens, with the time."""

    def __call__(self, text: str) -> None:
        now = dt.datetime.now().astimezone().strftime("%H:%M:%S")
        write(f"{now} {text}\n", flush=True)
