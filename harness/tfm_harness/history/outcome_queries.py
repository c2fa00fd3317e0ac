"""Queries of the store about outcomes: tests, findings, tries, counts by suite and board. Nothing here writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, Table, func, select

from tfm_harness.history import tables as t
from tfm_harness.history.questions import Questions
from tfm_harness.history.rows import Cell, FindingRow, OutcomeRow, SuiteRow
from tfm_harness.order import natural

__all__ = ["OutcomeQuestions"]

_BOARDS = t.BOARDS.c


class OutcomeQuestions(Questions):
    """The part of `tfm_harness.history.queries.Memory` that is about outcomes."""

    def outcomes(
        self,
        *,
        nights: Iterable[str] = (),
        run_ids: Iterable[int] = (),
        test: str = "",
        combination: str = "",
        board: str = "",
        firmware: str = "",
        passed: bool = True,
        limit: int = 100_000,
    ) -> list[OutcomeRow]:
        """Outcomes, newest run first; every given argument narrows the choice.

        Args:
            nights, run_ids: only outcomes of these nights or runs.
            test: a test's whole name.
            firmware: a digest.
            passed: whether to return outcomes that passed, too.
        """
        o, r = t.OUTCOMES.c, t.RUNS.c
        query = _joined()
        if names := list(nights):
            query = query.where(r.night.in_(names))
        if numbers := list(run_ids):
            query = query.where(o.run_id.in_(numbers))
        for name, column in (
            (test, t.TESTS.c.name), (combination, t.COMBINATIONS.c.name), (board, _BOARDS.name),
            (firmware, t.FIRMWARE.c.digest),
        ):  # fmt: skip
            if name:
                query = query.where(column == name)
        if not passed:
            query = query.where(o.outcome != "passed")
        query = query.order_by(r.started.desc().nulls_last(), o.run_id.desc(), t.TESTS.c.name).limit(limit)
        return [_outcome(row) for row in self._maps(query)]

    def findings(self, *, run_id: int, test: str = "") -> list[FindingRow]:
        """Findings of a run, or of one of its tests, that are failed, waived or noted."""
        f = t.FINDINGS
        query = (
            select(f, t.COMBINATIONS.c.name.label("combination"), t.TESTS.c.name.label("test"),
                   t.CHECKS.c.name.label("check_name"), t.CHECKS.c.title, t.CHECKS.c.requirement)
            .join(t.COMBINATIONS, f.c.combination_id == t.COMBINATIONS.c.id)
            .join(t.TESTS, f.c.test_id == t.TESTS.c.id)
            .join(t.CHECKS, f.c.check_id == t.CHECKS.c.id)
            .where(f.c.run_id == run_id).order_by(f.c.id)
        )  # fmt: skip
        if test:
            query = query.where(t.TESTS.c.name == test)
        return [
            FindingRow(
                run_id=row.run_id, combination=row.combination, test=row.test, check=row.check_name, title=row.title,
                requirement=row.requirement, status=row.status, severity=row.severity, expected=row.expected,
                seen=row.seen, where=row.place, subject=row.subject, waiver=row.waiver, tried=getattr(row, "try"),
            )
            for row in self._all(query)
        ]  # fmt: skip

    def tries(self, *, run_id: int, test: str = "") -> list[OutcomeRow]:
        """Earlier tries of a run's tests, oldest first, in the form of outcomes (`tries` is the try's number)."""
        query = _joined(t.TRIES).where(t.TRIES.c.run_id == run_id).order_by(t.TESTS.c.name, t.TRIES.c.number)
        if test:
            query = query.where(t.TESTS.c.name == test)
        return [_outcome(row) for row in self._maps(query)]

    def outcome_counts(self, *, firmware: str) -> dict[str, int]:
        """The number of outcomes of each kind, by the firmware's digest."""
        o, rc = t.OUTCOMES.c, t.RUN_COMBINATIONS
        query = (
            select(o.outcome, func.count())
            .select_from(t.FIRMWARE).join(rc, rc.c.firmware_id == t.FIRMWARE.c.id)
            .join(t.OUTCOMES, (o.run_id == rc.c.run_id) & (o.combination_id == rc.c.combination_id))
            .where(t.FIRMWARE.c.digest == firmware).group_by(o.outcome)
        )  # fmt: skip
        return dict(map(tuple, self._all(query)))

    def grid(self, nights: Iterable[str], *, board: str = "") -> list[Cell]:
        """Outcomes counted by night, suite, combination and board; only those of `board` if it is given."""
        o = t.OUTCOMES.c
        query = (
            select(t.RUNS.c.night, t.TESTS.c.suite, t.COMBINATIONS.c.name, func.coalesce(_BOARDS.name, ""), o.outcome,
                   func.count(), func.max(o.run_id))
            .select_from(t.OUTCOMES).join(t.RUNS, t.RUNS.c.id == o.run_id).join(t.TESTS, t.TESTS.c.id == o.test_id)
            .join(t.COMBINATIONS, t.COMBINATIONS.c.id == o.combination_id)
            .outerjoin(t.BOARDS, _BOARDS.id == o.board_id)
            .where(t.RUNS.c.night.in_(list(nights)))
            .group_by(t.RUNS.c.night, t.TESTS.c.suite, t.COMBINATIONS.c.name, _BOARDS.name, o.outcome)
        )  # fmt: skip
        if board:
            query = query.where(_BOARDS.name == board)
        cells: dict[tuple[str, str, str, str], dict[str, int]] = defaultdict(dict)
        newest: dict[tuple[str, str, str, str], int] = defaultdict(int)
        for night, suite, combination, name, outcome, count, run_id in self._all(query):
            key = night, suite, combination, name
            cells[key][outcome] = count
            newest[key] = max(newest[key], run_id)
        return [
            Cell(night=night, suite=suite, combination=combination, board=name, outcomes=counts,
                 run_id=newest[night, suite, combination, name])
            for (night, suite, combination, name), counts in sorted(
                cells.items(), key=lambda cell: tuple(map(natural, cell[0]))
            )
        ]  # fmt: skip

    def suites(self, *, nights: Iterable[str] = (), firmware: str = "", run_id: int | None = None) -> list[SuiteRow]:
        """The states of the suites: in these nights, on this firmware or in this run; newest run first."""
        s, rc = t.SUITES, t.RUN_COMBINATIONS
        query = (
            select(s, t.RUNS.c.night, t.COMBINATIONS.c.name.label("combination"))
            .join(t.RUNS, t.RUNS.c.id == s.c.run_id)
            .join(t.COMBINATIONS, t.COMBINATIONS.c.id == s.c.combination_id)
            .order_by(t.RUNS.c.started.desc().nulls_last(), s.c.run_id.desc(), s.c.suite)
        )
        if names := list(nights):
            query = query.where(t.RUNS.c.night.in_(names))
        if run_id is not None:
            query = query.where(s.c.run_id == run_id)
        if firmware:
            same = (rc.c.run_id == s.c.run_id) & (rc.c.combination_id == s.c.combination_id)
            query = query.join(rc, same).join(t.FIRMWARE, t.FIRMWARE.c.id == rc.c.firmware_id)
            query = query.where(t.FIRMWARE.c.digest == firmware)
        return [
            SuiteRow(
                run_id=row.run_id, night=row.night, combination=row.combination, suite=row.suite, claim=row.claim,
                state=row.state, passed=row.passed, total=row.total, retried=row.retried, proven=row.proven,
                requirements=row.requirements, excused=tuple(row.excused),
            )
            for row in self._all(query)
        ]  # fmt: skip


