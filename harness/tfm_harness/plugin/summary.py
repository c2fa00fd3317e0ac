"""The summary at the end of a run: what was proved, what failed, whose responsibility it is.

Written for somebody who has not seen it before: 80 columns, broken between words.
"""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

from tfm_harness.order import natural
from tfm_harness.report.harmless import Harmless, harmless
from tfm_harness.report.headline import ORDER, WHOSE, title
from tfm_harness.report.record import (
    CombinationEntry,
    FindingEntry,
    LatencyEntry,
    ParityEntry,
    RunRecord,
    TestEntry,
    in_words,
    proven_words,
)
from tfm_harness.safe_text import safe

__all__ = ["board_lines", "figures", "latency_line", "parity_line", "summary"]

_LISTED = 12  # findings or reasons listed before only their number is said
_WIDTH = 79
_COLUMNS = (("passed", 6), ("failed", 6), ("error", 5), ("not cov.", 8), ("not run", 7), ("checks", 6), ("seconds", 7))


def summary(terminal: pytest.TerminalReporter, run: RunRecord | Harmless[RunRecord]) -> None:
    """Write the summary of a run."""
    run = harmless(run).record
    if not any(test.combination for test in run.tests):
        return
    terminal.section("tfm-harness", bold=True)
    by_combination: dict[str, list[TestEntry]] = defaultdict(list)
    for test in run.tests:
        by_combination[test.combination].append(test)
    for combination in run.combinations:
        tests = by_combination[combination.name]
        if tests:
            _combination(terminal, run, combination, tests)
    _findings(terminal, run, "failed", "failed checks:", red=True)
    _findings(terminal, run, "waived", "waived (shown, excused by name):", yellow=True)
    _findings(terminal, run, "noted", "noted (the policy only reports these):", yellow=True)
    _waivers(terminal, run)
    _blocked(terminal, run)
    _retried(terminal, run)
    _not_run(terminal, [test for test in run.tests if test.outcome == "not run"])
    _not_covered(terminal, [test for test in run.tests if test.outcome == "not covered"])
    _verdict(terminal, run)


def _combination(
    terminal: pytest.TerminalReporter, run: RunRecord, combination: CombinationEntry, tests: Sequence[TestEntry]
) -> None:
    silent = "speaks no protocol" if combination.protocol == "none" else "never ready"
    _wrapped(terminal, f"{combination.name}: {combination.firmware or silent}", bold=True)
    boards = [board for board in run.boards if board.combination == combination.name]
    for words in dict.fromkeys(part for b in boards for part in b.facts.get("not proven", "").split("; ") if part):
        _wrapped(terminal, f"not proven: {words}", 2, yellow=True)
    for board in boards:
        if board.link:
            _wrapped(terminal, f"console link of {board.name}: {board.link}", 2, yellow=True)
    _table(terminal, tests)
    for line, lost in board_lines(run, combination):
        _wrapped(terminal, line, 2, red=lost)
    for line in figures(run, combination.name):
        _wrapped(terminal, line, 2)
    _claims(terminal, run, combination.name)


def _table(terminal: pytest.TerminalReporter, tests: Sequence[TestEntry]) -> None:
    suites: dict[str, list[TestEntry]] = defaultdict(list)
    for test in tests:
        suites[test.suite].append(test)
    width = max(len("suite"), *map(len, suites))
    terminal.write_line(f"  {'suite':<{width}} " + " ".join(f"{name:>{size}}" for name, size in _COLUMNS))
    for suite, members in suites.items():
        _row(terminal, suite, width, members)
    if len(suites) > 1:
        _row(terminal, "total", width, tests)


def _row(terminal: pytest.TerminalReporter, name: str, width: int, members: Sequence[TestEntry]) -> None:
    outcomes = Counter(test.outcome for test in members)
    cells = (
        outcomes["passed"],
        outcomes["failed"],
        outcomes["error"] + outcomes["blocked"],
        outcomes["not covered"] + outcomes["skipped"],
        outcomes["not run"],
        sum(len(test.findings) for test in members),
        f"{sum(test.seconds for test in members):.1f}",
    )
    row = " ".join(f"{cell:>{size}}" for cell, (_, size) in zip(cells, _COLUMNS, strict=True))
    bad = bool(outcomes["failed"])
    open_ends = bool(outcomes["error"] + outcomes["blocked"] + outcomes["not run"]) or not outcomes["passed"]
    terminal.write_line(
        f"  {name:<{width}} {row}", red=bad, yellow=not bad and open_ends, green=not bad and not open_ends
    )


