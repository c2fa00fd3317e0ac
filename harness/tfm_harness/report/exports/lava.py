"""LAVA: signals on standard output, for a job of LAVA's ``lava-test-shell``.

A signal's line holds no ``>``, and a name no blank. If only the bench failed, the last signal makes the job Incomplete,
because the run says nothing about the product.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tfm_harness.report.exports.names import bounded, identifier, named
from tfm_harness.report.record import RunRecord

__all__ = ["files"]

WORDS: Final[Mapping[str, str]] = {
    "passed": "pass", "failed": "fail", "error": "unknown", "blocked": "unknown", "not covered": "skip",
    "skipped": "skip", "not run": "unknown",
}  # fmt: skip
_GATE: Final[Mapping[str, str]] = {"passed": "pass", "faster": "pass", "slower": "fail", "drift": "fail"}


def files(run: RunRecord) -> dict[str, str]:
    """``lava-signals.txt``."""
    return {"lava-signals.txt": "".join(f"{line}\n" for line in _lines(run))}


def _lines(run: RunRecord) -> Iterator[str]:
    sets: dict[str, list[tuple[str, str]]] = {}
    several = len({test.combination for test in run.tests}) > 1
    for suite, name, test in named(run):
        place = identifier(f"{test.combination}.{suite}") if several else suite
        sets.setdefault(place, []).append((name, "skip" if test.left_out else WORDS[test.outcome]))
    for place, members in sets.items():
        yield f"<LAVA_SIGNAL_TESTSET START {place}>"
        for name, result in members:
            yield f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={name} RESULT={result}>"
        yield "<LAVA_SIGNAL_TESTSET STOP>"
    if any(entry.series.ticks for entry in run.latency):
        yield "<LAVA_SIGNAL_TESTSET START latency-figures>"
        taken: set[str] = set()
        for entry in run.latency:
            if not entry.series.ticks:
                continue
            ordered = sorted(entry.series.seconds)
            result = _GATE.get(entry.gate.get("verdict", ""), "unknown")
            name = identifier(f"{entry.combination}.{entry.series.name}.median")
            number, free = 1, name
            while free in taken:
                number += 1
                free = f"{name}.{number}"
            taken.add(free)
            median = ordered[len(ordered) // 2]
            yield (f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={free} RESULT={result} UNITS=seconds MEASUREMENT={median:.9f}>")
        yield "<LAVA_SIGNAL_TESTSET STOP>"
    if run.verdict == "infrastructure":
        yield f"<LAVA_SIGNAL_TESTRAISE {_line(run.headline or 'the bench failed')}>"


def _line(text: str) -> str:
    return re.sub(r"[<>\s]+", " ", bounded(text, 200)).strip()
