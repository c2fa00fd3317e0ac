"""Checks that a record's verdict follows from its own tests, and that the statements follow from the record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import yaml

from tfm_harness.config.plain_yaml import PlainLoader
from tfm_harness.evidence import checks as check
from tfm_harness.evidence.bundle import input_path
from tfm_harness.evidence.opened import OpenedBundle
from tfm_harness.evidence.statements import CLOCKS_DIFFER, PREDICATES, SVR, made_at, make_statements
from tfm_harness.findings import Report
from tfm_harness.report.claims import judge_row, judge_suite, statuses_by_suite
from tfm_harness.report.record import TOLERANCE, CombinationEntry, FindingEntry, RunRecord, WaiverEntry

__all__ = ["check_statements", "check_verdict", "check_waivers"]

_MAY_FAIL: Final = frozenset({"failed", "error", "blocked"})
_NOT_THE_PRODUCT: Final = frozenset({"infrastructure", "configuration", "test", "nothing proved", "too little proved"})
"""Verdicts that a run in which the product failed cannot have."""


def check_statements(bundle: OpenedBundle, run: RunRecord, report: Report) -> None:
    """Make the statements again from the record, and compare them with the signed ones."""
    time = str(bundle.statements[SVR]["predicate"].get("timeCreated", ""))
    early = _before_its_end(bundle, run)
    report.add(check.STATEMENT_FOLLOWS, not early, expected="statements that were made after the run's end", seen=early,
               where=SVR)  # fmt: skip
    again = make_statements(run, tuple(bundle.files.values()), time=time)
    for kind, statement in zip(PREDICATES, again, strict=True):
        signed, made = bundle.statements[kind]["predicate"], statement["predicate"]
        differing = sorted(name for name in signed.keys() | made.keys() if signed.get(name) != made.get(name))
        report.add(check.STATEMENT_FOLLOWS, not differing, expected="what this version says of the record",
                   seen=f"another {', '.join(differing)}" if differing else "", where=kind)  # fmt: skip


def _before_its_end(bundle: OpenedBundle, run: RunRecord) -> str:
    """The problem of the time at which the statements were made; empty when there is none."""
    try:
        made = made_at(bundle.statements)
        ended = dt.datetime.fromisoformat(run.started) + dt.timedelta(seconds=run.seconds) if run.started else made
        early = made < ended - CLOCKS_DIFFER
    except (ValueError, TypeError, OverflowError) as error:
        return f"no time: {error}"
    return f"made at {made.isoformat()}, and the run ended at {ended.isoformat()}" if early else ""


def check_verdict(run: RunRecord, report: Report) -> None:
    """Check that the verdict follows from the tests, and the states of suites and requirements from their findings."""
    problems = list(_problems(run))
    report.add(check.VERDICT_FOLLOWS, not problems, expected=f"tests and findings for the verdict {run.verdict!r}",
               seen="; ".join(problems[:5]), where="run.json")  # fmt: skip


def _problems(run: RunRecord) -> Iterator[str]:
    failed = [test.nodeid for test in run.tests if test.outcome == "failed"]
    if failed and run.verdict in _NOT_THE_PRODUCT:
        yield f"the verdict is {run.verdict!r}, and {failed[0]} failed"
    if len(run.tests) < run.collected:
        yield f"{run.collected} tests were collected, and the record has {len(run.tests)}"
    if len({test.nodeid for test in run.tests}) < len(run.tests):
        yield "the record has a test twice"
    for test in run.tests:
        if test.outcome not in _MAY_FAIL and any(finding.status == "failed" for finding in test.findings):
            yield f"{test.nodeid} is {test.outcome} with a failed finding"
        if run.verdict == "passed" and test.outcome in _MAY_FAIL:
            yield f"the run passed, and {test.nodeid} is {test.outcome}"
    if run.verdict == "passed":
        if run.interrupted:
            yield f"the run passed, and {run.interrupted} ended it"
        if not any(test.outcome == "passed" for test in run.tests):
            yield "the run passed, and no test did"
        for waiver in run.waivers:
            if waiver.state == "unused":
                yield f"the run passed, and the waiver of {waiver.finding} matched nothing"
    yield from _claims(run)


def _claims(run: RunRecord) -> Iterator[str]:
    """Problems: suites and requirements whose state does not follow from their tests."""
    for entry in run.suites:
        own = [test for test in run.tests if test.suite == entry.suite and test.combination in {entry.combination, ""}]
        if judge_suite(entry, own) != entry or entry.total < len(own):
            yield f"{entry.suite}: {entry.passed} of {entry.total} passed, {entry.state}; its tests say another thing"
    made = statuses_by_suite(run.tests)
    for row in run.requirements:
        state, _ = judge_row(row.checks, made.get((row.combination, row.suite), {}))
        if state != row.state:
            yield f"{row.suite}: {', '.join(row.checks)} is {row.state}, and its findings say {state}"


def check_waivers(bundle: OpenedBundle, run: RunRecord, report: Report) -> None:
    """Check that each waived finding has its waiver, each used waiver a finding, and that the build's file has them."""
    for combination in run.combinations:
        waivers = [w for w in run.waivers if w.combination == combination.name and not _is_tolerance(w)]
        excused = [
            finding
            for test in run.tests
            if test.combination == combination.name
            for finding in test.findings
            if finding.status == "waived"
        ]
        problems = list(_waivers(waivers, excused))
        problems += _granted(bundle, combination, waivers)
        report.add(check.WAIVERS_GRANTED, not problems, expected="waivers and findings that belong together",
                   seen="; ".join(problems[:5]), where="run.json", subject=combination.name)  # fmt: skip


def _waivers(waivers: Sequence[WaiverEntry], excused: Sequence[FindingEntry]) -> Iterator[str]:
    given = {(waiver.finding, waiver.reason) for waiver in waivers}
    for finding in excused:
        if (finding.waived_by, finding.waiver) not in given or not fnmatchcase(finding.id, finding.waived_by):
            yield f"{finding.id} is waived, and no waiver of the record excuses it"
    used = {finding.waived_by for finding in excused}
    for waiver in waivers:
        if waiver.state == "used" and waiver.finding not in used:
            yield f"the waiver of {waiver.finding} was used, and no finding is waived by it"


def _granted(bundle: OpenedBundle, combination: CombinationEntry, waivers: Sequence[WaiverEntry]) -> Iterator[str]:
    """Differences between the waivers and those of the build's file; none when the bundle does not hold that file."""
    file = next((one for one in combination.files if one.role == "build"), None)
    read = bundle.content.get(input_path(file)) if file is not None else None
    if read is None:
        return
    try:
        plain = yaml.load(read(), PlainLoader)  # noqa: S506 - a safe loader
        granted = {(one["finding"], _words(one["reason"])) for one in plain.get("waivers") or ()}
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        yield f"the build's file cannot be read: {type(error).__name__}"
        return
    said = {(waiver.finding, _words(waiver.reason)) for waiver in waivers}
    for finding, _ in sorted(said - granted):
        yield f"the waiver of {finding} does not stand in the build's file"
    for finding, _ in sorted(granted - said):
        yield f"the build's file has a waiver of {finding} that the record does not name"


def _is_tolerance(waiver: WaiverEntry) -> bool:
    return waiver.finding.startswith(TOLERANCE)


def _words(text: object) -> str:
    return " ".join(str(text).split())
