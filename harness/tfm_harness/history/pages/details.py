"""The data of the other pages: the grid, one test, one board, one firmware, one run, trends, a search."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from markupsafe import Markup

from tfm_harness.files import resolved
from tfm_harness.history.classify import wilson
from tfm_harness.history.database import Database
from tfm_harness.history.pages import links
from tfm_harness.history.pages.views import WORST, Strip, outcome_squares, squares, worst_of
from tfm_harness.history.queries import Memory
from tfm_harness.history.rows import (
    BoardEvent,
    BoardRow,
    Cell,
    FigureRow,
    FindingRow,
    FirmwareRow,
    NightRow,
    OutcomeRow,
    RunRow,
    SuiteRow,
)
from tfm_harness.order import natural
from tfm_harness.report import svg

__all__ = ["board", "firmware", "grid", "run", "search", "test", "trends"]

GRID_NIGHTS: Final = 14
GRID_ROWS: Final = 40
"""The most boards on one page of the grid."""
HISTORY_NIGHTS: Final = 60
MOST_ROWS: Final = 200
MOST_CHARTS: Final = 24
_BAD: Final = ("failed", "error", "blocked", "not run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Suites by board over the last nights; `pages` is the number of pages."""

    nights: tuple[str, ...]
    suites: tuple[str, ...]
    rows: tuple[Strip, ...]
    number: int
    pages: int


