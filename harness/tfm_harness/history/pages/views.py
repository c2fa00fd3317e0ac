"""The data of the pages: plain data from the store, made for one page each. No markup here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tfm_harness.history.classify import ORDER, Class, Classified
from tfm_harness.history.database import Database
from tfm_harness.history.judged import Judged, judge_night
from tfm_harness.history.pages.links import anchor, board_page, firmware_page, run_page, test_page
from tfm_harness.history.queries import Memory
from tfm_harness.history.rows import BoardRow, Cell, FigureRow, NightRow, OutcomeRow
from tfm_harness.order import natural
from tfm_harness.report.headline import WHOSE, failing_line
from tfm_harness.report.record import in_words

__all__ = ["Group", "Line", "Square", "Strip", "Tally", "Tonight", "line_of", "short", "squares", "tonight", "whose"]

MOST_LINES: Final = 200
"""The most tests of one class on a page; the page counts the others."""
WORST: Final = ("failed", "error", "blocked", "not run", "passed", "skipped", "not covered")
LETTERS: Final[Mapping[str, str]] = {
    "failed": "F", "error": "B", "blocked": "B", "not run": "N", "passed": "P", "skipped": "S", "not covered": "C",
    "mixed": "M", "": "·",
}  # fmt: skip
"""The letter of each outcome, so that it is shown not only by colour. B: the bench."""
MEANING: Final[Mapping[Class, str]] = {
    "new failure": "failed, and passed when it was last judged, or was never judged before; or for another reason",
    "boards disagree": "failed on one board and passed on another with the same firmware",
    "flaky": "changed between pass and failure under one firmware, or failed and recovered twice",
    "still failing": "failed, and failed when it was last judged",
    "known issue": "failed, as a known issue expects",
    "infrastructure": "the bench failed: it says nothing about the product",
    "never ran": "was to run, and did not",
    "fixed": "passed, and failed when it was last judged, on each board that judged it",
    "passed": "passed, as before",
    "left out": "failed when it was last judged, and was left out now: skipped, not asked for, or not covered",
}
COLOURS: Final[Mapping[str, str]] = {
    "new failure": "bad", "boards disagree": "warn", "flaky": "warn", "still failing": "bad", "known issue": "warn",
    "infrastructure": "bench", "never ran": "warn", "fixed": "good", "passed": "good",
    "left out": "calm",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One test on one combination."""

    test: str
    page: str
    combination: str
    boards: tuple[tuple[str, str, str], ...]  # name, outcome, page
    whose: str
    kind: str
    message: str
    evidence: str
    since: str = ""
    since_page: str = ""
    firmware: str = ""
    firmware_page: str = ""
    last_good: str = ""
    last_good_page: str = ""
    same_firmware: bool = False
    reasons: str = ""
    rate: str = ""
    ticket: str = ""
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The tests of one class."""

    kind: Class
    meaning: str
    colour: str
    lines: tuple[Line, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The outcomes of one build or board in one night, counted."""

    name: str
    page: str
    total: int
    outcomes: Mapping[str, int]
    worst: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tonight:
    """A night's page."""

    judged: Judged
    colour: str
    title: str
    summary: tuple[tuple[str, int, str], ...]  # class, how many, colour
    groups: tuple[Group, ...]
    lost: tuple[tuple[str, str, int, str], ...]  # losses of the bench: board, kind, tests, board's page
    builds: tuple[Tally, ...]
    boards: tuple[Tally, ...]
    sick: tuple[BoardRow, ...]
    slower: tuple[FigureRow, ...]
    differs: tuple[FigureRow, ...]
    sessions: tuple[Mapping[str, Any], ...]
    nights: tuple[NightRow, ...]
    seconds_lost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A night's outcome as one coloured square."""

    letter: str
    css: str
    words: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A row of squares, oldest night first."""

    name: str
    page: str
    combination: str
    cells: tuple[tuple[Square, ...], ...] = field(default=())
    worst: int = 0


def short(test: str) -> str:
    """A test's name without its file."""
    return test.rpartition("::")[2] or test


def whose(responsibility: str) -> str:
    """The responsibility in words; empty when there is none."""
    return WHOSE.get(responsibility, responsibility)


def worst_of(outcomes: Iterable[str]) -> str:
    """The worst of these outcomes, which a reader must see first."""
    found = set(outcomes)
    return next((word for word in WORST if word in found), "")


def css(outcome: str) -> str:
    """The CSS class of an outcome."""
    return outcome.replace(" ", "-") or "none"


def tonight(database: Database, night: str = "", *, nights: int = 14) -> Tonight:
    """The data of a night's page; without a name, of the newest night.

    Raises:
        ConfigError: kind ``history-run``: no such night.
        InfrastructureError: kind ``store-failed``.
    """
    memory = Memory(database)
    judged = judge_night(database, night)
    digests = {one.digest for one in memory.firmware(limit=100_000)}
    every = (_group(kind, judged, digests) for kind in ORDER if kind != "passed")
    groups = tuple(group for group in every if group.lines)
    cells = memory.grid([judged.name])
    row_of_nights = memory.nights(limit=nights)
    newest = bool(row_of_nights) and row_of_nights[0].name == judged.name
    boards = {row.name: row for row in memory.boards(nights=[judged.name], after="" if newest else judged.name)}
    summary = tuple((kind, count, COLOURS[kind]) for kind in ORDER if (count := judged.counts.get(kind, 0)))
    colours = {colour for _, _, colour in summary} | ({"bench"} if judged.never else set())
    worst = next((word for word in ("bad", "bench", "warn") if word in colours), "good")
    latency = memory.figures("latency", nights=[judged.name], limit=5000)
    parity = memory.figures("parity", nights=[judged.name], limit=5000)
    return Tonight(
        judged=judged, colour=worst, title=_title(judged), summary=summary, groups=groups,
        lost=tuple(
            (board or "no board", why, count, board_page(board) if board else "")
            for board, why, count in judged.lost[:MOST_LINES]
        ),
        builds=_tallies(cells, lambda cell: cell.combination, lambda _: ""),
        boards=_tallies(cells, lambda cell: cell.board, board_page),
        sick=tuple(b for b in boards.values() if b.health not in {"Good", "Unknown"} or b.bench_failures),
        slower=tuple(row for row in latency if row.verdict in {"slower", "drift"}),
        differs=tuple(row for row in parity if row.verdict == "failed"),
        sessions=tuple(memory.sessions(judged.name)), nights=tuple(row_of_nights),
        seconds_lost=sum(row.seconds_lost for row in boards.values()),
    )  # fmt: skip


