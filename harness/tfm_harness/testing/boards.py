"""A board in memory, for tests of suites, plugins and protocols without hardware and emulator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

from tfm_harness.boards.base import Board, BoardEvent, Identity, PowerState, ResetKind, RunContext
from tfm_harness.boards.kept_place import board_key
from tfm_harness.boards.locks import BoardLock
from tfm_harness.config.build import Build
from tfm_harness.config.target import TargetBase
from tfm_harness.console.base import Console
from tfm_harness.errors import HarnessBug, InfrastructureError
from tfm_harness.testing.consoles import MemoryConsole
from tfm_harness.testing.smp_firmware import ReferenceFirmware

__all__ = ["FakeBoard", "FakeTarget", "SimulatedFirmware"]


class SimulatedFirmware(Protocol):
    """The firmware of a `FakeBoard`, for instance `SmpFirmware`."""

    def boot(self) -> bytes:
        """Start the firmware. Returns the bytes that it prints."""

    def __call__(self, data: bytes) -> bytes:
        """Take `data` from its console. Returns the bytes of its answer."""


class FakeTarget(TargetBase):
    """A target of the kind ``fake``. Its consoles may have any names and values; the firmware uses the first one."""

    kind: Literal["fake"]


class FakeBoard(Board):
    """A board in memory that fulfils the contract of `Board`. Derive from it to make a board that misbehaves.

    Attributes:
        firmware: the firmware on it, made by `make_firmware`.
    """

    kind: ClassVar[str] = "fake"
    config_model: ClassVar[type[Any]] = FakeTarget

    def __init__(self, target: TargetBase, context: RunContext) -> None:
        super().__init__(target, context)
        about = {"target": target.name, "kind": self.kind, "run_dir": str(context.run_dir)}
        self._lock = BoardLock(target.name, context.state_dir, about, key=board_key(target))
        self._began = time.monotonic()
        self._consoles: dict[str, MemoryConsole] = {}
        self._events: list[BoardEvent] = []
        self._flashed = False
        self._on = False
        self.firmware: SimulatedFirmware = self.make_firmware()

    def make_firmware(self) -> SimulatedFirmware:
        """Make the firmware of this board; by default a `ReferenceFirmware`."""
        return ReferenceFirmware()

    @property
    def main_console(self) -> MemoryConsole:
        """The console that the firmware uses."""
        return self._consoles[next(iter(self.target.consoles))]

    def acquire(self) -> None:
        """See `Board`."""
        self._lock.acquire(self.target.timeouts.acquire)
        for number, name in enumerate(self.target.consoles):
            path = self.context.run_dir / f"{self.name}-{name}.log"
            self._consoles[name] = MemoryConsole(self._hear if number == 0 else lambda _: b"", path, name)

    def flash(self, build: Build) -> None:
        """See `Board`. Every file of the build must be there."""
        self._require_acquired()
        self._flashed = self._on = False
        for image in build.images:
            if not image.file.is_file():
                raise InfrastructureError(
                    "an image cannot be read", kind="image-missing", where=str(image.file), hint="build it first"
                )
        self._flashed = True
        self.firmware = self.make_firmware()
        self._start()

    def _start(self) -> None:
        self._on = True
        if self._flashed:
            self.main_console.push(self.firmware.boot())

    def _hear(self, data: bytes) -> bytes:
        return self.firmware(data) if self._on and self._flashed else b""

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`."""
        self._require_acquired()
        self._note("host-reset", f"{kind} reset by the harness")
        self._start()

    def power(self, state: PowerState) -> None:
        """See `Board`."""
        self._require_acquired()
        if state is PowerState.OFF:
            self._on = False
        elif not self._on:
            self._start()
        self._note(f"power-{state}", f"power switched {state} by the harness")

    @property
    def consoles(self) -> Mapping[str, Console]:
        """See `Board`."""
        return dict(self._consoles)

    def release(self) -> None:
        """See `Board`."""
        self._on = False
        for console in self._consoles.values():
            console.close()
        self._lock.release()

    def check_alive(self) -> None:
        """See `Board`."""
        for console in self._consoles.values():
            console.wait_data(console.mark(), timeout=0)

    @property
    def identity(self) -> Identity:
        """See `Board`."""
        firmware = self.firmware
        if not isinstance(firmware, ReferenceFirmware):
            return super().identity
        return Identity(board_id=self.name, huk=firmware.huk, lifecycle=firmware.lifecycle)

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)

    def _note(self, kind: str, detail: str) -> None:
        offsets = {name: console.received for name, console in self._consoles.items()}
        self._events.append(BoardEvent(kind, detail, time.monotonic() - self._began, offsets))

    def _require_acquired(self) -> None:
        if not self._lock.held:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
