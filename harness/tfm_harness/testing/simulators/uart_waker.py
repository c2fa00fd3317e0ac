"""Keeps the UARTs of a QEMU awake that simulates a board."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from tfm_harness.boards.gdb_remote import connect_when_up

__all__ = ["UartWaker"]

_PERIOD = 0.02  # seconds between questions


class UartWaker:
    """A thread that asks QEMU for its status repeatedly.

    QEMU 7.2 may not read a UART's input again until its monitor gets a command.

    Args:
        monitor: a QMP socket of its own.
    """

    def __init__(self, monitor: Path) -> None:
        self._monitor = monitor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulator-waker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as control:
            control.settimeout(60)
            connect_when_up(control, self._monitor, given_up=self._stop.is_set)
            stream = control.makefile("rwb")
            stream.readline()
            word = b"qmp_capabilities"
            while not self._stop.is_set():
                stream.write(b'{"execute": "%s"}\n' % word)
                stream.flush()
                while (answer := stream.readline()) and b'"return"' not in answer:
                    pass
                if not answer:
                    return
                word = b"query-status"
                self._stop.wait(_PERIOD)

    def stop(self) -> None:
        """End the thread. QEMU must have ended before, so that the thread waits for no answer."""
        self._stop.set()
        self._thread.join()
