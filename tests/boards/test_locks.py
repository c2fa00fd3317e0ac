"""Locks on boards: one session each, freed by the kernel, shown to others."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tfm_harness.boards.locks import BoardLock, acquire_all, list_boards, told_by
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.errors import InfrastructureError

ROOT = Path(__file__).resolve().parents[2]

HOLD = """
import sys
from pathlib import Path
from tfm_harness.boards.locks import BoardLock
lock = BoardLock(sys.argv[1], Path(sys.argv[2]), {"target": "t"})
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def other_session(name: str, state: Path) -> subprocess.Popen[str]:
    session = subprocess.Popen(
        [sys.executable, "-c", HOLD, name, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert session.stdout is not None
    assert session.stdout.readline() == "held\n"
    return session


def test_one_holder_at_a_time_and_shown(tmp_path: Path) -> None:
    with other_session("an547-1", tmp_path) as session:
        lock = BoardLock("an547-1", tmp_path)
        with pytest.raises(InfrastructureError, match="board-busy") as caught:
            lock.acquire()
        assert f"process {session.pid}" in (caught.value.seen or "")
        assert not lock.held
        (use,) = list_boards(tmp_path)
        assert (use.name, use.locked, use.holder["pid"], use.holder["target"]) == (
            "an547-1",
            True,
            str(session.pid),
            "t",
        )
        session.kill()
    assert wait_until(lambda: not list_boards(tmp_path)[0].locked, 5)
    lock.acquire()
    assert list_boards(tmp_path)[0].holder["pid"] == str(os.getpid())
    lock.release()
    assert list_boards(tmp_path)[0].holder == {}


def test_waiting_gets_the_board_when_it_is_given_back(tmp_path: Path) -> None:
    first, second = BoardLock("b", tmp_path), BoardLock("b", tmp_path)
    first.acquire()
    with pytest.raises(InfrastructureError, match=r"waited 0\.1 s"):
        second.acquire(timeout=0.1)
    waiting = threading.Thread(target=second.acquire, args=(30,))
    waiting.start()
    first.release()
    waiting.join(10)
    assert second.held
    second.release()


def test_looking_does_not_free_our_own_lock(tmp_path: Path) -> None:
    """POSIX record locks would: closing any descriptor of the file drops them."""
    lock = BoardLock("b", tmp_path)
    lock.acquire()
    for _ in range(3):
        assert list_boards(tmp_path)[0].locked
    with pytest.raises(InfrastructureError, match="board-busy"):
        BoardLock("b", tmp_path).acquire()
    lock.release()
    lock.release()


def test_waiting_is_told_once_with_the_holder(tmp_path: Path) -> None:
    with other_session("an547-1", tmp_path) as session:
        said: list[str] = []

        def free(text: str) -> None:
            said.append(text)
            session.kill()  # the lock comes free once the wait was told

        with told_by(free):
            lock = BoardLock("an547-1", tmp_path)
            lock.acquire(60)
        lock.release()
    (line,) = said
    assert f"process {session.pid}" in line
    assert "an547-1" in line


def test_who_does_not_wait_is_told_nothing(tmp_path: Path) -> None:
    holder = BoardLock("b", tmp_path)
    holder.acquire()
    said: list[str] = []
    with told_by(said.append), pytest.raises(InfrastructureError):
        BoardLock("b", tmp_path).acquire()
    assert said == []
    holder.release()


def test_all_or_none(tmp_path: Path) -> None:
    blocker = BoardLock("tty:/dev/ttyUSB0", tmp_path)
    blocker.acquire()
    wanted = [BoardLock(name, tmp_path) for name in ("a", "b", "tty:/dev/ttyUSB0")]
    with pytest.raises(InfrastructureError, match="tty:/dev/ttyUSB0"):
        acquire_all(wanted, 0.0)
    assert not any(lock.held for lock in wanted)
    blocker.release()
    acquire_all(wanted, 0.0)
    assert {use.name for use in list_boards(tmp_path) if use.locked} == {"a", "b", "tty:/dev/ttyUSB0"}
    for lock in wanted:
        lock.release()


def _linger(ready: str) -> None:
    Path(ready).write_text("x")
    threading.Event().wait(60)


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = BoardLock("b", tmp_path)
    lock.acquire()
    child = multiprocessing.get_context("fork").Process(target=_linger, args=(str(tmp_path / "ready"),))
    child.start()
    try:
        assert wait_until((tmp_path / "ready").exists, 10)
        assert list_boards(tmp_path)[0].locked  # still ours
        lock.release()
        assert not list_boards(tmp_path)[0].locked
    finally:
        child.kill()
        child.join()


def test_names_that_are_no_file_names(tmp_path: Path) -> None:
    names = ["../../etc/x", "usb:VID:PID=1/2", "a" * 300, "tty:/dev/a", "tty:/dev_a"]
    locks = [BoardLock(name, tmp_path) for name in names]
    acquire_all(locks, 0)
    assert {lock.path.parent for lock in locks} == {tmp_path / "locks"}
    assert sorted(use.name for use in list_boards(tmp_path)) == sorted(names)
    for lock in locks:
        lock.release()


def test_damaged_lock_file_is_no_harm(tmp_path: Path) -> None:
    lock = BoardLock("b", tmp_path)
    lock.path.parent.mkdir(parents=True)
    lock.path.write_bytes(b"\xff\x00 not json")
    assert not list_boards(tmp_path)[0].locked
    lock.acquire()
    assert list_boards(tmp_path)[0].holder["name"] == "b"
    lock.release()


def test_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file, not a folder")
    with pytest.raises(InfrastructureError, match="lock-file"):
        BoardLock("b", tmp_path).acquire()
    assert list_boards(tmp_path / "nowhere") == []
