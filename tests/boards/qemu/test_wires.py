"""What lies between the harness and QEMU: room for what was not read yet, and nothing that stays open."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path

import pytest
from tfm_harness.boards.qemu.wires import Wires, roomy_pair, roomy_pipe
from tfm_harness.console.base import Mark
from tfm_harness.console.stream import StreamConsole


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


def pipe_room(writes: int) -> int:
    os.set_blocking(writes, False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += os.write(writes, b"x" * 4096)
    return sent


@pytest.mark.parametrize("allowed", [True, False])
def test_a_pipe_holds_what_the_host_allows(monkeypatch: pytest.MonkeyPatch, allowed: bool) -> None:
    def refuse(*_args: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    if not allowed:
        monkeypatch.setattr(fcntl, "fcntl", refuse)
    reads, writes = roomy_pipe()
    most = int(Path("/proc/sys/fs/pipe-max-size").read_text())
    assert pipe_room(writes) == (min(1 << 20, most) if allowed else 1 << 16)
    os.close(reads)
    os.close(writes)


def open_files() -> set[str]:
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}  # noqa: PTH110, PTH208


@pytest.mark.parametrize("quick", [None, "ns"])
def test_each_console_has_a_wire_and_all_are_closed(quick: str | None) -> None:
    before = open_files()
    wires = Wires(["ns", "secure"], quick)
    assert list(wires.consoles) == ["ns", "secure"]
    assert set(wires.sockets) == ({"secure"} if quick else {"ns", "secure"})
    assert (wires.stdin is None, wires.stdout is None) == ((False, False) if quick else (True, True))
    assert wires.passed == [*wires.sockets.values(), wires.qmp]
    wires.hand_over()
    wires.close()
    wires.close()
    assert open_files() == before


@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_where_there_are_no_descriptors_left_nothing_stays_open(monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    made = 0

    def counted(real: object) -> object:
        def make() -> object:
            nonlocal made
            made += 1
            if made == which:
                raise OSError(24, "Too many open files")
            return real()  # type: ignore[operator]

        return make

    before = open_files()
    monkeypatch.setattr(socket, "socketpair", counted(socket.socketpair))
    monkeypatch.setattr(os, "pipe", counted(os.pipe))
    with pytest.raises(OSError, match="Too many open files"):
        Wires(["secure", "ns"], "ns")
    assert open_files() == before


def test_what_qemu_said_before_it_ended_is_read(tmp_path: Path) -> None:
    """As it is at a power cut: QEMU is gone, and its last bytes lie in the pipe."""
    wires = Wires(["ns"], "ns")
    assert wires.stdout is not None
    os.write(wires.stdout, b"last words\n")
    console = StreamConsole("ns", wires.consoles.pop("ns"), tmp_path / "ns.log")
    wires.close()
    assert console.wait_for(b"words\n", timeout=5, since=Mark(0)).end == 11
    console.close()
    assert (tmp_path / "ns.log").read_bytes() == b"last words\n"