def _joined(table: Table = t.OUTCOMES) -> Select[Any]:
    """Outcomes (or tries), joined with the names of run, test, combination and board."""
    o, rc = table, t.RUN_COMBINATIONS
    same = (rc.c.run_id == o.c.run_id) & (rc.c.combination_id == o.c.combination_id)
    return (
        select(o, t.RUNS.c.name.label("run"), t.RUNS.c.night, t.RUNS.c.started, t.RUNS.c.folder,
               t.TESTS.c.name.label("test"), t.TESTS.c.suite, t.COMBINATIONS.c.name.label("combination"),
               t.COMBINATIONS.c.build, _BOARDS.name.label("board"), t.FIRMWARE.c.digest.label("firmware"))
        .select_from(o).join(t.RUNS, t.RUNS.c.id == o.c.run_id).join(t.TESTS, t.TESTS.c.id == o.c.test_id)
        .join(t.COMBINATIONS, t.COMBINATIONS.c.id == o.c.combination_id)
        .outerjoin(t.BOARDS, _BOARDS.id == o.c.board_id).outerjoin(rc, same)
        .outerjoin(t.FIRMWARE, t.FIRMWARE.c.id == rc.c.firmware_id)
    )  # fmt: skip


def _outcome(m: Mapping[Any, Any]) -> OutcomeRow:
    return OutcomeRow(
        run_id=m["run_id"], run=m["run"], night=m["night"], started=m["started"], test=m["test"],
        suite=m["suite"], combination=m["combination"], build=m["build"], board=m["board"] or "",
        firmware=m["firmware"] or "", outcome=m["outcome"], responsibility=m["responsibility"], kind=m["kind"] or "",
        message=m["message"] or "", blocked_by=m.get("blocked_by") or "", seconds=m["seconds"],
        passed=m.get("passed") or 0, tries=m["number"] if "number" in m else m["tries"], folder=m["folder"],
    )  # fmt: skip
