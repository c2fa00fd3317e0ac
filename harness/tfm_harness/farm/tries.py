"""Decides which tests run again, and judges several tries of one test together. Pure.

After a failure of the bench, a test is tried again, on another board if there is one. After a failure of the product,
it runs once more on another board, to tell flaky from permanent failures. All tries are kept; a later one hides none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["ENDED", "Attempt", "Judged", "Outcome", "judge", "wanted"]

Outcome = Literal["passed", "failed", "error", "blocked", "not covered", "skipped", "not run", "flaky"]
Want = Literal["", "again", "confirm"]

ENDED: Final = "night-ended"
"""The kind of a try that the night's own end cut off."""
_RAN_OUT: Final = "the run ended"
"""The beginning of the message of a test that the run's end cut off; other tests that were "not run" were left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one test.

    Attributes:
        session: the session's id.
        board: the board on which it ran.
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
        """Whether the try says nothing about the product because the bench failed."""
        if self.outcome == "not run":
            return self.cut_off
        return self.outcome in {"error", "blocked"} and self.responsibility in {"", "infrastructure"}

    @property
    def products(self) -> bool:
        """Whether the product failed."""
        return self.outcome == "failed" or (self.outcome == "blocked" and self.responsibility == "product")


def wanted(attempts: Sequence[Attempt], *, tries: int) -> Want:
    """Whether the test shall run once more, and for which purpose.

    Args:
        attempts: its tries so far, oldest first.
        tries: the most tries of one test.
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
        responsibility: the responsibility, if the test did not pass.
        confirmed: whether it failed in two tries, on `boards`.
        decisive: the try that gave `outcome`.
    """

    outcome: Outcome
    responsibility: str
    confirmed: bool
    boards: tuple[str, ...]
    decisive: Attempt


def judge(attempts: Sequence[Attempt]) -> Judged:
    """The common verdict of several tries. Later tries never outvote a failure of the product.

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
    # Nobody is responsible for a try that the night's own end cut off; for others that were cut off, the bench is.
    ours = decisive.benchs and decisive.kind != ENDED
    return decisive.responsibility or ("infrastructure" if ours else "")


def _most_telling(attempts: Sequence[Attempt]) -> Attempt:
    """Without pass and failure: the last try without a failure of the bench, else the last with a responsibility."""
    spoken = [one for one in attempts if not one.benchs]
    named = [one for one in attempts if one.responsibility]
    return (spoken or named or list(attempts))[-1]
