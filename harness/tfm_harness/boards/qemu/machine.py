"""One QEMU process: starting it, its monitor, and how it ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tfm_harness.boards.placement import Placement
from tfm_harness.boards.qemu.command import command_line, older
from tfm_harness.boards.qemu.known_machines import machine_error
from tfm_harness.boards.qemu.qmp import Command, Qmp
from tfm_harness.boards.qemu.quick_uart import is_quick
from tfm_harness.boards.qemu.wires import Wires
from tfm_harness.boards.qemu.worked import Worked
from tfm_harness.boards.supervisor import Child, spawn
from tfm_harness.boards.tools import run_tool
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.errors import HarnessError, InfrastructureError, ProductError

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["Machine", "Provisions"]

_START_TIMEOUT: Final = 20.0


@dataclass(frozen=True, slots=True)
class Provisions:
    """What the emulated board has when it starts: contents of OTP and entropy area, the file that holds the NV memory.

    `nv_fd` is the descriptor that `nv_file` names, when `nv_file` is not a file in a folder.
    """

    otp: bytes | None = None
    entropy: bytes | None = None
    nv_file: Path | None = None
    nv_fd: int | None = None


class Machine:
    """An emulator process with its monitor. `start`, `connect`, then use; `stop` ends it.

    QEMU inherits its ends of the UARTs and the monitor (see `Wires`). So no byte is lost between its start and our
    first read, and no socket or temporary file is ever on disk. OTP and entropy reach it as anonymous files.

    Attributes:
        worked: how long it worked on tasks of the harness other than requests and starts.

    Args:
        name: the board's name, for errors.
        target: the emulated board.
        log: file for QEMU's own output.
        on_event: called for each monitor event, in the monitor's thread (see `Qmp`).
    """

    def __init__(self, name: str, target: QemuTarget, log: Path, on_event: Callable[[Mapping[str, Any]], None]) -> None:
        self.name = name
        self.child: Child | None = None
        self.worked = Worked()
        self._quick = False  # a UART is behind the multiplexer
        self._target = target
        self._log = log
        self._on_event = on_event
        self._placement = Placement()
        self._monitor_end: socket.socket | None = None
        self._qmp: Qmp | None = None

    @property
    def version(self) -> str:
        """QEMU's version, once connected."""
        return self._qmp.version if self._qmp is not None else ""

    def start(
        self,
        build: Build,
        provisions: Provisions,
        *,
        deterministic: bool,
        absent: frozenset[str] = frozenset(),
        skip_idle: bool = False,
    ) -> Wires:
        """Start the process, halted, without the sensors named `absent`. Returns our ends of its consoles.

        Raises:
            InfrastructureError: kind ``tool-missing`` or ``tool-start``.
        """
        files: list[int] = []
        quick = [name for name in self._target.consoles if is_quick(self._target, build, name)]
        wires = Wires(self._target.consoles, quick[0] if quick else None)
        try:
            words = command_line(
                self._target,
                build,
                consoles=wires.sockets,
                qmp=wires.qmp,
                otp=_anonymous(files, "otp", provisions.otp),
                entropy=_anonymous(files, "entropy", provisions.entropy),
                nv_file=provisions.nv_file,
                deterministic=deterministic,
                absent=absent,
                skip_idle=skip_idle,
            )
            self._quick = bool(quick)
            passed = [*wires.passed, *files]
            passed += [] if provisions.nv_fd is None else [provisions.nv_fd]
            cpu = self._placement.choose(self.name) if self._target.one_cpu else None
            self.child = spawn(
                words, stderr_path=self._log, stdin=wires.stdin, stdout=wires.stdout, pass_fds=passed, cpu=cpu
            )
        except BaseException as error:
            wires.close()
            if isinstance(error, InfrastructureError) and error.kind == "tool-missing":
                error.hint = error.hint or "install QEMU (Debian and Ubuntu: apt-get install qemu-system-arm)"
            raise
        finally:
            wires.hand_over()
            for fd in files:
                os.close(fd)
        self._monitor_end, wires.monitor = wires.monitor, None
        return wires

    def connect(self) -> None:
        """Connect to the monitor and check QEMU's version.

        Raises:
            InfrastructureError: kind ``emulator-start`` with QEMU's words, or ``emulator-version``.
            ConfigError: kind ``machine-unknown``.
        """
        monitor, self._monitor_end = self._monitor_end, None
        if monitor is None:
            raise InfrastructureError(f"board {self.name!r} is off", kind="board-off")
        self._qmp = Qmp(monitor, self._on_event, self.name)
        try:
            self._qmp.connect(_START_TIMEOUT)
        except InfrastructureError as error:
            if self.child is not None and self.child.wait(2.0) is not None:
                raise self._start_error(self.child) from error
            if self.child is not None:
                error.seen = error.seen or self.child.last_words() or "no last words"
                error.where = error.where or " ".join(self.child.argv)
                error.hint = (
                    error.hint
                    or "check that the target's `binary` is qemu-system-arm, and that this host is not overloaded"
                )
            raise
        if older(self.version, self._target.minimum_version):
            raise self._too_old(self.version)
        if self._target.one_cpu and self._quick:
            self._let_main_loop_finish()

    def _let_main_loop_finish(self) -> None:
        """Give emulated CPUs the policy SCHED_BATCH, so that they do not interrupt the main loop.

        The main loop wakes them with each byte for a UART.

        With the multiplexer they find up to 32 bytes at once. On the host CPU that both share, a message of 2,000 bytes
        there and back then costs 120 switches between the two and 11 ms of CPU time; without the policy it costs 1,000
        switches and 16 ms. The main loop still interrupts an emulated CPU, which may be busy waiting for the loop.
        """
        cpus = self.execute("query-cpus-fast", timeout=_START_TIMEOUT)
        for cpu in cpus if isinstance(cpus, list) else ():
            with contextlib.suppress(OSError):  # the process has a policy that it may not change
                os.sched_setscheduler(int(cpu["thread-id"]), os.SCHED_BATCH, os.sched_param(0))

    def stop(self) -> None:
        """End the process; its output stays readable at our ends of its consoles. Safe to call twice."""
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
        if self._monitor_end is not None:
            self._monitor_end.close()
            self._monitor_end = None
        if self.child is not None:
            self.child.kill()
            self.child = None

    # --- the monitor -----------------------------------------------------------------------------

    def execute(self, name: str, arguments: Mapping[str, object] | None = None, *, timeout: float = 5.0) -> object:
        """Send one monitor command and wait for its answer; when QEMU is gone, say how it ended."""
        return self.execute_all([(name, arguments or {})], timeout=timeout)[0]

    def execute_all(self, commands: Sequence[Command], *, timeout: float = 5.0) -> list[object]:
        """As `execute`, for several commands that are sent together and carried out in order."""
        self.check_alive()
        try:
            return self._require().execute_all(commands, timeout=timeout)
        except InfrastructureError as error:
            if error.kind == "qmp-lost" and self.child is not None and self.child.wait(1.0) is not None:
                raise self.exit_error() from error
            if error.kind == "qmp-timeout" and self.child is not None:
                self.child.raise_if_frozen(self.name)
            raise

    def tell(self, commands: Sequence[Command]) -> None:
        """Send commands without waiting for their answers. Never raises."""
        if self._qmp is not None:
            self._qmp.tell(commands)

    def wake(self) -> None:
        """Make QEMU's main loop run once."""
        if self._qmp is not None:
            self._qmp.wake()

    def repeat(self, steps: Iterator[float]) -> None:
        """Take steps in the monitor's thread; see `Qmp.repeat`."""
        if self._qmp is not None:
            self._qmp.repeat(steps)

    def _require(self) -> Qmp:
        if self._qmp is None:
            raise InfrastructureError(f"board {self.name!r} is off", kind="board-off")
        return self._qmp

    # --- how it ended ------------------------------------------------------------------------------

    def check_alive(self) -> None:
        """Raise an error if the process has ended (a lockup of the CPU is a `ProductError`) or is stopped."""
        if self.child is None:
            raise InfrastructureError(
                f"board {self.name!r} is off", kind="board-off", hint="flash it, or switch power on"
            )
        if self.child.poll() is not None:
            raise self.exit_error()
        self.child.raise_if_frozen(self.name)

    def why_closed(self) -> HarnessError | None:
        """Why a console's other side has gone; None if the process still runs."""
        if self.child is None:
            return InfrastructureError(f"board {self.name!r} is off", kind="board-off")
        return self.exit_error() if self.child.wait(2.0) is not None else None

    def exit_error(self) -> HarnessError:
        """How the process ended. A guest that locks up makes QEMU abort: the product is responsible for that."""
        child = self.child
        if child is None:
            return InfrastructureError(f"board {self.name!r} is off", kind="board-off")
        lines = child.last_words(200).splitlines()  # a lockup prints all registers after the reason
        lockup = next((line for line in lines if "Lockup" in line), None)
        if child.poll() == -signal.SIGABRT and lockup:
            return ProductError(
                "the CPU locked up: a fault while handling a fault",
                kind="lockup",
                seen=lockup,
                where=str(child.stderr_path),
                hint="the last lines of the consoles say how far the firmware came",
            )
        telling = [line for line in lines if "warning:" not in line]
        return InfrastructureError(
            f"the emulator ended by itself: {child.ended()}",
            kind="emulator-exit",
            expected="QEMU running until the board is released",
            seen=telling[-1] if telling else "no last words",
            where="\n".join([str(child.stderr_path), *lines[-10:]]),
        )

    def _start_error(self, child: Child) -> HarnessError:
        version = self._ask_version()
        if version and older(version, self._target.minimum_version):
            return self._too_old(version)
        if (wrong := machine_error(self._target)) is not None:
            return wrong
        return InfrastructureError(
            f"QEMU refused to start board {self.name!r}: {child.ended()}",
            kind="emulator-start",
            seen=child.last_words() or "no last words",
            where=" ".join(child.argv),
            hint="the machine, sensors and images in the target and build must be ones this QEMU knows",
        )

    def _ask_version(self) -> str:
        with contextlib.suppress(InfrastructureError):
            said = run_tool([self._target.binary, "--version"], 10.0).out
            found = re.search(r"QEMU emulator version (\d[\d.]*)", said)
            return found[1] if found else ""
        return ""

    def _too_old(self, version: str) -> InfrastructureError:
        return InfrastructureError(
            f"QEMU {version} is too old",
            kind="emulator-version",
            expected=f"{self._target.minimum_version} or newer",
            seen=version,
            where=self._target.binary,
            hint="install a newer qemu-system-arm, or name another `binary` in the target",
        )


def _anonymous(files: list[int], name: str, content: bytes | None) -> int | None:
    if content is None:
        return None
    fd = os.memfd_create(name)
    files.append(fd)
    os.write(fd, content)
    return fd
