"""The record of a run: what each test found on each board, and the exit code that follows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, cast

import pytest

from tfm_harness.errors import Responsibility
from tfm_harness.parity.tolerance import tolerance_use
from tfm_harness.plugin.exit_codes import EXIT_BENCH
from tfm_harness.plugin.pairs import Pair

SUITES = frozenset(
    {
        "boot",
        "isolation",
        "sensor",
        "results",
        "attestation",
        "parity",
        "latency",
        "provisioning",
        "update",
        "robustness",
        "confidentiality",
    }
)
"""The suites that come with the harness."""

NOT_RUN = "not run:"
"""How the reason begins with which a test is left out of a quick run."""

__all__ = ["EXIT_BENCH", "NOT_RUN", "SUITES", "RunLog", "TestRecord", "WaiverUse", "exit_code"]


@dataclass(slots=True, kw_only=True)
class TestRecord:
    """One test on one pair.

    `outcome`: ``passed``, ``failed`` (product), ``error`` (bench, configuration, bug),
    ``not covered``, ``skipped``, or ``not run`` (left out by ``--tfm-quick``).
    """

    __test__ = False  # not a test class, whatever its name

    nodeid: str
    pair: str
    suite: str
    outcome: str = "passed"
    fault: str = ""
    kind: str = ""
    seconds: float = 0.0
    message: str = ""
    findings: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUse:
    """What became of one waiver of a build: ``used``, ``unused`` or ``not judged``."""

    pair: str
    finding: str
    reason: str
    where: str
    state: str


class RunLog:
    """Gathers test reports into a run's record."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self.tests: dict[str, TestRecord] = {}
        self.boards: dict[str, dict[str, object]] = {}
        self.waivers: list[WaiverUse] = []
        self.deselected = 0
        self.collected: set[str] = set()
        self.claims: dict[str, str] = {}  # what a suite's README says it proves, by suite
        self.began = time.time()
        self.seconds = 0.0

    def board_ready(self, pair: str, facts: Mapping[str, object]) -> None:
        """A bench is open."""
        self.boards[pair] = dict(facts)

    def board_done(self, pair: str, facts: Mapping[str, object], closing: Mapping[str, object]) -> None:
        """A bench is about to be closed."""
        self.boards.setdefault(pair, {}).update({**facts, **closing})

    def merge(self, pair: str, facts: Mapping[str, object]) -> None:
        """What another test process knows about its board: lists are put together, the rest is the last one's."""
        known = self.boards.setdefault(pair, {})
        for key, value in facts.items():
            before = known.get(key)
            known[key] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value

    def add(self, report: pytest.TestReport, record: Mapping[str, object]) -> None:
        """Take one phase's report of a test."""
        test = self.tests.setdefault(
            report.nodeid,
            TestRecord(nodeid=report.nodeid, pair=str(record.get("pair", "")), suite=str(record.get("suite", ""))),
        )
        test.seconds += report.duration
        test.findings += cast("list[dict[str, str]]", record.get("findings", []))
        if report.failed:
            fault = str(record.get("fault") or Responsibility.PRODUCT)
            product = fault == Responsibility.PRODUCT
            if test.outcome != "failed":
                test.outcome = "failed" if product else "error"
                test.fault, test.kind = fault, str(record.get("kind", ""))
                test.message = _first_lines(report.longreprtext)
        elif report.skipped and test.outcome == "passed":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            test.message = reason.removeprefix("Skipped: ")
            left_out = test.message.startswith(NOT_RUN)
            test.outcome = "not run" if left_out else "not covered" if "not covered:" in reason else "skipped"

    def finish(self) -> None:
        """Judge the waivers: one that matched nothing is an error, unless the run left its checks out."""
        self.seconds = time.time() - self.began
        for pair in self.pairs:
            findings = [f for test in self.tests.values() if test.pair == pair.name for f in test.findings]
            used = {f["waived_by"] for f in findings if f["status"] == "waived"}
            for waiver in pair.build.granted():
                evaluated = any(fnmatchcase(f["id"], waiver.finding) for f in findings)
                state = "used" if waiver.finding in used else "unused" if evaluated or self.complete else "not judged"
                self.waivers.append(
                    WaiverUse(
                        pair=pair.name,
                        finding=waiver.finding,
                        reason=waiver.reason,
                        where=waiver.where,
                        state=state,
                    )
                )

            for tolerance in pair.build.parity.granted(pair.build.document):
                sessions = cast("list[Mapping[str, Any]]", self.boards.get(pair.name, {}).get("parity", []))
                self.waivers.append(
                    WaiverUse(
                        pair=pair.name,
                        finding=f"parity tolerance {tolerance.name}",
                        reason=tolerance.reason,
                        where=tolerance.where,
                        state=tolerance_use(tolerance, sessions, list(pair.build.models)),
                    )
                )

    @property
    def complete(self) -> bool:
        """Whether every bundled suite ran with nothing left out: then each waiver must have matched."""
        bundled = {test.outcome for test in self.tests.values() if test.suite in SUITES}
        return self.collected >= SUITES and not self.deselected and bundled == {"passed"}

    @property
    def unused_waivers(self) -> list[WaiverUse]:
        """Waivers whose checks ran and never failed."""
        return [waiver for waiver in self.waivers if waiver.state == "unused"]

    def outcomes(self) -> Counter[str]:
        """How many tests ended how."""
        return Counter(test.outcome for test in self.tests.values())

    def faults(self) -> Counter[str]:
        """How many tests ended by whose fault."""
        return Counter(test.fault for test in self.tests.values() if test.fault)


def exit_code(log: RunLog, pytest_status: int) -> int:
    """Pytest's exit code made to say whose fault it was.

    1 the product failed; 10 only the bench did; 3 a bug of the harness; 4 configuration
    (an unused waiver too); 5 nothing reached a verdict. An interrupted run stays 2.
    """
    if pytest_status not in (0, 1):
        return pytest_status
    faults = log.faults()
    if pytest_status == 1 and (faults[Responsibility.PRODUCT] or not faults):
        return 1
    for fault, code in (
        (Responsibility.BUG, 3),
        (Responsibility.CONFIG, 4),
        (Responsibility.INFRASTRUCTURE, EXIT_BENCH),
    ):
        if faults[fault]:
            return code
    if log.unused_waivers:
        return int(pytest.ExitCode.USAGE_ERROR)
    boards = [test for test in log.tests.values() if test.pair]
    if boards and not any(test.outcome == "passed" for test in boards):
        return int(pytest.ExitCode.NO_TESTS_COLLECTED)
    return pytest_status


def _first_lines(text: str, count: int = 30) -> str:
    return "\n".join(text.splitlines()[:count])
