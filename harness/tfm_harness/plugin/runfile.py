"""From the session's log to the run's record, its file and the report page."""

from __future__ import annotations

import datetime as dt
import platform
import time
from dataclasses import replace
from pathlib import Path

from tfm_harness.plugin.record import RunLog
from tfm_harness.plugin.verdict import decide_verdict
from tfm_harness.report.claims import requirement_entries, suite_entries
from tfm_harness.report.digests import package_digest
from tfm_harness.report.harmless import Harmless
from tfm_harness.report.headline import headline
from tfm_harness.report.record import CombinationEntry, RunRecord
from tfm_harness.version import __version__

__all__ = ["make_record", "write_run"]


def write_run(run: Harmless[RunRecord], run_dir: Path, *, html: str = "") -> Path:
    """Write ``run.json`` and ``report.html`` into the run's folder, and the page once more where `html` says.

    Raises:
        InfrastructureError: disk full and the like.
    """
    from tfm_harness.report import save_run, write_html

    save_run(run, run_dir / "run.json")
    page = run_dir / "report.html"
    for path in (page, *([Path(html)] if html else [])):
        write_html(run, path)
    return page


def make_record(
    log: RunLog,
    name: str,
    pytest_status: int,
    *,
    least_percent: float | None = None,
    engines: str = "",
    only_collected: bool = False,
) -> RunRecord:
    """The session's log as a run's record, with its verdict.

    Args:
        log: what was gathered.
        name: the run's.
        pytest_status: pytest's own exit status.
        least_percent: share of requirements that must be proven.
        engines: the reference interpreters at hand.
        only_collected: no test was to be run.
    """
    tests = () if only_collected else log.entries()
    boards = list(log.boards.values())
    suites = tuple(
        suite_entries(tests, log.left_out, log.suites, [combination.name for combination in log.combinations])
    )
    requirements = tuple(requirement_entries(tests, log.suites, [combination.name for combination in log.combinations]))
    waivers = tuple(log.waivers(tests))
    verdict = decide_verdict(
        pytest_status,
        tests,
        waivers,
        unfinished=0 if only_collected else log.unfinished,
        interrupted=bool(log.interrupted),
        requirements=requirements,
        least_percent=least_percent,
    )
    seconds = time.time() - log.began
    record = RunRecord(
        name=name,
        verdict=verdict,
        started=dt.datetime.fromtimestamp(log.began, dt.UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        version=__version__,
        package_sha256=package_digest(),
        collected=len(log.collected),
        deselected=len(log.left_out),
        interrupted=log.interrupted,
        environment={
            "python": platform.python_version(),
            "system": platform.platform(),
            **({"reference": engines} if engines else {}),
        },
        combinations=tuple(_combination(log, combination.name) for combination in log.combinations),
        boards=tuple(run.board for run in boards),
        moves=tuple(log.moves),
        suites=suites,
        requirements=requirements,
        waivers=waivers,
        latency=tuple(entry for run in boards for entry in run.latency),
        parity=tuple(entry for run in boards for entry in run.parity),
        accuracy=tuple(entry for run in boards for entry in run.accuracy),
        timings=tuple(entry for run in boards for entry in run.timings),
        traces=tuple(entry for run in boards for entry in run.traces),
        consoles=tuple(entry for run in boards for entry in run.consoles),
        checks=log.checks,
        tests=tests,
    )
    return replace(record, headline=headline(record))


def _combination(log: RunLog, name: str) -> CombinationEntry:
    combination = next(combination for combination in log.combinations if combination.name == name)
    boards = [run.board for (combination, _), run in log.boards.items() if combination == name]
    return CombinationEntry(
        name=name,
        target=combination.target.name,
        build=combination.build.name,
        policy=str(combination.policy),
        kind=combination.target.kind,
        protocol=combination.build.protocol,
        firmware=next((board.firmware for board in boards if board.firmware), ""),
        clock=next((board.clock for board in boards if board.clock), ""),
        image=combination.identity(),
        boards=tuple(member.name for member in combination.members) or (combination.target.name,),
        files=log.files[name],
    )
