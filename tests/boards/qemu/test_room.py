"""A console of an emulated board has room for what was not read yet."""

from __future__ import annotations

import contextlib
import socket

import pytest
from tfm_harness.boards.qemu.machine import roomy_pair


def room(theirs: socket.socket) -> int:
    """Single bytes that can be sent before any is read."""
    theirs.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += theirs.send(b"x")
    return sent


def test_qemus_end_takes_more_single_bytes_than_a_socket_does() -> None:
    ours, theirs = socket.socketpair()
    usual = room(theirs)
    ours.close()
    theirs.close()
    ours, theirs = roomy_pair()
    with ours, theirs:
        assert room(theirs) > 1.5 * usual


def test_a_kernel_that_refuses_gives_the_usual_room(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def setsockopt(self, *_args: object) -> None:
            raise OSError(105, "No buffer space available")

    monkeypatch.setattr(socket, "socketpair", lambda: (Refusing(), Refusing()))
    ours, theirs = roomy_pair()
    ours.close()
    theirs.close()
