"""Classifies a night's outcomes by comparison with earlier ones: new, old, fixed, flaky, or the bench's. Pure.

The rules are those of farms with many boards: the newest outcome counts; a failure of the bench says nothing about the
product; boards that disagree about one firmware are no regression; a known issue is shown as known until its date.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Final, Literal, get_args

from tfm_harness.order import natural

__all__ = ["ORDER", "Class", "Classified", "KnownIssue", "Seen", "classify", "wilson"]

Class = Literal[
    "new failure", "boards disagree", "flaky", "still failing", "known issue", "infrastructure", "never ran", "fixed",
    "passed", "left out",
]  # fmt: skip
ORDER: Final[tuple[Class, ...]] = get_args(Class)
"""The classes in the order in which people should read them in the morning."""

_JUDGED: Final = frozenset({"passed", "failed"})
_BENCH: Final = frozenset({"error", "blocked"})
_LEFT_OUT: Final = frozenset({"skipped", "not covered"})
_FLIPS: Final = 2
"""A test is flaky after so many changes between passed and failed under one firmware."""
_FLIPS_OVER_FIRMWARE: Final = 4
"""A test is also flaky after so many changes over several firmwares. Three changes may be two defects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One outcome of one test in one run.

    Attributes:
        started: when the run began, seconds since 1970.
        night: the night that the run belongs to; empty: the run is a night of its own.
        identity: identifies the firmware; empty when it is not known: then it equals no other firmware.
        firmware: the firmware in words.
        outcome: as in the record.
        tries: the number of earlier tries.
        checks: the checks that failed.
        run_id: the run's number in the store.
    """

    run: str
    started: float
    test: str
    night: str = ""
    combination: str = ""
    board: str = ""
    identity: str = ""
    firmware: str = ""
    outcome: str = "passed"
    responsibility: str = ""
    kind: str = ""
    message: str = ""
    tries: int = 0
    checks: frozenset[str] = frozenset()
    run_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """A failure that is already known.

    Attributes:
        ticket: the ticket of the issue.
        test, combination: ``fnmatch`` patterns; `combination` may name a board as well.
        until: the last day on which it counts.
        intermittent: the test may also pass, and is then not called fixed.
    """

    ticket: str
    test: str
    combination: str = "*"
    until: dt.date | None = None
    intermittent: bool = False

    def covers(self, seen: Seen, today: dt.date) -> bool:
        """Whether the issue covers that outcome on that day."""
        current = self.until is None or today <= self.until
        places = (seen.combination, seen.board)
        return current and fnmatchcase(seen.test, self.test) and any(fnmatchcase(p, self.combination) for p in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """A test on a combination, tonight.

    Attributes:
        newest: tonight's outcome; if there are several boards, the worst outcome of those that judged the test.
        first_bad: the outcome with which the failure began; None when it does not fail. A test that is left out but
            failed when it was last judged has one.
        last_good: the last outcome before that with which it passed; None: there is none.
        or_before: the failure is as old as all outcomes that were read, and may be older.
        rate: share of failures under the newest firmware, with its 95 % interval; for a test that is flaky over
            several firmwares, the share under all of them. None without a judgement.
        boards: (board, outcome) tonight.
        checks: checks that fail for the first time in a test that has failed for other reasons before.
        ticket: the ticket of the known issue.
    """

    kind: Class
    newest: Seen
    first_bad: Seen | None = None
    last_good: Seen | None = None
    or_before: bool = False
    rate: tuple[float, float, float] | None = None
    boards: tuple[tuple[str, str], ...] = ()
    checks: tuple[str, ...] = ()
    ticket: str = ""

    @property
    def same_firmware(self) -> bool:
        """Whether the failure began with the firmware with which the test last passed: something else changed."""
        first, good = self.first_bad, self.last_good
        return first is not None and good is not None and bool(first.identity) and first.identity == good.identity


def classify(
    tonight: Iterable[Seen],
    before: Iterable[Seen] = (),
    *,
    issues: Sequence[KnownIssue] = (),
    today: dt.date | None = None,
) -> list[Classified]:
    """Classify every test of one run or night by comparison with earlier outcomes.

    Args:
        tonight: the outcomes that are classified.
        before: earlier ones, in any order.
        issues: the known issues.
        today: the day that decides whether an issue still counts.
    """
    day = today or dt.datetime.now(dt.UTC).date()
    groups: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for seen in tonight:
        groups[seen.test, seen.combination].append(seen)
    earlier: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for seen in before:
        if (seen.test, seen.combination) in groups:
            earlier[seen.test, seen.combination].append(seen)
    found = [_one(_in_order(now), _in_order(earlier.get(key, ())), issues, day) for key, now in groups.items()]
    return sorted(
        found, key=lambda one: (ORDER.index(one.kind), natural(one.newest.combination), natural(one.newest.test))
    )


def _in_order(outcomes: Iterable[Seen]) -> list[Seen]:
    return sorted(outcomes, key=lambda one: one.started)


def _one(tonight: Sequence[Seen], before: Sequence[Seen], issues: Sequence[KnownIssue], day: dt.date) -> Classified:
    rank = {"failed": 0, "error": 1, "blocked": 2, "not run": 3}
    # If one board has judged the test, failures of the bench on other boards do not count.
    said = [one for one in tonight if one.outcome in _JUDGED] or tonight
    newest = min(said, key=lambda one: (rank.get(one.outcome, 4), natural(one.board)))
    boards = tuple(sorted(((one.board, one.outcome) for one in tonight), key=lambda said: (natural(said[0]), said[1])))
    earlier = [one for one in before if one.outcome in _JUDGED]
    nights = _nights(earlier)
    failed_before = bool(nights) and any(one.outcome == "failed" for one in nights[-1])
    plain = Classified(kind="passed", newest=newest, boards=boards, ticket=_ticket(newest, issues, day))
    judged = [*earlier, *(one for one in tonight if one.outcome in _JUDGED)]
    if newest.outcome != "failed":
        kind = _without_failure(newest, issues, day, failed_before=failed_before)
        if kind == "left out" and failed_before:  # it failed, and is not run any more
            first_bad, last_good = _since(nights, newest)
            return replace(plain, kind=kind, first_bad=first_bad, last_good=last_good)
        if kind != "fixed":
            return replace(plain, kind=kind)
        # It passes again: has a defect been fixed, or is it flaky?
        rate = _flaky(judged, newest)
        if rate is not None:
            return replace(plain, kind="flaky", rate=rate)
        return replace(plain, kind="fixed" if _agreed(nights[-1]) else "passed")
    same = _same(judged, newest)
    rate = wilson(sum(one.outcome == "failed" for one in same), len(same))
    first_bad, last_good = _since(nights, newest)
    found = replace(plain, kind="new failure", rate=rate, first_bad=first_bad, last_good=last_good)
    checks = _other_reasons(tonight, nights)
    if checks:  # a new failure in a test that failed before must not be hidden by the old one, known or not
        return replace(found, first_bad=newest, checks=checks)
    if plain.ticket:
        return replace(found, kind="known issue")
    flaky = _flaky(judged, newest)
    if flaky is not None:
        return replace(found, kind="flaky", rate=flaky)
    passing = [one for one in tonight if one.outcome == "passed" and one.identity == newest.identity]
    if passing:
        return replace(found, kind="boards disagree")
    return replace(found, kind="still failing" if failed_before else "new failure")


def _same(judged: Iterable[Seen], newest: Seen) -> list[Seen]:
    """Outcomes of the same firmware. A firmware that is not known counts as the same in one night only."""
    night = newest.night or newest.run
    return [
        one
        for one in judged
        if one.identity == newest.identity and (newest.identity or (one.night or one.run) == night)
    ]


def _flaky(judged: Sequence[Seen], newest: Seen) -> tuple[float, float, float] | None:
    """The failure rate of a flaky test, under this firmware or else under all; None when it is not flaky."""
    for group, least in ((_same(judged, newest), _FLIPS), (judged, _FLIPS_OVER_FIRMWARE)):
        if _flips(group) >= least:
            return wilson(sum(one.outcome == "failed" for one in group), len(group))
    return None


def _agreed(night: Iterable[Seen]) -> bool:
    """Whether the boards of a night agreed about each firmware; if not, the failure was no defect of the firmware."""
    said: dict[str, set[str]] = defaultdict(set)
    for one in night:
        said[one.identity].add(one.outcome)
    return all(len(words) == 1 for words in said.values())


def _other_reasons(tonight: Iterable[Seen], nights: Sequence[Sequence[Seen]]) -> tuple[str, ...]:
    """Checks that fail tonight and failed in none of the nights since the test began to fail."""
    known: set[str] = set()
    for night in reversed(nights):
        failed = [one for one in night if one.outcome == "failed"]
        if not failed:
            break
        if not all(one.checks for one in failed):
            return ()  # it failed without a check: its reasons are not known
        known.update(*(one.checks for one in failed))
    now: set[str] = set().union(*(one.checks for one in tonight if one.outcome == "failed"))
    return tuple(sorted(now - known)) if known else ()


def _nights(judged: Iterable[Seen]) -> list[list[Seen]]:
    """Judged outcomes by night, oldest first."""
    found: dict[str, list[Seen]] = defaultdict(list)
    for one in judged:
        found[one.night or one.run].append(one)
    return list(found.values())


def _without_failure(newest: Seen, issues: Sequence[KnownIssue], day: dt.date, *, failed_before: bool) -> Class:
    if newest.outcome in _BENCH:
        return "infrastructure"
    if newest.outcome == "not run":  # the message begins like this if the user left the test out: nothing is missing
        return "left out" if newest.message.startswith("not run:") else "never ran"
    if newest.outcome in _LEFT_OUT:
        return "left out"
    if newest.outcome == "passed" and failed_before:
        known = next((issue for issue in issues if issue.covers(newest, day)), None)
        return "known issue" if known is not None and known.intermittent else "fixed"
    return "passed"


def _ticket(seen: Seen, issues: Sequence[KnownIssue], day: dt.date) -> str:
    return next((issue.ticket for issue in issues if issue.covers(seen, day)), "")


def _since(nights: Sequence[Sequence[Seen]], newest: Seen) -> tuple[Seen, Seen | None]:
    """The outcome with which the failure began, and the last outcome before it that passed."""
    first = newest
    for night in reversed(nights):
        failed = [one for one in night if one.outcome == "failed"]
        if not failed:
            return first, night[-1]
        first = failed[0]
    return first, None


def _flips(outcomes: Sequence[Seen]) -> int:
    """How often a test changed between passed and failed.

    Changes are counted for each board alone, and for all boards together over the nights in which they agreed; the
    larger number counts. A board with both outcomes in one night counts as two changes.
    """
    nights: dict[str, dict[str, set[str]]] = {}
    for one in outcomes:
        nights.setdefault(one.night or one.run, {}).setdefault(one.board, set()).add(one.outcome)
    within = sum(_FLIPS for boards in nights.values() for words in boards.values() if len(words) > 1)
    said = [set().union(*boards.values()) for boards in nights.values()]
    together = _changes(words for words in said if len(words) == 1)
    names = {board for boards in nights.values() for board in boards}
    alone = max((_changes(boards[name] for boards in nights.values() if name in boards) for name in names), default=0)
    return within + max(together, alone)


def _changes(words: Iterable[set[str]]) -> int:
    return sum(before != after for before, after in pairwise(words))


def wilson(failed: int, of: int, z: float = 1.96) -> tuple[float, float, float] | None:
    """Share of failures with its 95 % interval (E. B. Wilson, JASA 22, 1927); None when `of` is 0."""
    if not of:
        return None
    share, scale = failed / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / scale
    return share, max(0.0, middle - half), min(1.0, middle + half)
