"""The state machine every console suite shares; a suite is rules (data) plus a small subclass.

Strict on purpose: a line means something only where it may stand. An outcome counts only for the
case that is open, an end only for the suite that is open, and everything announced must be closed
by the suite itself.
"""

from __future__ import annotations

import re
from typing import ClassVar

from tfm_harness.console_suites.closing import run_problems
from tfm_harness.console_suites.handlers import Handlers
from tfm_harness.console_suites.lines import EOT, Line, LineSplitter
from tfm_harness.console_suites.model import Case, Expectations, Judgement, Outcome, Problem, SuiteRecord, worst

__all__ = ["SuiteMachine"]


class SuiteMachine(Handlers):
    """Judges one run of a console suite. Feed it bytes, in any chunks, then ask for the `judgement`.

    Subclasses set `kind`, `title`, `rules`, `outcomes` and the flags; they override a handler
    only where their suite is special. Nothing here waits, reads or writes.
    """

    _screen: ClassVar[re.Pattern[str]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "rules" in cls.__dict__:
            # One cheap look decides for most lines of a chatty log that no rule wants them.
            union = "|".join(f"(?:{rule.pattern.pattern})" for rule in cls.rules)
            cls._screen = re.compile(re.sub(r"\(\?P<\w+>", "(?:", union))

    def __init__(self, expectations: Expectations | None = None) -> None:
        super().__init__(expectations)
        self._lines = LineSplitter()
        self._last_line = 0

    def feed(self, data: bytes, at: float | None = None) -> None:
        """Take bytes as they came.

        Args:
            data: any number of bytes.
            at: seconds on any clock; gives the cases their durations.
        """
        for line in self._lines.feed(data, at):
            self._take(line)

    def understands(self, text: str) -> bool:
        """Whether a cleaned line of this text means something to this suite, wherever it may stand."""
        return self._screen.fullmatch(text) is not None

    @property
    def settled(self) -> bool:
        """Whether the end marker has come whole: of its line's end, the second half may still be under way."""
        return self.ended and not self._half_end()

    def could_pass(self) -> bool:
        """False as long as the run cannot pass, whatever has come: cheap, for tests and progress."""
        return self.settled and not self.problems and self.case is None and self.suite is None

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

    def _half_end(self) -> bool:
        return self.ended_at == self._last_line and self._lines.cut and not self._lines.tail

    def _loose_end(self) -> str:
        """What an output that stops inside a line ends with."""
        if self._half_end():
            return " (the last line has only half of its line end)"
        tail = self._lines.tail
        return f" (the last line has no line end: {tail[:80]!r})" if tail else ""

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
            found.append(Problem("not-ended", f"the output stops {self.position}: {self.end_marker} is missing"
                                 + self._loose_end(), self._last_line, self._end_hint()))  # fmt: skip
        self.final_checks(found)
        return found

    def _end_wanted(self) -> bool:
        return True

    def _end_hint(self) -> str:
        return ""
