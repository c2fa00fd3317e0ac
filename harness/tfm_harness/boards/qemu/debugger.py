"""A debugger over QEMU's debugger port, for tests that stop the CPU, look at it and let it continue."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tfm_harness.boards.gdb_remote import PC, XPSR, GdbRemote, UnreadableError
from tfm_harness.boards.qemu.gdb_port import GdbPort, reported
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["QemuDebugger"]


class QemuDebugger:
    """A `Debugger` (see there) on a QEMU process: its debugger port is opened for the block and closed after it.

    Raises (in all methods, and when the block is entered):
        InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.

    Args:
        machine: the emulator.
        reset: resets the emulated CPU while it stands.
    """

    def __init__(self, machine: Machine, reset: Callable[[], None]) -> None:
        self._machine = machine
        self._reset = reset
        self._port = GdbPort(machine)
        self._remote: GdbRemote | None = None
        self._breaks: set[int] = set()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """See `Debugger`."""
        try:
            with self._machine.worked:
                self._remote = self._port.open()
        except BaseException:
            self.close()
            raise

    @property
    def pc(self) -> int:
        """See `Debugger`."""
        with self._driving():
            return self._open.read_register(PC)

    @property
    def xpsr(self) -> int:
        """See `Debugger`."""
        with self._driving():
            return self._open.read_register(XPSR)

    def break_at(self, address: int) -> None:
        """See `Debugger`."""
        if address not in self._breaks:
            with self._driving():
                self._open.break_at(address)
            self._breaks.add(address)

    def clear(self, address: int) -> None:
        """See `Debugger`."""
        if address in self._breaks:
            with self._driving():
                self._open.break_no_more(address)
            self._breaks.discard(address)

    def go(self) -> None:
        """See `Debugger`. From a breakpoint it first makes one step: QEMU would stop there again."""
        with self._driving():
            at = self._open.read_register(PC)
            if at in self._breaks:
                self._open.step_over(at, still=True)
            self._open.go()

    def wait(self, timeout: float) -> bool:
        """See `Debugger`."""
        with self._driving():
            return self._open.await_stop(timeout)

    def halt(self) -> None:
        """See `Debugger`."""
        with self._driving():
            self._open.halt()

    def step(self) -> None:
        """See `Debugger`."""
        with self._driving():
            self._open.step()

    def jump(self, address: int, xpsr: int) -> None:
        """See `Debugger`. QEMU takes the bits of IT, and leaves the exception number as it is.

        Raises:
            InfrastructureError: kind ``gdbstub``: afterwards the CPU does not stand at that address with those bits.
        """
        with self._driving():
            self._open.write_register(PC, address)
            if self._open.read_register(XPSR) != xpsr:
                self._open.write_register(XPSR, xpsr)
            seen = self._open.read_register(PC), self._open.read_register(XPSR)
        if seen != (address, xpsr):
            raise InfrastructureError(
                "the emulator's debugger did not move the CPU on",
                kind="gdbstub",
                expected=f"PC {address:#010x}, xPSR {xpsr:#010x}",
                seen=f"PC {seen[0]:#010x}, xPSR {seen[1]:#010x}",
            )

    def read(self, address: int, size: int) -> bytes:
        """See `Debugger`."""
        with self._driving():
            try:
                return self._open.read_memory(address, size)
            except UnreadableError:
                return b""

    def write(self, address: int, data: bytes) -> None:
        """See `Debugger`."""
        with self._driving():
            self._open.write_memory(address, data)

    def restart(self) -> None:
        """See `Debugger`."""
        self.halt()
        with self._machine.worked:
            self._reset()
            with reported():
                self._open.synchronise()

    def work_done(self) -> float:
        """See `Debugger`."""
        child = self._machine.child
        if child is None:
            return 0.0
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime and stime

    @contextlib.contextmanager
    def _driving(self) -> Iterator[None]:
        """For a block that talks to the port: its time is the emulator's, and its errors are reported."""
        with self._machine.worked, reported():
            yield

    @property
    def _open(self) -> GdbRemote:
        if self._remote is None:
            raise HarnessBug("a debugger is used outside of its block", kind="board-state")
        return self._remote

    def close(self) -> None:
        """See `Debugger`."""
        remote, self._remote = self._remote, None
        with self._machine.worked:
            if remote is not None:
                remote.leave(breaks=self._breaks)
            self._breaks.clear()
            with contextlib.suppress(HarnessError):  # QEMU has gone; the next request reports it
                self._port.close()
