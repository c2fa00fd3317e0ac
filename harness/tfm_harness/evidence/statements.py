"""The statements about a run (in-toto Statement v1): test result, properties, and the harness' own predicate. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tfm_harness.evidence.predicate import (
    ADAPTER,
    VALIDATION_RUN,
    BundleFile,
    Reason,
    RequirementState,
    RunFacts,
    ValidationRun,
)
from tfm_harness.report.record import RunRecord, TestEntry

__all__ = ["CLOCKS_DIFFER", "PREDICATES", "SVR", "TEST_RESULT", "made_at", "make_statements", "statement_bytes",
           "subjects"]  # fmt: skip

STATEMENT: Final = "https://in-toto.io/Statement/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
SVR: Final = "https://in-toto.io/attestation/svr/v0.2"
PREDICATES: Final = (TEST_RESULT, SVR, VALIDATION_RUN)
"""The statements of a bundle, in order."""

CLOCKS_DIFFER: Final = dt.timedelta(minutes=5)
"""The most by which the clocks of the hosts that ran, signed and stamped may differ."""
Plain = Mapping[str, Any]


def made_at(statements: Mapping[str, Plain]) -> dt.datetime:
    """The time in the statements at which they were made.

    Raises:
        ValueError: they have no time.
    """
    return dt.datetime.strptime(str(statements[SVR]["predicate"].get("timeCreated", "")), "%Y-%m-%dT%H:%M:%S%z")


def statement_bytes(statement: Plain) -> bytes:
    """The bytes that are signed."""
    return json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode()


def subjects(files: Sequence[BundleFile]) -> list[dict[str, Any]]:
    """The subjects of the statements: every image and model that was flashed; without any, the run's record.

    The images of a board that is only attached are not known; then the record is the only subject.
    """
    chosen = [file for file in files if file.role in {"image", "model"}] or [f for f in files if f.role == "record"]
    return [_descriptor(file) for file in chosen]


def make_statements(run: RunRecord, files: Sequence[BundleFile], *, time: str) -> tuple[Plain, ...]:
    """The three statements of a run, in the order of `PREDICATES`.

    Args:
        run: the record.
        files: all files that the run wrote and used.
        time: when the statements were made, RFC 3339.
    """
    predicates = (_test_result(run, files), _properties(run, files, time), _validation(run, files))
    about = subjects(files)
    return tuple(
        {"_type": STATEMENT, "subject": about, "predicateType": kind, "predicate": predicate}
        for kind, predicate in zip(PREDICATES, predicates, strict=True)
    )


def _descriptor(file: BundleFile) -> dict[str, Any]:
    return {"name": file.path, "digest": {"sha256": file.sha256}}


def _test_result(run: RunRecord, files: Sequence[BundleFile]) -> Plain:
    """The test result: WARNED if findings are waived or noted, FAILED for any verdict other than passed."""
    warned = [test for test in run.tests if test.outcome == "passed" and _warned(test)]
    passed = [test for test in run.tests if test.outcome == "passed" and not _warned(test)]
    failed = [test for test in run.tests if test.outcome in {"failed", "error", "blocked"}]
    result = "FAILED" if run.verdict != "passed" else "WARNED" if warned else "PASSED"
    harness: dict[str, Any] = {"name": f"tfm-harness {run.version}"}
    if run.package_sha256:
        harness["digest"] = {"sha256": run.package_sha256}
    else:  # a descriptor needs a digest, a URI or content
        harness["uri"] = f"urn:x-tfm-harness:verifier:{run.version}"
    suites = [
        {"name": f"suite {name}", "digest": {"sha256": digest}} for name, digest in _suites(run).items() if digest
    ]
    policies = [
        {"name": f"policy of {one.name}", "uri": f"urn:x-tfm-harness:policy:{one.policy}"} for one in run.combinations
    ]
    configuration = [_descriptor(file) for file in files if file.role not in {"image", "model"}]
    return {
        "result": result,
        "configuration": [harness, *policies, *suites, *configuration],
        "passedTests": [test.nodeid for test in passed],
        "warnedTests": [test.nodeid for test in warned],
        "failedTests": [test.nodeid for test in failed],
    }


def _warned(test: TestEntry) -> bool:
    return any(finding.status in {"waived", "noted"} for finding in test.findings)


def _properties(run: RunRecord, files: Sequence[BundleFile], time: str) -> Plain:
    proven = {
        f"tfm-harness/{row.suite}/{check}@{row.combination}"
        for row in run.requirements
        if row.state == "proven"
        for check in row.checks
    }
    return {
        "verifier": {
            "id": f"urn:x-tfm-harness:verifier:{run.version}",
            "policies": [_descriptor(file) for file in files if file.role in {"build", "target"}],
        },
        "timeCreated": time,
        "properties": sorted(proven),
    }


def _validation(run: RunRecord, files: Sequence[BundleFile]) -> Plain:
    found = ValidationRun(
        run=RunFacts(
            name=run.name, verdict=run.verdict, headline=run.headline, started=run.started, seconds=run.seconds,
            version=run.version, package_sha256=run.package_sha256,
        ),
        files=tuple(files),
        suites=_suites(run),
        requirements=tuple(
            RequirementState(
                combination=row.combination, suite=row.suite, proves=row.proves, requirement=row.requirement,
                checks=row.checks, state=row.state, missing=row.missing,
            )
            for row in run.requirements
        ),
        not_covered=_tests(run, {"not covered", "skipped"}),
        not_run=_tests(run, {"not run"}),
        waived=tuple(dict.fromkeys(
            Reason(what=finding.id, reason=finding.waiver, combination=test.combination)
            for test in run.tests for finding in test.findings if finding.status == "waived"
        )),
        infrastructure=tuple(
            Reason(what=test.nodeid, reason=f"{test.kind}: {test.message}".strip(": "), combination=test.combination)
            for test in run.tests if test.responsibility == "infrastructure"
        ),
    )  # fmt: skip
    plain: Plain = ADAPTER.dump_python(found, mode="json")
    return plain


def _tests(run: RunRecord, outcomes: set[str]) -> tuple[Reason, ...]:
    return tuple(
        Reason(what=test.nodeid, reason=test.message, combination=test.combination)
        for test in run.tests
        if test.outcome in outcomes
    )


def _suites(run: RunRecord) -> dict[str, str]:
    return {entry.suite: entry.sha256 for entry in run.suites}
