"""Checks and findings: every verdict consists of them.

A `Check` is declared once, with its requirement and its severity under each policy.
Running it gives a `Finding`. Checks never stop at the first problem: they append to a
`Report`, which then applies the policy and the build's waivers.

Pure: no I/O, nothing heavy imported.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tfm_harness.errors import Responsibility
from tfm_harness.safe_text import safe

__all__ = [
    "RENAMED_POLICIES",
    "Catalogue",
    "Check",
    "Finding",
    "Policy",
    "Report",
    "Severity",
    "Status",
    "Waiver",
]


class Policy(enum.StrEnum):
    """How strict a run is."""

    DEV = "dev"
    VALIDATION = "validation"
    PRODUCTION = "production"


RENAMED_POLICIES: Final[Mapping[str, str]] = MappingProxyType({"port": str(Policy.VALIDATION)})
"""Old names of policies. They are refused with the new name."""


class Severity(enum.IntEnum):
    """What a failed check means. Only `FAILURE` and above fail a run."""

    INFO = 10
    WARNING = 20
    FAILURE = 30
    CRITICAL = 40

    @property
    def label(self) -> str:
        """Lower-case name for people and JSON."""
        return self.name.lower()


class Status(enum.StrEnum):
    """The outcome of one check after policy and waivers."""

    PASSED = "passed"
    NOTED = "noted"  # failed, but the policy only reports it
    WAIVED = "waived"  # failed, but a named waiver excuses it; still shown
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that is checked, declared once.

    Attributes:
        id: stable dotted name, ``area.thing``; waivers and scripts use it.
        title: one line that says what must hold.
        requirement: standard and clause, for instance ``RFC 9783 s.4.1.1``.
        dev, validation, production: severity of a failure under each policy.
        notes: free text for the generated tables (peers, exceptions).
        waivable: False for checks without which evidence proves nothing (the signature verifies, the bytes decode). No
            waiver excuses these, under any policy.
        responsibility: who is responsible if the check fails: the product, except for checks of the test's own inputs.
    """

    id: str
    title: str
    requirement: str
    dev: Severity = Severity.FAILURE
    validation: Severity = Severity.FAILURE
    production: Severity = Severity.FAILURE
    notes: Mapping[str, str] = field(default_factory=dict)
    waivable: bool = True
    responsibility: Responsibility = Responsibility.PRODUCT

    def severity(self, policy: Policy) -> Severity:
        """The severity of a failure under `policy`."""
        if policy is Policy.VALIDATION:
            return self.validation
        return self.dev if policy is Policy.DEV else self.production


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's outcome on one piece of evidence.

    Attributes:
        check: the declared check.
        passed: whether it held.
        expected, seen: in words or hex; may be empty when `passed`.
        where: the place to look: offset, claim, tensor index, file.
        subject: which evidence (``token``, ``result #12``); empty when there is only one.
    """

    check: Check
    passed: bool
    expected: str = ""
    seen: str = ""
    where: str = ""
    subject: str = ""

    def __post_init__(self) -> None:
        """Make text from a device safe to show.

        Raises:
            TypeError: `check` is not a declared `Check`, so that it names no requirement.
        """
        if not isinstance(self.check, Check):
            raise TypeError(
                f"a check is declared first, Check(id=..., title=..., requirement=...), and then given:"
                f" this is {safe(repr(self.check)[:80])}"
            )
        for name in ("expected", "seen", "where", "subject"):
            text = getattr(self, name)
            if text:
                object.__setattr__(self, name, safe(text))

    @property
    def id(self) -> str:
        """The check's id."""
        return self.check.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A named, reasoned exception granted in a build's YAML.

    `finding` is a check id, or an ``fnmatch`` pattern such as ``attestation.dummy-*``; a critical check
    (a lost key) is excused only by its full id. `where` says which file and line granted it. `at` is a pattern for the
    finding's own `where`, so that the same failure in another place is not excused; if empty, every place matches.
    """

    finding: str
    reason: str
    where: str = ""
    at: str = ""

    def matches(self, finding: Finding) -> bool:
        """Whether this waiver matches `finding` (it never matches a check that is not waivable)."""
        from fnmatch import fnmatchcase

        if finding.check.production >= Severity.CRITICAL and self.finding != finding.id:
            return False
        if self.at and not fnmatchcase(finding.where, self.at):
            return False
        return finding.check.waivable and fnmatchcase(finding.id, self.finding)


@dataclass(slots=True)
class Report:
    """An ordered collection of findings with the policy that judges them."""

    policy: Policy = Policy.VALIDATION
    waivers: tuple[Waiver, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        check: Check,
        passed: bool,
        *,
        expected: object = "",
        seen: object = "",
        where: str = "",
        subject: str = "",
    ) -> bool:
        """Append the outcome of `check`; returns `passed` so that callers can chain.

        Raises:
            TypeError: `check` is not a declared `Check`.
        """
        self.findings.append(
            Finding(check=check, passed=passed, expected=str(expected), seen=str(seen), where=where, subject=subject)
        )
        return passed

    def extend(self, findings: Iterable[Finding]) -> None:
        """Append findings made elsewhere.

        Raises:
            TypeError: one of them is not a `Finding`; then none is appended.
        """
        found = list(findings)
        for finding in found:
            if not isinstance(finding, Finding):
                raise TypeError(f"no finding: {safe(repr(finding)[:80])}")
        self.findings.extend(found)

    def waiver_for(self, finding: Finding) -> Waiver | None:
        """The first waiver that matches a failed finding."""
        if finding.passed or not self.waivers:
            return None
        return next((waiver for waiver in self.waivers if waiver.matches(finding)), None)

    def status(self, finding: Finding) -> Status:
        """Outcome of one finding under this report's policy and waivers."""
        if finding.passed:
            return Status.PASSED
        if self.waiver_for(finding) is not None:
            return Status.WAIVED
        if finding.check.severity(self.policy) >= Severity.FAILURE:
            return Status.FAILED
        return Status.NOTED

    def by_status(self, status: Status) -> list[Finding]:
        """All findings with that status, in order."""
        return [finding for finding in self.findings if self.status(finding) is status]

    @property
    def failed(self) -> list[Finding]:
        """Findings that fail the run."""
        return [f for f in self.findings if not f.passed and self.status(f) is Status.FAILED]

    @property
    def ok(self) -> bool:
        """True when at least one check ran and none failed. A report without checks is not a pass."""
        return bool(self.findings) and not any(
            self.status(finding) is Status.FAILED for finding in self.findings if not finding.passed
        )

    def unused_waivers(self) -> list[Waiver]:
        """Waivers that matched no failed finding (an error at the end of a run)."""
        return [w for w in self.waivers if not any(not f.passed and w.matches(f) for f in self.findings)]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)


class Catalogue:
    """All checks of one area, by id; refuses a second declaration of an id."""

    def __init__(self, area: str) -> None:
        self.area = area
        self._checks: dict[str, Check] = {}

    def declare(self, check: Check) -> Check:
        """Register `check` and return it.

        Raises:
            ValueError: the id is already taken or does not start with the area.
        """
        if check.id in self._checks:
            raise ValueError(f"check {check.id!r} declared twice")
        self._checks[check.id] = check
        return check

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    def __getitem__(self, check_id: str) -> Check:
        return self._checks[check_id]

    def __contains__(self, check_id: object) -> bool:
        return check_id in self._checks
