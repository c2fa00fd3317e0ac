"""Keeps a QEMU that somebody else started awake.

QEMU (7.2 and later, measured) does not read a UART's input again after a boot until something wakes its main loop: the
first byte waits for a second. Any command on its monitor wakes it. `kind: qemu` has a monitor of its own; this module
wakes a QEMU that a board of `kind: attach` reaches over TCP.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from tfm_harness.errors import InfrastructureError

__all__ = ["MonitorWaker"]

_EVERY = 0.02
_GREETING_LIMIT = 5.0
_LINE_LIMIT = 1 << 20


class MonitorWaker:
    """Asks the monitor for its status repeatedly, in a thread of its own, until `close`.

    Args:
        path: the unix socket of QEMU's ``-qmp unix:PATH,server=on,wait=off``.

    Raises:
        InfrastructureError: ``qmp-lost``: nothing answers there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = threading.Event()
        self._socket = self._connect()
        self._thread = threading.Thread(target=self._run, name="qemu-waker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the connection. Safe to call twice."""
        self._stop.set()
        self._thread.join()

    def _connect(self) -> socket.socket:
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(_GREETING_LIMIT)
        try:
            control.connect(str(self._path))
            _answer(control)  # the greeting
            control.sendall(b'{"execute": "qmp_capabilities"}\n')
            _answer(control)
        except OSError as error:
            control.close()
            raise InfrastructureError(
                "QEMU's monitor does not answer",
                kind="qmp-lost",
                expected="QEMU started with -qmp unix:PATH,server=on,wait=off, and no other user of its monitor",
                seen=str(error) or type(error).__name__,
                where=str(self._path),
            ) from error
        return control

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._socket.sendall(b'{"execute": "query-status"}\n')
                _answer(self._socket)
            except OSError:  # QEMU was started again, so that its consoles come back, too
                self._socket.close()
                self._stop.wait(0.1)
                try:
                    self._socket = self._connect()
                except InfrastructureError:
                    continue
            self._stop.wait(_EVERY)
        self._socket.close()


def _answer(control: socket.socket) -> None:
    """Read one line: an answer or an event; both show that QEMU works."""
    length = 0
    while length < _LINE_LIMIT:
        part = control.recv(65536)
        if not part:
            raise ConnectionResetError("the monitor's connection ended")
        if part.endswith(b"\n"):
            return
        length += len(part)
    raise ConnectionAbortedError("no line from the monitor in a mebibyte")
