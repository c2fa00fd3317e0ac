"""Byte streams under a console: anything with a file descriptor that can be polled."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import sys
import termios
from typing import Protocol

__all__ = ["FdTransport", "SocketTransport", "Transport", "write_fileno"]


class Transport(Protocol):
    """A non-blocking byte stream.

    A stream without a descriptor (a library with its own thread) is bridged by a socket pair. A stream that is written
    through another descriptor than it is read from also has `write_fileno`. A stream that knows what the other side has
    not read yet also has `unread_by_peer`.
    """

    def fileno(self) -> int:
        """The descriptor to poll."""

    def read_into(self, buffer: memoryview) -> int | None:
        """Read bytes that have come. Returns their number, 0 at the end of the stream, None if none have come."""

    def write(self, data: bytes | memoryview) -> int:
        """Write as much as fits now. Returns the number of bytes written. Raises OSError when the stream is dead."""

    def close(self) -> None:
        """Close. Safe to call twice."""


def write_fileno(transport: Transport) -> int:
    """The descriptor through which a transport is written: the one that is read, unless it has another one."""
    fd: int = getattr(transport, "write_fileno", transport.fileno)()
    return fd


def _number(fd: int, request: int) -> int:
    """The kernel's answer to an ioctl that asks for a number of bytes."""
    return int.from_bytes(fcntl.ioctl(fd, request, bytes(4)), sys.byteorder)


class SocketTransport:
    """A connected TCP or unix socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock

    def fileno(self) -> int:
        """The socket's descriptor; -1 when closed."""
        return self._socket.fileno()

    def read_into(self, buffer: memoryview) -> int | None:
        """See `Transport`."""
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            return None
        except ConnectionError:
            return 0

    def write(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def unread_by_peer(self) -> bool:
        """Whether the other process has not yet read all that was written (unix sockets; False elsewhere)."""
        if self._socket.family != socket.AF_UNIX or self._socket.fileno() < 0:
            return False
        return _number(self._socket.fileno(), termios.TIOCOUTQ) > 0

    def close(self) -> None:
        """See `Transport`."""
        self._socket.close()


class FdTransport:
    """A descriptor: a pty, a pipe, a tty opened by someone else. Takes the descriptor over."""

    def __init__(self, fd: int, write_fd: int | None = None) -> None:
        self._fd = fd
        self._write_fd = fd if write_fd is None else write_fd
        self._closed = False
        for each in {self._fd, self._write_fd}:
            os.set_blocking(each, False)

    def fileno(self) -> int:
        """The descriptor to read from; -1 when closed."""
        return -1 if self._closed else self._fd

    def write_fileno(self) -> int:
        """The descriptor to write to; -1 when closed."""
        return -1 if self._closed else self._write_fd

    def unread_by_peer(self) -> bool:
        """Whether the other process has not yet read all that was written (pipes; False elsewhere)."""
        if self._closed or not stat.S_ISFIFO(os.fstat(self._write_fd).st_mode):
            return False
        return _number(self._write_fd, termios.FIONREAD) > 0

    def read_into(self, buffer: memoryview) -> int | None:
        """See `Transport`."""
        try:
            return os.readv(self._fd, [buffer])
        except BlockingIOError:
            return None
        except OSError:  # EIO: the other side of a pty has closed
            return 0

    def write(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        try:
            return os.write(self._write_fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """See `Transport`."""
        if not self._closed:
            self._closed = True
            for each in {self._fd, self._write_fd}:
                os.close(each)
