"""What people read: the header, the text of a failure, the summary at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfm_harness.boards.base import RunContext
from tfm_harness.console.base import Console
from tfm_harness.errors import Responsibility
from tfm_harness.parity.installed import installed_engine
from tfm_harness.plugin.outcomes import FindingsFailed, Outcome
from tfm_harness.protocol.base import Exchange, PseudoDriver
from tfm_harness.protocol.smp.text import log_tail
from tfm_harness.safe_text import safe
from tfm_harness.version import __version__

if TYPE_CHECKING:
    import pytest

    from tfm_harness.bench.combination import TargetBuild

__all__ = [
    "console_section",
    "device_log",
    "exchange_section",
    "failure_text",
    "fitted",
    "header",
    "log_tail",
    "make_harmless",
]

_REPORT_LINES = 39
"""Lines of a failed test's report, with its title and sections: as many as a screen shows."""

_TAIL_LINES = 6
_LOG_SHOWN = 10
_EXCHANGES = 3
_WIDTH = 160


def header(combinations: Sequence[TargetBuild], context: RunContext | None) -> list[str]:
    """Lines for pytest's header."""
    lines = [f"tfm-harness {__version__}: reference {installed_engine()}"]
    lines += [
        f"  {combination.name}: {combination.target.kind} target, {combination.build_summary()}"
        for combination in combinations
    ]
    if context is not None:
        lines.append(f"  transcripts and records: {context.run_dir}")
    return lines


def failure_text(error: BaseException, outcome: Outcome, where: str) -> str | None:
    """The text of a failure of the harness's own; None leaves pytest's traceback as it is."""
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, FindingsFailed):
        cause = f"\nafterwards: {error.__cause__}" if error.__cause__ is not None else ""
        return f"{where}: {error}{notes}{cause}"
    if outcome.error is not None and outcome.responsibility is not Responsibility.HARNESS:
        return f"{where}: {outcome.error}{notes}"
    return None


def make_harmless(report: pytest.TestReport) -> None:
    """What a device said may stand in an exception of a test's own and in what the test printed: made safe to show."""
    report.sections = [(title, safe(body)) for title, body in report.sections]
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, safe(reason))
    elif (shown := safe(report.longreprtext)) != report.longreprtext:
        report.longrepr = shown  # without the colours of pytest's traceback


def console_section(console: Console) -> tuple[str, str]:
    """The last lines of a console, for a failed test's report."""
    lines = log_tail(console, _TAIL_LINES).splitlines()
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


def fitted(text: str, sections: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """`sections` cut so that they fit below `text` on a screen: always the longest one's oldest line goes first."""
    lines = [(title, body.splitlines()) for title, body in sections]
    left = _REPORT_LINES - 1 - len(text.splitlines())
    while lines and sum(1 + len(body) for _, body in lines) > left:
        longest = max((body for _, body in lines), key=len)
        if len(longest) <= 1:
            break
        del longest[0]
    return [(title, "\n".join(body)) for title, body in lines]


def _clip(text: str, limit: int = _WIDTH) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."


def device_log(client: PseudoDriver | None) -> list[tuple[str, str]]:
    """Lines of the log and the secure side that a client found since it was last asked, with their class."""
    notes = getattr(client, "notes", None)
    lines = notes() if notes is not None else []
    shown = [f"{line.kind:<7} {line.text}" for line in lines[-_LOG_SHOWN:]]
    if len(lines) > len(shown):
        shown.insert(0, f"({len(lines) - len(shown)} earlier lines: see the transcript)")
    return [("device log, classified", "\n".join(shown))] if shown else []
