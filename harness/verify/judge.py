"""Recording outcomes in a report, cheaply: most checks of most messages hold."""

from __future__ import annotations

from harness.findings import Check, Finding, Report

__all__ = ["Judge"]

# Findings are immutable, and a passed one without a subject says no more than its check.
_PASSED: dict[int, Finding] = {}


class Judge:
    """Appends findings about one piece of evidence to a report.

    Args:
        report: where findings go.
        subject: which evidence this is, when the report speaks of several.
    """

    __slots__ = ("_findings", "report", "subject")

    def __init__(self, report: Report, subject: str = "") -> None:
        self.report = report
        self.subject = subject
        self._findings = report.findings

    def passed(self, *checks: Check) -> None:
        """Record that `checks` hold."""
        for check in checks:
            self._findings.append(self._passed_finding(check))

    def _passed_finding(self, check: Check) -> Finding:
        if self.subject:
            return Finding(check=check, passed=True, subject=self.subject)
        finding = _PASSED.get(id(check))
        if finding is None or finding.check is not check:
            finding = _PASSED[id(check)] = Finding(check=check, passed=True)
        return finding

    def failed(self, check: Check, *, expected: object = "", seen: object = "", where: str = "") -> None:
        """Record that `check` does not hold."""
        self._findings.append(
            Finding(
                check=check, passed=False, expected=str(expected), seen=str(seen), where=where, subject=self.subject
            )
        )

    def judge(self, check: Check, held: bool, *, expected: object = "", seen: object = "", where: str = "") -> bool:
        """Record `check`, with the particulars only when it does not hold; returns `held`."""
        if held:
            # A dozen of these run for each token: the common case is inlined.
            finding = None if self.subject else _PASSED.get(id(check))
            if finding is None or finding.check is not check:
                finding = self._passed_finding(check)
            self._findings.append(finding)
        else:
            self.failed(check, expected=expected, seen=seen, where=where)
        return held
