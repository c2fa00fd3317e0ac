"""JUnit in a form that GitLab, Jenkins and GitHub's viewers read completely.

GitLab shows ``classname`` as the suite, drops a second test of one name, ignores properties, and takes no file of more
than 30 MB. So names are unique, and the failure's text holds the board and the responsibility. Earlier tries are
Surefire's ``flakyFailure`` and ``flakyError`` (the test passed in the end), or ``rerunFailure`` and ``rerunError``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from tfm_harness.report.exports.names import bounded, named, said, text_of
from tfm_harness.report.headline import WHOSE, failing_line
from tfm_harness.report.record import RunRecord, TestEntry, TryEntry

__all__ = ["files"]

MOST_BYTES: Final = 25_000_000
_TEXTS: Final = (16_384, 2_048, 256, 0)
"""The greatest lengths of a test's text in characters; they are tried in turn until the file is small enough."""


def files(run: RunRecord) -> dict[str, str]:
    """``junit.xml``."""
    text = ""
    for limit in _TEXTS:
        text = _document(run, limit)
        if len(text.encode()) <= MOST_BYTES:
            break
    return {"junit.xml": text}


def _document(run: RunRecord, limit: int) -> str:
    groups: dict[tuple[str, str], list[tuple[str, TestEntry]]] = {}
    for suite, name, test in named(run):
        groups.setdefault((test.combination, suite), []).append((name, test))
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>\n',
        f"<testsuites{_counts(run.tests)} name={_attribute(run.name)}>\n",
    ]
    for (on, suite), members in groups.items():
        classname = f"{on}.{suite}" if on else suite
        stamp = f" timestamp={_attribute(run.started)}" if run.started else ""
        parts.append(f"<testsuite name={_attribute(classname)}{_counts(test for _, test in members)}{stamp}>\n")
        parts += [_case(run, classname, name, test, limit) for name, test in members]
        parts.append("</testsuite>\n")
    parts.append("</testsuites>\n")
    return "".join(parts)


def _counts(tests: Iterable[TestEntry]) -> str:
    chosen = list(tests)
    outcomes = [test.outcome for test in chosen]
    seconds = sum(test.seconds for test in chosen if math.isfinite(test.seconds))
    skipped = sum(test.outcome in {"skipped", "not covered"} or test.left_out for test in chosen)
    errors = sum(test.outcome in {"error", "blocked", "not run"} and not test.left_out for test in chosen)
    counts = {"tests": len(chosen), "failures": outcomes.count("failed"), "errors": errors, "skipped": skipped}
    return "".join(f' {name}="{count}"' for name, count in counts.items()) + f' time="{seconds:.3f}"'


def _case(run: RunRecord, classname: str, name: str, test: TestEntry, limit: int) -> str:
    seconds = test.seconds if math.isfinite(test.seconds) else 0.0
    file = test.nodeid.partition("::")[0]
    shown = f" file={_attribute(file)}" if "::" in test.nodeid else ""
    head = f'<testcase classname={_attribute(classname)} name={_attribute(name)} time="{seconds:.3f}"{shown}'
    inner = _outcome(run, test, limit) + "".join(_try(tried, test.outcome == "passed", limit) for tried in test.tries)
    return f"{head}>{inner}</testcase>\n" if inner else f"{head}/>\n"


def _outcome(run: RunRecord, test: TestEntry, limit: int) -> str:
    if test.outcome == "passed":
        return ""
    text = escape(bounded(text_of(run, test), limit)) if limit else ""
    first = " ".join(bounded(failing_line(test.message), 300).split())
    message = f"[{said(test)}] {first}".strip()
    if test.left_out:
        return f"<skipped message={_attribute(first)}/>"
    if test.outcome in {"skipped", "not covered"}:
        return f"<skipped message={_attribute(f'{test.outcome}: {first}'.rstrip(': '))}/>"
    if test.outcome == "not run":
        message = f"never ran; {message}"
    tag = "failure" if test.outcome == "failed" else "error"
    kind = test.kind or test.outcome
    return f"<{tag} type={_attribute(kind)} message={_attribute(message)}>{text}</{tag}>"


def _try(tried: TryEntry, passed: bool, limit: int) -> str:
    tag = ("flaky" if passed else "rerun") + ("Failure" if tried.outcome == "failed" else "Error")
    who = WHOSE.get(tried.responsibility, tried.responsibility)
    message = f"[board {tried.board or 'none'}; responsible: {who or 'nobody'}] {tried.why}"
    text = escape(bounded(tried.message, min(limit, 4096)))
    trace = f"<stackTrace>{text}</stackTrace>" if text else ""
    return f"<{tag} type={_attribute(tried.kind or tried.outcome)} message={_attribute(message)}>{trace}</{tag}>"


def _attribute(text: str) -> str:
    return quoteattr(" ".join(bounded(text, 1000).split()))
