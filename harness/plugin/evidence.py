"""What people read: the header, the text of a failure, the summary at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.boards.base import RunContext
from harness.console.base import Console
from harness.errors import Fault
from harness.plugin.outcomes import FindingsFailed, Outcome
from harness.protocol.base import Exchange
from harness.protocol.text import log_tail

if TYPE_CHECKING:
    from harness.plugin.pairs import Pair

__all__ = ["console_section", "exchange_section", "failure_text", "header", "log_tail"]

_TAIL_LINES = 6
_EXCHANGES = 3
_WIDTH = 160


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


def _clip(text: str, limit: int = _WIDTH) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."
