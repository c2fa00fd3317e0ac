"""Console test suites: a suite's printed output becomes cases with their own outcome.

TF-M's regression tests, psa-arch-tests and Zephyr's ztest print what they do on a UART. The
machines here read such a stream, live or from a saved transcript, and judge it: what began, what
ended, what the suite itself counted. They are pure: bytes in, a `Judgement` out.

A run passes only when everything that was announced ran to its end and passed, the suite's own
summary agrees with what was seen, and the end marker came. Whatever is missing makes the run
*incomplete*, whatever failed or contradicts itself makes it *failed*.

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
