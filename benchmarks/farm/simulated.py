"""Boards that speak the reference firmware's protocol on TCP ports, many to a process.

``python -m benchmarks.farm.simulated COUNT`` prints a JSON list of ports and serves them until its standard input ends.
A line ``die N`` there lets board N die when it is next asked something, which a JSON object on standard output
confirms: its port closes then, and another object says when (seconds of the monotonic clock, which is one for all
processes of a host).
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from functools import partial

from tfm_harness.testing import ReferenceFirmware

__all__ = ["Boards"]


class Boards:
    """The simulated boards of this process.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._dying: set[int] = set()
        self._input = b""
        self._ends = False
        self.ports: list[int] = []
        for number in range(count):
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self.ports.append(listener.getsockname()[1])
            self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, number, listener))

    def serve(self, commands: int) -> None:
        """Serve until the descriptor `commands` ends."""
        self._selector.register(commands, selectors.EVENT_READ, partial(self._command, commands))
        while not self._ends:
            for key, _ in self._selector.select():
                key.data()

    def _accept(self, number: int, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setblocking(True)
        firmware = ReferenceFirmware()
        connection.sendall(firmware.boot())
        self._selector.register(connection, selectors.EVENT_READ, partial(self._hear, number, connection, firmware))

    def _hear(self, number: int, connection: socket.socket, firmware: ReferenceFirmware) -> None:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = connection.recv(65536)
        if data and number not in self._dying:
            answer = firmware(data)
            firmware.requests.clear()
            with contextlib.suppress(ConnectionError):
                connection.sendall(answer)
            return
        self._selector.unregister(connection)
        connection.close()
        if data:
            print(json.dumps({"died": number, "at": time.monotonic()}), flush=True)

    def _command(self, commands: int) -> None:
        data = os.read(commands, 4096)
        self._ends = not data
        self._input += data
        *lines, self._input = self._input.split(b"\n")
        for line in lines:
            if line.startswith(b"die "):
                self._dying.add(number := int(line.removeprefix(b"die ")))
                print(json.dumps({"dies": number}), flush=True)


def main() -> int:
    """See the module."""
    boards = Boards(int(sys.argv[1]))
    print(json.dumps(boards.ports), flush=True)
    boards.serve(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
