"""One run as rows of the store."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from tfm_harness.history import tables as t
from tfm_harness.history.names import clean, firmware_of, test_name
from tfm_harness.latency.statistics import percentile
from tfm_harness.report.record import FindingEntry, LatencyEntry, ParityEntry, RunRecord, TestEntry

__all__ = []

_AT_ONCE = 5000
"""The most rows of one statement."""
_NAMES_AT_ONCE = 500
"""The most names of one query: SQLite accepts only some thousand values."""
_MOST = (1 << 63) - 1
_MOST_CHECKS = (1 << 31) - 1


class RunRows:
    """The rows of one record, under a run's number."""

    def __init__(self, connection: Connection, record: RunRecord, run_id: int) -> None:
        self.connection, self.record, self.run_id = connection, record, run_id
        names = {c.name for c in record.combinations}
        about: list[Any] = [*record.tests, *record.boards, *record.suites, *record.latency, *record.parity]
        extra = {entry.combination for entry in about}
        entries = [
            {"name": clean(c.name), "target": clean(c.target), "build": clean(c.build)} for c in record.combinations
        ]
        entries += [{"name": clean(name)} for name in sorted(extra - names)]
        self.combinations = self._ids(t.COMBINATIONS, entries)
        on_tests = (b for test in record.tests for b in (test.board, *(tried.board for tried in test.tries)))
        figures = [*(e.board for e in record.latency), *(e.board for e in record.parity)]
        boards = {*(b.name for b in record.boards), *on_tests, *figures} - {""}
        self.boards = self._ids(t.BOARDS, [{"name": clean(name)} for name in sorted(boards)])
        self.names = self._test_names(record.tests)
        self.tests = self._ids(
            t.TESTS,
            [{"name": n, "suite": clean(e.suite)} for n, e in zip(self.names, record.tests, strict=True)],
        )
        checks = {f.id for e in record.tests for f in _findings(e) if f.status != "passed"}
        self.checks = self._ids(
            t.CHECKS,
            [
                {"name": clean(check), "title": clean(facts.title), "requirement": clean(facts.requirement)}
                for check in sorted(checks)
                for facts in [record.check(FindingEntry(id=check))]
            ],
        )

    @staticmethod
    def _test_names(tests: Sequence[TestEntry]) -> list[str]:
        """Names of the tests; further tests of the same name on a combination get a number, so that none is lost."""
        seen: Counter[tuple[str, str]] = Counter()
        names = []
        for test in tests:
            name = test_name(test.nodeid, test.combination)
            seen[test.combination, name] += 1
            count = seen[test.combination, name]
            names.append(name if count == 1 else f"{name} #{count}")
        return names

    def places(self) -> tuple[set[int], set[int]]:
        """Numbers of the run's combinations and of the boards that it had."""
        return (
            {self.combinations[clean(c.name)] for c in self.record.combinations},
            {self.boards[clean(b.name)] for b in self.record.boards if b.name},
        )

    def write(self) -> None:
        """Write all rows."""
        self._combinations()
        self._boards()
        self._tests()
        self._suites()
        self._insert(t.LATENCY, [self._latency(entry) for entry in self.record.latency])
        self._insert(t.PARITY, [self._parity(entry) for entry in self.record.parity])

    def _key(self, combination: str) -> dict[str, Any]:
        return {"run_id": self.run_id, "combination_id": self.combinations[clean(combination)]}

    def _board(self, name: str) -> int | None:
        return self.boards[clean(name)] if name else None

    def _combinations(self) -> None:
        rows = []
        for entry in {c.name: c for c in self.record.combinations}.values():
            identity = firmware_of(self.record, entry)
            firmware = None
            if identity is not None:
                facts = {
                    "digest": identity.digest,
                    "build": clean(identity.build),
                    "said": clean(identity.said),
                    "measurements": _plain(identity.measurements),
                    "files": _plain(identity.files),
                    "first_run": self.run_id,
                }
                firmware = self._ids(t.FIRMWARE, [facts], key="digest")[identity.digest]
            words = {name: clean(getattr(entry, name)) for name in ("policy", "kind", "protocol", "clock")}
            rows.append({**self._key(entry.name), "firmware_id": firmware, **words})
        self._insert(t.RUN_COMBINATIONS, rows)

    def _boards(self) -> None:
        rows = {
            (b.combination, b.name): {
                **self._key(b.combination),
                "board_id": self._board(b.name),
                "lost": clean(b.lost),
                "link": clean(b.link),
                "boots": _whole(b.boots),
                "device_seconds": b.device_seconds,
                "facts": _plain(b.facts),
                "measurements": _plain(b.measurements),
                "transcripts": [clean(path) for path in b.transcripts],
            }
            for b in self.record.boards
            if b.name
        }
        self._insert(t.RUN_BOARDS, list(rows.values()))

    def _tests(self) -> None:
        outcomes, tries, findings = [], [], []
        of: dict[str, set[str]] = defaultdict(set)
        for board in self.record.boards:
            of[board.combination].add(board.name)
        for name, test in zip(self.names, self.record.tests, strict=True):
            on = test.board
            if not on and test.outcome in {"error", "blocked"} and len(of[test.combination]) == 1:
                (on,) = of[test.combination]  # the bench failed before the test had its board; there is only one
            key = {**self._key(test.combination), "test_id": self.tests[name]}
            outcomes.append(
                {
                    **key,
                    "board_id": self._board(on),
                    "outcome": "skipped" if test.left_out else test.outcome,  # the user left it out: nothing is missing
                    "responsibility": test.responsibility,
                    "seconds": test.seconds,
                    "passed": min(sum(f.status == "passed" for f in test.findings), _MOST_CHECKS),
                    "tries": min(len(test.tries), 32_767),
                    "kind": clean(test.kind) or None,
                    "blocked_by": clean(test.blocked_by) or None,
                    "message": clean(test.message) or None,
                }
            )
            for number, tried in enumerate(test.tries, 1):
                tries.append(
                    {
                        **key,
                        "number": number,
                        "why": tried.why,
                        "outcome": tried.outcome,
                        "responsibility": tried.responsibility,
                        "kind": clean(tried.kind),
                        "board_id": self._board(tried.board),
                        "seconds": tried.seconds,
                        "message": clean(tried.message),
                    }
                )
                findings += [self._finding(key, f, number) for f in tried.findings if f.status != "passed"]
            findings += [self._finding(key, f, 0) for f in test.findings if f.status != "passed"]
        self._insert(t.OUTCOMES, outcomes)
        self._insert(t.TRIES, tries)
        self._insert(t.FINDINGS, findings)

    def _finding(self, key: Mapping[str, Any], finding: FindingEntry, number: int) -> dict[str, Any]:
        words = ("status", "severity", "expected", "seen", "subject", "waiver", "waived_by")
        return {
            **key,
            "check_id": self.checks[clean(finding.id)],
            "try": number,
            "place": clean(finding.where),
            **{word: clean(getattr(finding, word)) for word in words},
        }

    def _suites(self) -> None:
        proven: Counter[tuple[str, str]] = Counter()
        rows: Counter[tuple[str, str]] = Counter()
        for requirement in self.record.requirements:
            rows[requirement.combination, requirement.suite] += 1
            proven[requirement.combination, requirement.suite] += requirement.state == "proven"
        entries = {
            (s.combination, s.suite): {
                **self._key(s.combination),
                "suite": clean(s.suite),
                "claim": clean(s.claim),
                "state": s.state,
                "passed": _whole(s.passed),
                "total": _whole(s.total),
                "retried": _whole(s.retried),
                "excused": [clean(word) for word in s.excused],
                "proven": proven[s.combination, s.suite],
                "requirements": rows[s.combination, s.suite],
            }
            for s in self.record.suites
        }
        self._insert(t.SUITES, list(entries.values()))

    def _latency(self, entry: LatencyEntry) -> dict[str, Any]:
        series = entry.series
        figures: dict[str, Any] = dict.fromkeys(("median", "p90", "p99", "least", "most"))
        if series.ticks:
            ordered = sorted(series.values)
            shares = {"least": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
            figures = {name: series.clock.seconds(percentile(ordered, share)) for name, share in shares.items()}
        return {
            **self._key(entry.combination),
            "board_id": self._board(entry.board),
            "name": clean(series.name),
            "clock": clean(f"{series.clock.source} {series.clock.hz} Hz"),
            "quality": clean(series.clock.quality.value),
            "n": len(series.ticks),
            **figures,
            "verdict": clean(entry.gate.get("verdict", "")),
            "baseline": clean(entry.baseline_name),
            "gate": _plain(entry.gate),
            "budgets": _plain(entry.budgets),
        }

    def _parity(self, entry: ParityEntry) -> dict[str, Any]:
        shares = [o.top1 for o in entry.outputs if o.top1 is not None]
        return {
            **self._key(entry.combination),
            "board_id": self._board(entry.board),
            "model": clean(entry.model),
            "vectors": _whole(entry.vectors),
            "exact": entry.exact,
            "passed": all(output.passed for output in entry.outputs),
            "failing": len(entry.failing),
            "max_lsb": _whole(max((output.max_lsb for output in entry.outputs), default=0)),
            "max_abs": max((output.max_abs for output in entry.outputs), default=0.0),
            "top1": min(shares) if shares else None,
            "first_op": clean(entry.first_op),
            "engine": clean(" ".join(entry.engine.values())),
            "outputs": [_plain(asdict(output)) for output in entry.outputs],
        }

    def _insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), _AT_ONCE):
            self.connection.execute(insert(table), list(rows[start : start + _AT_ONCE]))

    def _ids(self, table: Table, entries: Iterable[Mapping[str, Any]], *, key: str = "name") -> dict[str, int]:
        """Numbers of entries by their name; entries that are missing are added."""
        wanted = {entry[key]: entry for entry in entries}
        found = self._known(table, wanted, key)
        missing = [entry for name, entry in wanted.items() if name not in found]
        if missing:
            for entry in missing:  # one by one: rows of one statement must have the same columns
                self.connection.execute(_unless_there(self.connection, table).values(entry))
            found |= self._known(table, [entry[key] for entry in missing], key)
        return found

    def _known(self, table: Table, names: Iterable[str], key: str) -> dict[str, int]:
        waiting = list(names)
        found: dict[str, int] = {}
        for start in range(0, len(waiting), _NAMES_AT_ONCE):
            some = waiting[start : start + _NAMES_AT_ONCE]
            query = select(table.c[key], table.c.id).where(table.c[key].in_(some))
            found.update((name, number) for name, number in self.connection.execute(query))
        return found


def _findings(test: TestEntry) -> Iterable[FindingEntry]:
    yield from test.findings
    for tried in test.tries:
        yield from tried.findings


def _unless_there(connection: Connection, table: Table) -> Any:  # noqa: ANN401 - two dialects' own classes
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(table).on_conflict_do_nothing()


def _whole(value: int) -> int:
    return max(-_MOST, min(_MOST, value))


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """JSON that every database accepts: no NaN, no infinity, no NUL."""
    if isinstance(value, Mapping):
        return {clean(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
