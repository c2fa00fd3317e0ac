"""The exception for a feature that is missing."""

from __future__ import annotations

__all__ = ["NotCovered"]


class NotCovered(Exception):  # noqa: N818 - the outcome's name
    """The combination does not have a feature, so there is no verdict. The plugin skips the test and counts it.

    Args:
        why: the reason, in words.
        what: the feature or kind of control that is missing, for the record.
    """

    def __init__(self, why: str, *, what: str = "") -> None:
        super().__init__(f"not covered: {why}")
        self.what = what
