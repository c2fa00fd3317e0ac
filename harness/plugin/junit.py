"""JUnit XML: what pytest's own writer cannot say."""

from __future__ import annotations

import pytest
from _pytest.junitxml import xml_key

from harness.findings import Report, Status

__all__ = ["add_suite_properties", "failure_to_error", "findings"]


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
    """A test's properties: each check that failed (``harness.failed``) or was excused (``harness.waived``), once."""
    names = {Status.FAILED: "harness.failed", Status.WAIVED: "harness.waived"}
    found = [(names.get(report.status(finding), ""), finding.id) for finding in report]
    return [entry for entry in dict.fromkeys(found) if entry[0]]


def add_suite_properties(config: pytest.Config, properties: dict[str, str]) -> None:
    """Properties of the whole run: what was tested, with what."""
    xml = config.stash.get(xml_key, None)
    if xml is not None:
        for name, value in properties.items():
            xml.add_global_property(name, value)
