"""A serial server in front of a simulated UART: one client at a time, on a TCP port that stays the same."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

__all__ = ["SerialServer"]

_PATIENCE = 1.0  # seconds for a client that does not read


class SerialServer:
    """Carries bytes between TCP clients and a UART like a serial server: it notices when a client has gone.

    QEMU's own TCP character device does not notice it while its UART takes no input (a halted core, a receiver that is
    off): it keeps the connection of a killed client, and never serves the next clients. Output of the board is lost
    while nobody is connected. Input that does not fit into the buffer to the board is lost, too: a line has no flow
    control. A second client waits until the first has gone.

    Args:
        port: the TCP port of 127.0.0.1; 0 takes a free one.

    Attributes:
        port: the TCP port.
        uart: the UART's end, for the emulator (``-chardev socket,fd=...``); `start` closes it here.
    """

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=8)
        self.port = int(self._listener.getsockname()[1])
        self._board, self.uart = socket.socketpair()
        self._wake, self._stopper = socket.socketpair()
        self._client: socket.socket | None = None
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._serve, name="simulator-serial-server", daemon=True)

    def start(self) -> None:
        """Serve. The emulator must have its end by now."""
        self.uart.close()
        self._board.setblocking(False)
        for one in (self._board, self._listener, self._wake):
            self._selector.register(one, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Disconnect and stop listening. Safe to call twice, and before `start`."""
        self._stopper.close()
        if self._thread.is_alive():
            self._thread.join()
        self._hang_up()
        for one in (self._listener, self._board, self.uart, self._wake):
            one.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._wake in ready:
                return
            if self._board in ready:
                self._from_board()
            if self._client is not None and self._client in ready:
                self._from_client(self._client)
            if self._listener in ready and self._client is None:
                self._client, _ = self._listener.accept()
                self._client.settimeout(_PATIENCE)
                self._selector.unregister(self._listener)
                self._selector.register(self._client, selectors.EVENT_READ)

    def _from_board(self) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = self._board.recv(65536)
        if not data:  # the emulator has ended: no more output comes
            self._selector.unregister(self._board)
            return
        if self._client is not None:
            with contextlib.suppress(OSError):  # the client has gone (the next read notices), or it does not read
                self._client.sendall(data)

    def _from_client(self, client: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = client.recv(65536)
        if data:
            with contextlib.suppress(OSError):
                self._board.sendall(data)
            return
        self._selector.unregister(client)
        self._hang_up()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
