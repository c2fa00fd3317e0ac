"""What is run again, and what several tries of one test say together. Pure.

The bench's failures are tried again, on another board where there is one. A failure of the product is run once more on
another board, so that a flake can be told from a fact. All tries are kept; none is hidden by a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["ENDED", "Attempt", "Judged", "Outcome", "judge", "wanted"]

Outcome = Literal["passed", "failed", "error", "blocked", "not covered", "skipped", "not run", "flaky"]
Want = Literal["", "again", "confirm"]

ENDED: Final = "night-ended"
"""Kind of a try that the night's own end cut off."""
_RAN_OUT: Final = "the run ended"
"""How the record begins the message of a test that the run's end cut off; any other "not run" was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one test.

    Attributes:
        session: the session's id.
        board: where.
        outcome, responsibility, kind, message, seconds: as in the run's record.
    """

    session: str
    board: str
    outcome: Outcome
    responsibility: str = ""
    kind: str = ""
    message: str = ""
    seconds: float = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether the session ended before the test did."""
        return self.outcome == "not run" and self.message.startswith(_RAN_OUT)

    @property
    def benchs(self) -> bool:
        """Whether the bench kept it from saying anything about the product."""
        if self.outcome == "not run":
            return self.cut_off
        return self.outcome in {"error", "blocked"} and self.responsibility in {"", "infrastructure"}

    @property
    def products(self) -> bool:
        """Whether the product failed."""
        return self.outcome == "failed" or (self.outcome == "blocked" and self.responsibility == "product")


def wanted(attempts: Sequence[Attempt], *, tries: int) -> Want:
    """Whether the test shall run once more, and what for.

    Args:
        attempts: its tries so far, oldest first.
        tries: how often one test may run in all.
    """
    if not attempts or len(attempts) >= tries:
        return ""
    if attempts[-1].benchs:
        return "again"
    failed = sum(one.products for one in attempts)
    passed = any(one.outcome == "passed" for one in attempts)
    return "confirm" if failed == 1 and not passed and attempts[-1].products else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All tries of one test together.

    Attributes:
        outcome: ``flaky``: it failed and it passed.
        responsibility: of a test that did not pass.
        confirmed: it failed in two tries; on `boards`.
        decisive: the try that `outcome` stands for.
    """

    outcome: Outcome
    responsibility: str
    confirmed: bool
    boards: tuple[str, ...]
    decisive: Attempt


def judge(attempts: Sequence[Attempt]) -> Judged:
    """What several tries say. A failure of the product is never outvoted by later tries.

    Raises:
        ValueError: no try.
    """
    if not attempts:
        raise ValueError("no try")
    failed = [one for one in attempts if one.products]
    passed = [one for one in attempts if one.outcome == "passed"]
    if failed:
        boards = tuple(dict.fromkeys(one.board for one in failed))
        outcome: Outcome = "flaky" if passed else failed[0].outcome
        return Judged(
            outcome=outcome, responsibility="product", confirmed=len(failed) > 1, boards=boards, decisive=failed[0]
        )
    decisive = passed[-1] if passed else _most_telling(attempts)
    return Judged(
        outcome=decisive.outcome,
        responsibility=_whose(decisive),
        confirmed=False,
        boards=(decisive.board,),
        decisive=decisive,
    )


def _whose(decisive: Attempt) -> str:
    if decisive.outcome == "passed":
        return ""
    # What the night's own end cut off is nobody's; what anything else cut off is the bench's.
    ours = decisive.benchs and decisive.kind != ENDED
    return decisive.responsibility or ("infrastructure" if ours else "")


def _most_telling(attempts: Sequence[Attempt]) -> Attempt:
    """Without pass and failure: the last try that the bench let speak, else the last one that names a cause."""
    spoken = [one for one in attempts if not one.benchs]
    named = [one for one in attempts if one.responsibility]
    return (spoken or named or list(attempts))[-1]
