"""A run in one line, the same on the page, in the terminal and in ``run.json``."""

from __future__ import annotations

from typing import Final

from tfm_harness.report.record import RunRecord, in_words, proven_words
from tfm_harness.safe_text import safe

__all__ = ["ORDER", "WHOSE", "colour", "failing_line", "headline", "title"]

ORDER: Final = ("passed", "failed", "error", "blocked", "not covered", "skipped", "not run")
"""Outcomes in the order of the headline."""

WHOSE: Final = {
    "product": "the product",
    "infrastructure": "the bench",
    "configuration": "the configuration",
    "test": "the test itself",
    "harness": "the harness (a bug: please report it)",
}
"""The responsibilities in words."""

_TITLES: Final = {
    "passed": "Passed",
    "failed": "Failed",
    "infrastructure": "Bench failed",
    "configuration": "Configuration wrong",
    "test": "Test wrong",
    "harness": "Harness bug",
    "interrupted": "Interrupted",
    "nothing proved": "Nothing proved",
    "too little proved": "Too little proved",
}
_MEANINGS: Final = {
    "infrastructure": "nothing was learnt about the product",
    "test": "a test is mistaken, which says nothing about the product",
    "interrupted": "the run ended before its end: nothing is passed",
    "nothing proved": "no test reached a verdict",
    "too little proved": "fewer requirements are proven than --fail-under-coverage asks for",
}


def _gaps(run: RunRecord) -> list[str]:
    """The things that a passed run left open."""
    outcomes = run.outcomes()
    gaps = [f"{outcomes[word]} {word}" for word in ("not covered", "skipped", "not run") if outcomes[word]]
    retried = sum(bool(test.tries) for test in run.tests)
    if retried:
        gaps.append(f"{retried} retried")
    if run.lost():
        gaps.append(f"{len(run.lost())} board{'s' if len(run.lost()) > 1 else ''} lost")
    return gaps


def title(run: RunRecord) -> str:
    """The verdict as a title: ``Passed, 79 not covered``."""
    return ", ".join([_TITLES[run.verdict], *(_gaps(run) if run.verdict == "passed" else [])])


def colour(run: RunRecord) -> str:
    """``good``, ``bad``, or ``warn``: a passed run left something open, or nothing was learnt about the product."""
    if run.verdict in {"failed", "harness"}:
        return "bad"
    return "good" if run.verdict == "passed" and not _gaps(run) else "warn"


def headline(run: RunRecord) -> str:
    """How many tests have each outcome, who is responsible, and how much is proven."""
    outcomes = run.outcomes()
    parts = [f"{in_words((word, outcomes[word]) for word in ORDER) or 'no test'} in {run.seconds:.0f} s"]
    if meaning := _MEANINGS.get(run.verdict):
        parts.append(meaning)
    blame = run.responsibilities()
    if blame:
        parts.append("responsible: " + ", ".join(f"{WHOSE[who]} for {count}" for who, count in blame.most_common()))
    if words := proven_words(run):
        parts.append(words)
    if run.lost():
        parts.append("lost: " + ", ".join(board.name for board in run.lost()))
    return safe("; ".join(parts))


def failing_line(text: str) -> str:
    """The line of a failure's text that names the failure: pytest marks it with an E."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith("E ")]
    chosen = (marked or lines or [""])[0]
    more = lines[lines.index(chosen) + 1 :][:1] if chosen.endswith(":") else []  # "4 checks failed:", and the first
    return " ".join(line.removeprefix("E ").strip() for line in (chosen, *more))
