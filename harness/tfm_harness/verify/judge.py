"""Records outcomes in a report at low cost, as most checks of most messages hold.

Texts are made only for checks that do not hold: the caller passes a value and the function that shows it.
"""

from __future__ import annotations

from collections.abc import Callable

from tfm_harness.findings import Check, Finding, Report

__all__ = ["Judge", "Where", "matches", "show"]

Where = str | tuple[object, str]
"""The place that a finding names: a text, or a claim's label with its name."""

# Findings are immutable, and a passed one without a subject depends only on its check: it can be shared.
_PASSED: dict[str, Finding] = {}
_GROUPS: dict[int, tuple[tuple[Check, ...], list[Finding]]] = {}
_NOT_GIVEN: dict[str, Finding] = {}


def matches(seen: object, wanted: object) -> bool:
    """Whether a value is the wanted one, of the same type, or one of a set of wanted ones."""
    if isinstance(wanted, frozenset):
        return any(matches(seen, one) for one in wanted)
    return type(seen) is type(wanted) and seen == wanted


def show(value: object) -> str:
    """A value as text for a finding: byte strings in hex, the members of a set with "or" between them."""
    if isinstance(value, frozenset):
        return " or ".join(sorted(map(show, value)))
    return value.hex() if isinstance(value, bytes) else f"{value!r}"[:120]


class Judge:
    """Appends findings about one piece of evidence to a report.

    Args:
        report: where findings go.
        subject: which evidence this is, when the report speaks of several.
    """

    __slots__ = ("_append", "report", "subject")

    def __init__(self, report: Report, subject: str = "") -> None:
        self.report = report
        self.subject = subject
        self._append = report.findings.append

    def passed(self, check: Check) -> None:
        """Record that `check` holds."""
        finding = None if self.subject else _PASSED.get(check.id)
        if finding is None or finding.check is not check:
            finding = self._passed_finding(check)
        self._append(finding)

    def passed_all(self, checks: tuple[Check, ...]) -> None:
        """Record that each of a constant group of checks holds."""
        if self.subject:
            self.report.findings.extend(map(self._passed_finding, checks))
            return
        known = _GROUPS.get(id(checks))
        if known is None or known[0] is not checks:
            known = _GROUPS[id(checks)] = (checks, [self._passed_finding(check) for check in checks])
        self.report.findings.extend(known[1])

    def _passed_finding(self, check: Check) -> Finding:
        finding = Finding(check=check, passed=True, subject=self.subject)
        if not self.subject:
            _PASSED[check.id] = finding
        return finding

    def not_given(self, check: Check, expected: str) -> None:
        """Record that the host was not given what `check` compares with; `expected` is constant for each check."""
        finding = None if self.subject else _NOT_GIVEN.get(check.id)
        if finding is None or finding.check is not check or finding.expected != expected:
            finding = Finding(check=check, passed=False, expected=expected, seen="none given", subject=self.subject)
            if not self.subject:
                _NOT_GIVEN[check.id] = finding
        self._append(finding)

    def failed(
        self,
        check: Check,
        *,
        expected: object = "",
        seen: object = "",
        where: Where = "",
        show: Callable[[object], object] | None = None,
    ) -> None:
        """Record that `check` does not hold."""
        self._append(
            Finding(
                check=check,
                passed=False,
                expected=str(expected),
                seen=str(seen if show is None else show(seen)),
                where=where if isinstance(where, str) else f"claim {where[0]} ({where[1]})",
                subject=self.subject,
            )
        )

    def judge(
        self,
        check: Check,
        held: bool,
        *,
        expected: object = "",
        seen: object = "",
        where: Where = "",
        show: Callable[[object], object] | None = None,
    ) -> bool:
        """Record `check`, with details only when it does not hold; returns `held`.

        `show` makes the text for `seen`.
        """
        if held:  # `passed`, inlined: dozens of these run for each token
            finding = None if self.subject else _PASSED.get(check.id)
            if finding is None or finding.check is not check:
                finding = self._passed_finding(check)
            self._append(finding)
        else:
            self.failed(check, expected=expected, seen=seen, where=where, show=show)
        return held
