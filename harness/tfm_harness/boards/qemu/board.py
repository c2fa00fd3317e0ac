"""``kind: qemu``: a board emulated by qemu-system-arm."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tfm_harness.boards.base import Board, BoardEvent, ClockQuality, Identity, PowerState, ResetKind, RunContext
from tfm_harness.boards.locks import BoardLock, acquire_all, acquire_numbered
from tfm_harness.boards.provision import check_unchanged, digest_images, otp_for
from tfm_harness.boards.qemu.machine import Machine, Provisions
from tfm_harness.boards.qemu.wake import Waker
from tfm_harness.boards.qemu.write_stops import WriteStops
from tfm_harness.boards.virtual import (
    BoardStore,
    Burned,
    EphemeralStore,
    NvMemory,
    identity_of,
    make_entropy,
    virtual_capabilities,
)
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.console.base import Console
from tfm_harness.console.stream import StreamConsole
from tfm_harness.console.transport import SocketTransport
from tfm_harness.errors import ConfigError, HarnessBug, HarnessError
from tfm_harness.stimulus.qmp import sensor_path

if TYPE_CHECKING:
    from tfm_harness.boards.supervisor import Child
    from tfm_harness.config.build import Build
    from tfm_harness.stimulus.base import Stimulus

__all__ = ["QemuBoard"]

_START_TIMEOUT: Final = 20.0


class QemuBoard(Board):
    """A board emulated by QEMU. `acquire` takes its lock; `flash` starts it, cold."""

    kind: ClassVar[str] = "qemu"
    config_model: ClassVar[type[Any]] = QemuTarget

    def __init__(self, target: QemuTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._began = time.monotonic()
        self._events: list[BoardEvent] = []
        self._consoles: dict[str, StreamConsole] = {}
        self._machine = Machine(target.name, target, context.run_dir / f"{target.name}.qemu.log", self._on_event)
        self._build: Build | None = None
        self._digests: dict[Path, bytes] = {}
        self._properties: dict[tuple[str, str], object] = {}
        self._reset_done = asyncio.Event()
        self._waker = Waker(self._machine, self._consoles)
        self._burned = Burned()
        self._entropy: bytes | None = None
        self._resets_since_cold = 0
        self._absent: frozenset[str] = frozenset()
        self._counting = context.deterministic
        self._huk: bytes | None = None
        self._version = ""
        kept = BoardStore(context.state_dir / "boards" / target.name)
        self._store = EphemeralStore() if context.fresh_identity else kept
        self._about = {"target": target.name, "kind": self.kind, "run_dir": str(context.run_dir)}
        self._locks = [BoardLock(name, context.state_dir, self._about) for name in (target.name, *target.resources())]

    # --- life ------------------------------------------------------------------------------------

    def acquire(self) -> None:
        """See `Board`. A board of fresh identity shares nothing, so any number of sessions may have one.

        Raises:
            InfrastructureError: kind ``board-busy``.
        """
        if self.context.fresh_identity:
            self._locks = [acquire_numbered(self.name, self.context.state_dir, self._about)]
        else:
            acquire_all(self._locks, self.target.timeouts.acquire)
        try:
            self._store.open()
            if self._target.virtual.otp is not None:
                self._huk = self._store.huk()
        except BaseException:
            self.release()
            raise

    def flash(self, build: Build) -> None:
        """See `Board`: a new process with `build`'s images, started cold."""
        if not all(lock.held for lock in self._locks):
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        self._build = build
        self._digests = digest_images(build)
        self._cold()

    def erase(self) -> None:
        """Forget the NV memory (counters, updated models), as a factory reset would; the board must be off."""
        if self._machine.child is not None:
            raise HarnessBug("NV memory can only be erased while the board is off", kind="board-state")
        self._store.erase_nv()

    def provision(self, burned: Burned | None) -> None:
        """Burn something else into OTP, from the next cold start on (None: what the target says)."""
        self._burned = Burned() if burned is None else burned

    @property
    def nv(self) -> NvMemory | None:
        """What the firmware keeps over power cycles, for tests that save, damage and restore it.

        None where the target does not say which part of the memory that is.
        """
        declared = self._target.virtual.nv
        if declared is None or declared.area is None:
            return None
        return NvMemory(self._store.nv(declared.size), declared.area)

    @property
    def seed_source(self) -> tuple[bytes, int] | None:
        """The entropy (32 bytes) given at the last cold start, and resets since then: what a boot seed follows from."""
        return None if self._entropy is None else (self._entropy, self._resets_since_cold)

    def write_stops(self, addresses: Sequence[int], on_stop: Callable[[int], None]) -> WriteStops:
        """While the block runs, stop the CPU after each write to one of these words; see `WriteStops`."""
        return WriteStops(self._machine, addresses, on_stop)

    def without_sensors(self, names: frozenset[str]) -> None:
        """See `Board`."""
        unknown = names - set(self._target.sensors)
        if unknown:
            known = ", ".join(self._target.sensors) or "none"
            raise HarnessBug(f"target {self.name!r} has no sensor {min(unknown)!r}, only {known}", kind="sensor")
        self._absent = names

    def count_instructions(self, on: bool) -> None:
        """See `Board`."""
        self._counting = on or self.context.deterministic

    def read_memory(self, address: int, size: int) -> bytes:
        """See `Board`. The CPU stands still meanwhile."""
        with tempfile.NamedTemporaryFile(dir=self.context.run_dir, prefix="memory-") as file:
            self._machine.call(self._save(address, size, file.name), _START_TIMEOUT)
            return Path(file.name).read_bytes()

    async def _save(self, address: int, size: int, name: str) -> None:
        await self._machine.command("stop")
        try:
            await self._machine.command("memsave", {"val": address, "size": size, "filename": name})
        finally:
            await self._machine.command("cont")

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Cold: a new process, new entropy. Warm: QEMU's system reset; RAM survives."""
        if self._build is None:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._cold()
        else:
            self._machine.check_alive()
            self._note("host-reset", "warm reset by the harness")
            self._machine.call(self._warm(), _START_TIMEOUT)

    def power(self, state: PowerState) -> None:
        """See `Board`. Off ends the emulator; on starts it cold."""
        if state is PowerState.OFF and self._machine.child is not None:
            self._machine.stop()
            self._note("power-off", "power switched off by the harness")
        elif state is PowerState.ON and self._machine.child is None and self._build is not None:
            self._cold()

    def release(self) -> None:
        """See `Board`."""
        try:
            self._machine.stop()
            for console in self._consoles.values():
                console.close()
            if self.context.fresh_identity:
                self._store.remove()
        finally:
            for lock in self._locks:
                lock.release()

    def check_alive(self) -> None:
        """See `Board`. A guest that locks up makes QEMU abort: that one is the product's fault."""
        try:
            self._machine.check_alive()
        except HarnessError as error:
            self._note_exit(error)
            raise

    # --- what it is ------------------------------------------------------------------------------

    @property
    def child(self) -> Child | None:
        """The emulator's process; None while the board is off."""
        return self._machine.child

    def console(self, name: str) -> Console:
        """See `Board`."""
        if name not in self._target.consoles:
            known = ", ".join(self._target.consoles)
            raise ConfigError(f"target {self.name!r} has no console {name!r}", kind="console-unknown", expected=known)
        if name not in self._consoles:
            raise HarnessBug(f"console {name!r} before the first flash", kind="board-state")
        return self._consoles[name]

    @property
    def consoles(self) -> Mapping[str, Console]:
        """See `Board`."""
        return dict(self._consoles)

    @property
    def identity(self) -> Identity:
        """See `Board`."""
        otp = self._target.virtual.otp
        if otp is None or self._huk is None:
            return Identity(board_id=self.name)
        return identity_of(self.name, self._huk, otp, self._target.machine, self._burned)

    @property
    def capabilities(self) -> frozenset[str]:
        """See `Board`."""
        virtual = self._target.virtual
        words = virtual_capabilities(otp=virtual.otp is not None, nv=virtual.nv is not None, controlled=True)
        return super().capabilities | words

    @property
    def keeps_memory(self) -> bool:
        """See `Board`."""
        return self._target.virtual.nv is not None

    @property
    def clock_quality(self) -> ClockQuality:
        """See `Board`: without instruction counting, ticks depend on the host's load."""
        return ClockQuality.DETERMINISTIC if self._counting else ClockQuality.MEANINGLESS

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        icount = self._target.icount
        mode = f"icount shift={icount.shift}" if self._counting else "free running"
        return {"emulator": f"QEMU {self._version}".strip(), "machine": self._target.machine, "time": mode}

    # --- stimulus --------------------------------------------------------------------------------

    def stimulus(self) -> Stimulus | None:
        """See `Board`: plays the emulated sensors through the monitor."""
        if not self._target.sensors:
            return None
        from tfm_harness.stimulus.qmp import QmpStimulus

        played = QmpStimulus(self, self._target.sensors)
        played.rest()
        return played

    def set_properties(self, values: Mapping[tuple[str, str], object]) -> None:
        """Set device properties, (QOM path, property) to value, now and again after each reset (which forgets them).

        Raises:
            InfrastructureError: kind ``qmp-refused`` with QEMU's words, ``qmp-lost``, ``qmp-timeout``.
        """
        if self._machine.child is not None:
            self._machine.call(self._set_all(values))
        self._properties.update(values)

    async def _set_all(self, values: Mapping[tuple[str, str], object]) -> None:
        gone = {sensor_path(name) for name in self._absent}
        commands = [
            self._machine.command("qom-set", {"path": path, "property": name, "value": value})
            for (path, name), value in values.items()
            if path not in gone
        ]
        await asyncio.gather(*commands)

    def get_property(self, path: str, name: str) -> object:
        """Read a device's property from the emulator."""
        return self._machine.call(self._machine.command("qom-get", {"path": path, "property": name}))

    # --- starting and resetting ------------------------------------------------------------------

    def _cold(self) -> None:
        if self._machine.child is not None:
            self._machine.stop()
            self._note("host-reset", "cold reset by the harness: new emulator process")
        if self._build is None:
            raise HarnessBug("start before flash", kind="board-state")
        check_unchanged(self._build, self._digests)
        virtual = self._target.virtual
        self._entropy = secrets.token_bytes(32) if virtual.entropy and self._burned.entropy is None else None
        self._resets_since_cold = 0
        given = self._burned.entropy if self._entropy is None else make_entropy(self._entropy)
        provisions = Provisions(
            otp=otp_for(self._build, self.identity, self._burned),
            entropy=given if virtual.entropy else None,
            nv_file=self._store.nv(virtual.nv.size) if virtual.nv else None,
            nv_fd=self._store.nv_fd,
        )
        ours = self._machine.start(
            self._build,
            provisions,
            deterministic=self._counting,
            absent=self._absent,
            skip_idle=not self.context.deterministic,
        )
        try:
            for name in self._target.consoles:
                self._attach(name, SocketTransport(ours.pop(name)))
            self._machine.connect()
            self._version = self._machine.version
            self._machine.call(self._go(), _START_TIMEOUT)
        except BaseException:
            for sock in ours.values():
                sock.close()
            self._machine.stop()
            raise

    def _attach(self, name: str, transport: SocketTransport) -> None:
        if name in self._consoles:
            self._consoles[name].replace(transport, "new emulator process")
            return
        self._consoles[name] = StreamConsole(
            name,
            transport,
            self.context.run_dir / f"{self.name}-{name}.log",
            diagnose=self._why_closed,
            on_write=partial(self._waker.wrote, name),
        )
        self._consoles[name].lossless = True

    async def _go(self) -> None:
        """Sensors first, then the CPU: firmware cannot read a sensor before its value is there."""
        await self._set_all(dict(self._properties))
        self._waker.booted(self._target.consoles)
        await self._machine.command("cont")

    async def _warm(self) -> None:
        await self._machine.command("stop")
        self._reset_done.clear()
        self._resets_since_cold += 1
        await self._machine.command("system_reset")
        await asyncio.wait_for(self._reset_done.wait(), _START_TIMEOUT / 2)  # the answer comes before the reset does
        await self._go()

    # --- what happens to it ----------------------------------------------------------------------

    async def _on_event(self, event: Mapping[str, Any]) -> None:
        data = event.get("data") or {}
        name = event.get("event")
        if name == "RESET" and not data.get("guest"):
            self._reset_done.set()
        elif name == "RESET":
            self._resets_since_cold += 1
            self._note("guest-reset", f"the firmware reset the board ({data.get('reason', 'no reason given')})")
            self._waker.booted(self._target.consoles)
            self._waker.wake()  # a write may already be held back
            await self._set_all(dict(self._properties))
        elif name == "SHUTDOWN":
            self._note("shutdown", f"the emulator shuts down ({data.get('reason', 'no reason given')})")
        elif name == "GUEST_PANICKED":
            self._note("guest-panic", "the emulator says that the guest panicked")

    def _note(self, kind: str, detail: str) -> None:
        offsets: dict[str, int] = {}
        for name, console in self._consoles.items():
            with contextlib.suppress(HarnessError):
                offsets[name] = console.mark().offset
            console.note(detail)
        self._events.append(BoardEvent(kind, detail, time.monotonic() - self._began, offsets))

    def _why_closed(self) -> HarnessError | None:
        """For a console whose other side is gone; must not use the console."""
        error = self._machine.why_closed()
        if error is not None:
            self._note_exit(error)
        return error

    def _note_exit(self, error: HarnessError) -> None:
        child = self._machine.child
        if child is None or any(
            event.kind == "emulator-exit" and str(child.pid) in event.detail for event in self._events
        ):
            return
        offsets = {name: console.received for name, console in self._consoles.items()}
        detail = f"process {child.pid}: {error.message}"
        self._events.append(BoardEvent("emulator-exit", detail, time.monotonic() - self._began, offsets))
