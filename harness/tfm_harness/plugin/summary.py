"""The table at the end of a run: what was proved, what failed, what it cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tfm_harness.plugin.pairs import Pair
from tfm_harness.plugin.record import RunLog, TestRecord

__all__ = ["figures", "summary"]

_LISTED = 12  # findings or reasons listed before only their number is said
_WIDTH = 160


def summary(terminal: pytest.TerminalReporter, log: RunLog, record: Path | None) -> None:
    """The table at the end: suite by board, findings, waivers, what was not covered."""
    if not any(test.pair for test in log.tests.values()):
        return
    terminal.section("tfm-harness", bold=True)
    for pair in log.pairs:
        tests = [test for test in log.tests.values() if test.pair == pair.name]
        if tests:
            facts = log.boards.get(pair.name, {})
            _board_table(terminal, pair, tests, facts)
            for line in figures(facts):
                terminal.write_line(f"  {line}")
            _proved(terminal, log, tests)
    _findings(terminal, log, "failed", "failed checks", red=True)
    _findings(terminal, log, "waived", "waived (shown, excused by name)", yellow=True)
    _findings(terminal, log, "noted", "noted (the policy only reports these)", yellow=True)
    for waiver in log.waivers:
        if waiver.state == "unused":
            terminal.write_line(
                f"ERROR: waiver {waiver.finding!r} ({waiver.where}) matched nothing: its checks ran and held;"
                " remove it from the build",
                red=True,
            )
        elif waiver.state == "not judged":
            terminal.write_line(f"waiver {waiver.finding!r} was not judged: none of its checks ran")
    _not_run(terminal, [test for test in log.tests.values() if test.outcome == "not run"])
    _not_covered(terminal, [test for test in log.tests.values() if test.outcome == "not covered"])
    faults = log.faults()
    if faults:
        terminal.write_line("whose fault: " + ", ".join(f"{count} {fault}" for fault, count in faults.most_common()))
    if record is not None:
        terminal.write_line(f"transcripts: {record.parent}; record: {record.name}")


def _proved(terminal: pytest.TerminalReporter, log: RunLog, tests: list[TestRecord]) -> None:
    """What those suites claim of which every test passed."""
    outcomes: dict[str, set[str]] = defaultdict(set)
    for test in tests:
        outcomes[test.suite].add(test.outcome)
    proved = [suite for suite, seen in outcomes.items() if seen == {"passed"} and suite in log.claims]
    if proved:
        terminal.write_line("  proved:")
        for suite in proved:
            excused = _excused([test for test in tests if test.suite == suite])
            words = f" Except what is excused by name: {excused}." if excused else ""
            terminal.write_line(
                f"    {suite}: {_clip(log.claims[suite])}{words}", green=not excused, yellow=bool(excused)
            )


def _excused(tests: list[TestRecord]) -> str:
    """Checks of passed tests that a waiver or a named tolerance excused: the claim does not hold there."""
    found = [f["id"] for test in tests for f in test.findings if f["status"] == "waived"]
    leaning = "parity.tolerance-used"
    found += [f["id"] for test in tests for f in test.findings if f["id"] == leaning and f["status"] != "passed"]
    return ", ".join(dict.fromkeys(found))


def _board_table(
    terminal: pytest.TerminalReporter, pair: Pair, tests: list[TestRecord], facts: dict[str, object]
) -> None:
    silent = "speaks no protocol" if facts and pair.build.protocol == "none" else "never ready"
    terminal.write_line(f"{pair.name}: {facts.get('firmware', silent)}", bold=True)
    board = facts.get("board")
    if isinstance(board, dict) and board.get("not proven"):
        for words in str(board["not proven"]).split("; "):
            terminal.write_line(f"  not proven: {words}", yellow=True)
    if facts.get("link"):
        terminal.write_line(f"  console link: {facts['link']}", yellow=True)
    suites: dict[str, list[TestRecord]] = defaultdict(list)
    for test in tests:
        suites[test.suite].append(test)
    width = max(len("suite"), *map(len, suites))
    columns = ("passed", "failed", "error", "not covered", "not run", "checks", "waived", "seconds")
    terminal.write_line(f"  {'suite':<{width}}  " + "  ".join(f"{column:>7}" for column in columns))
    for suite, members in suites.items():
        outcomes = Counter(test.outcome for test in members)
        findings = [finding for test in members for finding in test.findings]
        waived = sum(finding["status"] == "waived" for finding in findings)
        cells = [
            str(outcomes["passed"]),
            str(outcomes["failed"]),
            str(outcomes["error"]),
            str(outcomes["not covered"] + outcomes["skipped"]),
            str(outcomes["not run"]),
            str(len(findings)),
            str(waived),
            f"{sum(test.seconds for test in members):.1f}",
        ]
        row = "  ".join(f"{cell:>{max(7, len(column))}}" for cell, column in zip(cells, columns, strict=True))
        bad = bool(outcomes["failed"])
        terminal.write_line(
            f"  {suite:<{width}}  {row}", red=bad, yellow=not bad and bool(outcomes["error"]), green=not bad
        )


def _findings(terminal: pytest.TerminalReporter, log: RunLog, status: str, title: str, **colour: bool) -> None:
    grouped: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for test in log.tests.values():
        for finding in test.findings:
            if finding["status"] == status:
                grouped[test.pair, finding["id"]].append(finding)
    if not grouped:
        return
    terminal.write_line(f"{title}:")
    for (pair, check_id), findings in list(grouped.items())[:_LISTED]:
        first = findings[0]
        times = f" x{len(findings)}" if len(findings) > 1 else ""
        detail = f": {_clip(first['waiver'])}" if first["waiver"] else f": {_clip(first['seen'], 90)}"
        terminal.write_line(f"  {check_id}{times} on {pair}{detail}", **colour)
    if len(grouped) > _LISTED:
        terminal.write_line(f"  and {len(grouped) - _LISTED} more, in the run's record")


def _not_covered(terminal: pytest.TerminalReporter, tests: list[TestRecord]) -> None:
    if not tests:
        return
    reasons = Counter(test.message.removeprefix("not covered: ") for test in tests)
    terminal.write_line(f"not covered: {len(tests)} tests")
    for reason, count in reasons.most_common(_LISTED):
        terminal.write_line(f"  {count}: {reason}")


def _not_run(terminal: pytest.TerminalReporter, tests: list[TestRecord]) -> None:
    """What a quick run left out, by suite: nothing is proved of it."""
    if not tests:
        return
    suites: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        suites[test.suite].append(test.nodeid.rpartition("::")[2].partition("[")[0])
    terminal.write_line(f"not run: {len(tests)} tests marked thorough were left out by --tfm-quick", yellow=True)
    for suite, names in suites.items():
        terminal.write_line(f"  {suite}: {', '.join(dict.fromkeys(names))}")


def _clip(text: str, limit: int = _WIDTH) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."


def figures(facts: Mapping[str, Any]) -> list[str]:
    """Parity and latency of a board in a line each."""
    lines = []
    for session in facts.get("parity", ()):
        compared = session["comparison"]
        exact = min((output["exact_vectors"] for output in compared["outputs"]), default=0)
        lines.append(
            f"parity {compared['model']}: {exact} of {compared['vectors']} outputs bit-exact,"
            f" {session['distinct']} distinct; reference {session['engine']['name']} {session['engine']['version']}"
        )
    for entry in facts.get("latency", ()):
        from tfm_harness.latency.series import Series
        from tfm_harness.latency.statistics import summarise

        series = Series.from_dict(entry["series"])
        found = summarise(series.seconds)
        lines.append(
            f"latency {series.name}: median {found.median * 1e3:.4g} ms, p99 {found.p99 * 1e3:.4g} ms over {found.n}"
            f" inferences ({series.clock.source}; {series.clock.quality.note})"
        )
    return lines
