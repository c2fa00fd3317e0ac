"""The result of a console suite's run: value objects and the rules of the verdict."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

__all__ = [
    "PROBLEM_KINDS",
    "Case",
    "Expectations",
    "Judgement",
    "Outcome",
    "Problem",
    "SuiteRecord",
    "Verdict",
]


class Outcome(enum.StrEnum):
    """The outcome of one test case."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    INCOMPLETE = "incomplete"  # it began, but no outcome came, or the outcome cannot be trusted


class Verdict(enum.StrEnum):
    """The verdict on the whole run. `FAILED` outweighs `INCOMPLETE`."""

    PASSED = "passed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"


# kind: (the verdict that it causes, its meaning)
PROBLEM_KINDS: Mapping[str, tuple[Verdict, str]] = {
    "case-failed": (Verdict.FAILED, "the suite reported a failed case"),
    "suite-failed": (Verdict.FAILED, "the suite reported itself failed"),
    "contradiction": (Verdict.FAILED, "two statements of the device exclude each other"),
    "count-disagrees": (Verdict.FAILED, "the suite's own counts are not those of the cases seen"),
    "summary-disagrees": (Verdict.FAILED, "the summary does not tell the same as the suites did"),
    "fault": (Verdict.FAILED, "the device reported a fault or an error of the test framework"),
    "cases-missing": (Verdict.INCOMPLETE, "more cases that did not fail are counted than were seen"),
    "torn-line": (Verdict.INCOMPLETE, "a line lost a part on its way, or another one stands in it"),
    "unknown-form": (Verdict.INCOMPLETE, "a known suite prints a form that this harness does not know"),
    "never-started": (Verdict.INCOMPLETE, "no test suite began"),
    "case-not-ended": (Verdict.INCOMPLETE, "a case began and no outcome came"),
    "case-not-begun": (Verdict.INCOMPLETE, "an outcome came for a case that had not begun"),
    "suite-not-begun": (Verdict.INCOMPLETE, "cases or an end came of a suite whose beginning is missing"),
    "suite-not-ended": (Verdict.INCOMPLETE, "a suite began and did not end"),
    "suite-empty": (Verdict.INCOMPLETE, "a suite ended without a single case"),
    "summary-missing": (Verdict.INCOMPLETE, "the suites' own summary is missing or not complete"),
    "not-ended": (Verdict.INCOMPLETE, "the run's end marker is missing: it was cut or it hangs"),
    "reset": (Verdict.INCOMPLETE, "the device started again in the middle of the run"),
    "image-refused": (Verdict.INCOMPLETE, "the boot loader refused an image"),
    "boot-stuck": (Verdict.INCOMPLETE, "the boot stopped before any test"),
    "timeout": (Verdict.INCOMPLETE, "the run did not end in time"),
    "missing-suite": (Verdict.INCOMPLETE, "an expected suite was never seen"),
    "too-few-cases": (Verdict.INCOMPLETE, "fewer cases ran than expected"),
    "skipped": (Verdict.INCOMPLETE, "cases were skipped: not all that was promised ran"),
    "too-much": (Verdict.INCOMPLETE, "more output than this judge is willing to hold"),
}
"""Every kind of problem; `Problem.kind` is one of these. Scripts may match them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a run did not pass.

    Attributes:
        kind: a key of `PROBLEM_KINDS`.
        message: in words, with what was expected and seen.
        line: line in the transcript, from 1; None when it concerns the whole run.
        hint: what to do, if the cause is known.
    """

    kind: str
    message: str
    line: int | None = None
    hint: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict that this problem causes."""
        return PROBLEM_KINDS[self.kind][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case.

    Attributes:
        id: the suite's own name of the case.
        suite: the name of its suite, as printed.
        area: TF-M's area (``Secure``, ``Non-secure``); empty for suites without areas.
        description: as printed, may be empty.
        detail: the lines that say why it failed, was skipped or is incomplete.
        line, end_line: first and last line, 1-based.
        seconds: from its first to its last line; None when the bytes have no times.
        excerpt: the last lines that the console printed meanwhile.
        said: the outcome as the device printed it; None if it is `outcome`.
    """

    id: str
    suite: str
    outcome: Outcome
    area: str = ""
    description: str = ""
    detail: tuple[str, ...] = ()
    line: int = 0
    end_line: int = 0
    seconds: float | None = None
    excerpt: tuple[str, ...] = ()
    said: Outcome | None = None

    @property
    def told(self) -> Outcome:
        """The outcome as the device printed it; its own counts and summary must agree with it."""
        return self.said or self.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRecord:
    """One suite of a run: its first and last line (`end_line` None: it did not end) and its own statements."""

    name: str
    area: str = ""
    line: int = 0
    end_line: int | None = None
    declared: Outcome | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """Output that the user expects in addition to what the output itself announces.

    Attributes:
        suites: suites that must have run: a suite's name, the id in its brackets, a shell pattern, or an area.
        min_cases: fewest cases that must have run.
        allow_skipped: accept skipped cases (they did not run).
        allow_resets: True: the device resets on purpose (psa-arch-tests' panic tests); or the cases that reset it.
        allow_faults: the cases that provoke a fault on purpose and handle it themselves.
        allow_repeats: suites and cases run more than once on purpose.

            Cases are named by their id or ``suite.id``, or by a shell pattern over either; a suite's name means the
            time between its cases (its set-up, for instance).
        need_eot: the end marker EOT must come; False for transcripts whose recorder drops control characters.
    """

    suites: tuple[str, ...] = ()
    min_cases: int = 0
    allow_skipped: bool = False
    allow_resets: bool | tuple[str, ...] = False
    allow_faults: tuple[str, ...] = ()
    allow_repeats: bool = False
    need_eot: bool = True

    def may_reset(self, suite: str, case: str | None) -> bool:
        """Whether the device may restart in that case (None: outside of its suite's cases)."""
        return self.allow_resets is True or bool(self.reset_names(suite, case))

    def may_fault(self, suite: str, case: str | None) -> bool:
        """Whether that case may provoke a fault on purpose (None: the suite, outside of its cases)."""
        return bool(self.fault_names(suite, case))

    def reset_names(self, suite: str, case: str | None) -> set[str]:
        """The entries of `allow_resets` that match this place."""
        return set() if isinstance(self.allow_resets, bool) else _naming(self.allow_resets, suite, case)

    def fault_names(self, suite: str, case: str | None) -> set[str]:
        """The entries of `allow_faults` that match this place."""
        return _naming(self.allow_faults, suite, case)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The complete result of a run."""

    kind: str
    verdict: Verdict
    cases: tuple[Case, ...]
    suites: tuple[SuiteRecord, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    lines: int = 0

    def count(self, outcome: Outcome) -> int:
        """The number of cases with that outcome."""
        return sum(case.outcome is outcome for case in self.cases)

    def to_json(self) -> dict[str, object]:
        """A JSON-ready mapping; its schema is described in docs/console-suites.md."""
        return {
            "schema": 1,
            "suite": self.kind,
            "verdict": str(self.verdict),
            "counts": {str(outcome): self.count(outcome) for outcome in Outcome},
            "lines": self.lines,
            "problems": [
                {"kind": p.kind, "message": p.message, "line": p.line, "hint": p.hint or None} for p in self.problems
            ],
            "suites": [
                {
                    "name": s.name,
                    "area": s.area or None,
                    "line": s.line,
                    "end_line": s.end_line,
                    "declared": str(s.declared) if s.declared else None,
                }
                for s in self.suites
            ],
            "cases": [_case_json(case) for case in self.cases],
            "notes": list(self.notes),
        }


def _naming(patterns: tuple[str, ...], suite: str, case: str | None) -> set[str]:
    names = (suite,) if case is None else (case, f"{suite}.{case}")
    return {pattern for pattern in patterns for name in names if name and fnmatchcase(name, pattern)}


def _case_json(case: Case) -> dict[str, object]:
    return {
        "id": case.id,
        "suite": case.suite,
        "area": case.area or None,
        "outcome": str(case.outcome),
        "description": case.description,
        "line": case.line,
        "end_line": case.end_line,
        "seconds": case.seconds,
        "detail": list(case.detail),
    }


def worst(problems: Sequence[Problem]) -> Verdict:
    """The verdict of a run with these problems."""
    verdicts = {problem.verdict for problem in problems}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    return Verdict.INCOMPLETE if verdicts else Verdict.PASSED
