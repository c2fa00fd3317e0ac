"""Finds combinations that were renamed: a pool got or lost a board, a board moved, a build was renamed. Pure.

A combination's name is made of its targets and its build (``a|b+fw``), so each of these changes gives it a new name. A
failure that was seen under the old name did not begin tonight.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Named", "former_names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A combination in a run.

    Attributes:
        number: the combination's number in the store.
        name: ``TARGETS+BUILD``, the targets separated by ``|``.
        firmware: identifies its firmware, whatever the build is called; empty: not known.
        started: when the run began.
    """

    number: int
    name: str
    firmware: str = ""
    started: float = 0.0

    @property
    def targets(self) -> frozenset[str]:
        """The targets, of which one was used."""
        return frozenset(self.name.rpartition("+")[0].split("|")) - {""}

    @property
    def build(self) -> str:
        """The build's name."""
        return self.name.rpartition("+")[2]


def former_names(tonight: Iterable[Named], before: Iterable[Named]) -> dict[int, int]:
    """For each combination that is new tonight, the number of the old combination that was renamed, if there is one.

    The old one must be missing tonight. It has the same build on some of the same targets, or the same firmware on the
    same targets. Among several, the one with the most targets in common is chosen, then the newest.
    """
    now = {one.number: one for one in tonight}
    seen = list(before)
    old = {one.number for one in seen}
    gone = [one for one in seen if one.number not in now]
    found: dict[int, int] = {}
    for number, new in now.items():
        if number in old:
            continue
        fits = [(_likeness(new, one), one.started, one.number) for one in gone if _was(new, one)]
        if fits:
            found[number] = max(fits)[2]
    return found


def _was(new: Named, old: Named) -> bool:
    if new.build == old.build:
        return bool(new.targets & old.targets)
    return new.targets == old.targets and bool(new.firmware) and new.firmware == old.firmware


def _likeness(new: Named, old: Named) -> float:
    return len(new.targets & old.targets) / max(1, len(new.targets | old.targets))
