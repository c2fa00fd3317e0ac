"""The effect of each kind of line on a run: one handler for each step."""

from __future__ import annotations

from collections.abc import Mapping

from tfm_harness.console_suites.closing import count_problems, suite_problems
from tfm_harness.console_suites.grammar import OpenCase, OpenSuite, Step
from tfm_harness.console_suites.lines import Line
from tfm_harness.console_suites.model import Case, Expectations, Outcome, Problem
from tfm_harness.console_suites.state import MAX_SUITES, RunState
from tfm_harness.console_suites.torn import whole

__all__ = ["Handlers"]


class Handlers(RunState):
    """The handlers that all suites share; a suite overrides those that differ for it."""

    def __init__(self, expectations: Expectations | None = None) -> None:
        super().__init__(expectations)
        self._handlers = {
            Step.AREA_BEGIN: self.on_area_begin,
            Step.AREA_END: self.on_area_end,
            Step.SUITE_BEGIN: self.on_suite_begin,
            Step.SUITE_END: self.on_suite_end,
            Step.CASE_BEGIN: self.on_case_begin,
            Step.CASE_TEXT: self.on_case_text,
            Step.CASE_DETAIL: self.on_case_detail,
            Step.CASE_END: self.on_case_end,
            Step.ODD: self.on_odd,
            Step.COUNT: self.on_count,
            Step.SUMMARY_BEGIN: self.on_summary_begin,
            Step.SUMMARY_SUITE: self.on_summary_suite,
            Step.SUMMARY_CASE: self.on_summary_case,
            Step.RUN_ID: self.on_run_id,
            Step.RUN_END: self.on_run_end,
            Step.BOOT: self.on_boot,
            Step.BOOT_NONSECURE: self.on_boot_nonsecure,
            Step.REFUSED: self.on_refused,
            Step.STUCK: self.on_stuck,
            Step.FAULT: self.on_fault,
            Step.FAULT_WANTED: self.on_fault_wanted,
        }

    def on_area_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """An area (TF-M: Secure, Non-secure) begins."""
        self._again_after_end(line)
        area = groups["area"]
        if self.restarted and area in self.areas_seen:
            self._begin_anew(line)
        if self.area:
            self._abandon(line, "another area began")
        if area in self.areas_seen:
            self._again(line, f"the {area} area")
        if len(self.areas_seen) < MAX_SUITES:
            self.areas_seen.append(area)
        self.area = area

    def on_area_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """An area ends."""
        if groups["area"] != self.area:
            self.problem(
                "contradiction" if self.area else "suite-not-begun",
                f"end of area {groups['area']!r} while {self.area or 'none'!r} is open",
                line.number,
            )
        self._abandon(line, "its area ended", keep_area=True)
        self.area = ""

    def on_suite_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """A suite begins."""
        self._again_after_end(line)
        name = groups["suite"].strip()
        if self.restarted and self.suite is not None and self.suite.name == name:
            return  # it continues where the restart interrupted it
        ran = any(suite.name == name and suite.area == self.area for suite in self.suites)
        if ran and self.restarted:
            self._begin_anew(line)
        elif self.suite is not None and self.suites_end_themselves:
            self._abandon(line, "another suite began", keep_area=True)
        if ran and not self.restarted:
            self._again(line, f"suite {name!r}")
        self._open_suite(name, line)

    def on_suite_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The open suite ends with its own outcome."""
        suite = self.suite
        outcome = self.outcomes[groups["outcome"]]
        if suite is None:
            self.problem("suite-not-begun", "a suite ended whose beginning is missing", line.number)
            return
        if not suite.name and groups.get("suite"):
            suite.name = groups["suite"]  # its first line is missing, which is already reported
        named = groups.get("suite")
        if named is not None and self.is_torn(line, named, suite.name):
            suite.name = whole(named, suite.name)
        elif named not in (None, suite.name):
            self.problem("contradiction", f"suite {groups['suite']!r} ended while {suite.name!r} is open", line.number)
            return
        self._drop_case(line, "its suite ended")
        suite.declared, suite.end_line = outcome, line.number
        self.suite = None
        self.problems.extend(suite_problems(suite))

    def on_case_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """A case begins."""
        self._again_after_end(line)
        name = groups["case"]
        if self.restarted and self.case is not None and self.case.id == name:
            self._begun += 1
            return  # the case that the restart interrupted continues
        if self.case is not None and self.case.id == name:
            self._again(line, f"case {name}")  # it is running, and begins once more
        elif self.suite is not None and self.suite.has(name):
            if self.restarted:
                self._run_again(self.suite, name)
            else:
                self._again(line, f"case {name}")
        self._drop_case(line, "another case began")
        if self.suite is None:
            self.problem("suite-not-begun", f"case {name} began and the beginning of its suite is missing", line.number)
            self._open_suite("", line)
        self._begun += 1
        self.case = OpenCase(id=groups["case"], line=line, text=groups.get("text") or "")

    def _run_again(self, suite: OpenSuite, name: str) -> None:
        """After a restart the open suite starts from its beginning, so that its cases come again."""
        for case in suite.take_out(name):
            self._owe(suite, case)
        if self.case is not None:
            self._owe(suite, self.case)
            self.case = None

    def on_case_text(self, line: Line, groups: Mapping[str, str]) -> None:  # noqa: ARG002 - one shape for all handlers
        """The open case's description."""
        if self.case is not None and not self.case.text:
            self.case.text = groups["text"]

    def on_case_detail(self, line: Line, groups: Mapping[str, str]) -> None:  # noqa: ARG002 - one shape for all handlers
        """A line that says why the open case fails."""
        if self.case is not None:
            self.case.blamed = True
            self.case.add_detail(line.text)

    def on_case_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The open case's outcome."""
        outcome = self.outcomes[groups["outcome"]]
        case, named = self.case, groups.get("case")
        if (
            case is not None and named is not None and self.suite is not None and not self.suite.has(named)
            and self.is_torn(line, named, case.id)
        ):  # fmt: skip
            case.id = whole(named, case.id)
            case.add_detail(f"{line.text!r}: damaged on its way")
            self._finish_case(self._untrusted(outcome), line)
            return
        if case is None or (named is not None and named != case.id):
            self.problem("case-not-begun", f"an outcome came for {named or 'a case'} that had not begun", line.number)
            if named is None:
                (self.suite or self.stray).orphans += 1
            if named is not None and self.suite is not None:
                orphan = Case(id=named, suite=self.suite.name, area=self.area, outcome=self._untrusted(outcome),
                              line=line.number, end_line=line.number, detail=("its beginning is missing",))  # fmt: skip
                self._keep_case(orphan, self.suite)
            return
        if groups.get("text"):
            case.add_detail(groups["text"])
        if outcome is not Outcome.PASSED:
            case.add_detail(line.text)
        if outcome is Outcome.PASSED and (case.blamed or case.faults):
            self.problem("contradiction", f"{case.id} says where it failed and then that it passed", line.number)
            outcome, case.said = Outcome.FAILED, Outcome.PASSED
        if outcome is Outcome.INCOMPLETE:
            self.problem("case-not-ended", f"{case.id} gave up without a verdict: {line.text}", line.number)
        self._finish_case(outcome, line)

    def on_odd(self, line: Line, groups: Mapping[str, str]) -> None:
        """A damaged outcome, or one of an unknown form. It stays a problem even if a good outcome follows."""
        case, named = self.case, groups.get("case")
        if case is not None and named in (None, case.id):
            self.problem("unknown-form", f"in case {case.id} a line is nearly an outcome: {line.text}", line.number)

    def on_count(self, line: Line, groups: Mapping[str, str]) -> None:
        """A number the suite prints about itself."""
        suite = self.suite or (self.suites[-1] if self.suites else None)
        if suite is None:
            self.problem("suite-not-begun", "a count came and the beginning of its suite is missing", line.number)
            return
        told = {groups["what"].lower(): int(groups["count"])}
        if groups.get("total"):
            told["total"] = int(groups["total"])
        suite.counts.update(told)
        if suite is not self.suite:  # older frameworks print the count after the suite's end
            self.problems.extend(count_problems(suite, told, line.number))

    def on_summary_begin(self, line: Line, groups: Mapping[str, str]) -> None:
        """The summary begins: no suite may be open."""
        del groups
        self._abandon(line, "the summary began", keep_area=True)

    def on_summary_suite(self, line: Line, groups: Mapping[str, str]) -> None:
        """What the summary says about one suite. Suites with a summary override this."""

    def on_summary_case(self, line: Line, groups: Mapping[str, str]) -> None:
        """What the summary says about one case. Suites with a summary override this."""

    def on_run_id(self, line: Line, groups: Mapping[str, str]) -> None:
        """The number that a run prints once."""
        del groups
        self.run_ids += 1
        if self.run_ids > 1 and not self.ended:
            self._again(line, "a run of the tests")

    def on_run_end(self, line: Line, groups: Mapping[str, str]) -> None:
        """The end marker."""
        if self.ended_at is not None:
            return
        if not self.started:
            self.note(f"line {line.number}: the end marker came before any suite")
            return
        outcome = groups.get("outcome")
        self._abandon(line, "the end marker came")
        self.ended_at = line.number
        if outcome is not None and self.outcomes[outcome] is Outcome.FAILED:
            self.problem("suite-failed", f"the run says of itself: {line.text}", line.number)

    def on_boot(self, line: Line, groups: Mapping[str, str]) -> None:
        """The device has started."""
        self.version = groups.get("version") or self.version
        if not self.started or self.ended:
            if not self.boots and (not self.started or self._is_rest()):
                self._forget_leftovers(line)
            self.boots += 1
            if self.ended:
                self.note(f"line {line.number}: the device started again after the end of the run")
            return
        if self._is_rest():
            self._forget_leftovers(line)
            self.boots += 1
            return
        suite, case = self._place()
        last = self.suite.cases[-1].id if case is None and self.suite is not None and self.suite.cases else case
        for name in (case, last):  # the outcome of a case that resets the device may come before the reset
            if self.expectations.may_reset(suite, name):
                self.used |= self.expectations.reset_names(suite, name)
                self.restart(line)
                return
        self._reset(line)

    def _place(self) -> tuple[str, str | None]:
        """The open suite and case."""
        return self.suite.name if self.suite else "", self.case.id if self.case else None

    def restart(self, line: Line) -> None:
        """Note an allowed restart of the device; every restart is shown."""
        if self._restarted_at != self._begun:  # several lines belong to one start
            self.note(f"line {line.number}: the device started again {self.position}, which is allowed: {line.text}")
        self.restarted, self._restarted_at = True, self._begun

    def _is_rest(self) -> bool:
        """Whether all output so far is the rest of an earlier run: the reading began inside it, before any start."""
        return self.started and not self.boots and self.rest

    def on_boot_nonsecure(self, line: Line, groups: Mapping[str, str]) -> None:
        """The non-secure side starts, which is expected between two areas."""
        if self.area or self.suite is not None:
            self.on_boot(line, groups)

    def on_refused(self, line: Line, groups: Mapping[str, str]) -> None:
        """The boot loader refuses an image."""
        del groups
        hint = (
            "the image's signature, hash, security counter or slot is not what the boot loader wants: check that the"
            " signing key is the one the boot loader trusts and that the load address is right"
        )
        self._boot_loader_says("image-refused", line, hint)

    def on_stuck(self, line: Line, groups: Mapping[str, str]) -> None:
        """The boot stops."""
        del groups
        self._boot_loader_says("boot-stuck", line)

    def _boot_loader_says(self, kind: str, line: Line, hint: str = "") -> None:
        """The boot ends here. The boot loader's own tests provoke such lines; then their case still ends itself."""
        self.problem(kind, line.text, line.number, hint)
        if self.case is not None:
            self.case.refusals.append(line)

    def on_fault(self, line: Line, groups: Mapping[str, str]) -> None:
        """A fault or an error of the framework."""
        del groups
        suite, case = self._place()
        if self.expectations.may_fault(suite, case):
            self.used |= self.expectations.fault_names(suite, case)
            self.note(f"line {line.number}: a fault {self.position}, which is allowed: {line.text}")
            return
        if self.case is not None:
            self.case.faults.append(line.text)
            self.case.add_detail(line.text)
        self.problem("fault", line.text, line.number)

    def on_fault_wanted(self, line: Line, groups: Mapping[str, str]) -> None:
        """The open case tests the faults that came, so they are not failures."""
        del groups
        case = self.case
        if case is None or not case.faults:
            return
        self.note(f"line {line.number}: {case.id} provoked a fault on purpose: {case.faults[0]}")
        self.problems[:] = [
            p for p in self.problems if p.kind != "fault" or p.line is None or p.line < case.line.number
        ]
        case.detail[:] = [text for text in case.detail if text not in case.faults]
        case.faults.clear()

    def final_checks(self, problems: list[Problem]) -> None:
        """Add problems that only the whole run can show. Subclasses extend this. It must not change the machine."""
