"""How long an emulator worked, and waits for its CPU to stop that end early."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from tfm_harness.boards.gdb_remote import GdbRemote, GdbRemoteError
from tfm_harness.boards.qemu.worked import Worked

LONG = 60.0  # seconds that no test lasts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def test_blocks_inside_of_a_block_count_once(clock: list[float]) -> None:
    watch = Worked()
    with watch:
        clock[0] += 2.0
        with watch:
            clock[0] += 3.0
        assert watch.seconds == 0.0, "the outer block has not ended"
    clock[0] += 100.0
    assert watch.seconds == 5.0


def test_a_block_that_fails_counts(clock: list[float]) -> None:
    watch = Worked()

    def fail() -> None:
        with watch:
            clock[0] += 1.0
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert watch.seconds == 1.0


def test_other_threads_count_nothing(clock: list[float]) -> None:
    watch = Worked()

    def elsewhere() -> None:
        with watch:
            clock[0] += 5.0

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert watch.seconds == 0.0
    with watch:
        clock[0] += 1.0
    assert watch.seconds == 1.0


@pytest.fixture
def stub() -> Iterator[tuple[GdbRemote, socket.socket]]:
    """A client whose CPU runs, and the stub's end of its connection."""
    ours, theirs = socket.socketpair()
    remote = GdbRemote.__new__(GdbRemote)
    remote._socket, remote._buffer, remote._acknowledge, remote.halted = ours, b"", False, False
    with ours, theirs:
        yield remote, theirs


def test_a_wait_for_a_stop_ends_in_time(stub: tuple[GdbRemote, socket.socket]) -> None:
    remote, theirs = stub
    assert not remote.await_stop(0.0)
    assert not remote.halted
    theirs.sendall(b"$T05thread:01;#07")  # what comes is seen all the same
    assert remote.await_stop(LONG)


def test_a_wait_for_a_stop_ends_when_the_stub_is_gone(stub: tuple[GdbRemote, socket.socket]) -> None:
    remote, theirs = stub
    theirs.close()
    with pytest.raises(GdbRemoteError, match="hung up"):
        remote.await_stop(LONG)
    remote._socket.close()
    with pytest.raises(GdbRemoteError, match="closed"):
        remote.await_stop(LONG)
