"""KCIDB 5.3 JSON. Its public service is for Linux kernels: this writes a file and uploads nothing."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from tfm_harness.report.exports.names import bounded, combinations, named, text_of
from tfm_harness.report.record import CombinationEntry, RunRecord

__all__ = ["files"]

ORIGIN: Final = "tfm_harness"
WORDS: Final[Mapping[str, str]] = {
    "passed": "PASS", "failed": "FAIL", "error": "ERROR", "blocked": "MISS", "not covered": "SKIP", "skipped": "SKIP",
    "not run": "MISS",
}  # fmt: skip
"""ERROR: the test reached no verdict; MISS: it never ran."""
_MOST_EXCERPT: Final = 16_384
_DATED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def files(run: RunRecord) -> dict[str, str]:
    """``kcidb.json``."""
    key = hashlib.sha256(f"{run.name}\n{run.started}".encode("utf-8", "backslashreplace")).hexdigest()[:16]
    start = {"start_time": run.started} if _DATED.fullmatch(run.started) else {}
    checkout = f"{ORIGIN}:{key}"
    builds, number_of = [], {}
    for number, name in enumerate(combinations(run)):
        number_of[name] = f"{ORIGIN}:{key}.{number}"
        known = next((one for one in run.combinations if one.name == name), None)
        builds.append(
            _build(run, name, known, {"id": number_of[name], "checkout_id": checkout, "origin": ORIGIN, **start})
        )
    tests: list[dict[str, Any]] = []
    for at, (suite, name, test) in enumerate(named(run)):
        entry: dict[str, Any] = {
            "id": f"{ORIGIN}:{key}.t{at}", "build_id": number_of[test.combination], "origin": ORIGIN, **start,
            "path": f"{_part(suite)}.{_part(name)}", "status": "SKIP" if test.left_out else WORDS[test.outcome],
            "comment": bounded(test.nodeid, 1000), "environment": {"comment": bounded(test.board or "no board", 300)},
            "misc": {"responsibility": test.responsibility, "kind": bounded(test.kind, 200), "tries": len(test.tries)},
        }  # fmt: skip
        if math.isfinite(test.seconds):
            entry["duration"] = max(0.0, test.seconds)
        if test.outcome != "passed" or test.tries:
            entry["log_excerpt"] = bounded(text_of(run, test), _MOST_EXCERPT)
        tests.append(entry)
    tests += _figures(run, key, number_of)
    whole = {
        "version": {"major": 5, "minor": 3},
        "checkouts": [{"id": checkout, "origin": ORIGIN, "comment": bounded(run.name, 300), **start}],
        "builds": builds, "tests": tests,
    }  # fmt: skip
    return {"kcidb.json": json.dumps(whole, indent=1) + "\n"}


def _build(run: RunRecord, name: str, known: CombinationEntry | None, head: dict[str, Any]) -> dict[str, Any]:
    build = {**head, "architecture": "arm", "comment": bounded(name or "no combination", 300)}
    if known is not None:
        build["config_name"] = bounded(known.build, 300)
        measured = next((b.measurements for b in run.boards if b.combination == name and b.measurements), known.image)
        build["misc"] = {"target": bounded(known.target, 300), "firmware": bounded(known.firmware, 300),
                         "measurements": {bounded(k, 100): bounded(v, 200) for k, v in measured.items()}}  # fmt: skip
    return build


def _figures(run: RunRecord, key: str, number_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """Measurements are tests with the status DONE; the gate's verdict is a separate test."""
    found = []
    for at, entry in enumerate(run.latency):
        if entry.series.ticks and entry.combination in number_of:
            seconds = sorted(entry.series.seconds)[len(entry.series.ticks) // 2]
            found.append({
                "id": f"{ORIGIN}:{key}.l{at}", "build_id": number_of[entry.combination], "origin": ORIGIN,
                "path": f"latency_figures.{_part(entry.series.name)}.median", "status": "DONE",
                "number": {"value": seconds, "unit": "s", "prefix": "metric"},
                "environment": {"comment": bounded(entry.board or "no board", 300)},
            })  # fmt: skip
    return found


def _part(text: str) -> str:
    """A part of a path, without dots."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text) or "_"
