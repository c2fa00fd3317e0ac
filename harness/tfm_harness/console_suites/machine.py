"""The state machine that all console suites share; a suite is rules (data) and a small subclass.

It is strict on purpose: a line has a meaning only where it is allowed. An outcome counts only for the open case, an end
only for the open suite, and the suite itself must close everything that it announced.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import ClassVar

from tfm_harness.console_suites.closing import run_problems
from tfm_harness.console_suites.handlers import Handlers
from tfm_harness.console_suites.lines import EOT, Cleaning, Line, LineSplitter
from tfm_harness.console_suites.model import Case, Expectations, Judgement, Outcome, Problem, SuiteRecord, worst

__all__ = ["SuiteMachine"]

_NUMBERS = frozenset({"count-disagrees", "cases-missing", "summary-disagrees"})
# Problems from comparing what began with what ended or was counted.
_STRUCTURE = _NUMBERS | {
    "contradiction", "case-not-begun", "suite-not-begun", "suite-empty", "too-few-cases", "never-started",
}  # fmt: skip


class SuiteMachine(Handlers):
    """Judges one run of a console suite. Feed it bytes, in any chunks, then ask for the `judgement`.

    Subclasses set `kind`, `title`, `rules`, `outcomes` and the flags; they override a handler only if their suite
    differs. Nothing here waits, reads or writes.
    """

    _screen: ClassVar[re.Pattern[str]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "rules" in cls.__dict__:
            # One quick test shows for most lines of a long log that no rule matches them.
            union = "|".join(f"(?:{rule.pattern.pattern})" for rule in cls.rules)
            cls._screen = re.compile(re.sub(r"\(\?P<\w+>", "(?:", union))

    def __init__(self, expectations: Expectations | None = None) -> None:
        super().__init__(expectations)
        self._lines = LineSplitter()
        self._last_line = 0
        self._cleaned: Counter[Cleaning] = Counter()

    def feed(self, data: bytes, at: float | None = None) -> None:
        """Take bytes as they came.

        Args:
            data: any number of bytes.
            at: seconds on any clock, for the durations of the cases.
        """
        for line in self._lines.feed(data, at):
            self._take(line)

    def understands(self, text: str) -> bool:
        """Whether a cleaned line of this text has a meaning for this suite, in any state."""
        return self._screen.fullmatch(text) is not None

    @property
    def settled(self) -> bool:
        """Whether the end marker has come completely; the second half of its line end may still be under way."""
        return self.ended and not self._half_end()

    def could_pass(self) -> bool:
        """Whether the run could pass as it is now; a quick check for tests and progress."""
        return self.settled and not self.problems and self.case is None and self.suite is None

    def judgement(self, stopped: Problem | None = None) -> Judgement:
        """Judge the output so far. It changes nothing and may be called at any time.

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
        problems = self._without_consequences(problems)
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
            notes=(*self.notes, *self.unused_allowances(), *self._cleanings()),
            lines=self._lines.number,
        )

    def _cleanings(self) -> list[str]:
        """What was removed from lines, with counts."""
        return [f"understood only without {what.value}: {number} line(s)" for what, number in self._cleaned.items()]

    def _take(self, line: Line) -> None:
        self._last_line = line.number
        if self.case is not None and line.text != EOT:
            self.case.excerpt.append(line.text)
        # The unchanged line is tried first: apparent remains of a colour may be the device's own text.
        if self._step(line, line.text):
            return
        for text, cleaning in line.others:
            if self._step(line, text):
                self._cleaned[cleaning] += 1
                return

    def _step(self, line: Line, text: str) -> bool:
        """Take the step of a line with this text. Returns False when it has no meaning."""
        if text == EOT:
            if self.ends_with_eot:
                self.on_run_end(line, {})
            return True
        if self._screen.fullmatch(text) is None:
            return False
        for rule in self.rules:
            match = rule.pattern.fullmatch(text)
            if match is not None:
                self._handlers[rule.step](line if text == line.text else replace(line, text=text), match.groupdict())
                return True
        return False

    def _half_end(self) -> bool:
        return self.ended_at == self._last_line and self._lines.cut and not self._lines.tail

    def _loose_end(self) -> str:
        """A remark on the end of an output that stops inside a line."""
        if self._half_end():
            return " (the last line has only half of its line end)"
        tail = self._lines.tail
        return f" (the last line has no line end: {tail[:80]!r})" if tail else ""

    def _final_problems(self, cases: list[Case], *, cut_short: bool) -> list[Problem]:
        found = run_problems(self.suites, cases, self.expectations, started=self.started)
        if self.suite is not None and self.suites_end_themselves:
            found.append(Problem("suite-not-ended", f"suite {self.suite.name!r} did not end", self.suite.line))
        if cut_short:
            pass  # the caller reports the reason
        elif not self.started and self.hopeless:
            found.append(Problem("never-started", f"no suite of {self.title} began: see what the boot loader said"))
        elif not self.started and not self.problems and self.version and self.names_itself:
            found.append(self._unknown_form(f"{self.title} {self.version} said its name, and no suite began in a form"
                                            " that is known"))  # fmt: skip
        elif not self.started:
            found.append(Problem("never-started", f"no suite of {self.title} began",
                                 hint="this may be the output of another suite, console or build"))  # fmt: skip
        elif (not self.ended or self._half_end()) and self._end_wanted():
            found.append(Problem("not-ended", f"the output stops {self.position}: {self.end_marker} is missing"
                                 + self._loose_end(), self._last_line, self._end_hint()))  # fmt: skip
        self.final_checks(found)
        found.extend(self.owed_problems())
        return found

    def _unknown_form(self, message: str) -> Problem:
        return Problem("unknown-form", message, hint=f"the forms of {self.title} that are known:"
                       f" {self.known_forms}; report the new one, with its transcript")  # fmt: skip

    def _without_consequences(self, problems: list[Problem]) -> list[Problem]:
        """Drop consequences of other problems. If no case's beginning was understood, the output's form is unknown."""
        restart = min((p.line or 0 for p in problems if p.kind == "reset"), default=None)
        if restart is not None:  # the numbers of an interrupted run do not match the output
            problems = [p for p in problems if p.kind not in _NUMBERS or p.line is None or p.line < restart]
        cases = [case for suite in self.suites for case in suite.cases]
        if len(cases) > 1 and all(case.outcome is Outcome.INCOMPLETE for case in cases) and self._told_an_end():
            seen = f", version seen: {self.version}" if self.version else ""
            unknown = self._unknown_form(f"not one case's outcome was understood, yet the run goes on to its end{seen}")
            problems = [*problems, unknown]
        parts = [p for p in problems if p.kind in _STRUCTURE and p.line is not None]
        if self._begun or not parts:
            return problems
        seen = f", version seen: {self.version}" if self.version else ""
        unknown = self._unknown_form(f"not one case's beginning was understood, yet ends or counts came{seen};"
                                     f" the first: {parts[0].message}")  # fmt: skip
        return [*(p for p in problems if p.kind not in _STRUCTURE), unknown]

    def _told_an_end(self) -> bool:
        return self.ended or any(suite.declared is not None for suite in self.suites)

    def _end_wanted(self) -> bool:
        return True

    def _end_hint(self) -> str:
        return ""
