"""Base class of boards that a program of this host emulates: locks, fuses, kept memory, consoles, events."""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from tfm_harness.boards.base import Board, BoardEvent, Identity, PowerState, ResetKind, RunContext
from tfm_harness.boards.board_store import KEY_FILE, BoardStore, EphemeralStore
from tfm_harness.boards.emulated_cpu import Debugger, RegisterAccess, Registers, StoppedCpu
from tfm_harness.boards.kept_place import board_folder, take_over
from tfm_harness.boards.locks import BoardLock, acquire_all, acquire_numbered, board_locks, resource_locks
from tfm_harness.boards.provision import check_unchanged, digest_images
from tfm_harness.boards.virtual import Burned, NvMemory, Stopped, identity_of
from tfm_harness.console.base import Console
from tfm_harness.console.stream import StreamConsole
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.boards.supervisor import Child
    from tfm_harness.config.build import Build
    from tfm_harness.config.emulated import EmulatedTarget
    from tfm_harness.console.transport import Transport

__all__ = ["EmulatedBoard"]

_COLD: Final = "cold reset by the harness: new emulator process"


class EmulatedBoard(Board):
    """A board that a program of this host emulates. It is a `VirtualControl`.

    A kind says how the program starts (`_start`) and stops (`_stop`), whether the board has power (`_powered`), how it
    is reset without a restart (`_warm`), why it ended (`_why_closed`), and the type of its machine (`_machine_name`).
    """

    may_be_fresh: ClassVar[bool] = True

    def __init__(self, target: EmulatedTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._virtual = target.virtual
        self._began = time.monotonic()
        self._events: list[BoardEvent] = []
        self._guest_resets: list[BoardEvent] = []
        self._consoles: dict[str, StreamConsole] = {}
        self._build: Build | None = None
        self._digests: dict[Path, bytes] = {}
        self._huk: bytes | None = None
        self._burned = Burned()
        keeps = self._virtual.otp is not None or self._virtual.nv is not None
        self._kept = keeps and not context.fresh_identity
        kept = BoardStore(board_folder(target, context.state_dir), target.path)
        self._store = kept if self._kept else EphemeralStore()
        self._about = {"target": str(target.path or target.name), "kind": self.kind, "run_dir": str(context.run_dir)}
        self._locks: list[BoardLock] = []

    # --- what a kind adds

    @property
    @abc.abstractmethod
    def _powered(self) -> bool:
        """Whether the program was started and not stopped; it may have died since."""

    @property
    @abc.abstractmethod
    def _machine_name(self) -> str:
        """The type of machine: boards of one type share the default implementation id."""

    @abc.abstractmethod
    def _start(self, build: Build) -> None:
        """Start the program cold, with `build`'s images and the burned OTP; a failed start leaves no process behind."""

    @abc.abstractmethod
    def _stop(self) -> None:
        """End the program, if it runs."""

    @abc.abstractmethod
    def _warm(self) -> None:
        """Reset the CPU; RAM survives."""

    @abc.abstractmethod
    def _why_closed(self) -> HarnessError | None:
        """The error for a console whose other side has gone. It must not use the console."""

    # --- life

    def acquire(self) -> None:
        """See `Board`. Any number of sessions can hold a board that keeps nothing, or has a fresh identity.

        Processes of one run still take different boards, because records tell boards apart by name.

        Raises:
            InfrastructureError: kind ``board-busy``, ``state-dir``, ``identity``.
        """
        run, state = self.context.shared_dir, self.context.state_dir
        wanted = [] if run is None else [BoardLock(self.name, run, self._about, passing=True)]
        if self._kept:
            wanted += board_locks(self.target, state, self._about)
        else:
            wanted += resource_locks(self.target.resources(), state, self._about)
        acquire_all(wanted, self.target.timeouts.acquire)
        self._locks = wanted
        try:
            if not self._kept:
                self._locks.append(acquire_numbered(self.target, state, self._about))
            self._prepare()
        except BaseException:
            self.release()
            raise

    def _prepare(self) -> None:
        """Prepare the board once, after it is acquired and before it is flashed."""
        if self._kept:
            take_over(self._store.folder, KEY_FILE)
        self._store.open()
        if self._virtual.otp is not None:
            self._huk = self._store.huk()

    def flash(self, build: Build) -> None:
        """See `Board`: a new process with `build`'s images, started cold."""
        if not self._locks or not all(lock.held for lock in self._locks):
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        self._build = build
        self._digests = digest_images(build)
        self._cold()

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Cold: a new process. Warm: RAM survives."""
        if self._build is None:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._cold()
        else:
            self._warm()

    def _cold(self) -> None:
        if self._powered:
            self._stop()
            self._note("host-reset", _COLD)
        build = self._build
        if build is None:
            raise HarnessBug("start before flash", kind="board-state")
        check_unchanged(build, self._digests)
        self._start(build)

    def power(self, state: PowerState) -> None:
        """See `Board`. Power off ends the program; power on starts it cold."""
        if state is PowerState.OFF and self._powered:
            self._stop()
            self._note("power-off", "power switched off by the harness")
        elif state is PowerState.ON and not self._powered and self._build is not None:
            self._cold()

    def release(self) -> None:
        """See `Board`."""
        try:
            self._stop()
            for console in self._consoles.values():
                console.close()
            if not self._kept:
                self._store.remove()
        finally:
            for lock in self._locks:
                lock.release()

    # --- what only a virtual board allows

    def provision(self, burned: Burned | None) -> None:
        """See `VirtualControl`."""
        self._burned = Burned() if burned is None else burned

    @property
    def nv(self) -> NvMemory | None:
        """See `VirtualControl`."""
        declared = self._virtual.nv
        if declared is None or declared.area is None:
            return None
        return NvMemory(self._store.nv(declared.size), declared.area)

    @property
    def seed_source(self) -> tuple[bytes, int] | None:
        """See `VirtualControl`; None if resets by the firmware itself cannot be counted."""
        return None

    def debugger(self) -> AbstractContextManager[Debugger]:
        """See `VirtualControl`."""
        raise InfrastructureError(f"{self.kind} boards have no debugger", kind="no-debugger")

    def write_stops(
        self, addresses: Sequence[int], on_stop: Callable[[int], None]
    ) -> AbstractContextManager[StoppedCpu]:
        """See `VirtualControl`."""
        del on_stop
        raise InfrastructureError(
            f"{self.kind} boards cannot stop at writes to {len(addresses)} words", kind="no-write-stops"
        )

    def call_stops(
        self, gateways: Sequence[int], on_return: Callable[[Registers, Registers], None]
    ) -> AbstractContextManager[object]:
        """See `VirtualControl`."""
        del on_return
        raise InfrastructureError(
            f"{self.kind} boards cannot stop at calls through {len(gateways)} gateways", kind="no-call-stops"
        )

    def register_stops(
        self, addresses: Sequence[int], on_access: Callable[[RegisterAccess], int], *, writes: bool
    ) -> AbstractContextManager[object]:
        """See `VirtualControl`."""
        del on_access, writes
        raise InfrastructureError(
            f"{self.kind} boards cannot stop at accesses to {len(addresses)} registers", kind="no-register-stops"
        )

    def race(self, address: int, data: bytes) -> AbstractContextManager[Stopped]:
        """See `VirtualControl`."""
        raise InfrastructureError(
            f"{self.kind} boards cannot change {len(data)} bytes at {address:#x} right after a read",
            kind="no-register-stops",
        )

    # --- what it is

    @property
    def consoles(self) -> Mapping[str, Console]:
        """See `Board`."""
        return dict(self._consoles)

    def _attach(self, name: str, transport: Transport, on_write: Callable[[], None] | None = None) -> None:
        """Open a console, or let an open console continue over the new transport."""
        if name in self._consoles:
            self._consoles[name].replace(transport, "new emulator process")
        else:
            self._consoles[name] = self._open_console(name, transport, on_write)

    def _open_console(
        self, name: str, transport: Transport, on_write: Callable[[], None] | None = None
    ) -> StreamConsole:
        path = self.context.run_dir / f"{self.name}-{name}.log"
        limit = self.target.limits.transcript
        console = StreamConsole(name, transport, path, limit=limit, diagnose=self._why_closed, on_write=on_write)
        console.lossless = True
        return console

    @property
    def identity(self) -> Identity:
        """See `Board`."""
        if self._virtual.otp is None or self._huk is None:
            return Identity(board_id=self.name)
        return identity_of(self.name, self._huk, self._virtual.otp, self._machine_name, self._burned)

    @property
    def keeps_memory(self) -> bool:
        """See `Board`."""
        return self._virtual.nv is not None

    @property
    def capabilities(self) -> frozenset[str]:
        """See `Board`."""
        otp, nv = self._virtual.otp is not None, self._virtual.nv is not None
        said = {
            "fast-flash": True,
            "known-secrets": otp,
            "provision": otp,
            "nv-access": nv,
            "debugger": type(self).debugger is not EmulatedBoard.debugger,
            "write-stops": nv and type(self).write_stops is not EmulatedBoard.write_stops,
            "call-stops": type(self).call_stops is not EmulatedBoard.call_stops,
            "register-stops": type(self).register_stops is not EmulatedBoard.register_stops,
        }
        return super().capabilities | {word for word, true in said.items() if true}

    # --- what happens to it

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)

    @property
    def guest_resets(self) -> Sequence[BoardEvent]:
        """See `Board`."""
        return tuple(self._guest_resets)

    def _note(self, kind: str, detail: str) -> None:
        """Remember an event, with all that the consoles have received by now."""
        offsets: dict[str, int] = {}
        for name, console in self._consoles.items():
            with contextlib.suppress(HarnessError):
                offsets[name] = console.mark().offset
            console.note(detail)
        event = BoardEvent(kind, detail, time.monotonic() - self._began, offsets)
        self._events.append(event)
        if kind == "guest-reset":
            self._guest_resets.append(event)

    def _note_exit(self, child: Child, detail: str) -> None:
        """Remember once that the program ended. Called while a console asks for the reason: reads no console."""
        process = f"process {child.pid}: "
        if any(event.kind == "emulator-exit" and event.detail.startswith(process) for event in self._events):
            return
        offsets = {name: console.received for name, console in self._consoles.items()}
        self._events.append(BoardEvent("emulator-exit", process + detail, time.monotonic() - self._began, offsets))
