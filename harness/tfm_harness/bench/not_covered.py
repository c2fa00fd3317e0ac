"""What was asked for is not there."""

from __future__ import annotations

__all__ = ["NotCovered"]


class NotCovered(Exception):  # noqa: N818 - the outcome's name
    """This combination does not offer what was asked for: no verdict. The plugin skips the test and counts it.

    Args:
        why: in words.
        what: the feature or kind of control that is missing, for the record.
    """

    def __init__(self, why: str, *, what: str = "") -> None:
        super().__init__(f"not covered: {why}")
        self.what = what
