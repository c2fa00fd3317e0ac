"""The state machine every console suite shares; a suite is rules (data) plus a small subclass.

Strict on purpose: a line means something only where it may stand. An outcome counts only for the
case that is open, an end only for the suite that is open, and everything announced must be closed
by the suite itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from harness.console_suites.closing import run_problems, suite_problems
from harness.console_suites.grammar import OpenCase, OpenSuite, Rule, Step
from harness.console_suites.lines import EOT, Line, LineSplitter
from harness.console_suites.model import Case, Expectations, Judgement, Outcome, Problem, SuiteRecord, worst

__all__ = ["MAX_CASES", "SuiteMachine"]

MAX_CASES = 20_000
"""Cases held of one run; a stream that announces more is not a test suite."""

_MAX_PROBLEMS = 200


class SuiteMachine:
    """Judges one run of a console suite. Feed it bytes, in any chunks, then ask for the `judgement`.

    Subclasses set `kind`, `title`, `rules`, `outcomes` and the flags; they override a handler
    only where their suite is special. Nothing here waits, reads or writes.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    rules: ClassVar[tuple[Rule, ...]]
    outcomes: ClassVar[Mapping[str, Outcome]]
    end_marker: ClassVar[str]  # in words, for messages
    ends_with_eot: ClassVar[bool] = False
    suites_end_themselves: ClassVar[bool] = True

    _screen: ClassVar[re.Pattern[str]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "rules" in cls.__dict__:
            # One cheap look decides for most lines of a chatty log that no rule wants them.
            union = "|".join(f"(?:{rule.pattern.pattern})" for rule in cls.rules)
            cls._screen = re.compile(re.sub(r"\(\?P<\w+>", "(?:", union))

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
        self._lines = LineSplitter()
        self._last_line = 0
        self._cases = 0
        self._handlers = {
            Step.AREA_BEGIN: self.on_area_begin,
            Step.AREA_END: self.on_area_end,
            Step.SUITE_BEGIN: self.on_suite_begin,
            Step.SUITE_END: self.on_suite_end,
            Step.CASE_BEGIN: self.on_case_begin,
            Step.CASE_TEXT: self.on_case_text,
            Step.CASE_DETAIL: self.on_case_detail,
            Step.CASE_END: self.on_case_end,
            Step.COUNT: self.on_count,
            Step.SUMMARY_BEGIN: self.on_summary_begin,
            Step.SUMMARY_SUITE: self.on_summary_suite,
            Step.SUMMARY_CASE: self.on_summary_case,
            Step.RUN_END: self.on_run_end,
            Step.BOOT: self.on_boot,
            Step.BOOT_NONSECURE: self.on_boot_nonsecure,
            Step.REFUSED: self.on_refused,
            Step.STUCK: self.on_stuck,
            Step.FAULT: self.on_fault,
        }

    # ---- what callers use

    def feed(self, data: bytes, at: float | None = None) -> None:
        """Take bytes as they came.

        Args:
            data: any number of bytes.
            at: seconds on any clock; gives the cases their durations.
        """
        for line in self._lines.feed(data, at):
            self._take(line)

    @property
    def started(self) -> bool:
        """Whether any suite or area has begun."""
        return bool(self.suites or self.areas_seen)

    @property
    def ended(self) -> bool:
        """Whether the run's end marker came (nothing more is to be waited for)."""
        return self.ended_at is not None

    @property
    def hopeless(self) -> bool:
        """Whether the boot was refused or stopped, so that waiting is pointless."""
        return any(p.kind in {"image-refused", "boot-stuck"} for p in self.problems) and not self.started

    @property
    def position(self) -> str:
        """What is going on, for progress lines and error texts."""
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

    def could_pass(self) -> bool:
        """False as long as the run cannot pass, whatever has come: cheap, for tests and progress."""
        return self.ended and not self._half_end() and not self.problems and self.case is None and self.suite is None

    def judgement(self, stopped: Problem | None = None) -> Judgement:
        """Judge what has come. Changes nothing: may be asked at any time.

        Args:
            stopped: why the reading stopped before the end, for instance a ``timeout``.
        """
        problems = list(self.problems)
        if stopped is not None:
            problems.append(stopped)
        suites = list(self.suites)
        cases = [case for suite in suites for case in suite.cases]
        if self.case is not None:
            cases.append(self._close(self.case, Outcome.INCOMPLETE, self._last_line, None))
            problems.append(
                Problem("case-not-ended", f"{self.case.id} began and no outcome came", self.case.line.number)
            )
        problems += self._final_problems(cases, cut_short=stopped is not None)
        problems.sort(key=lambda p: (p.line is None, p.line or 0))
        return Judgement(
            kind=self.kind,
            verdict=worst(problems),
            cases=tuple(sorted(cases, key=lambda case: case.line)),
            suites=tuple(
                SuiteRecord(
                    name=s.name,
                    area=s.area,
                    line=s.line,
                    end_line=s.end_line,
                    declared=s.declared,
                    counts=dict(s.counts),
                )
                for s in suites
            ),
            problems=tuple(problems),
            notes=tuple(self.notes),
            lines=self._lines.number,
        )

    # ---- handlers: one for each step

    def on_area_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """An area (TF-M: Secure, Non-secure) begins."""
        self._again_after_end(line)
        if self.area:
            self._abandon(line, "another area began")
        area = groups["area"]
        if area in self.areas_seen:
            self.problem("reset", f"the {area} area began a second time: the device started again", line.number)
        self.areas_seen.append(area)
        self.area = area

    def on_area_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """An area ends."""
        if groups["area"] != self.area:
            self.problem(
                "contradiction", f"end of area {groups['area']!r} while {self.area or 'none'!r} is open", line.number
            )
        self._abandon(line, "its area ended", keep_area=True)
        self.area = ""

    def on_suite_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """A suite begins."""
        self._again_after_end(line)
        if self.suite is not None and self.suites_end_themselves:
            self._abandon(line, "another suite began", keep_area=True)
        self.suite = OpenSuite(name=groups["suite"].strip(), area=self.area, line=line.number)
        self.suites.append(self.suite)

    def on_suite_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The open suite says what it came to."""
        suite = self.suite
        outcome = self.outcomes[groups["outcome"]]
        if suite is None:
            self.problem("contradiction", "a suite ended that had not begun", line.number)
            return
        if groups.get("suite") not in (None, suite.name):
            self.problem("contradiction", f"suite {groups['suite']!r} ended while {suite.name!r} is open", line.number)
            return
        self._drop_case(line, "its suite ended")
        suite.declared, suite.end_line = outcome, line.number
        self.suite = None
        self.problems.extend(suite_problems(suite))

    def on_case_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """A case begins."""
        self._again_after_end(line)
        self._drop_case(line, "another case began")
        if self.suite is None:
            self.problem("contradiction", f"case {groups['case']} began outside a suite", line.number)
            self.suite = OpenSuite(name="", area=self.area, line=line.number)
            self.suites.append(self.suite)
        self.case = OpenCase(id=groups["case"], line=line, text=groups.get("text") or "")

    def on_case_text(self, line: Line, groups: Mapping[str, str]) -> None:  # noqa: ARG002 - one shape for all handlers
        """The open case's description."""
        if self.case is not None and not self.case.text:
            self.case.text = groups["text"]

    def on_case_detail(self, line: Line, groups: Mapping[str, str]) -> None:  # noqa: ARG002 - one shape for all handlers
        """A line that blames the open case."""
        if self.case is not None:
            self.case.blamed = True
            self.case.add_detail(line.text)

    def on_case_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The open case's outcome."""
        outcome = self.outcomes[groups["outcome"]]
        case, named = self.case, groups.get("case")
        if case is None or (named is not None and named != case.id):
            self.problem("case-not-begun", f"an outcome came for {named or 'a case'} that had not begun", line.number)
            if named is not None and self.suite is not None:
                self.suite.cases.append(
                    Case(id=named, suite=self.suite.name, area=self.area, outcome=self._untrusted(outcome),
                         line=line.number, end_line=line.number, detail=("its beginning is missing",))
                )  # fmt: skip
            return
        if groups.get("text"):
            case.add_detail(groups["text"])
        if outcome is not Outcome.PASSED:
            case.add_detail(line.text)
        if outcome is Outcome.PASSED and case.blamed:
            self.problem("contradiction", f"{case.id} says where it failed and then that it passed", line.number)
            outcome = Outcome.FAILED
        self._finish_case(outcome, line)

    def on_count(self, line: Line, groups: Mapping[str, str]) -> None:
        """A number the suite prints about itself."""
        suite = self.suite or (self.suites[-1] if self.suites else None)
        if suite is None:
            self.problem("contradiction", "a count came before any suite", line.number)
            return
        suite.counts[groups["what"].lower()] = int(groups["count"])
        if groups.get("total"):
            suite.counts["total"] = int(groups["total"])

    def on_summary_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """The summary begins: no suite may be open."""
        del groups
        self._abandon(line, "the summary began", keep_area=True)

    def on_summary_suite(self, line: Line, groups: Mapping[str, str]) -> None:
        """What the summary says about one suite. Suites with a summary override this."""

    def on_summary_case(self, line: Line, groups: Mapping[str, str]) -> None:
        """What the summary says about one case. Suites with a summary override this."""

    def on_run_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The end marker."""
        if self.ended_at is not None:
            return
        if not self.started:
            self.notes.append(f"line {line.number}: the end marker came before any suite")
            return
        outcome = groups.get("outcome")
        self._abandon(line, "the end marker came")
        self.ended_at = line.number
        if outcome is not None and self.outcomes[outcome] is Outcome.FAILED:
            self.problem("suite-failed", f"the run says of itself: {line.text}", line.number)

    def on_boot(self, line: Line, groups: Mapping[str, str]) -> None:
        """The device starts."""
        del groups
        if not self.started or self.ended:
            self.boots += 1
            if self.ended:
                self.notes.append(f"line {line.number}: the device started again after the end of the run")
            return
        if self.expectations.allow_resets:
            return
        self._reset(line)

    def on_boot_nonsecure(self, line: Line, groups: Mapping[str, str]) -> None:
        """The non-secure side starts; between two areas that is how it should be."""
        if self.area or self.suite is not None:
            self.on_boot(line, groups)

    def on_refused(self, line: Line, groups: Mapping[str, str]) -> None:
        """The boot loader refuses an image."""
        del groups
        hint = (
            "the image's signature, hash, security counter or slot is not what the boot loader wants: check that the"
            " signing key is the one the boot loader trusts and that the load address is right"
        )
        self.problem("image-refused", line.text, line.number, hint)

    def on_stuck(self, line: Line, groups: Mapping[str, str]) -> None:
        """The boot stops."""
        del groups
        self.problem("boot-stuck", line.text, line.number)

    def on_fault(self, line: Line, groups: Mapping[str, str]) -> None:
        """A fault or an error of the framework."""
        del groups
        if self.case is not None:
            self.case.blamed = True
            self.case.add_detail(line.text)
        self.problem("fault", line.text, line.number)

    def final_checks(self, problems: list[Problem]) -> None:
        """Add problems only the whole run can show. Subclasses extend it; must not change the machine."""

    # ---- tools for subclasses

    def problem(self, kind: str, message: str, line: int | None = None, hint: str = "") -> None:
        """Record a problem (bounded: the first ones matter)."""
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(Problem(kind, message, line, hint))

    # ---- inside

    def _take(self, line: Line) -> None:
        self._last_line = line.number
        if line.text == EOT:
            if self.ends_with_eot:
                self.on_run_end(line, {})
            return
        if self.case is not None:
            self.case.excerpt.append(line.text)
        if self._screen.fullmatch(line.text) is None:
            return
        for rule in self.rules:
            match = rule.pattern.fullmatch(line.text)
            if match is not None:
                self._handlers[rule.step](line, match.groupdict())
                return

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
        )

    def _finish_case(self, outcome: Outcome, line: Line) -> None:
        case = self.case
        if case is None or self.suite is None:
            return
        self.suite.cases.append(self._close(case, outcome, line.number, line.at))
        self.case = None
        self._cases += 1
        if self._cases == MAX_CASES:
            self.problem("too-much", f"more than {MAX_CASES} cases", line.number)
        if self._cases >= MAX_CASES:
            self.suite.cases.pop()

    def _drop_case(self, line: Line, why: str) -> None:
        case = self.case
        if case is None:
            return
        self.problem("case-not-ended", f"{case.id} began and no outcome came: {why}", case.line.number)
        case.add_detail(f"no outcome: {why}")
        self._finish_case(Outcome.FAILED if case.blamed else Outcome.INCOMPLETE, line)

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

    def _reset(self, line: Line) -> None:
        what = self.position
        self.problem("reset", f"the device started again {what}: {line.text}", line.number)
        if self.case is not None:
            self.case.add_detail(f"the device started again while it ran: {line.text}")
        self._abandon(line, "the device started again")

    def _again_after_end(self, line: Line) -> None:
        if self.ended_at is not None:
            self.problem("reset", f"the tests began again after the end marker of line {self.ended_at}", line.number,
                         "judge one run at a time: split the transcript at the end marker")  # fmt: skip
            self.ended_at = None
            self.areas_seen.clear()

    def _half_end(self) -> bool:
        return self.ended_at == self._last_line and self._lines.cut and not self._lines.tail

    def _final_problems(self, cases: list[Case], *, cut_short: bool) -> list[Problem]:
        found = run_problems(self.suites, cases, self.expectations, started=self.started)
        if self.suite is not None and self.suites_end_themselves:
            found.append(Problem("suite-not-ended", f"suite {self.suite.name!r} did not end", self.suite.line))
        if cut_short:
            pass  # the caller says why
        elif not self.started:
            found.append(Problem("never-started", f"no suite of {self.title} began",
                                 hint="is this the output of another suite, console or build?"))  # fmt: skip
        elif (not self.ended or self._half_end()) and self._end_wanted():
            found.append(Problem("not-ended", f"the output stops {self.position}: {self.end_marker} is missing",
                                 self._last_line, self._end_hint()))  # fmt: skip
        self.final_checks(found)
        return found

    def _end_wanted(self) -> bool:
        return True

    def _end_hint(self) -> str:
        return ""