def board_lines(run: RunRecord, combination: CombinationEntry) -> list[tuple[str, bool]]:
    """Boards of a pool, each with what it did, and whether it was lost; nothing where there is only one that lasted."""
    boards = [board for board in run.boards if board.combination == combination.name]
    if len(combination.boards) < 2 and not any(board.lost for board in boards):
        return []
    done = Counter((test.board, test.outcome) for test in run.tests if test.combination == combination.name)
    lines = []
    for board in sorted(boards, key=lambda board: natural(board.name)):
        counted = in_words((word, done[board.name, word]) for word in ORDER)
        tests = sum(done[board.name, word] for word in ORDER)
        by = f", held by {board.worker}" if board.worker else ""
        lines.append((f"board {board.name}: {tests} tests{f' ({counted})' if counted else ''}{by}", False))
        if board.lost:
            where = "in quarantine, " if len(combination.boards) > 1 else "lost, "
            lines.append((f"board {board.name}: {where}{board.lost}", True))
    lines += [
        (f"moved: {test.short}: from {move.before} to {move.after}: {move.why}", False)
        for move in run.moves
        if move.combination == combination.name
        for test in [TestEntry(nodeid=move.nodeid)]
    ]
    return lines


def _claims(terminal: pytest.TerminalReporter, run: RunRecord, combination: str) -> None:
    """What those suites claim of which everything ran and passed; how much of the others did."""
    claims = [suite for suite in run.suites if suite.combination == combination and suite.passed]
    for state, heading in (("proved", "proved:"), ("partly", "proved only in part:")):
        members = [suite for suite in claims if suite.state == state]
        if members:
            terminal.write_line(f"  {heading}")
        for suite in members:
            words = f"{suite.suite}: {suite.claim}"
            if state == "partly":
                retried = f", {suite.retried} of them tried again" if suite.retried else ""
                words = f"{suite.suite}: {suite.passed} of {suite.total} tests passed{retried}"
            if suite.excused:
                words += f" Except what is excused by name: {', '.join(suite.excused)}."
            green = state == "proved" and not suite.excused
            _wrapped(terminal, words, 4, green=green, yellow=not green)


def _findings(terminal: pytest.TerminalReporter, run: RunRecord, status: str, heading: str, **colour: bool) -> None:
    grouped: dict[tuple[str, str], list[FindingEntry]] = defaultdict(list)
    for test in run.tests:
        for finding in test.findings:
            if finding.status == status:
                grouped[test.combination, finding.id].append(finding)
    if not grouped:
        return
    terminal.write_line(heading)
    for (combination, check_id), findings in list(grouped.items())[:_LISTED]:
        first = findings[0]
        times = f" x{len(findings)}" if len(findings) > 1 else ""
        detail = _clip(first.waiver) if first.waiver else _clip(first.seen)
        _wrapped(terminal, f"{check_id}{times} on {combination}: {detail}", 2, **colour)
    if len(grouped) > _LISTED:
        terminal.write_line(f"  and {len(grouped) - _LISTED} more, on the page")


def _waivers(terminal: pytest.TerminalReporter, run: RunRecord) -> None:
    for waiver in run.waivers:
        if waiver.state == "unused":
            _wrapped(
                terminal,
                f"ERROR: waiver {waiver.finding!r} ({waiver.where}) matched nothing: its checks ran and held;"
                " remove it from the build",
                red=True,
            )
        elif waiver.state == "not judged":
            _wrapped(
                terminal,
                f"waiver {waiver.finding!r} was not judged: not every test ran that could have shown what it excuses",
            )


def _blocked(terminal: pytest.TerminalReporter, run: RunRecord) -> None:
    """One cause, and how many tests it blocked."""
    causes = Counter(test.blocked_by for test in run.tests if test.outcome == "blocked")
    for cause, count in causes.items():
        _wrapped(terminal, f"blocked: {count} tests had no board; see {cause}", yellow=True)


