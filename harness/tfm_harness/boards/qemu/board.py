"""``kind: qemu``: a board emulated by qemu-system-arm."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tfm_harness.boards.base import ClockQuality, RunContext
from tfm_harness.boards.emulated import EmulatedBoard
from tfm_harness.boards.emulated_cpu import RegisterAccess, Registers
from tfm_harness.boards.otp_layout import make_entropy
from tfm_harness.boards.provision import otp_for
from tfm_harness.boards.qemu.call_stops import CallStops
from tfm_harness.boards.qemu.command import check_sensors
from tfm_harness.boards.qemu.debugger import QemuDebugger
from tfm_harness.boards.qemu.machine import Machine, Provisions
from tfm_harness.boards.qemu.qmp import Command
from tfm_harness.boards.qemu.race import Race
from tfm_harness.boards.qemu.register_stops import RegisterStops
from tfm_harness.boards.qemu.wake import Waker
from tfm_harness.boards.qemu.write_stops import WriteStops
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError
from tfm_harness.stimulus.qmp import sensor_path

if TYPE_CHECKING:
    from tfm_harness.boards.supervisor import Child
    from tfm_harness.config.build import Build
    from tfm_harness.stimulus.base import Stimulus

__all__ = ["QemuBoard"]

_START_TIMEOUT: Final = 20.0
_RESET_TIMEOUT: Final = 10.0


class QemuBoard(EmulatedBoard):
    """A board emulated by QEMU. `acquire` takes its lock; `flash` starts it, cold."""

    kind: ClassVar[str] = "qemu"
    config_model: ClassVar[type[Any]] = QemuTarget

    def __init__(self, target: QemuTarget, context: RunContext) -> None:
        super().__init__(target, context)
        check_sensors(target)
        self._target = target
        self._machine = Machine(target.name, target, context.run_dir / f"{target.name}.qemu.log", self._on_event)
        self._properties: dict[tuple[str, str], object] = {}
        self._reset_done = threading.Event()
        self._waker = Waker(self._machine, self._consoles)
        self._entropy: bytes | None = None
        self._resets_since_cold = 0
        self._absent: frozenset[str] = frozenset()
        self._counting = context.deterministic
        self._version = ""

    def erase(self) -> None:
        """Erase the NV memory (counters, updated models), as a factory reset would; the board must be off."""
        if self._machine.child is not None:
            raise HarnessBug("NV memory can only be erased while the board is off", kind="board-state")
        self._store.erase_nv()
        self.erasures += 1

    @property
    def seed_source(self) -> tuple[bytes, int] | None:
        """The last cold start's entropy (32 bytes) and the number of resets since. A boot seed follows from them."""
        return None if self._entropy is None else (self._entropy, self._resets_since_cold)

    def debugger(self) -> QemuDebugger:
        """QEMU's debugger for the block; see `QemuDebugger`."""
        return QemuDebugger(self._machine, self._reset_standing)

    def write_stops(self, addresses: Sequence[int], on_stop: Callable[[int], None]) -> WriteStops:
        """While the block runs, stop the CPU after each write to one of these words; see `WriteStops`."""
        return WriteStops(self._machine, addresses, on_stop)

    def call_stops(self, gateways: Sequence[int], on_return: Callable[[Registers, Registers], None]) -> CallStops:
        """While the block runs, note each call through one of these gateways; see `CallStops`."""
        return CallStops(self._machine, gateways, on_return)

    def register_stops(
        self, addresses: Sequence[int], on_access: Callable[[RegisterAccess], int], *, writes: bool
    ) -> RegisterStops:
        """While the block runs, stop the CPU at each access to these words of a device; see `RegisterStops`."""
        return RegisterStops(self._machine, addresses, on_access, writes=writes)

    def race(self, address: int, data: bytes) -> Race:
        """While the block runs, write `data` to `address` right after the CPU has read the word there; see `Race`."""
        return Race(self._machine, address, data)

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
        """See `Board`. The CPU is stopped meanwhile."""
        with self._machine.worked, tempfile.NamedTemporaryFile(dir=self.context.run_dir, prefix="memory-") as file:
            save = {"val": address, "size": size, "filename": file.name}
            self._machine.execute_all([("stop", {}), ("memsave", save), ("cont", {})], timeout=_START_TIMEOUT)
            return Path(file.name).read_bytes()

    def check_alive(self) -> None:
        """See `Board`. A guest that locks up makes QEMU abort: the product is responsible for that."""
        try:
            self._machine.check_alive()
        except HarnessError as error:
            self._note_end(error)
            raise

    # --- what it is ------------------------------------------------------------------------------

    @property
    def child(self) -> Child | None:
        """The emulator's process; None while the board is off."""
        return self._machine.child

    @property
    def clock_quality(self) -> ClockQuality:
        """See `Board`: without instruction counting, ticks depend on the host's load."""
        return ClockQuality.DETERMINISTIC if self._counting else ClockQuality.MEANINGLESS

    @property
    def worked(self) -> float:
        """See `Board`."""
        return self._machine.worked.seconds

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
        """Set device properties, (QOM path, property) to value, now and again after each reset, which clears them.

        Raises:
            InfrastructureError: kind ``qmp-refused`` with QEMU's words, ``qmp-lost``, ``qmp-timeout``.
        """
        if self._machine.child is not None:
            with self._machine.worked:
                self._machine.execute_all(self._setting(values))
        self._properties.update(values)

    def _setting(self, values: Mapping[tuple[str, str], object]) -> list[Command]:
        gone = {sensor_path(name) for name in self._absent}
        return [
            ("qom-set", {"path": path, "property": name, "value": value})
            for (path, name), value in values.items()
            if path not in gone
        ]

    def get_property(self, path: str, name: str) -> object:
        """Read a device's property from the emulator."""
        return self._machine.execute("qom-get", {"path": path, "property": name})

    # --- starting and resetting ------------------------------------------------------------------

    @property
    def _powered(self) -> bool:
        return self._machine.child is not None

    @property
    def _machine_name(self) -> str:
        return self._target.machine

    def _stop(self) -> None:
        self._machine.stop()

    def _start(self, build: Build) -> None:
        virtual = self._target.virtual
        self._entropy = secrets.token_bytes(32) if virtual.entropy and self._burned.entropy is None else None
        self._resets_since_cold = 0
        given = self._burned.entropy if self._entropy is None else make_entropy(self._entropy)
        provisions = Provisions(
            otp=otp_for(build, self.identity, self._burned),
            entropy=given if virtual.entropy else None,
            nv_file=self._store.nv(virtual.nv.size) if virtual.nv else None,
            nv_fd=self._store.nv_fd,
        )
        wires = self._machine.start(
            build,
            provisions,
            deterministic=self._counting,
            absent=self._absent,
            skip_idle=not self.context.deterministic,
        )
        try:
            for name in self._target.consoles:
                self._attach(name, wires.consoles.pop(name), partial(self._waker.wrote, name))
            self._machine.connect()
            self._version = self._machine.version
            # Sensors first, then the CPU: firmware must not read a sensor before its value is set.
            self._waker.booted(self._target.consoles)
            self._machine.execute_all([*self._setting(self._properties), ("cont", {})], timeout=_START_TIMEOUT)
        except BaseException:
            wires.close()
            self._machine.stop()
            raise

    def _warm(self) -> None:
        self._machine.check_alive()
        self._note("host-reset", "warm reset by the harness")
        self._machine.execute("stop", timeout=_START_TIMEOUT)
        self._reset_standing()
        self._machine.execute("cont", timeout=_START_TIMEOUT)

    def _reset_standing(self) -> None:
        """Reset while the CPU is stopped; afterwards it is stopped before its first instruction."""
        self._reset_done.clear()
        self._resets_since_cold += 1
        self._machine.execute("system_reset", timeout=_START_TIMEOUT)
        if not self._reset_done.wait(_RESET_TIMEOUT):  # QEMU answers before it resets
            self._machine.check_alive()
            raise InfrastructureError(
                f"{self.name}: QEMU did not reset the board in {_RESET_TIMEOUT:g} s", kind="qmp-timeout"
            )
        self._waker.booted(self._target.consoles)
        self._machine.execute_all(self._setting(self._properties), timeout=_START_TIMEOUT)

    # --- what happens to it ----------------------------------------------------------------------

    def _on_event(self, event: Mapping[str, Any]) -> None:
        data = event.get("data") or {}
        name = event.get("event")
        if name == "RESET" and not data.get("guest"):
            self._reset_done.set()
        elif name == "RESET":
            self._resets_since_cold += 1
            self._note("guest-reset", f"the firmware reset the board ({data.get('reason', 'no reason given')})")
            self._waker.booted(self._target.consoles)
            self._waker.wake()  # QEMU may already hold back a write
            self._machine.tell(self._setting(dict(self._properties)))
        elif name == "SHUTDOWN":
            self._note("shutdown", f"the emulator shuts down ({data.get('reason', 'no reason given')})")
        elif name == "GUEST_PANICKED":
            self._note("guest-panic", "the emulator says that the guest panicked")

    def _why_closed(self) -> HarnessError | None:
        error = self._machine.why_closed()
        if error is not None:
            self._note_end(error)
        return error

    def _note_end(self, error: HarnessError) -> None:
        if self._machine.child is not None:
            self._note_exit(self._machine.child, error.message)
