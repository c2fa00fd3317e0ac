"""What a run found of each test, as typed data: findings, tries, outcomes. Parts of `tfm_harness.report.record`."""

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
    """What a check demands, said once a run: its title, and the standard and clause that ask for it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    title: str = ""
    requirement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingEntry:
    """One finding after policy and waivers.

    Attributes:
        id: the check; `RunRecord.checks` holds its title and requirement.
        status: ``passed``; ``noted`` (did not hold, the policy only reports it); ``waived``; ``failed``.
        severity: of a failure under the run's policy: info, warning, failure or critical.
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
    """What the plugin says about one phase (setup, call, teardown) of a test; travels with pytest's report.

    Attributes:
        blocked_by: the test whose failure is the cause, when this one never had a board.
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
    """An earlier try of a test: its board was lost, or a plugin tried it again."""

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
        board: the board it ran on; of a pool, which one.
        outcome: ``failed`` is the product's; ``error`` anybody else's (`responsibility`); ``blocked``: there was no
            board, because of what `blocked_by` met; ``not run``: collected, but the run ended before.
        tries: what came before the outcome, oldest first.
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
        """Whether it did not run because the user asked for less (``--tfm-quick``), not because the run ended."""
        return self.outcome == "not run" and self.message.startswith("not run:")
