"""A night as one JUnit file: a case for each test of each build, with its earlier tries in the form of Surefire.

Viewers drop the second of two cases with the same name, and show a failure's text but no properties. So names are
unique, and the text holds board and responsibility.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # this module only writes XML
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tfm_harness.farm.night import Night
from tfm_harness.farm.record import NightRecord
from tfm_harness.farm.tries import Attempt, Judged, judge
from tfm_harness.report.headline import WHOSE
from tfm_harness.report.storage import write_text
from tfm_harness.safe_text import safe

__all__ = ["night_junit", "write_junit"]

_TEXT: Final = 4000
"""The most characters of one failure's text: GitLab accepts files of up to 30 MB."""


def write_junit(night: Night, record: NightRecord, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    write_text(path, ['<?xml version="1.0" encoding="utf-8"?>\n', night_junit(night, record), "\n"])


def night_junit(night: Night, record: NightRecord) -> str:
    """The night as JUnit XML.

    Args:
        night: the night after its end.
        record: its record.
    """
    root = ET.Element("testsuites", name=f"night {record.name}")
    total: Counter[str] = Counter()
    for (pool, build, home), by_test in night.attempts.items():
        where = home or pool
        suite = ET.SubElement(root, "testsuite", name=f"{build} on {where}", timestamp=record.started)
        counts: Counter[str] = Counter()
        for nodeid, attempts in by_test.items():
            counts.update(_case(suite, f"{build}.{where}", nodeid, attempts))
        _counted(suite, counts)
        total.update(counts)
    extra = list(_never(record))
    if extra:
        suite = ET.SubElement(root, "testsuite", name="never ran", timestamp=record.started)
        for name, text, kind in extra:
            case = ET.SubElement(suite, "testcase", classname="night", name=name, time="0")
            _add(case, "error", kind, text)
        counts = Counter(tests=len(extra), errors=len(extra))
        _counted(suite, counts)
        total.update(counts)
    _counted(root, total)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def _case(suite: ET.Element, prefix: str, nodeid: str, attempts: Sequence[Attempt]) -> Mapping[str, int]:
    judged = judge(attempts)
    file, _, name = nodeid.partition("::")
    module = file.removesuffix(".py").replace("/", ".").strip(".")
    seconds = sum(one.seconds for one in attempts)
    case = ET.SubElement(
        suite, "testcase", classname=f"{prefix}.{module}", name=_allowed(name or nodeid), time=f"{seconds:.3f}"
    )
    counts = Counter(tests=1)
    if judged.outcome in {"failed", "error", "blocked"} or (judged.outcome == "not run" and judged.decisive.cut_off):
        failed = judged.responsibility == "product"
        _add(case, "failure" if failed else "error", judged.decisive.kind or judged.outcome, _text(judged))
        counts["failures" if failed else "errors"] += 1
        for one in attempts:
            if one is not judged.decisive and not one.cut_off:
                # Surefire's elements for a further try that failed as well.
                _add(case, "rerunFailure" if one.products else "rerunError", one.kind or one.outcome, _said(one))
        return counts
    if judged.outcome in {"not covered", "skipped", "not run"}:
        ET.SubElement(case, "skipped", message=_allowed(f"{judged.outcome}: {judged.decisive.message}"[:_TEXT]))
        counts["skipped"] += 1
    for one in attempts:
        if one.products or one.benchs:
            _add(case, "flakyFailure" if one.products else "flakyError", one.kind or one.outcome, _said(one))
    return counts


def _text(judged: Judged) -> str:
    boards = ", ".join(judged.boards)
    whose = WHOSE.get(judged.responsibility, judged.responsibility or "the bench")
    sure = "in two tries" if judged.confirmed else "in one try"
    return f"responsible: {whose}; {judged.outcome} {sure}, on board {boards}\n{judged.decisive.message}"


def _said(one: Attempt) -> str:
    whose = WHOSE.get(one.responsibility, "the bench" if one.benchs else "nobody")
    return f"{one.outcome} on board {one.board}; responsible: {whose}\n{one.message}"


def _add(case: ET.Element, tag: str, kind: str, text: str) -> None:
    shown = _allowed(text[:_TEXT])
    element = ET.SubElement(case, tag, message=shown.partition("\n")[0], type=_allowed(kind))
    element.text = shown


def _never(record: NightRecord) -> Iterator[tuple[str, str, str]]:
    for one in record.not_run:
        whose = WHOSE.get(one.responsibility, "nobody: it was ended")
        name = f"{one.build} on {one.home or one.pool}: {', '.join(one.suites)}"
        yield name, f"never ran: {one.why}\nresponsible: {whose}", "never-ran"
    for session in record.sessions:
        if session.trouble and not session.golden and not session.record:
            whose = WHOSE.get(session.responsibility, "nobody: it was ended")
            yield session.name, f"{session.headline}\nresponsible: {whose}; board {session.board}", session.trouble


def _counted(element: ET.Element, counts: Mapping[str, int]) -> None:
    for word in ("tests", "failures", "errors", "skipped"):
        element.set(word, str(counts.get(word, 0)))


def _allowed(text: str) -> str:
    """`text` without what XML 1.0 forbids."""
    return safe(text)