def _title(judged: Judged) -> str:
    counts = judged.counts
    number = len(judged.never)
    never = f"; {number} planned session{'s' if number > 1 else ''} never ran" if number else ""
    if counts.get("new failure"):
        return f"{counts['new failure']} new failure{'s' if counts['new failure'] > 1 else ''}{never}"
    others = [
        kind
        for kind in ("boards disagree", "flaky", "still failing", "known issue", "infrastructure", "never ran")
        if kind in counts
    ]
    if others:
        said = in_words((kind, counts[kind]) for kind in others)  # type: ignore[index]
        return f"Nothing new failed; {said}{never}"
    whole = "What ran passed" if never else "All passed"
    return f"{whole if counts.get('passed') or counts.get('fixed') else 'Nothing was judged'}{never}"


def _group(kind: Class, judged: Judged, digests: set[str]) -> Group:
    members = [one for one in judged.tests if one.kind == kind]
    return Group(
        kind=kind, meaning=MEANING[kind], colour=COLOURS[kind],
        lines=tuple(line_of(one, digests) for one in members[:MOST_LINES]), more=max(0, len(members) - MOST_LINES),
    )  # fmt: skip


def line_of(one: Classified, digests: set[str]) -> Line:
    """A test of a class as a line of the page.

    Args:
        digests: the firmware that has a page.
    """
    newest, first, good = one.newest, one.first_bad, one.last_good
    rate = ""
    if one.rate is not None and one.kind == "flaky":
        rate = f"fails in {one.rate[0]:.0%} ({one.rate[1]:.0%} to {one.rate[2]:.0%})"
    identity = first.identity if first else ""
    return Line(
        test=newest.test, page=test_page(newest.test), combination=newest.combination,
        boards=tuple((board, outcome, board_page(board) if board else "") for board, outcome in one.boards),
        whose=whose(newest.responsibility), kind=newest.kind, message=failing_line(newest.message),
        evidence=run_page(newest.run_id, newest.test), same_firmware=one.same_firmware,
        reasons=", ".join(one.checks), rate=rate, ticket=one.ticket, tries=newest.tries,
        since=f"{first.night or first.run}{' or before' * one.or_before}" if first else "",
        since_page=run_page(first.run_id, first.test) if first else "",
        firmware=first.firmware if first else "",
        firmware_page=firmware_page(identity) if identity in digests else "",
        last_good=good.night or good.run if good else "",
        last_good_page=run_page(good.run_id, good.test) if good else "",
    )  # fmt: skip


def _tallies(cells: Sequence[Cell], name: Any, page: Any) -> tuple[Tally, ...]:  # noqa: ANN401 - two small functions
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in cells:
        counted[name(cell)].update(cell.outcomes)
    rows = [
        Tally(
            name=key or "no board", page=page(key) if key else "", total=sum(counts.values()), outcomes=dict(counts),
            worst=worst_of(counts), words=in_words((word, counts[word]) for word in WORST),
        )
        for key, counts in counted.items()
    ]  # fmt: skip
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                WORST.index(row.worst) if row.worst else 9,
                -row.outcomes.get(row.worst, 0),
                natural(row.name),
            ),
        )
    )


def squares(cells: Iterable[Cell], nights: Sequence[str]) -> tuple[Square, ...]:
    """One square for each night, oldest first; the outcomes of several cells of a night are added up."""
    by_night: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_night[cell.night].append(cell)
    found = []
    for night in nights:
        counts: Counter[str] = Counter()
        run_id = 0
        for cell in by_night.get(night, ()):
            counts.update(cell.outcomes)
            run_id = max(run_id, cell.run_id)
        worst = worst_of(counts)
        words = in_words((word, counts[word]) for word in WORST) or "nothing ran"
        found.append(
            Square(
                letter=LETTERS[worst],
                css=css(worst),
                words=f"{night}: {words}",
                page=run_page(run_id) if run_id else "",
            )
        )
    return tuple(found)


def outcome_squares(rows: Sequence[OutcomeRow], nights: Sequence[str]) -> tuple[Square, ...]:
    """One square for each night with a test's outcomes; a night in which it both passed and failed is mixed."""
    by_night: dict[str, list[OutcomeRow]] = defaultdict(list)
    for row in rows:
        by_night[row.night].append(row)
    found = []
    for night in nights:
        here = by_night.get(night, [])
        words = {row.outcome for row in here}
        worst = "mixed" if {"passed", "failed"} <= words else worst_of(words)
        said = ", ".join(f"{row.outcome}{f' on {row.board}' if row.board else ''}" for row in here) or "did not run"
        shown = next((row for row in here if row.outcome == worst_of(words)), None)
        page = f"run/{shown.run_id}.html#{anchor(shown.test)}" if shown else ""
        found.append(Square(letter=LETTERS[worst], css=css(worst), words=f"{night}: {said}", page=page))
    return tuple(found)
