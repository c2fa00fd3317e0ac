"""Opening the consoles of real boards: ttys, serial servers, TCP and telnet ports.

Local ttys and sockets are read through their own descriptors. RFC 2217 is pyserial's; it has a reader
thread of its own, so its bytes come through a socket pair.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfm_harness.config.endpoint import (
    Endpoint,
    LineSettings,
    Rfc2217Endpoint,
    SerialEndpoint,
    TcpEndpoint,
    TelnetEndpoint,
)
from tfm_harness.console.reconnect import ReconnectingTransport
from tfm_harness.console.serial_lines import CONNECT_TIMEOUT, PARITY, hold_lines
from tfm_harness.console.telnet import TelnetFilter, escape
from tfm_harness.console.transport import SocketTransport, Transport
from tfm_harness.errors import InfrastructureError

if TYPE_CHECKING:
    import serial

__all__ = ["open_endpoint"]

_RECONNECT_TIMEOUT: Final = 1.0  # of one try


def open_endpoint(endpoint: Endpoint) -> Transport:
    """Open the endpoint; with `reconnect` it is opened again when it ends (`ReconnectingTransport`).

    Raises:
        InfrastructureError: kind ``port-missing``, ``port-busy``, ``port-refused`` or ``port-failed``.
    """
    if not endpoint.reconnect:
        return _open(endpoint, CONNECT_TIMEOUT)
    limits = iter([CONNECT_TIMEOUT])  # the first try may take longer
    return ReconnectingTransport(lambda: _open(endpoint, next(limits, _RECONNECT_TIMEOUT)), endpoint.reconnect)


def _open(endpoint: Endpoint, timeout: float) -> Transport:
    match endpoint:
        case SerialEndpoint():
            return SerialTransport(endpoint)
        case Rfc2217Endpoint():
            from tfm_harness.console.rfc2217 import Rfc2217Transport

            return Rfc2217Transport(endpoint, timeout)
        case TcpEndpoint():
            return SocketTransport(_connect(endpoint.host, endpoint.port, timeout))
        case TelnetEndpoint():
            return TelnetTransport(_connect(endpoint.host, endpoint.port, timeout))


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    try:
        connection = socket.create_connection((host, port), timeout=timeout)
    except OSError as error:
        raise InfrastructureError(
            f"no connection to {host}:{port}",
            kind="port-refused",
            expected="a listening serial server",
            seen=str(error),
            hint="check that the server runs, that the port is right, and that nobody else is connected",
        ) from error
    # A silent board is normal; a vanished serial server must still be noticed.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _port_error(endpoint: SerialEndpoint, error: Exception) -> InfrastructureError:
    text = str(error)
    if not Path(endpoint.port).exists():
        near = _neighbours(endpoint.port)
        return InfrastructureError(
            f"there is no port {endpoint.port}",
            kind="port-missing",
            expected="the board's serial port",
            seen=near or "no such device",
            hint="plug the board in and power it; `ls -l /dev/serial/by-id` lists the ports",
        )
    if "exclusively lock" in text or "Resource temporarily unavailable" in text or "busy" in text.lower():
        return InfrastructureError(
            f"{endpoint.port} is in use",
            kind="port-busy",
            expected="an exclusive lock on the port",
            seen=text,
            hint="another session or a terminal program has it: `fuser -v " + endpoint.port + "`",
        )
    hint = "add the user to the group that owns the device" if "ermission" in text else "look at `dmesg`"
    return InfrastructureError(f"{endpoint.port} cannot be opened", kind="port-failed", seen=text, hint=hint)


def _neighbours(path: str) -> str:
    with contextlib.suppress(OSError):
        names = sorted(entry.name for entry in Path(path).parent.iterdir())
        if "/serial/" in path and names:
            return "there are: " + ", ".join(names[:8])
    return ""


def _open_serial(endpoint: SerialEndpoint) -> serial.Serial:
    """Open the tty: lock it, configure it, and move DTR and RTS only if the target says so."""
    import serial

    port = serial.Serial(
        baudrate=endpoint.baud,
        bytesize=endpoint.bits,
        parity=PARITY[endpoint.parity],
        stopbits=endpoint.stop,
        rtscts=endpoint.rtscts,
        timeout=0,
        exclusive=True,
    )
    port.port = endpoint.port
    hold_lines(port, endpoint)
    try:
        port.open()
        _set_raw_without_hangup(port.fileno(), endpoint)
    except (OSError, ValueError, termios.error) as error:
        with contextlib.suppress(OSError):
            port.close()
        raise _port_error(endpoint, error) from error
    return port


def _set_raw_without_hangup(fd: int, endpoint: LineSettings) -> None:
    """Set the tty so that closing keeps DTR (no HUPCL), a break is no signal, and no other process can open it."""
    attributes = termios.tcgetattr(fd)
    attributes[2] &= ~termios.HUPCL
    if not endpoint.rtscts:
        attributes[2] &= ~termios.CRTSCTS
    attributes[0] = (attributes[0] & ~termios.BRKINT) | termios.IGNBRK
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    if not _is_pty(fd):
        fcntl.ioctl(fd, termios.TIOCEXCL)  # pyserial's lock works only for programs that check it


def _is_pty(fd: int) -> bool:
    """Whether a tty is a simulator's or a converter's pseudo terminal (Linux: majors 136 to 143).

    A real port forgets exclusive mode at its last close, also when its holder is killed. A pseudo terminal keeps it for
    as long as its other end is open: only the superuser could open it again.
    """
    return 136 <= os.major(os.fstat(fd).st_rdev) <= 143


class SerialTransport:
    """A tty of this host."""

    def __init__(self, endpoint: SerialEndpoint) -> None:
        self._port: serial.Serial | None = _open_serial(endpoint)
        self._fd = self._port.fileno()

    def fileno(self) -> int:
        """The descriptor to poll; -1 when closed."""
        return self._fd

    def read_into(self, buffer: memoryview) -> int | None:
        """See `Transport`. A tty that vanished gives 0."""
        try:
            count = os.readv(self._fd, [buffer])
        except BlockingIOError:
            return None
        except OSError:
            count = 0
        if count:
            return count
        # A tty in raw mode also reads 0 bytes if none have come; poll shows whether the device has gone.
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0)):
            return 0
        return None

    def write(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def send_break(self, seconds: float = 0.25) -> None:
        """Hold the line in break condition. The harness does this only on request."""
        if self._port is not None:
            self._port.send_break(seconds)

    def close(self) -> None:
        """See `Transport`."""
        if self._port is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._fd, termios.TIOCNXCL)
            with contextlib.suppress(OSError):
                self._port.close()
            self._port = None
            self._fd = -1


class TelnetTransport(SocketTransport):
    """A telnet port."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._filter = TelnetFilter()
        # Bytes that must be sent before anything else: answers, the second half of an IAC pair.
        # Bounded: each option is answered once.
        self._owed = bytearray()

    def read_into(self, buffer: memoryview) -> int | None:
        """See `Transport`; commands are removed and answered."""
        count = super().read_into(buffer)
        if not count:
            return count
        data = self._filter.feed(bytes(buffer[:count]))
        self._owed += self._filter.replies
        self._filter.replies.clear()
        with contextlib.suppress(OSError):  # a dead stream shows at the next read
            self._pay()
        buffer[: len(data)] = data
        return len(data) or None

    def write(self, data: bytes | memoryview) -> int:
        """See `Transport`; an IAC pair is never split by anything else."""
        if not data or not self._pay():
            return 0
        plain = bytes(data)
        at = plain.find(b"\xff")
        if at < 0:
            return super().write(data)
        if at:
            return super().write(data[:at])
        self._owed += escape(b"\xff")
        self._pay()
        return 1

    def _pay(self) -> bool:
        """Send the bytes that are due, as far as the socket takes them. Returns whether none are left."""
        if self._owed:
            del self._owed[: super().write(bytes(self._owed))]
        return not self._owed
