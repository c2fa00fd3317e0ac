"""QEMU's debugger port, opened and closed on demand."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.boards.gdb_remote import GdbRemote, GdbRemoteError
from tfm_harness.errors import InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["GdbPort", "reported"]


class GdbPort:
    """Opens the port of a running emulator and closes it; both can be done again.

    The socket's name is removed once it is connected: nobody else can use it, and a killed session leaves nothing
    behind.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def open(self) -> GdbRemote:
        """Open the port and connect, which stops the CPU. Call `close` even if this fails.

        Raises:
            InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
        """
        # The path of a run's folder may be too long for a socket's name.
        with tempfile.TemporaryDirectory(prefix="tfm-harness-gdb-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "port"
            self._monitor(f"gdbserver unix:{path},server=on,wait=off")
            with reported():
                return GdbRemote(str(path))

    def close(self) -> None:
        """Close the port, after the caller has disconnected. If the emulator has gone, nothing is raised.

        Raises:
            ProductError: kind ``lockup``: the emulator has gone because the CPU locked up.
        """
        with contextlib.suppress(InfrastructureError):  # the emulator is gone; the next request reports it
            self._monitor("gdbserver none")

    def _monitor(self, line: str) -> None:
        self._machine.execute("human-monitor-command", {"command-line": line})


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """In this block, errors of the port become an `InfrastructureError` of kind ``gdbstub``."""
    try:
        yield
    except (GdbRemoteError, OSError) as error:
        raise InfrastructureError(
            "the emulator's debugger port does not work", kind="gdbstub", seen=str(error)
        ) from error