def _retried(terminal: pytest.TerminalReporter, run: RunRecord) -> None:
    retried = [test for test in run.tests if any(each.why == "rerun" for each in test.tries)]
    if not retried:
        return
    terminal.write_line("tried again:", yellow=True)
    for test in retried[:_LISTED]:
        kinds = ", ".join(f"{each.outcome} ({each.kind})" for each in test.tries)
        _wrapped(terminal, f"{test.short}: {kinds}, then {test.outcome}", 2, yellow=True)


def _not_run(terminal: pytest.TerminalReporter, tests: Sequence[TestEntry]) -> None:
    """What a quick run left out, and what an ended run did not reach: nothing is proved of it."""
    ended = [test for test in tests if test.message.startswith("the run ended")]
    if ended:
        _wrapped(terminal, f"not run: {len(ended)} tests; the run ended before", yellow=True)
    quick = [test for test in tests if not test.message.startswith("the run ended")]
    if not quick:
        return
    suites: dict[str, list[str]] = defaultdict(list)
    for test in quick:
        suites[test.suite].append(test.short.partition("[")[0])
    words = f"not run: {len(quick)} tests marked thorough were left out of this quick run"
    if len(quick) > _LISTED:
        counted = in_words((suite, len(names)) for suite, names in suites.items())
        _wrapped(terminal, f"{words} ({counted}); run.json names them", yellow=True)
        return
    _wrapped(terminal, words, yellow=True)
    for suite, names in suites.items():
        _wrapped(terminal, f"{suite}: {', '.join(dict.fromkeys(names))}", 2)


def _not_covered(terminal: pytest.TerminalReporter, tests: Sequence[TestEntry]) -> None:
    if not tests:
        return
    reasons = Counter(test.message.removeprefix("not covered: ") for test in tests)
    terminal.write_line(f"not covered: {len(tests)} tests", yellow=True)
    for reason, count in reasons.most_common(_LISTED):
        _wrapped(terminal, f"{count}: {reason}", 2)


def _verdict(terminal: pytest.TerminalReporter, run: RunRecord) -> None:
    blame = run.responsibilities()
    if blame:
        _wrapped(
            terminal,
            "responsible: " + ", ".join(f"{WHOSE[who]} for {count}" for who, count in blame.most_common()),
            bold=True,
        )
    if words := proven_words(run):
        _wrapped(terminal, f"{words}, of the suites that took part")
    good = run.verdict == "passed" and title(run) == "Passed"
    _wrapped(
        terminal,
        f"verdict: {title(run)}",
        bold=True,
        green=good,
        red=run.verdict in {"failed", "harness"},
        yellow=not good and run.verdict not in {"failed", "harness"},
    )


def figures(run: RunRecord, combination: str) -> list[str]:
    """Parity, accuracy, timing and latency of a combination in a line each."""
    parity = [parity_line(entry) for entry in run.parity if entry.combination == combination]
    parity += [f"accuracy {entry.model}: {entry.words}" for entry in run.accuracy if entry.combination == combination]
    parity += [f"timing of {entry.name}: {entry.words}" for entry in run.timings if entry.combination == combination]
    return parity + [latency_line(entry) for entry in run.latency if entry.combination == combination]


def parity_line(entry: ParityEntry) -> str:
    """One comparison with the reference."""
    exact = min((output.exact_vectors for output in entry.outputs), default=0)
    engine = " ".join(entry.engine.get(part, "") for part in ("name", "version")).strip()
    return (
        f"parity {entry.model}: {exact} of {entry.vectors} outputs bit-exact, {entry.distinct} distinct;"
        f" reference {engine}"
    )


def latency_line(entry: LatencyEntry) -> str:
    """One latency series."""
    from tfm_harness.latency.statistics import summarise

    series = entry.series
    found = summarise(series.seconds)
    return (
        f"latency {series.name}: median {found.median * 1e3:.4g} ms, p99 {found.p99 * 1e3:.4g} ms over {found.n}"
        f" inferences ({series.clock.source}; {series.clock.quality.note})"
    )


def _wrapped(terminal: pytest.TerminalReporter, text: str, indent: int = 0, **markup: bool) -> None:
    """A line broken between words; what belongs to it stands further in."""
    lines = textwrap.wrap(
        " ".join(safe(text).split()),
        width=_WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        terminal.write_line(safe(line), **markup)  # a break may bring anything to the beginning of a line


def _clip(text: str, limit: int = 200) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."
