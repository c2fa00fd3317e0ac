"""The elements of console suites: steps, rules, and the open case and suite of a running machine."""

from __future__ import annotations

import enum
import re
from collections import deque
from dataclasses import dataclass, field

from tfm_harness.console_suites.lines import Line
from tfm_harness.console_suites.model import Case, Outcome

__all__ = ["OpenCase", "OpenSuite", "Rule", "Step"]

_EXCERPT_LINES = 60
_DETAIL_LINES = 20


class Step(enum.Enum):
    """The meanings of lines. Each comment names the groups that a rule's pattern must have."""

    AREA_BEGIN = enum.auto()  # area
    AREA_END = enum.auto()  # area
    SUITE_BEGIN = enum.auto()  # suite
    SUITE_END = enum.auto()  # outcome; suite, if the line names it
    CASE_BEGIN = enum.auto()  # case; text, if the line describes it
    CASE_TEXT = enum.auto()  # text: the open case's description
    CASE_DETAIL = enum.auto()  # why the open case fails
    CASE_END = enum.auto()  # outcome; case, if the line names it; text, a message before it
    ODD = enum.auto()  # nearly an outcome; case, if the line names it. A recorder's additions must not match
    COUNT = enum.auto()  # what, count; total, if the line has it
    SUMMARY_BEGIN = enum.auto()  # area or suite, if the line names it
    SUMMARY_SUITE = enum.auto()  # suite, outcome; the counts pass, fail, skip, total if the line has them
    SUMMARY_CASE = enum.auto()  # suite, case, outcome
    RUN_ID = enum.auto()  # a number that each run prints once
    RUN_END = enum.auto()  # outcome, if the line has it
    BOOT = enum.auto()  # the device starts: never expected between the first suite and the end; version of what starts
    BOOT_NONSECURE = enum.auto()  # the non-secure side starts: expected between two areas
    REFUSED = enum.auto()  # the boot loader refuses an image
    STUCK = enum.auto()  # the boot stops
    FAULT = enum.auto()  # a fault, or an error of the test framework itself
    FAULT_WANTED = enum.auto()  # the framework says that the case wanted the fault before this line


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of this form causes this step. The pattern must match the whole cleaned line."""

    step: Step
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, step: Step, pattern: str) -> Rule:
        """A rule from a pattern's text."""
        return cls(step, re.compile(pattern))


@dataclass(slots=True)
class OpenCase:
    """A case while it runs."""

    id: str
    line: Line
    text: str = ""
    detail: list[str] = field(default_factory=list)
    blamed: bool = False  # a line reported a failure
    said: Outcome | None = None  # the device's own outcome, if it differs from the judged one
    faults: list[str] = field(default_factory=list)  # the lines that reported a fault while it ran
    refusals: list[Line] = field(default_factory=list)  # lines of a boot loader about an image while it ran
    excerpt: deque[str] = field(default_factory=lambda: deque(maxlen=_EXCERPT_LINES))

    def add_detail(self, text: str) -> None:
        """Keep a reason of its failure (bounded)."""
        if len(self.detail) < _DETAIL_LINES:
            self.detail.append(text)


@dataclass(slots=True)
class OpenSuite:
    """A suite, its cases and its own statements."""

    name: str
    area: str
    line: int
    end_line: int | None = None
    declared: Outcome | None = None
    counts: dict[str, int] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    orphans: int = 0  # outcomes that came for a case without a beginning and without a name
    _ids: set[str] = field(default_factory=set)  # ids of `cases`, for a quick search

    def add(self, case: Case) -> None:
        """Keep a case that has ended."""
        self.cases.append(case)
        self._ids.add(case.id)

    def has(self, case_id: str) -> bool:
        """Whether a case with that id has ended in this suite."""
        return case_id in self._ids

    def take_out(self, case_id: str) -> list[Case]:
        """Remove the cases of that id; returns them."""
        taken = [case for case in self.cases if case.id == case_id]
        self.cases[:] = [case for case in self.cases if case.id != case_id]
        self._ids.discard(case_id)
        return taken

    @property
    def lost(self) -> int:
        """The number of cases whose outcome or beginning is missing; the suite's own counts may exceed ours by it."""
        return self.count(Outcome.INCOMPLETE) + self.orphans

    def count(self, outcome: Outcome) -> int:
        """The number of its cases with that outcome, as the device printed it."""
        return sum(case.told is outcome for case in self.cases)
