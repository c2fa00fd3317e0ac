"""A serial server that speaks RFC 2217, through pyserial, with a limit on the commands that it may send."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import warnings
from collections.abc import Callable
from typing import Any

from serial import rfc2217

from tfm_harness.config.endpoint import Rfc2217Endpoint
from tfm_harness.console.serial_lines import CONNECT_TIMEOUT, PARITY, hold_lines
from tfm_harness.console.transport import SocketTransport
from tfm_harness.errors import InfrastructureError

__all__ = ["Rfc2217Transport"]

_IAC, _SB, _SE = 255, 250, 240
_MOST_AT_ONCE = 64 << 10
_LONGEST_SUBNEGOTIATION = 4096
"""RFC 2217's longest subnegotiation has a few bytes; pyserial has no limit."""

_HUNG_UP = "the server hung up in the middle of the negotiation"


class _BoundedSocket:
    """A socket whose peer may not send a Telnet subnegotiation (RFC 855) without end."""

    def __init__(self, inner: socket.socket, is_open: Callable[[], bool]) -> None:
        self._inner = inner
        self._is_open = is_open  # False as soon as this side closes
        self._command = False  # the previous byte was IAC
        self._length: int | None = None  # bytes of the subnegotiation so far; None outside of one
        self.ended = False  # the peer has closed its side

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a socket has
        return getattr(self._inner, name)

    def recv(self, size: int) -> bytes:
        """Receive.

        Raises:
            OSError: the subnegotiation is too long; pyserial's reader then ends.
        """
        try:
            data = self._inner.recv(size)
        except ConnectionError:
            self.ended = self._is_open()
            raise
        self.ended = not data and self._is_open()
        if self._length is None and not self._command and _IAC not in data:
            return data
        for byte in data:
            self._take(byte)
        return data

    def _take(self, byte: int) -> None:
        if self._length is not None:
            self._length += 1
            if self._length > _LONGEST_SUBNEGOTIATION:
                raise OSError(f"the server sent a subnegotiation of more than {_LONGEST_SUBNEGOTIATION} bytes")
        if not self._command:
            self._command = byte == _IAC
            return
        self._command = False
        if byte == _SB:
            self._length = 0
        elif byte == _SE:
            self._length = None


class _HungUp:
    """Replaces the options of the negotiation when the server has gone: comparing it raises `OSError`."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise OSError(_HUNG_UP)

    __radd__ = __eq__


class _BoundedSerial(rfc2217.Serial):
    # These names are pyserial's own, which its type stubs do not have.
    _read_buffer: queue.Queue[bytes | None]
    _telnet_options: list[Any]
    _rfc2217_options: dict[str, Any]
    _bounded: _BoundedSocket | None = None

    def _telnet_read_loop(self) -> None:
        self._bounded = _BoundedSocket(self._socket, lambda: bool(self.is_open))  # type: ignore[has-type]
        self._socket = self._bounded
        try:
            super()._telnet_read_loop()  # type: ignore[misc]
        except OSError:  # pyserial's own answer could not be sent
            self._bounded.ended = bool(self.is_open)
            self._read_buffer.put(None)
        if self._bounded.ended:  # pyserial would wait for answers until its time-out
            for option in self._telnet_options:
                option.active = _HungUp()
            for setting in self._rfc2217_options.values():
                setting.state = _HungUp()

    @property
    def hung_up(self) -> bool:
        """Whether the server has closed the connection."""
        return self._bounded is not None and self._bounded.ended

    def rfc2217_send_subnegotiation(self, option: bytes, value: bytes = b"") -> None:
        """Ask for a setting. Raises `OSError` if the server has gone."""
        if self.hung_up:
            raise OSError(_HUNG_UP)
        super().rfc2217_send_subnegotiation(option, value)

    def rfc2217_send_purge(self, value: bytes) -> None:
        """Ask the server to drop its buffers (RFC 2217, PURGE-DATA), without waiting for the answer.

        Some servers never answer this request, and pyserial would then give up the port. Late bytes are in the
        transcript anyway.
        """
        self._rfc2217_options["purge"].set(value)

    def close(self) -> None:
        """Close the port and the socket: pyserial leaves the socket open if the server has gone."""
        connection: socket.socket | None = getattr(self, "_socket", None)
        try:
            super().close()
        finally:
            if connection is not None:
                connection.close()

    def take(self) -> bytes | None:
        """Bytes that have come, after at most 0.2 s; None at the stream's end.

        pyserial's own `read` drops received bytes when the server has gone.
        """
        data = bytearray()
        with contextlib.suppress(queue.Empty):
            byte: bytes | None = self._read_buffer.get(timeout=0.2)
            while byte is not None:
                data += byte
                if len(data) >= _MOST_AT_ONCE:  # the server sends without end: the rest is for the next call
                    return bytes(data)
                byte = self._read_buffer.get_nowait()
            if not data:
                return None
            self._read_buffer.put(None)  # the end is for the next call
        return bytes(data)


def _hint(said: str, *, hung_up: bool) -> str:
    """The hint for pyserial's error text, and for a server that has closed the connection: the port may be in use."""
    said = said.lower()
    if not hung_up and "does not seem to support rfc2217" in said:
        return "the server speaks no RFC 2217: a raw port needs `kind: tcp`, ser2net's needs `telnet,rfc2217`"
    if "timeout while waiting for option" in said or "rejected value" in said or "parameter change" in said:
        return (
            "the server negotiates RFC 2217 and does not take the port's settings: does it own the serial port, does it"
            " allow a change of the baud rate, and is `baud` one that the port has?"
        )
    return "is ser2net running with `telnet,rfc2217`, and is the port free? a raw port needs `kind: tcp`"


