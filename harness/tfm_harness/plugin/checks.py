"""What suites and users' tests state: one line a check, all collected, none stops the test."""

from __future__ import annotations

from collections.abc import Iterable

from tfm_harness.errors import ProductError
from tfm_harness.findings import Check, Finding, Report

__all__ = ["Checks"]


class Checks:
    """Collects findings into the test's report.

    ``checks(CHECK, condition, expected=..., seen=...)`` appends one finding and returns the
    condition, so that a test can go on or stop as it likes.
    """

    def __init__(self, report: Report) -> None:
        self.report = report

    def __call__(
        self,
        check: Check,
        passed: bool,
        *,
        expected: object = "",
        seen: object = "",
        where: str = "",
        subject: str = "",
    ) -> bool:
        """Append the outcome of `check`."""
        return self.report.add(check, bool(passed), expected=expected, seen=seen, where=where, subject=subject)

    def equal(self, check: Check, seen: object, expected: object, *, where: str = "", subject: str = "") -> bool:
        """`seen` equals `expected`; bytes are shown as hex."""
        return self(check, seen == expected, expected=_show(expected), seen=_show(seen), where=where, subject=subject)

    def refused(
        self, check: Check, error: ProductError | None, *, seen: object = "accepted", subject: str = ""
    ) -> bool:
        """The firmware refused: `error` is what it answered, None when it did what was asked."""
        return self(
            check,
            error is not None,
            expected="a refusal",
            seen=error.message if error is not None else seen,
            subject=subject,
        )

    def extend(self, findings: Iterable[Finding]) -> None:
        """Append findings made elsewhere."""
        self.report.extend(findings)


def _show(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
