"""Moves the first tables of runs, which are older than the migrations, into the tables of migration 0002."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from tfm_harness.history.names import night_of, test_name
from tfm_harness.history.tables import OUTCOME_WORDS, RESPONSIBILITY_WORDS

__all__ = ["put_back", "take_out"]

_TABLES: Final = (
    "harness_figure", "harness_finding", "harness_outcome", "harness_run_board", "harness_test", "harness_run",
)  # fmt: skip
_AT_ONCE: Final = 5000
Row = Mapping[str, Any]
Old = Mapping[str, list[Row]]


def take_out(bind: sa.Connection) -> Old:
    """The rows of the old tables, by table; the tables are dropped. Empty when there are none."""
    if "harness_figure" not in sa.inspect(bind).get_table_names():
        return {}
    old: dict[str, list[Row]] = {}
    for name in _TABLES:
        table = sa.Table(name, sa.MetaData(), autoload_with=bind, resolve_fks=False)
        old[name] = [dict(row) for row in bind.execute(sa.select(table)).mappings()]
    for name in _TABLES:
        bind.execute(sa.text(f"DROP TABLE {name}"))
    return old


def put_back(bind: sa.Connection, old: Old) -> None:
    """Write the rows into the new tables."""
    if old:
        _Move(bind, old).write()


class _Move:
    def __init__(self, bind: sa.Connection, old: Old) -> None:
        self.bind, self.old = bind, old
        outcomes = old["harness_outcome"]
        self.nodeids = {row["id"]: row for row in old["harness_test"]}
        places = [*outcomes, *old["harness_run_board"], *old["harness_figure"]]
        self.combinations = self._numbered({row["combination"] for row in places})
        names = {row["board"] for row in [*outcomes, *old["harness_figure"]]}
        self.boards = self._numbered((names | {row["name"] for row in old["harness_run_board"]}) - {""})
        self.tests: dict[str, int] = {}
        self.suites: dict[str, str] = {}
        self.firmware: dict[tuple[str, str], int] = {}

    @staticmethod
    def _numbered(names: Iterable[str]) -> dict[str, int]:
        return {name: number for number, name in enumerate(sorted(names), 1)}

    def write(self) -> None:
        """Write all rows."""
        old = self.old
        count = Counter(row["run_id"] for row in old["harness_outcome"])
        self._insert("harness_run", [self._run(row, count[row["id"]]) for row in old["harness_run"]])
        halves = {name: name.partition("+") for name in self.combinations}
        self._insert("harness_combination", [
            {"id": number, "name": name, "target": halves[name][0], "build": halves[name][2]}
            for name, number in self.combinations.items()
        ])  # fmt: skip
        self._insert("harness_board", [{"id": number, "name": name} for name, number in self.boards.items()])
        outcomes, where = self._outcomes()
        self._insert(
            "harness_test", [{"id": n, "name": name, "suite": self.suites[name]} for name, n in self.tests.items()]
        )
        self._firmware_and_boards()
        self._insert("harness_outcome", outcomes)
        self._findings(where)
        self._figures()
        if self.bind.dialect.name == "postgresql":  # the rows were inserted with explicit numbers, so set the sequences
            for name in ("run", "combination", "board", "test", "check", "firmware"):
                table = sa.table(f"harness_{name}", sa.column("id"))
                after = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0) + 1).scalar_subquery()
                sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                self.bind.execute(sa.select(sa.func.setval(sequence, after, False)))

    @staticmethod
    def _run(row: Row, outcomes: int) -> Row:
        started = dt.datetime.fromtimestamp(row["started"], dt.UTC)
        same = ("id", "digest", "name", "seconds", "verdict", "headline", "version")
        more = {"collected": outcomes, "deselected": 0, "environment": {}}
        return {**{name: row[name] for name in same}, "started": started, "night": night_of(started), **more}

    def _outcomes(self) -> tuple[list[Row], dict[tuple[int, int], tuple[int, int]]]:
        """The new outcomes, and the (combination, test) of each old (run, test)."""
        seen: Counter[tuple[int, str, str]] = Counter()
        rows: list[Row] = []
        where: dict[tuple[int, int], tuple[int, int]] = {}
        for row in self.old["harness_outcome"]:
            test = self.nodeids[row["test_id"]]
            name = test_name(test["nodeid"], row["combination"])
            seen[row["run_id"], row["combination"], name] += 1
            count = seen[row["run_id"], row["combination"], name]
            name = name if count == 1 else f"{name} #{count}"
            number = self.tests.setdefault(name, len(self.tests) + 1)
            self.suites.setdefault(name, test["suite"])
            key = {"run_id": row["run_id"], "combination_id": self.combinations[row["combination"]], "test_id": number}
            where[row["run_id"], row["test_id"]] = self.combinations[row["combination"]], number
            left_out = row["outcome"] == "not run" and row["message"].startswith("not run:")
            rows.append({
                **key, "board_id": self.boards.get(row["board"]),
                "outcome": OUTCOME_WORDS.index("skipped" if left_out else row["outcome"]),
                "responsibility": RESPONSIBILITY_WORDS.index(row["responsibility"]), "seconds": row["seconds"],
                "passed": row["passed_findings"], "tries": min(row["tries"], 32_767), "kind": row["kind"] or None,
                "blocked_by": None, "message": row["message"] or None,
            })  # fmt: skip
        return rows, where

    def _firmware_and_boards(self) -> None:
        firmware: list[Row] = []
        on: dict[tuple[int, int], int | None] = {}
        boards: dict[tuple[int, int, int], Row] = {}
        said = {(row["run_id"], row["combination"]): row["firmware"] for row in self.old["harness_run_board"]}
        for row in [*self.old["harness_run_board"], *self.old["harness_outcome"]]:
            place = row["run_id"], self.combinations[row["combination"]]
            on.setdefault(place, None)
            if not row["identity"]:
                continue
            build = row["combination"].partition("+")[2]
            if (build, row["identity"]) not in self.firmware:
                self.firmware[build, row["identity"]] = number = len(self.firmware) + 1
                measurements = dict(part.partition(":")[::2] for part in row["identity"].split() if ":" in part)
                facts = json.dumps([build, sorted(measurements.items())])
                firmware.append({
                    "id": number, "digest": hashlib.sha256(facts.encode()).hexdigest(), "build": build,
                    "said": said.get((row["run_id"], row["combination"]), ""), "measurements": measurements,
                    "files": {}, "first_run": row["run_id"],
                })  # fmt: skip
            on[place] = self.firmware[build, row["identity"]]
        for row in self.old["harness_run_board"]:
            if row["name"]:
                key = row["run_id"], self.combinations[row["combination"]], self.boards[row["name"]]
                boards[key] = {
                    **dict(zip(("run_id", "combination_id", "board_id"), key, strict=True)), "lost": row["lost"],
                    "boots": row["boots"], "device_seconds": row["device_seconds"], "facts": {}, "measurements": {},
                    "transcripts": [],
                }  # fmt: skip
        self._insert("harness_firmware", firmware)
        self._insert("harness_run_combination", [
            {"run_id": run, "combination_id": combination, "firmware_id": number}
            for (run, combination), number in on.items()
        ])  # fmt: skip
        self._insert("harness_run_board", list(boards.values()))

    def _findings(self, where: Mapping[tuple[int, int], tuple[int, int]]) -> None:
        checks = self._numbered({row["check"] for row in self.old["harness_finding"]})
        self._insert("harness_check", [{"id": number, "name": name} for name, number in checks.items()])
        self._insert("harness_finding", [
            {"run_id": row["run_id"], "combination_id": place[0], "test_id": place[1], "check_id": checks[row["check"]],
             "status": row["status"], "seen": row["seen"]}
            for row in self.old["harness_finding"]
            if (place := where.get((row["run_id"], row["test_id"])))
        ])  # fmt: skip

    def _figures(self) -> None:
        latency: dict[tuple[Any, ...], dict[str, Any]] = {}
        parity: list[Row] = []
        for row in self.old["harness_figure"]:
            key = {"run_id": row["run_id"], "combination_id": self.combinations[row["combination"]],
                   "board_id": self.boards.get(row["board"])}  # fmt: skip
            if row["kind"] == "parity exact":
                exact = row["value"] >= 1  # the old rows do not say whether a difference was tolerated: no pass
                parity.append({
                    **key, "model": row["model"], "vectors": 0, "exact": exact, "passed": exact, "failing": 0,
                    "max_lsb": 0, "outputs": [{"exact_share": row["value"]}],
                })  # fmt: skip
            else:
                entry = latency.setdefault(
                    (*key.values(), row["model"]),
                    {**key, "name": row["model"], "n": 0, "median": None, "p99": None, "gate": {}, "budgets": {}},
                )
                entry[row["kind"].removeprefix("latency ")] = row["value"]
        self._insert("harness_latency", list(latency.values()))
        self._insert("harness_parity", parity)

    def _insert(self, name: str, rows: Sequence[Row]) -> None:
        table = sa.Table(name, sa.MetaData(), autoload_with=self.bind, resolve_fks=False)
        for start in range(0, len(rows), _AT_ONCE):
            self.bind.execute(table.insert(), list(rows[start : start + _AT_ONCE]))
