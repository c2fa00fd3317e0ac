"""SQUAD (TF-M's CI): the three files of a submission, in one folder for each combination.

``POST /api/submit/GROUP/PROJECT/BUILD/ENVIRONMENT`` takes them as the fields ``tests``, ``metrics`` and ``metadata``. A
result other than ``pass`` and ``fail`` is shown as a skip: a failure of the bench is ``error``, never ``fail``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from tfm_harness.report.exports.names import bounded, combinations, identifier, named, text_of
from tfm_harness.report.record import RunRecord

__all__ = ["files"]

WORDS: Final[Mapping[str, str]] = {
    "passed": "pass", "failed": "fail", "error": "error", "blocked": "error", "not covered": "skip", "skipped": "skip",
    "not run": "not-run",
}  # fmt: skip
_MOST_LOG: Final = 16_384
_MOST_VALUES: Final = 10_000


def files(run: RunRecord) -> dict[str, str]:
    """``COMBINATION/tests.json``, ``metrics.json`` and ``metadata.json``."""
    found: dict[str, str] = {}
    folders = _folders(combinations(run))
    tests: dict[str, dict[str, Any]] = {on: {} for on in folders}
    for suite, name, test in named(run):
        entry: dict[str, Any] = {"result": "skip" if test.left_out else WORDS[test.outcome]}
        if test.outcome != "passed" or test.tries:
            entry["log"] = bounded(text_of(run, test), _MOST_LOG)
        tests[test.combination][f"{suite}/{name}"] = entry
    for on, folder in folders.items():
        for file, value in (("tests", tests[on]), ("metrics", _metrics(run, on)), ("metadata", _metadata(run, on))):
            found[f"{folder}/{file}.json"] = json.dumps(value, indent=1, sort_keys=True) + "\n"
    return found


def _folders(names: list[str]) -> dict[str, str]:
    """The unique environment name of each combination."""
    found: dict[str, str] = {}
    for name in names:
        folder, number = identifier(name or "no-board"), 1
        while folder.lower() in {one.lower() for one in found.values()}:
            number += 1
            folder = f"{identifier(name or 'no-board')}.{number}"
        found[name] = folder
    return found


def _metrics(run: RunRecord, on: str) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for latency in run.latency:
        if latency.combination == on and latency.series.ticks:
            name = _free(metrics, f"latency/{identifier(latency.series.name)}.seconds")
            metrics[name] = list(latency.series.seconds[:_MOST_VALUES])
    for parity in run.parity:
        if parity.combination == on:
            name = _free(metrics, f"parity/{identifier(parity.model)}.max-lsb")
            metrics[name] = max((output.max_lsb for output in parity.outputs), default=0)
    return {name: value for name, value in metrics.items() if isinstance(value, list) or math.isfinite(value)}


def _free(metrics: Mapping[str, Any], name: str) -> str:
    number, free = 1, name
    while free in metrics:
        number += 1
        free = f"{name}.{number}"
    return free


def _metadata(run: RunRecord, on: str) -> dict[str, str]:
    """The metadata, strings only. ``job_id`` is unique among the submissions of the project's build."""
    combination = next((c for c in run.combinations if c.name == on), None)
    boards = ", ".join(dict.fromkeys(board.name for board in run.boards if board.combination == on))
    facts = {
        "job_id": identifier(f"{run.name}.{run.started}.{on}"), "datetime": run.started, "job_status": run.verdict,
        "tfm_harness_version": run.version, "target": combination.target if combination else "",
        "build": combination.build if combination else "", "firmware": combination.firmware if combination else "",
        "boards": boards, "headline": run.headline,
    }  # fmt: skip
    return {name: bounded(value, 500) for name, value in facts.items() if value}
