"""Converts records of the first schema into the present one. Pure: plain JSON data in, plain JSON data out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["FIRST_SCHEMA", "from_first"]

FIRST_SCHEMA: Final = "tfm-harness-run/1"

_RESPONSIBILITY = {"config": "configuration", "bug": "harness"}
_VERDICT = {"bench": "infrastructure", **_RESPONSIBILITY}
_EVENT = re.compile(r"(-?[0-9.]+) s ([^:]*): ?(.*)", re.DOTALL)
Json = dict[str, Any]


def from_first(run: Json) -> Json:
    """Convert a run of schema `FIRST_SCHEMA`; the result has no key ``schema``.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is damaged.
    """
    checks: Json = {}
    boards = [dict(board) for board in run.pop("boards", [])]
    tests = [_test(dict(test), checks) for test in run.pop("tests", [])]
    return {
        **run,
        "verdict": _VERDICT.get(run["verdict"], run["verdict"]),
        "collected": len(tests),
        "combinations": [_combination(board) for board in boards],
        "boards": [_board(board) for board in boards],
        "checks": checks,
        "tests": tests,
        "parity": [_parity(dict(entry)) for entry in run.get("parity", [])],
        **{
            part: [_on_combination(dict(entry)) for entry in run.get(part, [])]
            for part in ("waivers", "latency", "traces", "consoles")
        },
    }


def _on_combination(entry: Json) -> Json:
    """Rename ``board``: in the first schema it was the combination of target and build."""
    return {"combination": entry.pop("board"), **entry}


def _test(test: Json, checks: Json) -> Json:
    fault = test.pop("fault", "")
    return {
        **test,
        "combination": test.pop("board", ""),
        "responsibility": _RESPONSIBILITY.get(fault, fault),
        "findings": [_finding(dict(finding), checks) for finding in test.pop("findings", [])],
    }


def _finding(finding: Json, checks: Json) -> Json:
    said = {"title": finding.pop("title", ""), "requirement": finding.pop("requirement", "")}
    checks.setdefault(finding["id"], said)
    return finding


def _combination(board: Json) -> Json:
    return {key: board[key] for key in ("name", "target", "build", "policy", "firmware", "clock") if key in board}


def _board(board: Json) -> Json:
    facts: Mapping[str, str] = board.get("facts", {})
    return {
        "combination": board["name"],
        "name": board.get("target") or board["name"],
        "firmware": board.get("firmware", ""),
        "clock": board.get("clock", ""),
        "facts": facts,
        "events": [_event(text) for text in board.get("events", [])],
    }


def _event(text: str) -> Json:
    found = _EVENT.fullmatch(text)
    return (
        {"at": float(found[1]), "kind": found[2], "detail": found[3]}
        if found
        else {"at": 0.0, "kind": "event", "detail": text}
    )


def _parity(entry: Json) -> Json:
    session = dict(entry["session"])
    compared = dict(session.pop("comparison"))
    session.pop("passed", None)
    engine = {key: str(value) for key, value in (session.pop("engine", None) or {}).items()}
    outputs = [
        {key: value for key, value in output.items() if value is not None or key in {"sqnr_db", "top1", "first"}}
        for output in compared["outputs"]
    ]
    return {
        "combination": entry["board"],
        "model": compared["model"],
        "vectors": compared.get("vectors", 0),
        "failing": compared.get("failing", []),
        "outputs": outputs,
        "engine": engine,
        **{key: value for key, value in session.items() if value is not None or key == "seed"},
    }
