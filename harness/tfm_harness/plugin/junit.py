"""JUnit XML: what pytest's own writer cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from _pytest.junitxml import xml_key

from tfm_harness.findings import Report, Status

if TYPE_CHECKING:
    from tfm_harness.plugin.record import RunLog

__all__ = ["add_suite_properties", "add_unused_waivers", "failure_to_error", "findings"]


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


def findings(report: Report) -> list[tuple[str, str]]:
    """A test's properties: each check that did not hold, once.

    ``harness.failed``, ``harness.waived`` (excused by name) and ``harness.noted`` (the policy only reports it) give
    the check's id, ``harness.where`` the places that failed checks point to: an operator, a phase, a claim.
    """
    names = {Status.FAILED: "harness.failed", Status.WAIVED: "harness.waived", Status.NOTED: "harness.noted"}
    found = [(names.get(report.status(finding), ""), finding.id) for finding in report]
    places = [("harness.where", f"{f.id}: {f.where}") for f in report.failed if f.where]
    return [entry for entry in dict.fromkeys([*found, *places[:_PLACES]]) if entry[0]]


def add_suite_properties(config: pytest.Config, properties: dict[str, str]) -> None:
    """Properties of the whole run: what was tested, with what."""
    xml = config.stash.get(xml_key, None)
    if xml is not None:
        for name, value in properties.items():
            xml.add_global_property(name, value)


def add_unused_waivers(config: pytest.Config, log: RunLog) -> None:
    """A waiver or tolerance that matched nothing fails the run; JUnit must not look green then."""
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    for waiver in log.unused_waivers:
        name = f"waivers.py::{waiver.finding}[{waiver.pair}]"
        report = pytest.TestReport(
            nodeid=name,
            location=("waivers.py", None, name),
            keywords={},
            outcome="failed",
            longrepr=f"{waiver.where}: {waiver.finding} matched nothing: remove it from the build ({waiver.reason})",
            when="setup",
            duration=0.0,
            user_properties=[("harness.fault", "config"), ("harness.kind", "waiver-unused")],
        )
        xml.pytest_runtest_logreport(report)
        report.when, report.outcome = "teardown", "passed"
        xml.pytest_runtest_logreport(report)
