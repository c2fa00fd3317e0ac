"""Console test suites: turns a suite's printed output into cases with their own outcomes.

TF-M's regression tests, psa-arch-tests and Zephyr's ztest print their progress on a UART. The state machines here read
such a stream, live or from a saved transcript. They judge which cases began and ended, and the suite's own counts. They
are pure: bytes in, a `Judgement` out.

A run passes only when everything that was announced ran to its end and passed, the suite's own
summary agrees with what was seen, and the end marker came. A missing part makes the run *incomplete*; a failure or a
contradiction makes it *failed*.

The names below are imported on first use, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.console_suites.grammar import Rule, Step
    from tfm_harness.console_suites.lines import Line, LineSplitter
    from tfm_harness.console_suites.machine import SuiteMachine
    from tfm_harness.console_suites.model import Case, Expectations, Judgement, Outcome, Problem, SuiteRecord, Verdict
    from tfm_harness.console_suites.registry import get_machine, suite_names

_HOMES = {
    "grammar": ("Rule", "Step"),
    "lines": ("Line", "LineSplitter"),
    "machine": ("SuiteMachine",),
    "model": ("Case", "Expectations", "Judgement", "Outcome", "Problem", "SuiteRecord", "Verdict"),
    "registry": ("get_machine", "suite_names"),
}

__all__ = [
    "Case",
    "Expectations",
    "Judgement",
    "Line",
    "LineSplitter",
    "Outcome",
    "Problem",
    "Rule",
    "Step",
    "SuiteMachine",
    "SuiteRecord",
    "Verdict",
    "get_machine",
    "suite_names",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
