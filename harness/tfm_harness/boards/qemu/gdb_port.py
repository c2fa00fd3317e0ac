"""QEMU's debugger port, for as long as somebody wants it."""

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

    The socket's name is gone once it is connected: nobody else can use it, and a kill leaves nothing behind.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def open(self) -> GdbRemote:
        """Open the port and connect; the CPU stands then. Where this fails, `close` is wanted as well.

        Raises:
            InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
        """
        # A run's folder may be too deep for a socket's name.
        with tempfile.TemporaryDirectory(prefix="tfm-harness-gdb-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "port"
            self._monitor(f"gdbserver unix:{path},server=on,wait=off")
            with reported():
                return GdbRemote(str(path))

    def close(self) -> None:
        """Close the port, from which the caller has hung up. Nothing is raised where the emulator is gone.

        Raises:
            ProductError: kind ``lockup``: it is gone because the CPU locked up.
        """
        with contextlib.suppress(InfrastructureError):  # the emulator is gone; the next request reports it
            self._monitor("gdbserver none")

    def _monitor(self, line: str) -> None:
        self._machine.execute("human-monitor-command", {"command-line": line})


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """What goes wrong on the port in this block becomes an `InfrastructureError` of kind ``gdbstub``."""
    try:
        yield
    except (GdbRemoteError, OSError) as error:
        raise InfrastructureError(
            "the emulator's debugger port does not work", kind="gdbstub", seen=str(error)
        ) from error
