"""The recovery policy: what is tried, in which order, what is told, and when a board is given up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from tfm_harness.boards.base import Board, BoardEvent, PowerState, ResetKind, RunContext
from tfm_harness.boards.recovery import recover
from tfm_harness.config.power import RecoveryConfig
from tfm_harness.config.target import TargetBase
from tfm_harness.console.base import Console
from tfm_harness.errors import InfrastructureError, ProductError


class Dead(Board):
    """Comes back after the step named; keeps a diary."""

    kind: ClassVar[str] = "dead"
    config_model: ClassVar[type[Any]] = TargetBase

    def __init__(self, recovery: Mapping[str, object], *, revived_by: str, switch: bool = True) -> None:
        target = TargetBase.model_validate(
            {"name": "b", "kind": "dead", "consoles": {"ns": "x"}, "recovery": RecoveryConfig.model_validate(recovery)}
        )
        super().__init__(target, RunContext.__new__(RunContext))
        self.diary: list[str] = []
        self.alive = False
        self._revived_by = revived_by
        self._switch = switch

    def did(self, what: str) -> None:
        self.diary.append(what)
        self.alive = self.alive or what == self._revived_by

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        self.did(f"reset-{kind}")

    def power(self, state: PowerState) -> None:
        if not self._switch:
            raise InfrastructureError("no switch", kind="no-power-control")
        self.did(f"power-{state}")

    def answers(self) -> None:
        if not self.alive:
            raise ProductError("nothing", kind="silent")

    def acquire(self) -> None: ...
    def flash(self, build: object) -> None: ...
    def release(self) -> None: ...
    def check_alive(self) -> None: ...
    def console(self, name: str) -> Console:
        raise NotImplementedError

    @property
    def consoles(self) -> Mapping[str, Console]:
        return {}


BOTH = {"steps": ["reset", "power-cycle"]}


def run(board: Dead) -> list[BoardEvent]:
    told: list[BoardEvent] = []
    found = recover(board, board.answers, note=told.append, wait=lambda _: None)
    assert told == found
    return found


def test_the_first_step_is_enough() -> None:
    board = Dead(BOTH, revived_by="reset-warm")
    assert [event.kind for event in run(board)] == ["recovered"]
    assert board.diary == ["reset-warm"]


def test_power_cycle_after_the_resets() -> None:
    board = Dead({**BOTH, "attempts": 2}, revived_by="power-on")
    events = run(board)
    assert [event.kind for event in events] == ["recovery-failed", "recovery-failed", "recovered"]
    assert "reset (try 1 of 2): silent" in events[0].detail
    assert board.diary == ["reset-warm", "reset-warm", "power-off", "power-on"]


def test_giving_up_says_what_was_tried() -> None:
    board = Dead(BOTH, revived_by="never", switch=False)
    told: list[BoardEvent] = []
    with pytest.raises(InfrastructureError) as caught:
        recover(board, board.answers, note=told.append, wait=lambda _: None)
    assert caught.value.kind == "board-lost"
    assert "silent" in (caught.value.seen or "")
    assert "no-power-control" in (caught.value.seen or "")
    assert [event.kind for event in told] == ["recovery-failed"] * 2


def test_no_steps_is_giving_up_at_once() -> None:
    board = Dead({"steps": []}, revived_by="never")
    with pytest.raises(InfrastructureError, match="nothing was tried"):
        run(board)
    assert board.diary == []


def test_a_bug_is_not_swallowed_and_power_comes_back() -> None:
    board = Dead({"steps": ["power-cycle"]}, revived_by="never")

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(board, board.answers, wait=interrupted)
    assert board.diary == ["power-off", "power-on"]
