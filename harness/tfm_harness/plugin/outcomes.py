"""Whose fault a test's outcome is: classification of what was raised, and what the report says.

Everything here works on objects and strings; the hooks that call it are in `session`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tfm_harness.errors import HarnessError, Responsibility
from tfm_harness.findings import Finding, Report, Status

__all__ = ["FindingsFailed", "Outcome", "classify", "findings_text", "location"]

_FINDINGS_SHOWN = 4


class FindingsFailed(AssertionError):  # noqa: N818 - reads as what pytest prints
    """Raised at the end of a test whose checks found something that fails the run."""

    def __init__(self, report: Report) -> None:
        failed = report.failed
        super().__init__(
            "no check ran: a test without a verdict is no pass" if not report.findings else findings_text(failed)
        )
        self.findings = tuple(failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whose fault, a short slug of what, and the error when the harness raised one."""

    fault: Responsibility
    kind: str
    error: HarnessError | None = None


def classify(error: BaseException) -> Outcome:
    """Whose fault a raised exception is.

    A `HarnessError` says so itself. In a group or a chain the product's fault outweighs the
    bench's: a product failure must never hide behind an infrastructure error. Anything else
    that a test raises (an assertion, a timeout of pytest's own) is a verdict about the product.
    """
    if isinstance(error, FindingsFailed):
        return Outcome(fault=Responsibility.PRODUCT, kind=error.findings[0].id if error.findings else "no-verdict")
    found = [inner for inner in _walk(error) if isinstance(inner, HarnessError)]
    if isinstance(error, HarnessError):
        return Outcome(fault=error.fault, kind=error.kind, error=error)
    if isinstance(error, BaseExceptionGroup) and found:
        order = [Responsibility.PRODUCT, Responsibility.BUG, Responsibility.CONFIG, Responsibility.INFRASTRUCTURE]
        worst = min(found, key=lambda inner: order.index(inner.fault))
        return Outcome(fault=worst.fault, kind=worst.kind, error=worst)
    return Outcome(fault=Responsibility.PRODUCT, kind=type(error).__name__)


def _walk(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _walk(inner)


def location(excinfo: pytest.ExceptionInfo[BaseException], item: pytest.Item) -> str:
    """``file:line`` of the test's own line that led to the exception, or of the test."""
    path, root = item.path, item.config.rootpath
    entries = [entry for entry in excinfo.traceback if Path(entry.path) == path]
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    line = entries[-1].lineno if entries else item.location[1] or 0
    return f"{shown}:{line + 1}"


def findings_text(findings: list[Finding]) -> str:
    """Failed findings for a report: at most a screenful, the count of the rest."""
    lines = [f"{len(findings)} check{'s' if len(findings) > 1 else ''} failed:"]
    for finding in findings[:_FINDINGS_SHOWN]:
        subject = f" ({finding.subject})" if finding.subject else ""
        lines.append(f"[product:{finding.id}] {finding.check.title}{subject}")
        lines += [
            f"  {label}: {_clip(text)}"
            for label, text in (
                ("expected", finding.expected),
                ("seen", finding.seen),
                ("where", finding.where),
                ("required by", finding.check.requirement),
            )
            if text
        ]
    if len(findings) > _FINDINGS_SHOWN:
        rest = sorted({finding.id for finding in findings[_FINDINGS_SHOWN:]})
        lines.append(f"and {len(findings) - _FINDINGS_SHOWN} more: {_clip(', '.join(rest))}")
    return "\n".join(lines)


def _clip(text: str, limit: int = 400) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."


def as_record(report: Report) -> list[dict[str, str]]:
    """Findings as plain data, for the run's record and for test processes that report to another."""
    records = []
    for finding in report:
        status = report.status(finding)
        waiver = report.waiver_for(finding) if status is Status.WAIVED else None
        records.append(
            {
                "id": finding.id,
                "title": finding.check.title,
                "requirement": finding.check.requirement,
                "severity": finding.check.severity(report.policy).label,
                "status": str(status),
                "expected": finding.expected,
                "seen": finding.seen,
                "where": finding.where,
                "subject": finding.subject,
                "waiver": waiver.reason if waiver else "",
                "waived_by": waiver.finding if waiver else "",
            }
        )
    return records