class Rfc2217Transport:
    """A serial server speaking RFC 2217, through pyserial; bridged by a socket pair."""

    def __init__(self, endpoint: Rfc2217Endpoint, timeout: float = CONNECT_TIMEOUT) -> None:
        url = f"rfc2217://{endpoint.host}:{endpoint.port}?ign_set_control&timeout={timeout:g}"
        self._port = _BoundedSerial(
            None,
            baudrate=endpoint.baud,
            bytesize=endpoint.bits,
            parity=PARITY[endpoint.parity],
            stopbits=endpoint.stop,
            rtscts=endpoint.rtscts,
            timeout=0.2,
        )
        self._port.port = url
        hold_lines(self._port, endpoint)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # pyserial 3.5 calls Thread.setDaemon
                self._port.open()
        except (OSError, ValueError) as error:
            self._close_port()
            raise InfrastructureError(
                f"no RFC 2217 serial server at {endpoint.host}:{endpoint.port}",
                kind="port-refused",
                expected="a server that negotiates RFC 2217",
                seen=str(error),
                hint=_hint(str(error), hung_up=self._port.hung_up),
            ) from error
        self._ours, self._theirs = socket.socketpair()
        self._inner = SocketTransport(self._ours)
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"rfc2217-{endpoint.port}-{name}", daemon=True)
            for name, target in (("in", self._pump_in), ("out", self._pump_out))
        ]
        for thread in self._threads:
            thread.start()

    def _close_port(self) -> None:
        with contextlib.suppress(Exception):
            self._port.close()

    def _pump_in(self) -> None:
        with contextlib.suppress(Exception):  # any error ends pyserial's thread, and with it the stream
            while not self._closing.is_set() and (data := self._port.take()) is not None:
                self._theirs.sendall(data)
        with contextlib.suppress(OSError):
            self._theirs.shutdown(socket.SHUT_WR)

    def _pump_out(self) -> None:
        with contextlib.suppress(Exception):
            while data := self._theirs.recv(65536):
                self._port.write(data)

    def fileno(self) -> int:
        """See `Transport`."""
        return self._inner.fileno()

    def read_into(self, buffer: memoryview) -> int | None:
        """See `Transport`."""
        return self._inner.read_into(buffer)

    def write(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        return self._inner.write(data)

    def close(self) -> None:
        """See `Transport`."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._inner.close()
        with contextlib.suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=2)
        self._theirs.close()
        self._close_port()
