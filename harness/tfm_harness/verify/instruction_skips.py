"""Skipped instructions, as an attacker causes them by a glitch on clock or supply, and the choice of skips to try.

A skip leaves out one or two instructions, as MCUboot's own fault campaign does (``ci/fih_test_docker``). Pure: the
input is an image with counts, the output is a list of skips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tfm_harness.verify.marked_code import MarkedCode

__all__ = ["IT_STATE", "LONGEST", "Skip", "after", "evenly", "plan"]

LONGEST: Final = 2
"""The most instructions that one skip leaves out."""
_IT_LOW: Final = 25  # xPSR bits 26:25 are IT[1:0], bits 15:10 IT[7:2] (Armv8-M ARM DDI 0553, B3.5)
_IT_HIGH: Final = 10
IT_STATE: Final = 3 << _IT_LOW | 0x3F << _IT_HIGH
"""The bits of xPSR that hold the CPU's position in an IT block."""
_FIRST_VISITS: Final = 2


@dataclass(frozen=True, slots=True, order=True)
class Skip:
    """Leave out `count` instructions from `address` on, at the `visit`-th time that they are reached (from 1)."""

    address: int
    count: int
    visit: int = 1

    def __str__(self) -> str:
        often = f", visit {self.visit}" if self.visit > 1 else ""
        return f"{self.count} at {self.address:#010x}{often}"


def after(skip: Skip, xpsr: int, code: MarkedCode) -> tuple[int, int]:
    """The address at which the CPU continues, and its program status, whose position in an IT block advances as well.

    If an IT instruction is left out, there is no block: the CPU executes its instructions whatever the flags are.
    """
    at = skip.address
    state = xpsr >> _IT_LOW & 3 | (xpsr >> _IT_HIGH & 0x3F) << 2
    for _ in range(skip.count):
        at += code.size_at(at)
        state = state & 0xE0 | state << 1 & 0x1F if state & 7 else 0  # ITAdvance()
    return at, xpsr & ~IT_STATE | (state & 3) << _IT_LOW | (state >> 2) << _IT_HIGH


def plan(code: MarkedCode, visits: Mapping[int, int]) -> list[Skip]:
    """All skips for one run: each marked instruction that it reaches, of one and of two instructions.

    Args:
        code: the marked functions.
        visits: how often the run without a skip reaches each address.

    Returns:
        The skips in order of address; for an instruction in a loop, at the first two passes and the last.
    """
    found = []
    for address in code.instructions:
        total = visits.get(address, 0)
        passes = sorted({*range(1, min(total, _FIRST_VISITS) + 1), *([total] if total else [])})
        found += [Skip(address, count, visit) for count in range(1, LONGEST + 1) for visit in passes]
    return found


def evenly(skips: Sequence[Skip], code: MarkedCode, most: int) -> list[Skip]:
    """At most `most` of the skips, spread evenly; three of four are at instructions that decide control flow."""
    if len(skips) <= most:
        return list(skips)
    deciding = [skip for skip in skips if code.instructions[skip.address].decides]
    others = [skip for skip in skips if not code.instructions[skip.address].decides]
    many = min(len(deciding), max(most - most // 4, most - len(others)))
    return sorted([*_spread(deciding, many), *_spread(others, most - many)])


def _spread(skips: Sequence[Skip], most: int) -> list[Skip]:
    return [skips[number * len(skips) // most] for number in range(most)]
