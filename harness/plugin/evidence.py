"""What people read: the header, the text of a failure, the summary at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from harness.boards.base import RunContext
from harness.console.base import Console, Mark
from harness.console.text import last_lines
from harness.errors import Fault
from harness.plugin.outcomes import FindingsFailed, Outcome
from harness.plugin.record import RunLog, TestRecord
from harness.protocol.base import Exchange
from harness.protocol.smp_frame import CONTINUE, START

if TYPE_CHECKING:
    from harness.plugin.pairs import Pair

__all__ = ["console_section", "exchange_section", "failure_text", "header", "summary"]

_TAIL_LINES = 6
_TAIL_BYTES = 1 << 16
_EXCHANGES = 3
_WIDTH = 160
_LISTED = 12  # findings or reasons listed in the summary before only their number is said


def header(pairs: Sequence[Pair], context: RunContext | None) -> list[str]:
    """Lines for pytest's header."""
    from importlib.metadata import PackageNotFoundError, version

    engines = []
    for package in ("tflite-runtime", "ai-edge-litert"):
        try:
            engines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    lines = [f"tfm-harness {version('tfm-harness')}: reference {', '.join(engines) or 'not installed'}"]
    lines += [f"  {pair.name}: {pair.target.kind} target, {pair.build_summary()}" for pair in pairs]
    if context is not None:
        lines.append(f"  transcripts and records: {context.run_dir}")
    return lines


def failure_text(error: BaseException, outcome: Outcome, where: str) -> str | None:
    """The text of a failure of the harness's own; None leaves pytest's traceback as it is."""
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, FindingsFailed):
        cause = f"\nafterwards: {error.__cause__}" if error.__cause__ is not None else ""
        return f"{where}: {error}{notes}{cause}"
    if outcome.error is not None and outcome.fault is not Fault.BUG:
        return f"{where}: {outcome.error}{notes}"
    return None


def console_section(console: Console) -> tuple[str, str]:
    """The last lines of a console, for a failed test's report."""
    # Frames stand decoded among the exchanges; here they would push the log out of sight.
    data = console.read_from(Mark(max(0, console.received - _TAIL_BYTES)), limit=_TAIL_BYTES)
    text = b"\n".join(line for line in data.split(b"\n") if not line.startswith((START, CONTINUE)))
    lines = last_lines(text, _TAIL_LINES, _WIDTH).splitlines()
    lines.append(f"[{console.received} bytes in {console.transcript}]")
    return f"console {console.name}, last lines", "\n".join(lines)


def exchange_section(exchanges: Sequence[Exchange]) -> tuple[str, str] | None:
    """The last requests and answers, decoded."""
    if not exchanges:
        return None
    lines = []
    for exchange in exchanges[-_EXCHANGES:]:
        retried = f", {exchange.retries} retries" if exchange.retries else ""
        lines.append(f"> {_clip(exchange.request)}")
        lines.append(f"< {_clip(exchange.response)} ({exchange.seconds * 1000:.1f} ms{retried})")
    return "last requests and answers", "\n".join(lines)


def summary(terminal: pytest.TerminalReporter, log: RunLog, context: RunContext | None) -> None:
    """The table at the end: suite by board, findings, waivers, what was not covered."""
    if not any(test.pair for test in log.tests.values()):
        return
    terminal.section("tfm-harness", bold=True)
    for pair in log.pairs:
        tests = [test for test in log.tests.values() if test.pair == pair.name]
        if tests:
            _board_table(terminal, pair.name, tests, log.boards.get(pair.name, {}))
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
    _not_covered(terminal, [test for test in log.tests.values() if test.outcome == "not covered"])
    faults = log.faults()
    if faults:
        terminal.write_line("whose fault: " + ", ".join(f"{count} {fault}" for fault, count in faults.most_common()))
    if context is not None:
        terminal.write_line(f"transcripts and records: {context.run_dir}")


def _board_table(
    terminal: pytest.TerminalReporter, name: str, tests: list[TestRecord], facts: dict[str, object]
) -> None:
    terminal.write_line(f"{name}: {facts.get('firmware', 'never ready')}", bold=True)
    if facts.get("link"):
        terminal.write_line(f"  console link: {facts['link']}", yellow=True)
    suites: dict[str, list[TestRecord]] = defaultdict(list)
    for test in tests:
        suites[test.suite].append(test)
    width = max(len("suite"), *map(len, suites))
    columns = ("passed", "failed", "error", "not covered", "checks", "waived", "seconds")
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


def _clip(text: str, limit: int = _WIDTH) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."
