"""Pools: which board is taken, what a lost one means, and what cannot be a pool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from tfm_harness.boards.base import Board, PowerState, ResetKind, RunContext
from tfm_harness.boards.locks import BoardLock
from tfm_harness.boards.pool import Pool, members_of
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_target
from tfm_harness.config.target import TargetBase
from tfm_harness.console.base import Console
from tfm_harness.errors import ConfigError, InfrastructureError


class LockedTarget(TargetBase):
    kind: Literal["locked"] = "locked"
    fault: str = ""
    shared: str = ""

    def resources(self) -> tuple[str, ...]:
        return (self.shared,) if self.shared else ()


class LockedBoard(Board):
    """Nothing but its lock."""

    kind: ClassVar[str] = "locked"
    config_model: ClassVar[type[Any]] = LockedTarget

    def __init__(self, target: TargetBase, context: RunContext) -> None:
        super().__init__(target, context)
        assert isinstance(target, LockedTarget)
        self._fault = target.fault
        self.lock = BoardLock(target.name, context.state_dir)

    def acquire(self) -> None:
        self.lock.acquire(self.target.timeouts.acquire)
        if self._fault:
            raise InfrastructureError("broken", kind=self._fault)

    def release(self) -> None:
        self.lock.release()

    def flash(self, build: Build) -> None: ...
    def reset(self, kind: ResetKind = ResetKind.WARM) -> None: ...
    def power(self, state: PowerState) -> None: ...
    def check_alive(self) -> None: ...
    def console(self, name: str) -> Console:
        raise NotImplementedError

    @property
    def consoles(self) -> Mapping[str, Console]:
        return {}


def target(name: str, **words: object) -> LockedTarget:
    return LockedTarget.model_validate({"name": name, "kind": "locked", "consoles": {"ns": "x"}, **words})


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    return RunContext(tmp_path / "run", tmp_path / "state")


def pool(context: RunContext, *members: TargetBase) -> Pool:
    return Pool(members, context, context.run_dir / "quarantine", make=LockedBoard)


def test_each_taker_gets_another_board(context: RunContext) -> None:
    first, second = pool(context, target("a"), target("b")), pool(context, target("a"), target("b"))
    one, two = first.take(), second.take()
    assert {one.name, two.name} == {"a", "b"}
    with pytest.raises(InfrastructureError) as caught:
        first.take()
    assert caught.value.kind == "board-busy"
    one.release()
    three = second.take()
    assert three.name == one.name
    for board in (two, three):
        board.release()


def test_a_lost_board_is_not_taken_again_by_anybody(context: RunContext) -> None:
    first, second = pool(context, target("a"), target("b")), pool(context, target("a"), target("b"))
    board = first.take()
    first.quarantine(board.name, InfrastructureError("gone", kind="emulator-exit"))
    board.release()
    assert second.lost() == {"a": "emulator-exit: gone"}
    other = second.take()
    assert other.name == "b"
    second.quarantine("b", InfrastructureError("gone too", kind="probe-lost"))
    other.release()
    with pytest.raises(InfrastructureError) as caught:
        first.take()
    assert caught.value.kind == "pool-lost"
    assert "gone too" in (caught.value.seen or "")
    # Another run tries them again.
    fresh = Pool([target("a")], context, context.run_dir / "another", make=LockedBoard)
    fresh.take().release()


def test_a_board_that_cannot_be_acquired_is_passed_over_and_freed(context: RunContext) -> None:
    some = pool(context, target("a", fault="probe-missing"), target("b"))
    board = some.take()
    assert board.name == "b"
    assert some.lost() == {"a": "probe-missing: broken"}
    lock = BoardLock("a", context.state_dir)
    lock.acquire()
    lock.release()
    board.release()


def test_a_single_board_keeps_its_own_error(context: RunContext) -> None:
    with pytest.raises(InfrastructureError) as caught:
        pool(context, target("a", fault="probe-missing")).take()
    assert caught.value.kind == "probe-missing"
    # Not in quarantine: its own test says what is wrong, each time.
    with pytest.raises(InfrastructureError, match="probe-missing"):
        pool(context, target("a", fault="probe-missing")).take()


def test_waiting_for_a_board(context: RunContext) -> None:
    some = pool(context, target("a", timeouts={"acquire": 30}), target("b"))
    held = [some.take(), some.take()]
    released: list[str] = []

    class Eventually(LockedBoard):
        def acquire(self) -> None:
            if not released:
                released.append(held[0].name)
                held[0].release()  # as another session would, meanwhile
                raise InfrastructureError("busy", kind="board-busy")
            super().acquire()

    waiting = Pool(some.members, context, context.run_dir / "quarantine", make=Eventually)
    board = waiting.take()
    assert board.name == released[0]
    board.release()
    held[1].release()


def test_counted_boards() -> None:
    names = [member.name for member in members_of([target("v", count=3), target("w")])]
    assert names == ["v.1", "v.2", "v.3", "w"]
    with pytest.raises(ConfigError) as caught:
        members_of([target("v", count=2, shared="probe 1")])
    assert caught.value.kind == "pool-shared"


def test_counted_virtual_boards_are_different_devices(tmp_path: Path) -> None:
    counted = load_target("qemu-an547").model_copy(update={"count": 2})
    context = RunContext(tmp_path / "run", tmp_path / "state")
    boards = [QemuBoard(member, context) for member in members_of([counted])]  # type: ignore[arg-type]  # a QEMU target
    for board in boards:
        board.acquire()
    try:
        assert [board.name for board in boards] == ["qemu-an547.1", "qemu-an547.2"]
        assert boards[0].identity.huk != boards[1].identity.huk
    finally:
        for board in boards:
            board.release()


def test_fresh_boards_of_one_run_have_names_of_their_own(tmp_path: Path) -> None:
    members = members_of([load_target("qemu-an547").model_copy(update={"count": 2})])
    contexts = [
        RunContext(tmp_path / "run" / worker, tmp_path / "state", fresh_identity=True, shared_dir=tmp_path / "run")
        for worker in ("gw0", "gw1", "gw2")
    ]
    pools = [Pool(members, context, tmp_path / "quarantine") for context in contexts]
    first, second = pools[0].take(), pools[1].take()
    try:
        assert [first.name, second.name] == ["qemu-an547.1", "qemu-an547.2"]
        with pytest.raises(InfrastructureError) as caught:
            pools[2].take()
        assert caught.value.kind == "board-busy"
        second.release()
        second = pools[2].take()
        assert second.name == "qemu-an547.2"
    finally:
        first.release()
        second.release()
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
