"""The state of a running machine: what is open, what was seen, which problems occurred, and how things are closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tfm_harness.console_suites.grammar import OpenCase, OpenSuite, Rule
from tfm_harness.console_suites.lines import Line
from tfm_harness.console_suites.model import Case, Expectations, Outcome, Problem
from tfm_harness.console_suites.torn import is_torn

__all__ = ["MAX_CASES", "MAX_SUITES", "OF_BOOTS", "RunState"]

MAX_CASES = 20_000
"""Most cases kept of one run; a stream that announces more is not a test suite."""
MAX_SUITES = 2_000
"""Most suites (and areas) kept of one run."""

_MAX_PROBLEMS = 200
OF_BOOTS = frozenset({"image-refused", "boot-stuck"})
_MAX_NOTES = 100


class RunState:
    """State of one run, and the tools that handlers use on it."""

    kind: ClassVar[str]
    title: ClassVar[str]
    rules: ClassVar[tuple[Rule, ...]]
    outcomes: ClassVar[Mapping[str, Outcome]]
    end_marker: ClassVar[str]  # in words, for messages
    ends_with_eot: ClassVar[bool] = False
    suites_end_themselves: ClassVar[bool] = True
    reset_hint: ClassVar[str] = ""
    names_itself: ClassVar[bool] = False  # the boot lines that carry a version are the suite's own
    known_forms: ClassVar[str] = "those of its published versions"

    def __init__(self, expectations: Expectations | None = None) -> None:
        self.expectations = expectations or Expectations()
        self.area = ""
        self.areas_seen: list[str] = []
        self.suites: list[OpenSuite] = []
        self.suite: OpenSuite | None = None
        self.case: OpenCase | None = None
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.boots = 0
        self.ended_at: int | None = None
        self.stray = OpenSuite("", "", 0)  # cases outside of any suite; it is not one of `suites`
        self.version = ""
        self.run_ids = 0
        self.rest = False  # the reading began inside a run, whose beginning was not seen
        self.restarted = False  # an allowed restart came: the tests then continue, or start again
        self.used: set[str] = set()  # the named resets and faults that came
        self.owed: dict[tuple[str, str, str], int] = {}  # cases of rounds before a restart, and their lines
        self._cases = 0
        self._begun = 0
        self._restarted_at = -1

    @property
    def started(self) -> bool:
        """Whether any suite or area has begun."""
        return bool(self.suites or self.areas_seen)

    @property
    def ended(self) -> bool:
        """Whether the run's end marker came, so that waiting can end."""
        return self.ended_at is not None

    @property
    def hopeless(self) -> bool:
        """Whether the boot was refused or stopped, so that waiting is pointless."""
        return any(p.kind in {"image-refused", "boot-stuck"} for p in self.problems) and not self.started

    @property
    def position(self) -> str:
        """The present position in the run, for progress lines and error texts."""
        if self.case is not None:
            return f"in case {self.case.id}"
        if self.suite is not None:
            return f"in suite {self.suite.name}"
        if self.ended:
            return "at the end"
        return (
            f"in the {self.area} area" if self.area else "between suites" if self.started else "before the first suite"
        )

    @property
    def cases_done(self) -> int:
        """Cases that have an outcome so far."""
        return self._cases

    def note(self, text: str) -> None:
        """Record a remark that changes no verdict (bounded)."""
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(text)

    def problem(self, kind: str, message: str, line: int | None = None, hint: str = "") -> None:
        """Record a problem (bounded: the first ones matter)."""
        if kind in {"suite-not-begun", "case-not-begun", "summary-missing"} and not self.started and not self.boots:
            self.rest = True
        last_word = kind == "too-much" and not any(known.kind == kind for known in self.problems)
        if len(self.problems) < _MAX_PROBLEMS or last_word:
            self.problems.append(Problem(kind, message, line, hint))

    def is_torn(self, line: Line, seen: str, known: str) -> bool:
        """Whether one name is the other, damaged on the line; if so, record a problem."""
        if not is_torn(seen, known):
            return False
        self.problem("torn-line", f"{seen!r} stands where {known!r} is expected: one of the two lines was damaged on"
                     " its way", line.number, "run it again, and look for another writer on this UART,"
                     " a baud rate that is off, or lost bytes")  # fmt: skip
        return True

    def _untrusted(self, outcome: Outcome) -> Outcome:
        return Outcome.FAILED if outcome is Outcome.FAILED else Outcome.INCOMPLETE

    def _close(self, case: OpenCase, outcome: Outcome, end_line: int, end: float | None) -> Case:
        began = case.line.at
        return Case(
            id=case.id,
            suite=self.suite.name if self.suite else "",
            area=self.area,
            outcome=outcome,
            description=case.text,
            detail=tuple(case.detail),
            line=case.line.number,
            end_line=max(end_line, case.line.number),
            seconds=None if began is None or end is None else max(0.0, end - began),
            excerpt=tuple(case.excerpt),
            said=case.said,
        )

    def _finish_case(self, outcome: Outcome, line: Line) -> None:
        case = self.case
        if case is None or self.suite is None:
            return
        self.case = None
        if case.refusals and outcome is Outcome.PASSED:  # the test itself provoked the refusal
            told = {refusal.number for refusal in case.refusals}
            self.problems[:] = [p for p in self.problems if p.kind not in OF_BOOTS or p.line not in told]
            self.note(f"line {case.refusals[0].number}: in case {case.id}: {case.refusals[0].text}")
        self._keep_case(self._close(case, outcome, line.number, line.at), self.suite)

    def _keep_case(self, case: Case, suite: OpenSuite) -> None:
        self._cases += 1
        if self._cases <= MAX_CASES:
            suite.add(case)
        elif self._cases == MAX_CASES + 1:
            self.problem("too-much", f"more than {MAX_CASES} cases", case.line)

    def _open_suite(self, name: str, line: Line) -> None:
        self.suite = OpenSuite(name=name, area=self.area, line=line.number)
        if len(self.suites) < MAX_SUITES:
            self.suites.append(self.suite)
        elif len(self.suites) == MAX_SUITES:
            self.problem("too-much", f"more than {MAX_SUITES} suites", line.number)

    def _drop_case(self, line: Line, why: str) -> None:
        case = self.case
        if case is None:
            return
        self.problem("case-not-ended", f"{case.id} began and no outcome came: {why}", case.line.number)
        case.add_detail(f"no outcome: {why}")
        self._finish_case(Outcome.FAILED if case.blamed or case.faults else Outcome.INCOMPLETE, line)

    def _abandon(self, line: Line, why: str, *, keep_area: bool = False) -> None:
        """Close what is open because of `why`; each unfinished thing is a problem."""
        self._drop_case(line, why)
        if self.suite is not None:
            if self.suites_end_themselves:
                self.problem("suite-not-ended", f"suite {self.suite.name!r} did not end: {why}", self.suite.line)
            self.suite = None
        if self.area and not keep_area:
            self.problem("summary-missing", f"the {self.area} area did not end: {why}", line.number)
            self.area = ""

    def _owe(self, suite: OpenSuite, case: Case | OpenCase) -> None:
        """Note a case of a dropped round: it must come again, and its failure stays a failure."""
        line = case.line if isinstance(case, Case) else case.line.number
        self.owed.setdefault((suite.area, suite.name, case.id), line)
        failed = case.outcome is Outcome.FAILED if isinstance(case, Case) else case.blamed or bool(case.faults)
        if failed:
            self.problem("case-failed", f"{case.id} failed before the device started again", line)

    def _begin_anew(self, line: Line) -> None:
        """After an allowed restart the tests start from the beginning: only the last round counts."""
        given_up = sum(len(suite.cases) for suite in self.suites) + (self.case is not None)
        for suite in self.suites:
            for case in suite.cases:
                self._owe(suite, case)
        if self.case is not None and self.suite is not None:
            self._owe(self.suite, self.case)
        self.note(f"line {line.number}: the tests start again after the restart; of the {given_up} cases before it, the"
                  " last round counts")  # fmt: skip
        self._clear()

    def _clear(self) -> None:
        self.suites.clear()
        self.areas_seen.clear()
        self.suite, self.case, self.area, self.run_ids = None, None, "", 0
        self.on_new_round()

    def _forget_leftovers(self, line: Line) -> None:
        """Drop the output before the first start: the earlier image printed it."""
        left = [p for p in self.problems if p.kind not in OF_BOOTS]
        if left or self.started:
            what = f"{len(left)} remarks, the first: {left[0].message}" if left else "no remarks"
            self.note(f"line {line.number}: the device starts; what came before is the rest of an earlier run and"
                      f" counts nothing ({what})")  # fmt: skip
        self.problems[:] = [p for p in self.problems if p.kind in OF_BOOTS]
        self._clear()
        self.ended_at, self.owed, self.rest = None, {}, False
        self._cases = self._begun = 0

    def on_new_round(self) -> None:
        """Clear a subclass's state of the dropped round."""

    def _again(self, line: Line, what: str) -> None:
        """Record a problem if something that has ended begins again and the build does not allow repeats."""
        if not self.expectations.allow_repeats and not any(known.kind == "reset" for known in self.problems):
            self.problem("reset", f"{what} began a second time: the device started again", line.number,
                         self.reset_hint or "where the tests repeat on purpose, say so (--allow-repeats, allow_repeats"
                         " in the build)")  # fmt: skip

    def unused_allowances(self) -> list[str]:
        """A remark for each reset and fault that was allowed by name but did not come."""
        named = {
            "reset": self.expectations.allow_resets if isinstance(self.expectations.allow_resets, tuple) else (),
            "fault": self.expectations.allow_faults,
        }
        return [
            f"a {what} was allowed in {name!r} and none came there"
            for what, names in named.items()
            for name in names
            if name not in self.used
        ]

    def owed_problems(self) -> list[Problem]:
        """A problem for each case that ran before an allowed restart and did not come again."""
        came = {(suite.area, suite.name, case.id) for suite in self.suites for case in suite.cases}
        if self.case is not None and self.suite is not None:
            came.add((self.suite.area, self.suite.name, self.case.id))
        return [
            Problem("case-not-ended", f"{key[2]} ran before the device started again and did not come again", line)
            for key, line in self.owed.items()
            if key not in came
        ]

    def _reset(self, line: Line) -> None:
        what = self.position
        self.problem("reset", f"the device started again {what}: {line.text}", line.number,
                     self.reset_hint or "where a case resets the device on purpose, name it (--allow-reset,"
                     " allow_resets in the build)")  # fmt: skip
        if self.case is not None:
            self.case.add_detail(f"the device started again while it ran: {line.text}")
        self._abandon(line, "the device started again")

    def _again_after_end(self, line: Line) -> None:
        if self.ended_at is not None and self.rest:
            self._forget_leftovers(line)
        elif self.ended_at is not None:
            self.problem("reset", f"the tests began again after the end marker of line {self.ended_at}", line.number,
                         "judge one run at a time: split the transcript at the end marker")  # fmt: skip
            self.ended_at = None
            self.areas_seen.clear()