def grid(database: Database, number: int = 1) -> Grid | None:
    """A page of the grid, the worst first; None when there is no such page."""
    memory = Memory(database)
    nights = [row.name for row in reversed(memory.nights(limit=GRID_NIGHTS))]
    cells = memory.grid(nights)
    suites = sorted({cell.suite for cell in cells})
    grouped: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[cell.board, cell.combination].append(cell)

    def trouble(key: tuple[str, str]) -> tuple[Any, ...]:
        newest: Counter[str] = Counter()
        before: Counter[str] = Counter()
        for cell in grouped[key]:
            (newest if nights and cell.night == nights[-1] else before).update(cell.outcomes)
        return (-sum(newest[word] for word in _BAD), -sum(before[word] for word in _BAD), *map(natural, key))

    keys = sorted(grouped, key=trouble)
    pages = max(1, -(-len(keys) // GRID_ROWS))
    if not 1 <= number <= pages:
        return None
    rows = [
        Strip(
            name=board or "no board", page=links.board_page(board) if board else "", combination=combination,
            cells=tuple(
                squares([one for one in grouped[board, combination] if one.suite == suite], nights) for suite in suites
            ),
        )
        for board, combination in keys[(number - 1) * GRID_ROWS : number * GRID_ROWS]
    ]  # fmt: skip
    return Grid(nights=tuple(nights), suites=tuple(suites), rows=tuple(rows), number=number, pages=pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test's history."""

    __test__ = False

    name: str
    suite: str
    nights: tuple[str, ...]
    rows: tuple[Strip, ...]
    rates: tuple[tuple[str, int, int, str], ...]  # combination, failed, judged, in words
    outcomes: tuple[OutcomeRow, ...]
    more: int


def test(database: Database, name: str) -> Test | None:
    """A test's page; None for one that the store does not know."""
    memory = Memory(database)
    nights = [row.name for row in reversed(memory.nights(limit=HISTORY_NIGHTS))]
    rows = memory.outcomes(test=name, nights=nights) if nights else []
    if not rows:
        rows = memory.outcomes(test=name, limit=1)
        if not rows:
            return None
    grouped: dict[tuple[str, str], list[OutcomeRow]] = defaultdict(list)
    judged: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        grouped[row.combination, row.board].append(row)
        if row.outcome in {"passed", "failed"}:
            judged[row.combination].append(row.outcome)
    strips = [
        Strip(
            name=board or "no board", page=links.board_page(board) if board else "", combination=combination,
            cells=(outcome_squares(members, nights),), worst=sum(row.outcome in _BAD for row in members),
        )
        for (combination, board), members in grouped.items()
    ]  # fmt: skip
    bad = [row for row in rows if row.outcome != "passed"]
    return Test(
        name=name, suite=rows[0].suite, nights=tuple(nights),
        rows=tuple(sorted(strips, key=lambda s: (-s.worst, natural(s.combination), natural(s.name)))[:MOST_ROWS]),
        rates=tuple(
            (on, words.count("failed"), len(words), _rate(words))
            for on, words in sorted(judged.items(), key=lambda one: natural(one[0]))
        ),
        outcomes=tuple(bad[:MOST_ROWS]), more=max(0, len(bad) - MOST_ROWS),
    )  # fmt: skip


test.__test__ = False  # type: ignore[attr-defined] # not a test, whatever its name


def _rate(words: Sequence[str]) -> str:
    found = wilson(words.count("failed"), len(words))
    return f"{found[0]:.1%} ({found[1]:.1%} to {found[2]:.1%})" if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board's page."""

    row: BoardRow
    events: tuple[BoardEvent, ...]
    nights: tuple[str, ...]
    suites: tuple[Strip, ...]
    bad: tuple[OutcomeRow, ...]
    more: int


def board(database: Database, name: str) -> Board | None:
    """A board's page; None for one that the store does not know."""
    memory = Memory(database)
    nights = [row.name for row in reversed(memory.nights(limit=GRID_NIGHTS))]
    row = next((one for one in memory.boards(nights=nights) if one.name == name), None)
    if row is None:
        return None
    cells = memory.grid(nights, board=name)
    grouped: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[cell.suite, cell.combination].append(cell)
    strips = [
        Strip(name=suite or "(other)", page="", combination=on, cells=(squares(members, nights),))
        for (suite, on), members in sorted(grouped.items(), key=lambda one: tuple(map(natural, one[0])))
    ]
    bad = memory.outcomes(board=name, nights=nights, passed=False, limit=5000) if nights else []
    bad = [one for one in bad if one.outcome in _BAD]
    return Board(
        row=row, events=tuple(memory.board_events(name, limit=50)), nights=tuple(nights), suites=tuple(strips),
        bad=tuple(bad[:MOST_ROWS]), more=max(0, len(bad) - MOST_ROWS),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """A firmware's page: its identity, and the states of suites on it."""

    row: FirmwareRow
    suites: tuple[SuiteRow, ...]
    outcomes: Mapping[str, int]
    bad: tuple[OutcomeRow, ...]
    more: int


def firmware(database: Database, digest: str) -> Firmware | None:
    """A firmware's page; None for one that the store does not know."""
    memory = Memory(database)
    rows = memory.firmware(digest=digest, limit=2)
    if len(rows) != 1 or len(digest) < links.DIGITS:
        return None
    counts = memory.outcome_counts(firmware=rows[0].digest)
    bad = memory.outcomes(firmware=rows[0].digest, passed=False, limit=5000)
    bad = [one for one in bad if one.outcome in _BAD]
    latest: dict[tuple[str, str], SuiteRow] = {}
    for suite in memory.suites(firmware=rows[0].digest):
        latest.setdefault((suite.combination, suite.suite), suite)
    return Firmware(
        row=rows[0], suites=tuple(latest.values())[:MOST_ROWS], outcomes={w: counts[w] for w in WORST if counts.get(w)},
        bad=tuple(bad[:MOST_ROWS]), more=max(0, len(bad) - MOST_ROWS),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: the details behind a square."""

    row: RunRow
    outcomes: Mapping[str, int]
    bad: tuple[tuple[OutcomeRow, tuple[FindingRow, ...], tuple[OutcomeRow, ...]], ...]  # with findings, earlier tries
    more: int
    excused: tuple[FindingRow, ...]
    suites: tuple[SuiteRow, ...]
    latency: tuple[FigureRow, ...]
    parity: tuple[FigureRow, ...]
    files: tuple[str, ...]
    passed: tuple[str, ...]


def run(database: Database, run_id: int) -> Run | None:
    """A run's page; None for one that the store does not know."""
    memory = Memory(database)
    rows = memory.runs(run_id=run_id)
    if not rows:
        return None
    outcomes = memory.outcomes(run_ids=[run_id])
    findings: dict[tuple[str, str], list[FindingRow]] = defaultdict(list)
    excused = []
    for one in memory.findings(run_id=run_id):
        findings[one.test, one.combination].append(one)
        if one.status in {"waived", "noted"}:
            excused.append(one)
    tries: dict[tuple[str, str], list[OutcomeRow]] = defaultdict(list)
    for tried in memory.tries(run_id=run_id):
        tries[tried.test, tried.combination].append(tried)
    shown = [row for row in outcomes if row.outcome != "passed" or row.tries]
    shown.sort(key=lambda row: WORST.index(row.outcome) if row.outcome in WORST else len(WORST))
    counts = Counter(row.outcome for row in outcomes)
    return Run(
        row=rows[0], outcomes={word: counts[word] for word in WORST if counts[word]},
        bad=tuple(
            (row, tuple(f for f in findings[row.test, row.combination] if f.status == "failed"),
             tuple(tries[row.test, row.combination]))
            for row in shown[:MOST_ROWS]
        ),
        more=max(0, len(shown) - MOST_ROWS), excused=tuple(excused[:MOST_ROWS]),
        suites=tuple(memory.suites(run_id=run_id)), latency=tuple(memory.figures("latency", run_id=run_id)),
        parity=tuple(memory.figures("parity", run_id=run_id)), files=tuple(evidence_files(database, rows[0])),
        passed=tuple(sorted(row.test for row in outcomes if row.outcome == "passed" and not row.tries)),
    )  # fmt: skip


def evidence_files(database: Database, row: RunRow) -> dict[str, Path]:
    """The run's own files to which the pages link, by their names in links: its page, record, transcripts.

    Only files in the run's own folder count: a foreign record may name any path.
    """
    if not row.folder:
        return {}
    folder = Path(row.folder)
    wanted = ["report.html", "run.json", *Memory(database).transcripts(row.id)]
    found: dict[str, Path] = {}
    try:
        root = resolved(folder)
        for name in wanted:
            path = resolved(folder / name)  # if a transcript's path is absolute, this is that path
            if path.is_relative_to(root) and path.is_file():
                found["/".join(path.relative_to(root).parts)] = path
    except (OSError, ValueError, RuntimeError):
        return found
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One series of figures over the nights."""

    what: str
    kind: str  # latency or parity
    combination: str
    board: str
    page: str
    newest: FigureRow
    value: str
    verdict: str
    colour: str
    chart: Markup
    points: tuple[tuple[str, str, str], ...]  # night, value, verdict


_KINDS: Final[tuple[Literal["latency", "parity"], ...]] = ("latency", "parity")
_COLOUR_OF: Final[Mapping[str, str]] = {
    "slower": "bad", "drift": "bad", "failed": "bad", "faster": "good", "exact": "good", "passed": "good",
}  # fmt: skip


def trends(database: Database) -> tuple[list[Trend], int]:
    """Trends, those that need attention first, and the number of all."""
    memory = Memory(database)
    nights = [row.name for row in memory.nights(limit=HISTORY_NIGHTS)]
    if not nights:
        return [], 0
    grouped: dict[tuple[str, str, str, str], list[FigureRow]] = defaultdict(list)
    for kind in _KINDS:
        for row in memory.figures(kind, nights=nights, limit=50_000):
            grouped[kind, row.what, row.combination, row.board].append(row)

    def eyes(key: tuple[str, str, str, str]) -> tuple[Any, ...]:
        bad = [_COLOUR_OF.get(row.verdict) == "bad" for row in grouped[key]]
        return (not bad[0], not any(bad), *map(natural, key))

    keys = sorted(grouped, key=eyes)
    return [_trend(key, grouped[key], chart=place < MOST_CHARTS) for place, key in enumerate(keys[:MOST_ROWS])], len(
        keys
    )


def _trend(key: tuple[str, str, str, str], newest_first: Sequence[FigureRow], *, chart: bool) -> Trend:
    kind, what, combination, on = key
    rows = list(reversed(newest_first))
    newest = rows[-1]
    largest = max((row.figures["median"] or 0.0 for row in rows), default=0.0) if kind == "latency" else 0.0
    unit, factor = ("ms", 1e3) if largest >= 1e-3 else ("µs", 1e6)

    def value(row: FigureRow) -> tuple[float | None, str]:
        if kind == "latency":
            median = row.figures["median"]
            return (None, "no value") if median is None else (median * factor, f"median {median * factor:.4g} {unit}")
        return float(
            row.figures["max_lsb"]
        ), f"at most {row.figures['max_lsb']} LSB, {row.figures['failing']} vectors failing"

    drawn = [(row.night, found, row.verdict) for row in rows if (found := value(row)[0]) is not None]
    title = f"{kind} of {what} on {combination}{f', {on}' if on else ''}"
    markup = Markup("")
    if chart and len(drawn) > 1:
        marks = [_COLOUR_OF.get(verdict, "") == "bad" for _, _, verdict in drawn]
        markup = svg.trend(
            [(night, figure, bad) for (night, figure, _), bad in zip(drawn, marks, strict=True)],
            unit=f"median [{unit}]" if kind == "latency" else "largest difference [LSB]", title=title,
        )  # fmt: skip
    return Trend(
        what=what, kind=kind, combination=combination, board=on, page=links.board_page(on) if on else "", newest=newest,
        value=value(newest)[1], verdict=newest.verdict, colour=_COLOUR_OF.get(newest.verdict, "calm"), chart=markup,
        points=tuple((row.night, value(row)[1], row.verdict) for row in rows),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The results of a search: (kind, [(name, page)])."""

    words: str
    found: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def search(database: Database, words: str, *, limit: int = 50) -> Search:
    """Names that hold all the words; without a word, all names (for the written site)."""
    memory = Memory(database)
    found = memory.search(words, limit=limit)
    nights = [row.name for row in memory.nights(limit=10_000)]
    wanted = [word.lower() for word in words.split()]
    pages: list[tuple[str, list[tuple[str, str]]]] = [
        ("tests", [(name, links.test_page(name)) for name in found["tests"]]),
        ("boards", [(name, links.board_page(name)) for name in found["boards"]]),
        ("firmware", [(name, links.firmware_page(name)) for name in found["firmware"]]),
        ("nights", [(n, links.night_page(n)) for n in nights if all(word in n.lower() for word in wanted)][:limit]),
        ("runs", [(name, links.run_page(number)) for name, number in memory.run_ids(found["runs"])]),
        ("builds", [(name, "grid.html") for name in found["builds"]]),
        ("checks", [(name, "") for name in found["checks"]]),
    ]
    return Search(words=words, found=tuple((kind, tuple(rows)) for kind, rows in pages if rows))


def nights_list(database: Database) -> list[NightRow]:
    """All nights, newest first."""
    return Memory(database).nights(limit=5000)


def worst(outcomes: Mapping[str, int]) -> str:
    """The worst of counted outcomes."""
    return worst_of(word for word, count in outcomes.items() if count)
