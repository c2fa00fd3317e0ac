"""Zephyr's ztest framework (also what Twister reads)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tfm_harness.console_suites.boot_rules import BOOT_RULES, FAULT_RULES
from tfm_harness.console_suites.closing import disagreements, kind_of
from tfm_harness.console_suites.grammar import OpenSuite, Rule, Step
from tfm_harness.console_suites.lines import Line
from tfm_harness.console_suites.machine import SuiteMachine
from tfm_harness.console_suites.model import Outcome, Problem
from tfm_harness.console_suites.state import MAX_SUITES

__all__ = ["Ztest"]


class Ztest(SuiteMachine):
    """Output of ztest, the old and the new API.

    Every suite ends with ``TESTSUITE name succeeded`` (or ``failed.``); the new API adds a summary
    with counts; the run ends with ``PROJECT EXECUTION SUCCESSFUL`` (or ``FAILED``).
    """

    kind: ClassVar[str] = "ztest"
    title: ClassVar[str] = "Zephyr ztest"
    end_marker: ClassVar[str] = "the line 'PROJECT EXECUTION ...'"
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "PASS": Outcome.PASSED,
        "FAIL": Outcome.FAILED,
        "FLAKY": Outcome.FAILED,  # it failed at least once
        "SKIP": Outcome.SKIPPED,
        "BLOCK": Outcome.INCOMPLETE,
        "succeeded": Outcome.PASSED,
        "failed": Outcome.FAILED,
        "failed.": Outcome.FAILED,
        "SUCCESSFUL": Outcome.PASSED,
        "FAILED": Outcome.FAILED,
    }
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule.of(Step.SUITE_BEGIN, r"Running (?:TESTSUITE|test suite) (?P<suite>\S+)"),
        Rule.of(Step.SUITE_END, r"(?:TESTSUITE|Test suite) (?P<suite>\S+) (?P<outcome>succeeded|failed\.?)"),
        Rule.of(Step.CASE_BEGIN, r"(?:START|starting test) - (?P<case>\S+)"),
        Rule.of(Step.CASE_END, r"(?P<outcome>PASS|FAIL|SKIP|BLOCK) - (?P<case>\S+?)(?: in [\d.]+ seconds|\.)?"),
        Rule.of(Step.ODD, r"[A-Z]{2,8} ?- ?(?P<case>\S+) in [\d.]+ seconds[\w ,;:()]*"),
        Rule.of(Step.CASE_DETAIL, r"Assertion failed at .+"),
        Rule.of(Step.SUMMARY_BEGIN, r"-+ TESTSUITE SUMMARY START -+"),
        Rule.of(
            Step.SUMMARY_SUITE,
            r"SUITE (?P<outcome>PASS|FAIL|SKIP|FLAKY)\s*-\s*[\d.]+% \[(?P<suite>[\w.-]+)\]: pass = (?P<pass>\d{1,9}),"
            r" fail = (?P<fail>\d{1,9}), skip = (?P<skip>\d{1,9}), total = (?P<total>\d{1,9})(?: .*)?",
        ),
        Rule.of(
            Step.SUMMARY_CASE,
            r"- (?P<outcome>[A-Z]+) - \[(?P<suite>[\w-]+)\.(?P<case>[\w.-]+(?:\[[\w/]+\])?)\](?: .*)?",
        ),
        Rule.of(Step.AREA_END, r"-+ TESTSUITE SUMMARY (?P<area>END) -+"),
        Rule.of(Step.RUN_ID, r"RunID: \w+"),
        Rule.of(Step.RUN_END, r"PROJECT EXECUTION (?P<outcome>SUCCESSFUL|FAILED)"),
        # Lines of the framework about its own run, and about faults that a case provokes on purpose.
        Rule.of(Step.FAULT, r"ERROR: Test .+ (?:did not run\.|which doesn't exist)|Bad stats for .+"),
        Rule.of(Step.FAULT, r"ERROR: cannot (?:fail|pass|skip) in test phase .+|TESTSUITE crashed\."),
        Rule.of(Step.FAULT_WANTED, r"(?:Fatal|Assert) error expected as part of test case\."),
        *BOOT_RULES,
        *FAULT_RULES,
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # the base class's signature, unchanged
        self._summary: dict[str, dict[str, int]] | None = None
        self._summary_ended = False

    def on_new_round(self) -> None:
        """A new round begins: only the last round's summary counts."""
        self._summary, self._summary_ended = None, False

    def on_summary_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """The summary of all suites begins."""
        super().on_summary_begin(line, groups)
        self._summary, self._summary_ended = {}, False

    def on_summary_suite(self, line: Line, groups: Mapping[str, str]) -> None:
        """One suite in the summary: its counts must be those of the cases seen."""
        name = groups["suite"]
        told = {what: int(groups[what]) for what in ("pass", "fail", "skip", "total")}
        if self._summary is None:
            self.problem("summary-missing", "a summary's line came and the summary's beginning is missing", line.number)
            self._summary = {}
        names = {suite.name for suite in self.suites}
        if name not in names:
            near = next((ran for ran in names - self._summary.keys() if self.is_torn(line, name, ran)), None)
            name = near or name
        if len(self._summary) <= MAX_SUITES:
            self._summary[name] = told
        ran = [suite for suite in self.suites if suite.name == name]
        if not ran:
            if told["total"] != told["skip"]:
                self.problem("summary-disagrees", f"suite {name!r} is in the summary and never ran", line.number)
            elif not self.expectations.allow_skipped:
                self.problem("skipped", f"suite {name!r} is in the summary and never ran: {told['total']} cases",
                             line.number, "allow skipped cases where the suite is known not to apply")  # fmt: skip
            return
        seen = _distinct(ran)
        outcome = self.outcomes[groups["outcome"]]
        if not _may_be(outcome, seen):
            self.problem("summary-disagrees", f"the summary calls suite {name!r} {outcome}, its cases make it"
                         f" {_of_suite(seen)}", line.number)  # fmt: skip
        counts = {"total": len(seen)} | {
            what: sum(value is outcome for value in seen.values())
            for what, outcome in (("pass", Outcome.PASSED), ("fail", Outcome.FAILED), ("skip", Outcome.SKIPPED))
        }
        differ = disagreements(told, counts, *ran)
        for what, number, here in differ:
            self.problem(kind_of(differ), f"the summary counts {number} {what if what != 'total' else 'cases'}"
                         f" in suite {name!r}, {here} were seen", line.number)  # fmt: skip

    def on_summary_case(self, line: Line, groups: Mapping[str, str]) -> None:
        """One case in the summary: it must have the outcome seen."""
        if groups["outcome"] not in self.outcomes:
            self.problem("unknown-form", f"the summary has an outcome that is not known: {line.text}", line.number)
            return
        name, suites = groups["suite"], self.suites
        if not any(suite.name == name for suite in suites):
            name = next((suite.name for suite in suites if self.is_torn(line, name, suite.name)), name)
        seen = _distinct([suite for suite in suites if suite.name == name])
        outcome = self.outcomes[groups["outcome"]]
        if groups["case"] not in seen and any(self.is_torn(line, groups["case"], case) for case in seen):
            return
        if seen.get(groups["case"]) is Outcome.INCOMPLETE and outcome is not Outcome.FAILED:
            return  # the line with its outcome is missing, which is already reported
        if seen.get(groups["case"]) not in (outcome, None if outcome is Outcome.SKIPPED else outcome):
            self.problem("summary-disagrees", f"the summary says {outcome} of {groups['case']}, seen was"
                         f" {seen.get(groups['case'], 'nothing')}", line.number)  # fmt: skip

    def on_area_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The summary ends."""
        del line, groups
        self._summary_ended = True

    def on_run_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The run ends: a summary that began must be complete, and success must agree with the suites."""
        before = self.ended
        super().on_run_end(line, groups)
        if before or not self.ended:
            return
        if self._summary is not None:
            if not self._summary_ended:
                self.problem("summary-missing", "the summary began and did not end", line.number)
            for suite in self.suites:
                if suite.name not in self._summary:
                    self.problem("summary-missing", f"suite {suite.name!r} ran and is not in the summary", line.number)
        if groups["outcome"] == "SUCCESSFUL" and any(s.declared is Outcome.FAILED for s in self.suites):
            self.problem("contradiction", "the run calls itself successful, yet a suite failed", line.number)

    def final_checks(self, problems: list[Problem]) -> None:
        """Make the shared checks only."""
        del problems


