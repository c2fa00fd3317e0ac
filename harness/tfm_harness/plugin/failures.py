"""Whose responsibility a failed test is, as its report, the record and JUnit tell it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from _pytest._code.code import TerminalRepr

from tfm_harness.bundled import SUITES
from tfm_harness.errors import HarnessError
from tfm_harness.plugin import failure_text, junit
from tfm_harness.plugin.bench import Bench
from tfm_harness.plugin.items import bench_of, combination_name
from tfm_harness.plugin.outcomes import classify, location
from tfm_harness.plugin.record import word
from tfm_harness.report.record import PhaseEntry

__all__ = ["Failures"]


class Failures:
    """Remembers what failed first, so that later tests that only met the same are blocked by it."""

    def __init__(self) -> None:
        self._suspects: dict[str, str] = {}  # the last test that failed, by combination
        self._causes: dict[str, tuple[str, BaseException]] = {}  # why a combination has no board, and who met it first
        self._never_opened: dict[str, list[tuple[str, str]]] = {}  # sections, shown with the first test that wanted it

    def never_opened(self, bench: Bench) -> None:
        """A bench could not be opened: what its consoles said is shown with the first test that wanted it."""
        self._never_opened[bench.combination.name] = bench.failure_sections()

    def told(
        self,
        item: pytest.Item,
        excinfo: pytest.ExceptionInfo[BaseException],
        report: pytest.TestReport,
        phase: PhaseEntry,
    ) -> tuple[PhaseEntry, list[tuple[str, str]]]:
        """Say whose responsibility a failure is; a test that only met what another one met first is blocked."""
        error, bench = excinfo.value, bench_of(item)
        outcome = classify(error, bundled=phase.suite in SUITES)
        if bench is not None:
            outcome = bench.reconsider(outcome, error)
        phase = replace(phase, responsibility=word(outcome.responsibility), kind=outcome.kind)
        cause = self._cause(item, phase, error, bench, report.when or "")
        if cause:
            phase = replace(phase, blocked_by=cause)
            report.outcome = "skipped"
            report.longrepr = (
                str(item.path),
                item.location[1] or 0,
                f"blocked: {phase.combination} has no board; see {cause} ({outcome.kind})",
            )
            return phase, []
        item.user_properties += [("harness.responsibility", phase.responsibility), ("harness.kind", phase.kind)]
        if phase.combination:
            item.user_properties.append(("harness.combination", phase.combination))
        if phase.board:
            item.user_properties.append(("harness.board", phase.board))
        text = failure_text.failure_text(error, outcome, location(excinfo, item))
        whose = junit.failed_on(phase)
        if text is not None:
            report.longrepr = f"{text}\n{whose}"
        elif isinstance(report.longrepr, str):
            report.longrepr = f"{report.longrepr}\n{whose}"
        elif isinstance(report.longrepr, TerminalRepr) and hasattr(report.longrepr, "addsection"):
            report.longrepr.addsection("responsibility", whose)
        if bench is None:
            return phase, self._never_opened.pop(combination_name(item), [])
        shown = bench.failure_sections()
        bench.failed(outcome)
        return phase, shown

    def _cause(self, item: pytest.Item, phase: PhaseEntry, error: BaseException, bench: Bench | None, when: str) -> str:
        """The test that met first why there is no board; empty for that test itself, and for other failures."""
        on = phase.combination
        if bench is not None and bench.lost is None:
            self._suspects[on] = item.nodeid  # should the board not come back, this is why
            return ""
        if not on or when != "setup" or not isinstance(error, HarnessError):
            return ""
        if bench is not None:
            return self._suspects.get(on, "") if self._suspects.get(on) != item.nodeid else ""
        first, known = self._causes.setdefault(on, (item.nodeid, error))
        return first if first != item.nodeid and known is error else ""
