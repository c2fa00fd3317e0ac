"""The wires between the harness and a QEMU process: one for each console, and one for the monitor."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterable
from typing import Final

from tfm_harness.boards.qemu.quick_uart import MuxTransport
from tfm_harness.console.transport import SocketTransport, Transport

__all__ = ["Wires", "roomy_pair", "roomy_pipe"]

_ROOM: Final = 1 << 22  # bytes; the host's own limit for sockets is often less
_PIPE_ROOM: Final = 1 << 20  # bytes; the pipe size that Linux allows every user (fs.pipe-max-size)


def roomy_pair() -> tuple[socket.socket, socket.socket]:
    """Our end of a console and QEMU's end, with as large a buffer as the host allows.

    QEMU sends each byte by itself, and each takes 768 bytes of kernel memory: by default there is room for 278. When
    there is no room, firmware polls its UART, which keeps a CPU of the host busy.
    """
    ours, theirs = socket.socketpair()
    with contextlib.suppress(OSError):  # some kernels refuse a size above their limit instead of giving less
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
    return ours, theirs


def roomy_pipe() -> tuple[int, int]:
    """A pipe with as large a buffer as the host allows: its reading and its writing descriptor."""
    reads, writes = os.pipe()
    with contextlib.suppress(OSError):  # where less is allowed: 64 KiB, as usual
        fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, _PIPE_ROOM)
    return reads, writes


class Wires:
    """Both ends of all wires of one QEMU process. QEMU inherits its ends, so that no wire is ever on disk.

    Args:
        consoles: names of all consoles.
        quick: the one behind the multiplexer, if any: two pipes, which are QEMU's standard input and output.

    Attributes:
        consoles: our end of each console; the caller that takes one out must close it.
        monitor: our end of the monitor; None once it was taken.
        sockets: QEMU's descriptor of each console that is a socket.
        qmp: QEMU's descriptor of the monitor.
        stdin: QEMU's standard input; None without a quick console.
        stdout: QEMU's standard output.
    """

    def __init__(self, consoles: Iterable[str], quick: str | None) -> None:
        self.consoles: dict[str, Transport] = {}
        self.monitor: socket.socket | None = None
        self.sockets: dict[str, int] = {}
        self.stdin: int | None = None
        self.stdout: int | None = None
        self._theirs: list[int] = []
        try:
            for name in consoles:
                if name == quick:
                    self.consoles[name] = self._pipes()
                else:
                    ours, self.sockets[name] = self._pair()
                    self.consoles[name] = SocketTransport(ours)
            self.monitor, self.qmp = self._pair()
        except BaseException:
            self.close()
            raise

    def _pair(self) -> tuple[socket.socket, int]:
        ours, theirs = roomy_pair()
        self._theirs.append(theirs.detach())
        return ours, self._theirs[-1]

    def _pipes(self) -> Transport:
        self.stdin, to_qemu = roomy_pipe()
        self._theirs.append(self.stdin)
        try:
            from_qemu, self.stdout = roomy_pipe()
        except OSError:
            os.close(to_qemu)
            raise
        self._theirs.append(self.stdout)
        return MuxTransport(from_qemu, to_qemu)

    @property
    def passed(self) -> list[int]:
        """The descriptors that QEMU's command line names by number."""
        return [*self.sockets.values(), self.qmp]

    def hand_over(self) -> None:
        """Close QEMU's ends in this process; QEMU has inherited them, or has failed to start. Safe to call twice."""
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        """Close the ends that no caller has taken out. Safe to call twice."""
        self.hand_over()
        while self.consoles:
            self.consoles.popitem()[1].close()
        if self.monitor is not None:
            self.monitor.close()
            self.monitor = None
