"""The results of each test as typed data: findings, tries, outcomes. Parts of `tfm_harness.report.record`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict

from tfm_harness.report.strict import STRICT

__all__ = ["CheckEntry", "FindingEntry", "PhaseEntry", "ResponsibilityWord", "TestEntry", "TestOutcome", "TryEntry"]

FindingStatus = Literal["passed", "noted", "waived", "failed"]
ResponsibilityWord = Literal["", "product", "infrastructure", "configuration", "test", "harness"]
TestOutcome = Literal["passed", "failed", "error", "blocked", "not covered", "skipped", "not run"]


@dataclass(frozen=True, slots=True)
class CheckEntry:
    """A check, listed once in a run: its title, and the standard and clause that require it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    title: str = ""
    requirement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingEntry:
    """One finding after policy and waivers.

    Attributes:
        id: the check; `RunRecord.checks` holds its title and requirement.
        status: ``passed``; ``noted`` (did not hold, the policy only reports it); ``waived``; ``failed``.
        severity: the severity of a failure under the run's policy: info, warning, failure or critical.
        waiver, waived_by: the reason and the pattern of the waiver that excused it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    id: str
    status: FindingStatus = "passed"
    severity: str = "failure"
    expected: str = ""
    seen: str = ""
    where: str = ""
    subject: str = ""
    waiver: str = ""
    waived_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEntry:
    """The plugin's data about one phase (setup, call, teardown) of a test; it travels with pytest's report.

    Attributes:
        blocked_by: if this test never had a board: the test whose failure is the cause.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str = ""
    board: str = ""
    suite: str = ""
    responsibility: ResponsibilityWord = ""
    kind: str = ""
    blocked_by: str = ""
    findings: tuple[FindingEntry, ...] = ()
    checks: Mapping[str, CheckEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TryEntry:
    """An earlier try of a test that was repeated because its board was lost, or by another plugin."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    __test__: ClassVar[bool] = False

    why: Literal["rerun", "moved"]
    outcome: TestOutcome = "failed"
    board: str = ""
    responsibility: ResponsibilityWord = ""
    kind: str = ""
    seconds: float = 0.0
    message: str = ""
    findings: tuple[FindingEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TestEntry:
    """One test on one combination of target and build.

    Attributes:
        combination: target and build, as in the test's id (``qemu-an547+reference``).
        board: the board on which it ran (one of the pool, if there is a pool).
        outcome: ``failed``: the product is responsible; ``error``: somebody else is (`responsibility`); ``blocked``:
            there was no board, because of the failure of `blocked_by`; ``not run``: the run ended before.
        tries: earlier tries, oldest first.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    __test__: ClassVar[bool] = False  # not a test class, though its name begins with Test

    nodeid: str
    combination: str = ""
    board: str = ""
    suite: str = ""
    outcome: TestOutcome = "passed"
    responsibility: ResponsibilityWord = ""
    kind: str = ""
    blocked_by: str = ""
    seconds: float = 0.0
    message: str = ""
    findings: tuple[FindingEntry, ...] = ()
    tries: tuple[TryEntry, ...] = ()

    @property
    def short(self) -> str:
        """The test's name without its file."""
        return self.nodeid.rpartition("::")[2] or self.nodeid

    @property
    def left_out(self) -> bool:
        """Whether the test did not run because the user left it out (``--tfm-quick``), not because the run ended."""
        return self.outcome == "not run" and self.message.startswith("not run:")
