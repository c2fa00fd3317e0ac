"""Names and texts in the forms that the formats need. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tfm_harness.report.headline import WHOSE
from tfm_harness.report.record import RunRecord, TestEntry
from tfm_harness.safe_text import hide_secrets, safe

__all__ = ["bounded", "identifier", "named", "said", "text_of", "without_combination"]

_OTHER: Final = re.compile(r"[^a-zA-Z0-9_.-]+")
LONGEST_NAME: Final = 200


def identifier(text: str) -> str:
    """Letters, digits, ``_``, ``.`` and ``-`` only, a letter or digit first: what SQUAD and LAVA take as a name.

    A text that is cut to the bound keeps a digest of the whole.
    """
    words = _OTHER.sub("-", text).strip("-.")
    if not words[:1].isalnum():
        words = f"x{words}" if words else "x"
    if len(words) > LONGEST_NAME:
        words = (
            f"{words[: LONGEST_NAME - 13]}-{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"
        )
    return words


def without_combination(test: TestEntry) -> str:
    """The test's short name without the combination that its parameters name."""
    name, bracket, cases = test.short.partition("[")
    parts = [part for part in cases.removesuffix("]").replace(test.combination, "", 1).split("-") if part]
    if not bracket or not test.combination or test.combination not in cases:
        return test.short
    return f"{name}[{'-'.join(parts)}]" if parts else name


def named(run: RunRecord) -> Iterator[tuple[str, str, TestEntry]]:
    """Suite, name and entry of every test; names are unique in a combination and suite, whatever the case of letters.

    Tests with the same name in two files get the file's name in front, and further ones a number.
    """
    short = Counter((t.combination, t.suite, identifier(without_combination(t)).lower()) for t in run.tests)
    seen: Counter[tuple[str, str, str]] = Counter()
    for test in run.tests:
        suite, name = identifier(test.suite or "tests"), identifier(without_combination(test))
        if short[test.combination, test.suite, name.lower()] > 1:
            file = test.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py")
            name = identifier(f"{file}.{without_combination(test)}") if file and "::" in test.nodeid else name
        unique, number = name, 1
        while seen[test.combination, suite, unique.lower()]:
            number += 1
            unique = f"{name}.{number}"
        seen[test.combination, suite, unique.lower()] += 1
        yield suite, unique, test


def bounded(text: str, limit: int) -> str:
    """Safe text of at most `limit` characters; a text that is cut ends with its full length."""
    clean = safe(hide_secrets(text))
    if len(clean) <= limit:
        return clean
    mark = f" ... ({len(clean)} characters)"
    return clean[: max(0, limit - len(mark))] + mark


def said(test: TestEntry) -> str:
    """Board, responsibility and kind, in one line."""
    parts = [f"board {test.board}" if test.board else "no board"]
    if test.responsibility:
        parts.append(f"responsible: {WHOSE.get(test.responsibility, test.responsibility)}")
    if test.kind:
        parts.append(test.kind)
    if test.blocked_by:
        parts.append(f"blocked by {test.blocked_by}")
    return "; ".join(parts)


def text_of(run: RunRecord, test: TestEntry) -> str:
    """The lines of text about a test that did not simply pass: message, findings, earlier tries."""
    lines = [said(test)]
    if test.message:
        lines.append(test.message)
    for finding in test.findings:
        if finding.status != "passed":
            check = run.check(finding)
            lines.append(f"{finding.status}: {finding.id}" + (f" ({check.requirement})" if check.requirement else ""))
            facts: Mapping[str, str] = {
                "must hold": check.title, "expected": finding.expected, "seen": finding.seen, "where": finding.where,
                "waiver": finding.waiver,
            }  # fmt: skip
            lines += [f"  {name}: {value}" for name, value in facts.items() if value]
    for number, tried in enumerate(test.tries, 1):
        who = WHOSE.get(tried.responsibility, tried.responsibility)
        lines.append(
            f"earlier try {number}: {tried.outcome} on {tried.board or 'no board'}; {who} {tried.kind}".rstrip()
        )
        if tried.message:
            lines.append(f"  {tried.message}")
    return "\n".join(lines)


def combinations(run: RunRecord) -> list[str]:
    """All combinations in the record, in its order."""
    names: Iterable[str] = [*(c.name for c in run.combinations), *(t.combination for t in run.tests)]
    return list(dict.fromkeys(names))
