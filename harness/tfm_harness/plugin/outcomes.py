"""Whose responsibility a test's outcome is: classification of what was raised, and what the report says.

Everything here works on objects and strings; the hooks that call it are in `session`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tfm_harness.errors import HarnessError, Responsibility
from tfm_harness.findings import Finding, Report

__all__ = ["FindingsFailed", "Outcome", "classify", "findings_text", "location"]

_FINDINGS_SHOWN = 4
_PACKAGE = "tfm_harness."
_WORST = (
    Responsibility.PRODUCT,
    Responsibility.HARNESS,
    Responsibility.CONFIGURATION,
    Responsibility.TEST,
    Responsibility.INFRASTRUCTURE,
)


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
    """Whose responsibility, a short slug of what, and the error when the harness raised one."""

    responsibility: Responsibility
    kind: str
    error: HarnessError | None = None


def classify(error: BaseException, *, bundled: bool = False) -> Outcome:
    """Whose responsibility a raised exception is.

    A `HarnessError` says so itself. In a group the product outweighs the bench: a product failure must never hide
    behind an infrastructure error. A failed assertion and ``pytest.fail`` (a timeout of pytest's own too) are
    verdicts about the product. Anything else means that the test reached no verdict: a mistake in the test, or a
    bug of the harness.

    Args:
        error: what was raised.
        bundled: the test came with the harness, and so its mistake is the harness's.
    """
    if isinstance(error, FindingsFailed):
        if not error.findings:
            return Outcome(responsibility=Responsibility.PRODUCT, kind="no-verdict")
        worst = min(error.findings, key=lambda finding: _WORST.index(finding.check.responsibility))
        return Outcome(responsibility=worst.check.responsibility, kind=worst.id)
    if isinstance(error, HarnessError):
        return Outcome(responsibility=error.responsibility, kind=error.kind, error=error)
    if isinstance(error, BaseExceptionGroup):
        inner = [classify(each, bundled=bundled) for each in _walk(error) if not isinstance(each, BaseExceptionGroup)]
        return min(inner, key=lambda outcome: _WORST.index(outcome.responsibility))
    if isinstance(error, AssertionError) and not _within_harness(error):
        return Outcome(responsibility=Responsibility.PRODUCT, kind=type(error).__name__)
    if isinstance(error, pytest.fail.Exception):
        return Outcome(responsibility=Responsibility.PRODUCT, kind=type(error).__name__)
    return Outcome(responsibility=Responsibility.HARNESS if bundled else Responsibility.TEST, kind=type(error).__name__)


def _within_harness(error: BaseException) -> bool:
    """Whether an assertion of the harness's own code failed: it guards the code, and judges no product."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(_PACKAGE)


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
    """Failed findings for a report: at most a screenful, one of each check first, and the count of the rest."""
    lines = [f"{len(findings)} check{'s' if len(findings) > 1 else ''} failed:"]
    kinds = list(dict.fromkeys(finding.id for finding in findings))
    firsts = [next(finding for finding in findings if finding.id == kind) for kind in kinds]
    findings = [*firsts, *(finding for finding in findings if not any(finding is first for first in firsts))]
    for finding in findings[:_FINDINGS_SHOWN]:
        subject = f" ({finding.subject})" if finding.subject else ""
        lines.append(f"[{finding.check.responsibility}:{finding.id}] {finding.check.title}{subject}")
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
