"""Whether a record's verdict follows from its own tests, and the statements from the record."""

from __future__ import annotations

from collections.abc import Iterator

from tfm_harness.evidence import checks as check
from tfm_harness.evidence.opened import OpenedBundle
from tfm_harness.evidence.statements import PREDICATES, SVR, make_statements
from tfm_harness.findings import Report
from tfm_harness.report.claims import judge_row, statuses_by_suite
from tfm_harness.report.record import RunRecord

__all__ = ["check_statements", "check_verdict"]


def check_statements(bundle: OpenedBundle, run: RunRecord, report: Report) -> None:
    """The statements, made again from the record, are the signed ones."""
    time = str(bundle.statements[SVR]["predicate"].get("timeCreated", ""))
    again = make_statements(run, tuple(bundle.files.values()), time=time)
    for kind, statement in zip(PREDICATES, again, strict=True):
        signed, made = bundle.statements[kind]["predicate"], statement["predicate"]
        differing = sorted(name for name in signed.keys() | made.keys() if signed.get(name) != made.get(name))
        report.add(check.STATEMENT_FOLLOWS, not differing, expected="what this version says of the record",
                   seen=f"another {', '.join(differing)}" if differing else "", where=kind)  # fmt: skip


def check_verdict(run: RunRecord, report: Report) -> None:
    """A passed verdict needs tests that all passed, waivers that were used, requirements that their findings prove."""
    problems = list(_problems(run))
    report.add(check.VERDICT_FOLLOWS, not problems, expected=f"tests and findings for the verdict {run.verdict!r}",
               seen="; ".join(problems[:5]), where="run.json")  # fmt: skip


def _problems(run: RunRecord) -> Iterator[str]:
    for test in run.tests:
        if test.outcome == "passed" and any(finding.status == "failed" for finding in test.findings):
            yield f"{test.nodeid} passed with a failed finding"
        if run.verdict == "passed" and test.outcome in {"failed", "error", "blocked"}:
            yield f"the run passed, and {test.nodeid} is {test.outcome}"
    if run.verdict == "passed":
        if run.interrupted:
            yield f"the run passed, and {run.interrupted} ended it"
        if not any(test.outcome == "passed" for test in run.tests):
            yield "the run passed, and no test did"
        for waiver in run.waivers:
            if waiver.state == "unused":
                yield f"the run passed, and the waiver of {waiver.finding} matched nothing"
    made = statuses_by_suite(run.tests)
    for row in run.requirements:
        state, _ = judge_row(row.checks, made.get((row.combination, row.suite), {}))
        if state != row.state:
            yield f"{row.suite}: {', '.join(row.checks)} is {row.state}, and its findings say {state}"
