"""Deprecation of public names: before removal they warn, for the time that docs/versions.md states."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

__all__ = ["Deprecation", "HarnessDeprecationWarning", "warn_deprecated"]


class HarnessDeprecationWarning(DeprecationWarning):
    """A use of something in the public API that a later version removes."""


@dataclass(frozen=True, slots=True)
class Deprecation:
    """The text about something deprecated.

    Attributes:
        instead: what to use instead, as the reader would write it.
        since: the version that deprecated it.
        until: the version that removes it.
    """

    instead: str
    since: str
    until: str


def warn_deprecated(what: str, deprecation: Deprecation, *, stacklevel: int = 2) -> None:
    """Warn about a use.

    Args:
        what: what was used, as the reader wrote it.
        deprecation: since when, until when, what instead.
        stacklevel: the frame whose line is shown: 2 is the caller of the function that calls this one.
    """
    warnings.warn(
        f"{what} is deprecated since tfm-harness {deprecation.since} and ends with {deprecation.until};"
        f" use {deprecation.instead}",
        HarnessDeprecationWarning,
        stacklevel=stacklevel + 1,
    )
