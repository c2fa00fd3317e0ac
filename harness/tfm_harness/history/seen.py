"""Outcomes out of the store for `classify`: those that decide something, and no others.

A farm's night has some ten thousand outcomes, of which nearly all passed as before. Only the history of what failed
tonight, and of what failed when it was last judged, is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, select, tuple_

from tfm_harness.history import tables as t
from tfm_harness.history.classify import Seen

__all__ = ["Reader"]

_BAD: Final = ("failed", "error", "blocked", "not run")
_JUDGED: Final = ("passed", "failed")
_O = t.OUTCOMES.c
Key = tuple[int, int]


class Reader:
    """Reads outcomes of tonight's runs and of the groups of runs before.

    Args:
        connection: of the store.
        tonight: numbers of tonight's runs.
        before: numbers of the runs before, by night (or each run alone), newest first.
    """

    def __init__(self, connection: Connection, tonight: Select[Any], before: Sequence[Select[Any]]) -> None:
        self.connection, self.tonight, self.before = connection, tonight, before
        self.firmware = _firmware(connection)
        self.names = {
            table: {row.id: row.name for row in connection.execute(select(table.c.id, table.c.name))}
            for table in (t.TESTS, t.COMBINATIONS, t.BOARDS)
        }
        self.runs: dict[int, tuple[str, str, float]] = {}
        self.flashed: dict[Key, int | None] = {}
        for runs in (tonight, *before):
            self._learn(runs)

    def _learn(self, runs: Select[Any]) -> None:
        r, rc = t.RUNS.c, t.RUN_COMBINATIONS.c
        query = select(r.id, r.name, r.night, r.started).where(r.id.in_(runs))
        for number, name, night, started in self.connection.execute(query):
            self.runs[number] = name, night, started.timestamp() if started else 0.0
        places = select(rc.run_id, rc.combination_id, rc.firmware_id).where(rc.run_id.in_(runs))
        for run, combination, firmware in self.connection.execute(places):
            self.flashed[run, combination] = firmware

    def read(self, *, everything: bool) -> tuple[list[Seen], list[Seen]]:
        """Tonight's outcomes that are more than one more pass (all of them on request); and what came before them."""
        fixed = self._failed_before()
        bad = set(self._keys(self.tonight, _BAD))
        failed = self._select(self.tonight, ("failed",))
        tonight = self._seen(_O.run_id.in_(self.tonight), None if everything else bad | set(fixed))
        earlier: list[Seen] = []
        for runs in self.before:
            earlier += self._seen(and_(_O.run_id.in_(runs), _O.outcome.in_(_JUDGED), _of(failed)), None)
        for at, runs in enumerate(self.before):
            keys = {key for key, group in fixed.items() if group == at} - set(self._keys(self.tonight, ("failed",)))
            if keys:
                earlier += self._seen(and_(_O.run_id.in_(runs), _of(self._select(runs, ("failed",)))), keys)
        return tonight, earlier

    def _failed_before(self) -> dict[Key, int]:
        """What failed when it was last judged: its test and combination, and in which group of runs that was."""
        latest: dict[Key, int] = {}
        for at, runs in enumerate(self.before):
            for key in self._keys(runs, ("failed",)):
                latest.setdefault(key, at)
        found: dict[Key, int] = {}
        open_keys = set(latest)
        for at, runs in enumerate(self.before):
            if not open_keys:
                break
            found |= {key: at for key in open_keys if latest[key] == at}
            open_keys -= found.keys()
            if open_keys:
                open_keys -= set(self._keys(runs, ("passed",)))
        return found

    def _select(self, runs: Select[Any], outcomes: Sequence[str]) -> Select[Any]:
        query = select(_O.test_id, _O.combination_id).where(_O.run_id.in_(runs), _O.outcome.in_(outcomes)).distinct()
        # Said like this, the database may use the small index of what did not pass.
        return query if "passed" in outcomes else query.where(_O.outcome != "passed")

    def _keys(self, runs: Select[Any], outcomes: Sequence[str]) -> Iterable[Key]:
        return [(row[0], row[1]) for row in self.connection.execute(self._select(runs, outcomes))]

    def _seen(self, condition: ColumnElement[bool], keys: set[Key] | None) -> list[Seen]:
        if keys is not None and not keys:
            return []
        query = select(
            _O.run_id, _O.test_id, _O.combination_id, _O.board_id, _O.outcome, _O.responsibility, _O.kind, _O.message,
            _O.tries,
        ).where(condition)  # fmt: skip
        if keys is not None:
            query = query.where(_O.test_id.in_({test for test, _ in keys}))
        tests, on, boards = (self.names[table] for table in (t.TESTS, t.COMBINATIONS, t.BOARDS))
        found = []
        for run, test, combination, board, outcome, whose, kind, message, tries in self.connection.execute(query):
            if keys is not None and (test, combination) not in keys:
                continue
            name, night, started = self.runs[run]
            identity, words = self.firmware.get(self.flashed.get((run, combination)) or 0, ("", ""))
            found.append(Seen(
                run=name, run_id=run, night=night, started=started, test=tests[test], combination=on[combination],
                board=boards.get(board, ""), identity=identity, firmware=words, outcome=outcome, responsibility=whose,
                kind=kind or "", message=message or "", tries=tries,
            ))  # fmt: skip
        return found


def _of(keys: Select[Any]) -> ColumnElement[bool]:
    inner = keys.subquery()
    return tuple_(_O.test_id, _O.combination_id).in_(select(inner.c.test_id, inner.c.combination_id))


def _firmware(connection: Connection) -> dict[int, tuple[str, str]]:
    """Digest and words of every firmware by its number: its measurements' first digits, else what it says of itself."""
    f = t.FIRMWARE.c
    rows = connection.execute(select(f.id, f.digest, f.said, f.measurements)).all()
    return {row.id: (row.digest, _words(row.measurements) or row.said or row.digest[:12]) for row in rows}


def _words(measurements: Mapping[str, str]) -> str:
    return " ".join(f"{name}:{value[:12]}" for name, value in sorted(measurements.items()))[:200]
