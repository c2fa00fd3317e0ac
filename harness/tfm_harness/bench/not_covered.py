"""What was asked for is not there."""

from __future__ import annotations

__all__ = ["NotCovered"]


class NotCovered(Exception):  # noqa: N818 - the outcome's name
    """This combination does not offer what was asked for: no verdict. The plugin skips the test and counts it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not covered: {why}")
