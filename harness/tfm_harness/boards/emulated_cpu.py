"""Control of an emulated CPU: stop it, read and write registers and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Debugger", "RegisterAccess", "Registers", "StoppedCpu"]


class StoppedCpu(Protocol):
    """The CPU while it is stopped: memory and system registers as the stopped code sees them."""

    def read(self, address: int, size: int) -> bytes:
        """Read bytes at an address. Only while the CPU is stopped."""

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of memory. Only while the CPU is stopped. It does not change system registers: see `store`."""

    def store(self, address: int, value: int) -> bool:
        """Let the CPU itself write a word, so that system registers change, too. Only while it is stopped.

        Returns:
            False if it is stopped in unprivileged code, which may not write there; then nothing was written.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """What the non-secure side sees in its registers.

    Attributes:
        general: r0 to r12.
        lr: the link register.
        floats: s0 to s31, as bits.
        fpscr: the floating-point status.
    """

    general: tuple[int, ...]
    lr: int
    floats: tuple[int, ...]
    fpscr: int


class Debugger(Protocol):
    """A debugger on the emulated CPU. The CPU runs only between `go` and the end of `wait`.

    It is open inside its block. If the emulator ended meanwhile and was started again, call `close`, then `open`.
    """

    def open(self) -> None:
        """Connect; the CPU stops."""

    def close(self) -> None:
        """Disconnect; the CPU continues, and no breakpoint is left. Never raises."""

    @property
    def pc(self) -> int:
        """Address of the next instruction."""

    def break_at(self, address: int) -> None:
        """Stop before the instruction at `address`, each time, until `clear`."""

    def clear(self, address: int) -> None:
        """Remove the breakpoints of `break_at`."""

    def go(self) -> None:
        """Let the CPU run."""

    def wait(self, timeout: float) -> bool:
        """Whether the running CPU stops within `timeout` seconds."""

    def halt(self) -> None:
        """Stop the CPU where it is."""

    def step(self) -> None:
        """Execute one instruction."""

    def jump(self, address: int, xpsr: int) -> None:
        """Continue at `address` with these program status bits."""

    @property
    def xpsr(self) -> int:
        """The program status register."""

    def read(self, address: int, size: int) -> bytes:
        """Read memory as the stopped code sees it; empty if no memory answers."""

    def write(self, address: int, data: bytes) -> None:
        """Change memory as the stopped code sees it."""

    def restart(self) -> None:
        """Reset the CPU; it stops before its first instruction."""

    def work_done(self) -> float:
        """Seconds of this host's CPU that the emulator has used. Other load on the host does not change this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAccess:
    """The CPU reads or writes a word of a device.

    Attributes:
        address: the word's address.
        write: True if it is written, False if it is read.
        value: what is written, or what the device returned.
    """

    address: int
    write: bool
    value: int
