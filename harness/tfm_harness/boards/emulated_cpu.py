"""What an emulator lets the harness do to its CPU: stop it, read and write registers and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Debugger", "RegisterAccess", "Registers", "StoppedCpu"]


class StoppedCpu(Protocol):
    """The CPU while it stands at a stop: memory and system registers as the code sees them that was stopped."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address. Only while the CPU stands."""

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of memory. Only while the CPU stands. System registers do not change: see `store`."""

    def store(self, address: int, value: int) -> bool:
        """Let the CPU itself write a word, so that system registers change, too. Only while it stands.

        Returns:
            False where it stands in unprivileged code, which may not write there; nothing was written then.
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
    """A debugger on the emulated CPU, which stands whenever it is not between `go` and the end of `wait`.

    It is open in its block. Where the emulator ended meanwhile and was started again: `close`, then `open`.
    """

    def open(self) -> None:
        """Begin; the CPU stands."""

    def close(self) -> None:
        """End; the CPU runs on, and no breakpoint is left. Never raises."""

    @property
    def pc(self) -> int:
        """Address of the instruction that comes next."""

    def break_at(self, address: int) -> None:
        """Stand before the instruction at `address`, each time, until `clear`."""

    def clear(self, address: int) -> None:
        """Forget what `break_at` set."""

    def go(self) -> None:
        """Let the CPU run."""

    def wait(self, timeout: float) -> bool:
        """Whether the running CPU comes to stand within `timeout` seconds."""

    def halt(self) -> None:
        """Let the CPU stand where it is."""

    def step(self) -> None:
        """One instruction."""

    def jump(self, address: int, xpsr: int) -> None:
        """Go on at `address` with these program status bits."""

    @property
    def xpsr(self) -> int:
        """The program status register."""

    def read(self, address: int, size: int) -> bytes:
        """Memory as the code sees it that stands; nothing where no memory answers."""

    def write(self, address: int, data: bytes) -> None:
        """Change memory, as that code sees it."""

    def restart(self) -> None:
        """Reset the CPU; it stands before its first instruction."""

    def work_done(self) -> float:
        """Seconds of this host's CPU that the emulator has used: time that no load of the host makes longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAccess:
    """The CPU reads or writes a word of a device.

    Attributes:
        address: of the word.
        write: it is written; else read.
        value: what is written, or what the device gave.
    """

    address: int
    write: bool
    value: int