def _of_suite(cases: Mapping[str, Outcome]) -> Outcome:
    """The outcome that ztest gives a suite: failed if any case failed, skipped if all were skipped, else passed."""
    values = set(cases.values())
    if values & {Outcome.FAILED, Outcome.INCOMPLETE}:
        return Outcome.FAILED
    return Outcome.SKIPPED if values == {Outcome.SKIPPED} else Outcome.PASSED


def _may_be(outcome: Outcome, seen: Mapping[str, Outcome]) -> bool:
    """Whether ztest may give a suite with these cases this outcome; some outcomes may be lost."""
    known = {name: value for name, value in seen.items() if value is not Outcome.INCOMPLETE}
    if not known:
        return outcome is not Outcome.FAILED or not seen
    if len(known) < len(seen) and _of_suite(known) is Outcome.SKIPPED:
        return outcome is not Outcome.FAILED
    return outcome is _of_suite(known)


def _distinct(suites: list[OpenSuite]) -> dict[str, Outcome]:
    """Cases by name with their worst outcome: ztest repeats cases, also once for each value as ``name[set/3]``."""
    order = (Outcome.FAILED, Outcome.INCOMPLETE, Outcome.PASSED, Outcome.SKIPPED)
    found: dict[str, Outcome] = {}
    for case in (case for suite in suites for case in suite.cases):
        name = case.id.split("[", 1)[0]
        known = found.get(name, case.told)
        found[name] = min(known, case.told, key=order.index)
    return found
