"""TF-M's regression tests (tf-m-tests), secure and non-secure areas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tfm_harness.console_suites.boot_rules import BOOT_RULES, FAULT_RULES
from tfm_harness.console_suites.grammar import Rule, Step
from tfm_harness.console_suites.lines import Line
from tfm_harness.console_suites.machine import SuiteMachine
from tfm_harness.console_suites.model import Outcome, Problem
from tfm_harness.console_suites.state import MAX_SUITES
from tfm_harness.console_suites.torn import whole

__all__ = ["TfmRegression"]

_PROGRESS = r"(?>(?:> Iteration \d+ of \d+\s*)*)"  # atomic group: a hostile line must not cause backtracking
_SKIPS = r"(?P<text>[\w .,'-]{1,80}\b[Ss]kipping\b[ .]*)"
_BOOT_STAGES = {"BL1_1", "BL1_2", "MCUBOOT"}  # areas of the boot loaders: the boot continues after each


class TfmRegression(SuiteMachine):
    """Output of tf-m-tests' test framework, v1.0 to v2.x.

    Each area (Secure, Non-secure, MCUBOOT) runs its suites, prints a summary that names each of them, and ends with
    ``*** End of ... test suites ***``. The non-secure test application sends EOT at the end.
    """

    kind: ClassVar[str] = "tf-m"
    title: ClassVar[str] = "TF-M regression tests"
    end_marker: ClassVar[str] = "the end marker EOT (0x04)"
    ends_with_eot: ClassVar[bool] = True
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "PASSED": Outcome.PASSED,
        "FAILED": Outcome.FAILED,
        "SKIPPED": Outcome.SKIPPED,
    }
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule.of(Step.AREA_BEGIN, r"#### Execute test suites for the (?P<area>[^<>\[\]]+?) area ####"),
        Rule.of(Step.AREA_END, r"\*\*\* End of (?P<area>[^<>\[\]]+?) test suites \*\*\*"),
        Rule.of(Step.SUITE_BEGIN, r"Running Test Suite (?P<suite>[^<>\[\]]+)\.\.\."),
        Rule.of(Step.CASE_BEGIN, r"> Executing '(?P<case>[^']+)'"),
        Rule.of(Step.CASE_TEXT, r"Description: '(?P<text>.*)'"),
        # Progress ends in a bare CR, which some recorders drop; a failure's message without a file name has no
        # line end of its own.
        Rule.of(Step.CASE_END, rf"{_PROGRESS}(?:(?P<text>.*\S)\s+)?TEST: (?P<case>\S+) - (?P<outcome>FAILED)!"),
        # Some tests print why they skip a part, without a line end, before their outcome.
        Rule.of(Step.CASE_END, rf"{_PROGRESS}(?:{_SKIPS})?TEST: (?P<case>\S+) - (?P<outcome>PASSED|SKIPPED)!"),
        Rule.of(Step.CASE_END, r"TEST (?P<outcome>PASSED|FAILED|SKIPPED)!"),
        Rule.of(Step.ODD, r"TEST: (?P<case>\S+) ?- ?[A-Z][\w !,;:()]*"),
        Rule.of(Step.CASE_DETAIL, r"(?:.*\()?Failed at .+:\d+\)?"),
        Rule.of(Step.COUNT, r"Number of (?P<what>failed|skipped) tests: (?P<count>\d{1,9}) of (?P<total>\d{1,9})"),
        Rule.of(Step.SUITE_END, r"TESTSUITE (?P<outcome>PASSED|FAILED)!"),
        Rule.of(Step.SUMMARY_BEGIN, r"\*\*\* (?P<area>[^<>\[\]]+?) test suites summary \*\*\*"),
        Rule.of(Step.SUMMARY_SUITE, r"Test suite '(?P<suite>[^<>\[\]]+)' has\s+(?P<outcome>PASSED|FAILED|SKIPPED)"),
        Rule.of(Step.FAULT, r"Error \( TEST_SUITE_ERR_\w+!? \)"),
        *BOOT_RULES,
        *FAULT_RULES,
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # the base class's signature, unchanged
        self._summary: list[tuple[str, Outcome]] | None = None
        self._area_from = 0

    def on_area_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """An area begins: the next suites belong to it."""
        super().on_area_begin(line, groups)
        self._summary, self._area_from = None, len(self.suites)

    def on_new_round(self) -> None:
        """The areas begin again: clear the summary."""
        self._summary, self._area_from = None, 0

    def on_boot(self, line: Line, groups: Mapping[str, str]) -> None:
        """A start. After the boot loaders' own tests it is expected; a restart shows when their areas come again."""
        if not self.area and self.suite is None and self.areas_seen and _BOOT_STAGES.issuperset(self.areas_seen):
            self.boots += 1
            return
        super().on_boot(line, groups)

    def on_suite_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """A suite begins. It must be inside an area and before the area's summary."""
        if not self.area:
            self.problem("suite-not-begun", f"suite {groups['suite']!r} began and the beginning of its area is missing",
                         line.number)  # fmt: skip
        elif self._summary is not None:
            self.problem("contradiction", f"suite {groups['suite']!r} began after the area's summary", line.number)
        super().on_suite_begin(line, groups)

    def on_summary_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """The area's summary begins."""
        super().on_summary_begin(line, groups)
        if groups["area"] != self.area and not self._torn_area(line, groups["area"]):
            kind = "contradiction" if self.area else "suite-not-begun"
            self.problem(kind, f"summary of area {groups['area']!r} while {self.area or 'none'!r} is open", line.number)
        self._summary = []

    def _torn_area(self, line: Line, named: str) -> bool:
        """Whether this name is the open area's name, one of them damaged; if so, the area gets the undamaged name."""
        if not self.is_torn(line, named, self.area):
            return False
        damaged, self.area = self.area, whole(named, self.area)
        self.areas_seen[:] = [self.area if area == damaged else area for area in self.areas_seen]
        for suite in self.suites[self._area_from :]:
            suite.area = self.area
        return True

    def on_summary_suite(self, line: Line, groups: Mapping[str, str]) -> None:
        """One suite in the summary."""
        if self._summary is None:
            self.problem("summary-missing", "a summary's line came and the summary's beginning is missing", line.number)
            self._summary = []
        if len(self._summary) <= MAX_SUITES:
            self._summary.append((groups["suite"], self.outcomes[groups["outcome"]]))

    def on_area_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The area ends: its summary must name every suite that ran, in order, with the suite's own outcome."""
        self._abandon(line, "its area ended", keep_area=True)
        if self._torn_area(line, groups["area"]):
            groups = {"area": self.area}
        ran = self.suites[self._area_from :]
        if self._summary is None:
            self.problem("summary-missing", f"the {groups['area']} area ended without a summary", line.number)
        else:
            self._compare(line, groups["area"], [(s.name, s.declared) for s in ran], self._summary)
        if not ran:
            self.problem("suite-empty", f"the {groups['area']} area ended without a single suite", line.number)
        super().on_area_end(line, groups)
        self._summary, self._area_from = None, len(self.suites)

    def _compare(
        self,
        line: Line,
        area: str,
        ran: list[tuple[str, Outcome | None]],
        told: list[tuple[str, Outcome]],
    ) -> None:
        names_ran, names_told = [name for name, _ in ran], [name for name, _ in told]
        rest = iter(names_ran)
        if len(names_told) < len(names_ran) and all(name in rest for name in names_told):
            lost = [name for name in names_ran if name not in names_told]
            self.problem("summary-missing", f"the {area} area's summary does not name"
                         f" {', '.join(lost) or 'every suite'}", line.number)  # fmt: skip
            known = dict(told)
            ran = [(name, declared) for name, declared in ran if name in known]
            told = [(name, known[name]) for name, _ in ran]
        elif names_ran != names_told and not self._torn_names(line, names_ran, names_told):
            missing = [n for n in names_ran if n not in names_told]
            extra = [n for n in names_told if n not in names_ran]
            what = (f"not in the summary: {missing}" if missing else "") or (
                f"never ran: {extra}" if extra else "their order or number differs"
            )
            self.problem("summary-disagrees", f"the {area} area's summary names {len(told)} suites, {len(ran)} ran;"
                         f" {what}", line.number)  # fmt: skip
            return
        for (name, declared), (_, outcome) in zip(ran, told, strict=True):
            if declared is None and outcome is not Outcome.FAILED:
                continue  # its end is missing, which is already reported
            if declared is not outcome:
                self.problem("summary-disagrees", f"suite {name!r} said {declared or 'nothing'}, the summary says"
                             f" {outcome}", line.number)  # fmt: skip

    def _torn_names(self, line: Line, ran: list[str], told: list[str]) -> bool:
        """Whether the lists differ only by damaged names or missing beginnings."""
        return len(ran) == len(told) and all(
            name in {"", other} or self.is_torn(line, other, name) for name, other in zip(ran, told, strict=True)
        )

    def final_checks(self, problems: list[Problem]) -> None:
        """Report an area that is still open at the end: it has no end."""
        if self.area and self.started:
            problems.append(Problem("summary-missing", f"the {self.area} area did not end", self._last_line))

    def _end_wanted(self) -> bool:
        return self.expectations.need_eot or bool(self.area)

    def _end_hint(self) -> str:
        return (
            "cut or still running? Some recorders drop control characters: then say so"
            " (--no-eot, or eot: false in the build)"
        )
