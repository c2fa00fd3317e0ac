"""Reads outcomes from the store for `classify`: only those that can change a class.

A farm's night has some ten thousand outcomes, of which nearly all passed as before. Only the history of tests that
failed tonight, or failed when they were last judged, is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from tfm_harness.history import tables as t
from tfm_harness.history.classify import Seen
from tfm_harness.history.renamed import Named, former_names

__all__ = ["Reader"]

_BAD: Final = ("failed", "error", "blocked", "not run")
_JUDGED: Final = ("passed", "failed")
_O = t.OUTCOMES.c
Key = tuple[int, int]


class Reader:
    """Reads outcomes of tonight's runs and of the groups of earlier runs.

    A combination that was renamed is the same one (`tfm_harness.history.renamed`): its outcomes under the old name are
    read as outcomes under the new name.

    Args:
        connection: a connection of the store.
        tonight: numbers of tonight's runs.
        before: numbers of the earlier runs, by night (or each run alone), newest first.
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
        now = self._learn(tonight)
        earlier = [one for runs in before for one in self._learn(runs)]
        self.now: dict[int, list[int]] = defaultdict(list)
        """For each old combination, tonight's combinations that it became."""
        for new, old in former_names(now, earlier).items():
            self.now[old].append(new)

    def _learn(self, runs: Select[Any]) -> list[Named]:
        r, rc = t.RUNS.c, t.RUN_COMBINATIONS.c
        query = select(r.id, r.name, r.night, r.started).where(r.id.in_(runs))
        for number, name, night, started in self.connection.execute(query):
            self.runs[number] = name, night, started.timestamp() if started else 0.0
        places = select(rc.run_id, rc.combination_id, rc.firmware_id).where(rc.run_id.in_(runs))
        found = {}
        for run, combination, firmware in self.connection.execute(places):
            self.flashed[run, combination] = firmware
            found[combination] = Named(
                number=combination, name=self.names[t.COMBINATIONS][combination],
                firmware=self.firmware[firmware][2] if firmware else "", started=self.runs[run][2],
            )  # fmt: skip
        return list(found.values())

    def read(self, *, everything: bool) -> tuple[list[Seen], list[Seen]]:
        """Tonight's outcomes without simple passes (on request, all), and the earlier outcomes of these tests."""
        fixed = self._failed_before()
        tonight = self._seen(self.tonight, None if everything else {*self._keys(self.tonight, _BAD), *fixed})
        changed = {*self._keys(self.tonight, ("failed",)), *fixed}
        earlier = [one for runs in self.before for one in self._seen(runs, changed, _JUDGED)]
        return tonight, earlier

    def _failed_before(self) -> set[Key]:
        """Tests and combinations that failed when they were last judged."""
        latest: dict[Key, int] = {}
        for at, runs in enumerate(self.before):
            for key in self._keys(runs, ("failed",)):
                latest.setdefault(key, at)
        found: set[Key] = set()
        open_keys = set(latest)
        for at, runs in enumerate(self.before):
            if not open_keys:
                break
            found |= {key for key in open_keys if latest[key] == at}
            open_keys -= found
            if open_keys:
                open_keys -= set(self._keys(runs, ("passed",)))
        return found

    def _keys(self, runs: Select[Any], outcomes: Sequence[str]) -> Iterator[Key]:
        """Tests and combinations with such outcomes, under tonight's names."""
        query = select(_O.test_id, _O.combination_id).where(_O.run_id.in_(runs), _O.outcome.in_(outcomes)).distinct()
        # With this condition, the database can use the small index of outcomes that did not pass.
        query = query if "passed" in outcomes else query.where(_O.outcome != "passed")
        for test, combination in self.connection.execute(query):
            for now in self._today(combination):
                yield test, now

    def _today(self, combination: int) -> Sequence[int]:
        """Tonight's combinations for a combination: those that it became, else itself."""
        return self.now.get(combination, (combination,))

    def _seen(self, runs: Select[Any], keys: set[Key] | None, outcomes: Sequence[str] = ()) -> list[Seen]:
        """Outcomes of these runs, for these tests and combinations (None: all), with these outcomes (empty: any)."""
        if keys is not None and not keys:
            return []
        query = select(
            _O.run_id, _O.test_id, _O.combination_id, _O.board_id, _O.outcome, _O.responsibility, _O.kind, _O.message,
            _O.tries,
        ).where(_O.run_id.in_(runs))  # fmt: skip
        if outcomes:
            query = query.where(_O.outcome.in_(outcomes))
        if keys is not None:
            places = {combination for _, combination in keys}
            places |= {old for old, new in self.now.items() if places.intersection(new)}
            query = query.where(_O.test_id.in_({test for test, _ in keys}), _O.combination_id.in_(places))
        tests, on, boards = (self.names[table] for table in (t.TESTS, t.COMBINATIONS, t.BOARDS))
        checks = self._checks(runs, keys)
        found = []
        for run, test, combination, board, outcome, whose, kind, message, tries in self.connection.execute(query):
            for now in self._today(combination):
                if keys is not None and (test, now) not in keys:
                    continue
                name, night, started = self.runs[run]
                identity, words, _ = self.firmware.get(self.flashed.get((run, combination)) or 0, ("", "", ""))
                found.append(Seen(
                    run=name, run_id=run, night=night, started=started, test=tests[test], combination=on[now],
                    board=boards.get(board, ""), identity=identity, firmware=words, outcome=outcome,
                    responsibility=whose, kind=kind or "", message=message or "", tries=tries,
                    checks=frozenset(checks.get((run, combination, test), ())) if outcome == "failed" else frozenset(),
                ))  # fmt: skip
        return found

    def _checks(self, runs: Select[Any], keys: set[Key] | None) -> Mapping[tuple[int, int, int], set[str]]:
        """Checks that failed, by run, combination and test."""
        f = t.FINDINGS.c
        query = (
            select(f.run_id, f.combination_id, f.test_id, t.CHECKS.c.name)
            .join(t.CHECKS, t.CHECKS.c.id == f.check_id)
            .where(f.run_id.in_(runs), f.status == "failed", f["try"] == 0)
        )
        if keys is not None:
            query = query.where(f.test_id.in_({test for test, _ in keys}))
        found: dict[tuple[int, int, int], set[str]] = defaultdict(set)
        for run, combination, test, check in self.connection.execute(query):
            found[run, combination, test].add(check)
        return found


def _firmware(connection: Connection) -> dict[int, tuple[str, str, str]]:
    """For every firmware, by its number: digest, words, and an identity that does not depend on the build's name.

    The words are the measurements' first digits, else the firmware's description of itself.
    """
    f = t.FIRMWARE.c
    rows = connection.execute(select(f.id, f.digest, f.said, f.measurements, f.files)).all()
    return {
        row.id: (
            row.digest, _words(row.measurements) or row.said or row.digest[:12],
            " ".join(sorted(set(row.files.values()))) or _words(row.measurements),
        )
        for row in rows
    }  # fmt: skip


def _words(measurements: Mapping[str, str]) -> str:
    return " ".join(f"{name}:{value[:12]}" for name, value in sorted(measurements.items()))[:200]
