"""JUnit XML: what pytest's own writer cannot say."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # only written here
from collections.abc import Sequence

import pytest
from _pytest.junitxml import xml_key

from tfm_harness.report.headline import WHOSE
from tfm_harness.report.record import FindingEntry, PhaseEntry, RunRecord, TestEntry, WaiverEntry

__all__ = [
    "add_suite_properties",
    "add_unfinished",
    "add_unused_waivers",
    "earlier_try",
    "facts_of_run",
    "failed_on",
    "failure_to_error",
    "findings",
    "name_of_case",
]


_PLACES = 20


def failure_to_error(config: pytest.Config, report: pytest.TestReport) -> None:
    """Turn the ``<failure>`` that pytest wrote for a test's call into an ``<error>``.

    pytest knows failures (while the test ran) and errors (around it); when the bench fails
    while a test runs it is an error too, and a farm's dashboard counts on that.
    """
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    node = xml.node_reporter(report)
    for element in node.nodes:
        if element.tag == "failure":
            element.tag = "error"
            xml.stats["failure"] -= 1
            xml.stats["error"] += 1


def name_of_case(config: pytest.Config, report: pytest.TestReport) -> None:
    """Name a console suite's case by its node id: behind a test's parameters pytest expects no further name."""
    xml = config.stash.get(xml_key, None)
    test, parameters_end, case = report.nodeid.partition("]::")
    if xml is not None and parameters_end:
        xml.node_reporter(report).add_attribute("name", f"{test.rpartition('::')[2]}]::{case}")


def findings(entries: Sequence[FindingEntry]) -> list[tuple[str, str]]:
    """A test's properties: each check that did not hold, once.

    ``harness.failed``, ``harness.waived`` (excused by name) and ``harness.noted`` (the policy only reports it) give
    the check's id, ``harness.where`` the places that failed checks point to: an operator, a phase, a claim.
    """
    found = [(f"harness.{entry.status}", entry.id) for entry in entries if entry.status != "passed"]
    places = [("harness.where", f"{e.id}: {e.where}") for e in entries if e.status == "failed" and e.where]
    return list(dict.fromkeys([*found, *places[:_PLACES]]))


def failed_on(phase: PhaseEntry) -> str:
    """Board and responsibility in a line: GitLab and others show a failure's text and no properties."""
    on = f"{phase.combination}, board {phase.board}" if phase.board else phase.combination
    return f"responsible: {WHOSE[phase.responsibility]}" + (f"; on {on}" if on else "")


def earlier_try(config: pytest.Config, report: pytest.TestReport, phase: PhaseEntry) -> None:
    """A try that is not the last: ``<flakyFailure>`` or ``<flakyError>`` inside the test's case, as Surefire writes."""
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    element = ET.Element(
        "flakyFailure" if phase.responsibility in {"", "product"} else "flakyError",
        message=f"{report.outcome}: {phase.kind} ({failed_on(phase)})" if phase.responsibility else report.outcome,
        type=phase.kind or "failure",
    )
    element.text = _allowed(report.longreprtext)
    xml.node_reporter(report).append(element)


def _allowed(text: str) -> str:
    """`text` without the characters that XML 1.0 forbids."""
    return "".join(c if c in "\n\t" or c >= " " else f"\\x{ord(c):02x}" for c in text)


def add_suite_properties(config: pytest.Config, properties: dict[str, str]) -> None:
    """Properties of the whole run: what was tested, with what."""
    xml = config.stash.get(xml_key, None)
    if xml is not None:
        for name, value in properties.items():
            xml.add_global_property(name, value)


def add_unused_waivers(config: pytest.Config, waivers: Sequence[WaiverEntry]) -> None:
    """A waiver or tolerance that matched nothing fails the run; JUnit must not look green then."""
    for waiver in waivers:
        if waiver.state == "unused":
            _add_error(
                config,
                f"waivers.py::{waiver.finding}[{waiver.combination}]",
                f"{waiver.where}: {waiver.finding} matched nothing: remove it from the build ({waiver.reason})",
                "configuration",
                "waiver-unused",
            )


def add_unfinished(config: pytest.Config, tests: Sequence[TestEntry], collected: int) -> None:
    """A run that ended before its end is no pass in JUnit either: one error says how many tests never ended."""
    missing = [test for test in tests if test.outcome == "not run" and test.message.startswith("the run ended")]
    _add_error(
        config,
        "run.py::ended_before_its_end",
        f"the run ended before its end: {len(missing)} of {collected} tests were not run"
        + (f", the first of them is {missing[0].nodeid}" if missing else ""),
        "infrastructure",
        "interrupted",
    )


def _add_error(config: pytest.Config, name: str, text: str, responsibility: str, kind: str) -> None:
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    report = pytest.TestReport(
        nodeid=name,
        location=(name.partition("::")[0], None, name),
        keywords={},
        outcome="failed",
        longrepr=text,
        when="setup",
        duration=0.0,
        user_properties=[("harness.responsibility", responsibility), ("harness.kind", kind)],
    )
    xml.pytest_runtest_logreport(report)
    report.when, report.outcome = "teardown", "passed"
    xml.pytest_runtest_logreport(report)


def facts_of_run(record: RunRecord) -> dict[str, str]:
    """What was tested with what, for JUnit's properties of the whole run: name to text."""
    facts = {
        "harness.verdict": record.verdict,
        "harness.headline": record.headline,
        "harness.version": record.version,
        "harness.reference": record.environment.get("reference", ""),
    }
    for combination in record.combinations:
        facts[f"harness.firmware.{combination.name}"] = combination.firmware or "never ready"
        facts[f"harness.policy.{combination.name}"] = combination.policy
        for board in record.boards:
            if board.combination != combination.name:
                continue
            measured = ", ".join(f"{k} {v}" for k, v in board.measurements.items())
            if measured:
                facts[f"harness.measurements.{combination.name}"] = measured
            said = ", ".join(f"{k} {v}" for k, v in board.facts.items())
            facts[f"harness.board.{board.name}"] = "; ".join(
                part for part in (said, f"LOST, in quarantine: {board.lost}" if board.lost else "") if part
            )
    for compared in record.parity:
        if compared.edges:
            facts[f"harness.parity.{compared.combination}.{compared.model}.edges"] = compared.edges_words
    for entry in record.accuracy:
        where = f"harness.accuracy.{entry.combination}.{entry.model}"
        facts[where] = entry.words
        if entry.device_matrix:
            facts[f"{where}.device"] = entry.confused(entry.device_matrix)
            facts[f"{where}.reference"] = entry.confused(entry.reference_matrix)
    for timed in record.timings:
        facts[f"harness.timing.{timed.combination}.{timed.name}"] = timed.words
    for move in record.moves:
        facts[f"harness.moved.{move.nodeid}"] = f"from {move.before} to {move.after}: {move.why}"
    return facts
