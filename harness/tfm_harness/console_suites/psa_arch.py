"""Arm's psa-arch-tests (PSA API and Firmware Framework compliance)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from tfm_harness.console_suites.boot_rules import BOOT_RULES, FAULT_RULES
from tfm_harness.console_suites.closing import disagreements, kind_of
from tfm_harness.console_suites.grammar import Rule, Step
from tfm_harness.console_suites.lines import Line
from tfm_harness.console_suites.machine import SuiteMachine
from tfm_harness.console_suites.model import Outcome, Problem

__all__ = ["PsaArchTests"]

_TOTALS = ("tests", "passed", "sim error", "failed", "skipped")


class PsaArchTests(SuiteMachine):
    """Output of psa-arch-tests, API and FF suites.

    The suite counts its own results over all tests and prints them in a report; the run ends with ``Entering
    standby..``. Tests that provoke a panic reset the device on purpose. A restart is part of the run only if the user
    allows it (`Expectations.allow_resets`).
    """

    kind: ClassVar[str] = "psa-arch-tests"
    title: ClassVar[str] = "psa-arch-tests"
    end_marker: ClassVar[str] = "the line 'Entering standby..'"
    suites_end_themselves: ClassVar[bool] = False
    names_itself: ClassVar[bool] = True
    known_forms: ClassVar[str] = "Version 1.0 to 1.9 (v19.06 to v25.08)"
    reset_hint: ClassVar[str] = (
        "tests that provoke a panic reset the device on purpose: where these are such tests, say so"
        " (--allow-resets, allow_resets in the build)"
    )
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "PASSED": Outcome.PASSED,
        "FAILED": Outcome.FAILED,
        "SIM ERROR": Outcome.FAILED,
        "SKIPPED": Outcome.SKIPPED,
        "Passed": Outcome.PASSED,
        "Failed": Outcome.FAILED,
        "Sim Error": Outcome.FAILED,
        "Error": Outcome.FAILED,
        "Skipped": Outcome.SKIPPED,
    }
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule.of(Step.BOOT, r"\*{3,} ?PSA Architecture Test Suite - Version (?P<version>.*?) ?\*{3,}"),
        Rule.of(Step.SUITE_BEGIN, r"Running\.\. (?P<suite>[^<>\[\]=]+)"),
        Rule.of(Step.CASE_BEGIN, r"TEST: (?P<case>\w+) \| DESCRIPTION: (?P<text>.*)"),
        # From v25.08 on, one line names suite and test.
        Rule.of(Step.CASE_BEGIN, r"Suite=(?P<suite>[^:=]*?) ?: ?Test=(?P<text>.*?)[ :]*Num=(?P<case>\d+)"),
        Rule.of(Step.CASE_END, r"Result=(?P<outcome>Passed)"),  # no text may follow it
        Rule.of(Step.CASE_END, r"Result=(?P<outcome>Failed|Skipped|Sim Error|Error) ?(?:\(.*\))?"),
        Rule.of(Step.CASE_DETAIL, r"Checkpoint ?:? ?\d+ ?: ?(?:Error Code ?= ?.*)?"),
        Rule.of(Step.CASE_END, r"TEST RESULT: (?P<outcome>PASSED)"),
        Rule.of(Step.CASE_END, r"TEST RESULT: (?P<outcome>FAILED|SKIPPED|SIM ERROR) ?(?:\(.*\))?"),
        Rule.of(Step.ODD, r"(?i:(?:TEST )?RESULT ?[:=] ?(?:PASS|FAIL|SKIP|SIM|ERR|ABORT|TIME)[\w ,;:()=]*)"),
        Rule.of(Step.CASE_DETAIL, r"Failed at Checkpoint: ?-?\d+|Actual: ?-?\w+|Expected: ?-?\w+"),
        Rule.of(Step.SUMMARY_BEGIN, r"\*{6,} (?P<suite>[^<>\[\]=]+) Report \*{6,}"),
        Rule.of(Step.SUMMARY_BEGIN, r"REGRESSION REPORT ?:?"),
        Rule.of(Step.COUNT, r"TOTAL (?P<what>[A-Z]+(?: [A-Z]+)*)\s*: (?P<count>\d{1,9})"),
        Rule.of(Step.RUN_END, r"Entering standby ?\.\."),
        *BOOT_RULES,
        *FAULT_RULES,
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # the base class's signature, unchanged
        self._report: dict[str, int] | None = None
        self._sim_errors = 0

    def on_new_round(self) -> None:
        """Restart the counts: only those of the last round must agree with the report."""
        self._report, self._sim_errors = None, 0

    def on_suite_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """The next component begins, which ends the one before."""
        if self.restarted and self.suites:
            self._begin_anew(line)  # a test that continues after a reset prints no such line
        self._drop_case(line, "another suite began")
        if self.suite is not None:
            self.suite.end_line = line.number
        super().on_suite_begin(line, groups)

    def on_case_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """A test begins, or continues after a reset that it caused."""
        if self.case is not None and self.expectations.allow_resets and self.case.id == groups["case"]:
            return
        named = groups.get("suite")
        if named is not None and (self.suite is None or self.suite.name != named.strip()):
            if self.restarted and any(suite.has(groups["case"]) for suite in self.suites):
                self._begin_anew(line)
            self._drop_case(line, "another suite began")
            if self.suite is not None:
                self.suite.end_line = line.number
            self._open_suite(named.strip(), line)
        elif self.restarted and self.suite is not None and self.suite.has(groups["case"]):
            suite = self.suite.name
            self._begin_anew(line)  # no separate line shows that the tests start from the first one
            self._open_suite(suite, line)
        if self._report is not None and not self.ended:
            self.problem("contradiction", f"test {groups['case']} began after the report", line.number)
        super().on_case_begin(line, groups)

    def on_case_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """Count a simulation error separately; it is not a pass."""
        if self.case is not None and groups["outcome"] == "SIM ERROR":
            self._sim_errors += 1
        super().on_case_end(line, groups)

    def on_summary_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """The report begins: no test may be open, and the report names the suite that ran last."""
        self._drop_case(line, "the report began")
        last = self.suites[-1] if self.suites else None
        if (
            groups.get("suite")
            and (last is None or last.name)
            and (last is None or not self._same_suite(line, last.name, groups["suite"]))
        ):
            self.problem("summary-disagrees", f"report of {groups['suite']!r}, yet {last.name if last else 'nothing'!r}"
                         " ran last", line.number)  # fmt: skip
        if last is not None:
            last.end_line = line.number
        self.suite = None
        self._report = {}

    def _same_suite(self, line: Line, ran: str, reported: str) -> bool:
        one, other = _core(ran), _core(reported)
        return one == other or self.is_torn(line, other, one) or self.is_torn(line, reported, ran)

    def on_count(self, line: Line, groups: Mapping[str, str]) -> None:
        """One line of the report."""
        if self._report is None:
            self.problem("summary-missing", "a total came, and the beginning of the report is missing", line.number)
            self._report = {}
        what = groups["what"].lower()
        if what not in _TOTALS:
            if int(groups["count"]):
                self.problem("unknown-form", f"the report counts what is not known here: {line.text}", line.number)
            return
        if self._report.get(what, int(groups["count"])) != int(groups["count"]):
            self.problem("contradiction", f"the report gives {what} twice", line.number)
        self._report[what] = int(groups["count"])

    def on_run_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The run ends: the report must be complete and right."""
        super().on_run_end(line, groups)
        if not self.ended or self.ended_at != line.number:
            return
        if self._report is None or any(what not in self._report for what in _TOTALS):
            missing = [what for what in _TOTALS if what not in (self._report or {})]
            self.problem("summary-missing", f"the report is not whole: {', '.join(missing)} missing", line.number)
            return
        seen = {outcome: sum(s.count(outcome) for s in self.suites) for outcome in Outcome}
        counted = {
            "tests": sum(seen.values()),
            "passed": seen[Outcome.PASSED],
            "sim error": self._sim_errors,
            "failed": seen[Outcome.FAILED] - self._sim_errors,
            "skipped": seen[Outcome.SKIPPED],
        }
        failures = [what for what in ("failed", "sim error") if self._report[what] > counted[what]]
        if failures and not counted["tests"]:
            words = ", ".join(f"{self._report[what]} {what}" for what in failures)
            self.problem("suite-failed", f"the report counts {words}; none was seen", line.number)
        differ = disagreements(self._report, counted, *self.suites, self.stray)
        for what, told, here in differ:
            self.problem(kind_of(differ), f"the report counts {told} {what}, {here} were seen", line.number)

    def final_checks(self, problems: list[Problem]) -> None:
        """Suites without a single test."""
        problems.extend(
            Problem("suite-empty", f"suite {suite.name!r} ran no test", suite.line)
            for suite in self.suites
            if not suite.cases and suite is not self.suite
        )


def _core(name: str) -> str:
    # Some versions print the API's version after the name when the suite begins, none does in the report.
    return re.sub(r"\s*suite\b.*", "", name.lower())
