"""What is kept of a board: two checkouts of one user, and an earlier version's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from tfm_harness.boards.base import Board, RunContext
from tfm_harness.boards.kept_place import board_key, described_by, name_of
from tfm_harness.boards.locks import board_locks
from tfm_harness.boards.pool import Pool
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.config.loading import load_target
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import InfrastructureError

VIRTUAL = """
kind: qemu
name: bench
machine: mps3-an547
consoles: {ns: uart0}
virtual: {otp: {at: 0x11000000, lifecycle: 0x3000}}
"""
KEEPS_NOTHING = "kind: qemu\nname: bench\nmachine: mps3-an547\nconsoles: {ns: uart0}\n"


class Wired(TargetBase):
    kind: Literal["wired"] = "wired"
    port: str = ""

    def resources(self) -> tuple[str, ...]:
        return (self.port,) if self.port else ()


def checkout(folder: Path, text: str = VIRTUAL) -> QemuTarget:
    """The target of one checkout."""
    (folder / "targets").mkdir(parents=True)
    (folder / "targets" / "bench.yaml").write_text(text)
    loaded = load_target(folder / "targets" / "bench.yaml")
    assert isinstance(loaded, QemuTarget)
    return loaded


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    return RunContext(tmp_path / "run", tmp_path / "state")


def test_two_checkouts_have_boards_of_their_own(tmp_path: Path, context: RunContext) -> None:
    targets = [checkout(tmp_path / name) for name in ("a", "b")]
    assert len({board_key(target) for target in targets}) == 2
    with QemuBoard(targets[0], context) as one, QemuBoard(targets[1], context) as two:
        assert one.identity.huk != two.identity.huk
        kept = one.identity.huk
    with QemuBoard(targets[0], context) as again:
        assert again.identity.huk == kept
    folders = sorted((tmp_path / "state" / "boards").iterdir())
    assert {name_of(folder.name) for folder in folders} == {"bench"}
    assert sorted(described_by(folder) for folder in folders) == [str(target.path) for target in targets]


def test_the_same_file_is_the_same_board_by_whatever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = checkout(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    for path in ("targets/bench.yaml", str(tmp_path / "link" / "targets" / "bench.yaml")):
        assert board_key(load_target(path)) == board_key(absolute)


def test_a_real_board_is_told_by_what_is_behind_it_not_by_its_file(context: RunContext) -> None:
    def keys(*targets: TargetBase) -> set[str]:
        return {board_key(target) for target in targets}

    here, there = wired("p1"), wired("p1")
    assert keys(here, there) == keys(here)
    assert len(keys(here, wired("p2"))) == 2
    # One port under two names: the port's own lock tells.
    first = board_locks(here, context.state_dir, {})
    for lock in first:
        lock.acquire()
    second = board_locks(here.model_copy(update={"name": "other"}), context.state_dir, {})
    second[0].acquire()
    try:
        with pytest.raises(InfrastructureError, match="'p1' is in use"):
            second[1].acquire()
    finally:
        for lock in (*first, *second):
            lock.release()


def wired(port: str) -> Wired:
    return Wired.model_validate({"name": "b", "port": port, "consoles": {"ns": "x"}})


def test_a_board_that_keeps_nothing_is_never_busy_and_leaves_nothing(tmp_path: Path, context: RunContext) -> None:
    target = checkout(tmp_path / "a", KEEPS_NOTHING)
    with QemuBoard(target, context), QemuBoard(target, context), QemuBoard(target, context):
        pass
    assert not (tmp_path / "state" / "boards").exists()


def test_what_an_earlier_version_kept_belongs_to_the_first_board_of_that_name(
    tmp_path: Path, context: RunContext
) -> None:
    old = tmp_path / "state" / "boards" / "bench"
    old.mkdir(parents=True)
    (old / "huk.TEST_ONLY.bin").write_bytes(bytes(range(32)))
    with QemuBoard(checkout(tmp_path / "a"), context) as first:
        assert first.identity.huk == bytes(range(32))
    assert not old.exists()
    with QemuBoard(checkout(tmp_path / "b"), context) as second:
        assert second.identity.huk != bytes(range(32))


def pool(target: TargetBase, context: RunContext, *, replaceable: bool = False) -> Pool:
    return Pool([target], context, context.run_dir / "quarantine", replaceable=replaceable)


def other_process(context: RunContext, target: QemuTarget, monkeypatch: pytest.MonkeyPatch) -> QemuBoard:
    """A board that another process holds once it is acquired, as far as this one can tell."""
    monkeypatch.setattr("tfm_harness.boards.pool.held_here", lambda _name: False)
    return QemuBoard(target, context)


def test_a_second_run_has_a_board_with_an_identity_of_its_own(
    tmp_path: Path, context: RunContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = checkout(tmp_path / "a")
    with other_process(context, target, monkeypatch) as first:
        second = pool(target, context, replaceable=True).take()
        assert second.identity.huk not in {None, first.identity.huk}
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "virtual board 'bench' is held by process" in said
        second.release()
        with pytest.raises(InfrastructureError, match="board-busy"):
            pool(target, context).take()
    kept: Board = pool(target, context, replaceable=True).take()
    assert kept.identity.huk == first.identity.huk
    kept.release()


def test_it_is_waited_for_first_where_the_target_says_so(
    tmp_path: Path, context: RunContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = checkout(tmp_path / "a", VIRTUAL + "timeouts: {acquire: 0.2}\n")
    with other_process(context, target, monkeypatch):
        pool(target, context, replaceable=True).take().release()
        waiting, instead = capsys.readouterr().err.splitlines()
        assert waiting.startswith("waiting up to 0.2 s for board 'bench': held by process ")
        assert instead.startswith("virtual board 'bench' is held by process ")


def test_one_run_never_has_two_boards_of_one_name(
    tmp_path: Path, context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transcripts and records would be mixed."""
    target = checkout(tmp_path / "a")
    first = pool(target, context, replaceable=True).take()
    with pytest.raises(InfrastructureError, match="board-busy"):
        pool(target, context, replaceable=True).take()
    first.release()
    workers = [RunContext(context.run_dir / name, context.state_dir, shared_dir=context.run_dir) for name in "ab"]
    first = pool(target, workers[0], replaceable=True).take()
    monkeypatch.setattr("tfm_harness.boards.pool.held_here", lambda _name: False)
    with pytest.raises(InfrastructureError, match="board-busy"):
        pool(target, workers[1], replaceable=True).take()
    first.release()
