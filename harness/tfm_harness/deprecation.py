"""How something public is removed: it warns first, for as long as docs/versions.md says."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

__all__ = ["Deprecation", "HarnessDeprecationWarning", "warn_deprecated"]


class HarnessDeprecationWarning(DeprecationWarning):
    """Something of the public API is used that a later version removes."""


@dataclass(frozen=True, slots=True)
class Deprecation:
    """What is said of something that is going.

    Attributes:
        instead: what to use in its place, as the reader would write it.
        since: the version that deprecated it.
        until: the version that removes it.
    """

    instead: str
    since: str
    until: str


def warn_deprecated(what: str, deprecation: Deprecation, *, stacklevel: int = 2) -> None:
    """Warn of a use.

    Args:
        what: what was used, as the reader wrote it.
        deprecation: since when, until when, what instead.
        stacklevel: whose line is shown: 2 is the caller of the function that calls this one.
    """
    warnings.warn(
        f"{what} is deprecated since tfm-harness {deprecation.since} and ends with {deprecation.until};"
        f" use {deprecation.instead}",
        HarnessDeprecationWarning,
        stacklevel=stacklevel + 1,
    )
