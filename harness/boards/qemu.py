"""``kind: qemu``: a board emulated by qemu-system-arm.

UARTs and the monitor are socket pairs that QEMU inherits: nothing is lost between its start and ours, and no
socket or temporary file is ever on disk. OTP and entropy reach it as anonymous files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from harness.boards.base import Board, BoardEvent, ClockQuality, Identity, PowerState, ResetKind, RunContext
from harness.boards.locks import BoardLock, acquire_all
from harness.boards.qemu_command import command_line, older
from harness.boards.supervisor import Child, spawn
from harness.boards.virtual import BoardStore, identity_of, make_entropy, make_otp
from harness.config.qemu import QemuTarget
from harness.console.base import Console
from harness.console.stream import StreamConsole
from harness.console.transport import SocketTransport
from harness.errors import BenchError, ConfigError, DeviceFault, HarnessBug, HarnessError

if TYPE_CHECKING:
    from harness.boards.qmp import Qmp
    from harness.config.build import Build
    from harness.stimulus.base import Stimulus

__all__ = ["QemuBoard"]

_T = TypeVar("_T")

_START_TIMEOUT: Final = 20.0
_POKE_FIRST: Final = 0.002
_POKE_SLOWER: Final = 1.1
_POKE_LAST: Final = 3.0


class QemuBoard(Board):
    """A board emulated by QEMU. `acquire` takes its lock; `flash` starts it."""

    kind: ClassVar[str] = "qemu"
    config_model: ClassVar[type[Any]] = QemuTarget

    def __init__(self, target: QemuTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._began = time.monotonic()
        self._events: list[BoardEvent] = []
        self._consoles: dict[str, StreamConsole] = {}
        self._child: Child | None = None
        self._qmp: Qmp | None = None
        self._build: Build | None = None
        self._digests: dict[Path, bytes] = {}
        self._properties: dict[tuple[str, str], object] = {}
        self._unheard: set[str] = set()  # consoles not yet written to since the boot
        self._lifecycle: int | None = None
        self._huk: bytes | None = None
        self._version = ""
        self._starting = threading.RLock()
        base = context.run_dir if context.fresh_identity else context.state_dir
        self._store = BoardStore(base / "boards" / target.name)
        about = {"target": target.name, "kind": "qemu", "run_dir": str(context.run_dir)}
        names = [target.name, *target.resources()]
        self._locks = [BoardLock(name, context.state_dir, about) for name in names]

    # --- life ------------------------------------------------------------------------------

    def acquire(self) -> None:
        """See `Board`. Raises `BenchError` kind ``board-busy``."""
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
        self._require_acquired()
        self._build = build
        self._digests = self._digest_images(build)
        self._cold()

    def erase(self) -> None:
        """Forget the NV memory (counters, updated models), as a factory reset would; the board must be off."""
        if self._child is not None:
            raise HarnessBug("NV memory can only be erased while the board is off", kind="board-state")
        self._store.erase_nv()

    def provision(self, lifecycle: int | None) -> None:
        """Burn another PSA lifecycle into OTP, from the next cold start on (None: the target's)."""
        self._lifecycle = lifecycle

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Cold: a new process, new entropy. Warm: QEMU's system reset; RAM survives."""
        if self._build is None:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._cold()
        else:
            self._warm()

    def power(self, state: PowerState) -> None:
        """See `Board`. Off ends the emulator; on starts it cold."""
        if state is PowerState.OFF:
            self._note("power-off", "power switched off by the harness")
            self._stop()
        elif state is PowerState.ON and self._child is None and self._build is not None:
            self._cold()

    def release(self) -> None:
        """See `Board`."""
        try:
            self._stop()
            for console in self._consoles.values():
                console.close()
            if self.context.fresh_identity:
                self._store.remove()
        finally:
            for lock in self._locks:
                lock.release()

    def check_alive(self) -> None:
        """See `Board`. A guest that locks up makes QEMU abort: that one is the product's fault."""
        if self._child is None:
            raise BenchError(f"board {self.name!r} is off", kind="board-off", hint="flash it, or switch power on")
        if self._child.poll() is not None:
            raise self._exit_error()

    @property
    def child(self) -> Child | None:
        """The emulator's process; None while the board is off."""
        return self._child

    # --- what it is -------------------------------------------------------------------------

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
        lifecycle = otp.lifecycle if self._lifecycle is None else self._lifecycle
        return identity_of(self.name, self._huk, otp, self._target.machine, lifecycle)

    @property
    def clock_quality(self) -> ClockQuality:
        """See `Board`: without instruction counting, ticks depend on the host's load."""
        return ClockQuality.DETERMINISTIC if self.context.deterministic else ClockQuality.MEANINGLESS

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        icount = self._target.icount
        mode = f"icount shift={icount.shift}" if self.context.deterministic else "free running"
        return {"emulator": f"QEMU {self._version}".strip(), "machine": self._target.machine, "time": mode}

    # --- stimulus ---------------------------------------------------------------------------

    def stimulus(self) -> Stimulus | None:
        """See `Board`: plays the emulated sensors through the monitor."""
        if not self._target.sensors:
            return None
        from harness.stimulus.qmp import QmpStimulus

        played = QmpStimulus(self, self._target.sensors)
        played.rest()
        return played

    def set_properties(self, values: Mapping[tuple[str, str], object]) -> None:
        """Set device properties, (QOM path, property) to value, now and again after each reset (which forgets them).

        Raises:
            BenchError: kind ``qmp-refused`` with QEMU's words, ``qmp-lost``, ``qmp-timeout``.
        """
        if self._child is not None:
            self._call(self._set_all(values))
        self._properties.update(values)

    async def _set_all(self, values: Mapping[tuple[str, str], object]) -> None:
        for (path, name), value in values.items():
            await self._require_qmp().command("qom-set", {"path": path, "property": name, "value": value})

    def get_property(self, path: str, name: str) -> object:
        """Read a device's property from the emulator."""
        return self._call(self._require_qmp().command("qom-get", {"path": path, "property": name}))

    def _call(self, coroutine: Coroutine[Any, Any, _T], timeout: float = 5.0) -> _T:
        """Run `coroutine` on the monitor; when QEMU is gone, say how it ended."""
        try:
            self.check_alive()
        except HarnessError:
            coroutine.close()
            raise
        try:
            return self._require_qmp().call(coroutine, timeout)
        except BenchError as error:
            if error.kind == "qmp-lost" and self._child is not None and self._child.wait(1.0) is not None:
                raise self._exit_error() from error
            raise

    # --- starting and stopping ---------------------------------------------------------------

    def _require_acquired(self) -> None:
        if not all(lock.held for lock in self._locks):
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")

    def _cold(self) -> None:
        with self._starting:
            if self._child is not None:
                self._stop()
                self._note("host-reset", "cold reset by the harness: new emulator process")
            self._start()

    def _start(self) -> None:
        build = self._build
        if build is None:
            raise HarnessBug("start before flash", kind="board-state")
        self._check_unchanged()
        ours: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket] = {}
        files: list[int] = []
        try:
            for name in (*self._target.consoles, "\0qmp"):
                ours[name], theirs[name] = socket.socketpair()
            otp = self._anonymous(files, "otp", self._otp(build))
            entropy = self._anonymous(files, "entropy", make_entropy() if self._target.virtual.entropy else None)
            nv = self._target.virtual.nv
            words = command_line(
                self._target,
                build,
                consoles={name: theirs[name].fileno() for name in self._target.consoles},
                qmp=theirs["\0qmp"].fileno(),
                otp=otp,
                entropy=entropy,
                nv_file=self._store.nv(nv.size) if nv else None,
                deterministic=self.context.deterministic,
            )
            passed = [*(sock.fileno() for sock in theirs.values()), *files]
            self._child = spawn(words, stderr_path=self.context.run_dir / f"{self.name}.qemu.log", pass_fds=passed)
            monitor = ours.pop("\0qmp")
            self._attach_consoles(ours)
        except BenchError as error:
            if error.kind == "tool-missing":
                error.hint = error.hint or "install QEMU (Debian and Ubuntu: apt-get install qemu-system-arm)"
            raise
        finally:
            for sock in (*theirs.values(), *ours.values()):
                sock.close()
            for fd in files:
                os.close(fd)
        try:
            self._bring_up(monitor)
        except BaseException:
            self._stop()
            raise

    def _anonymous(self, files: list[int], name: str, content: bytes | None) -> int | None:
        if content is None:
            return None
        fd = os.memfd_create(name)
        files.append(fd)
        os.write(fd, content)
        return fd

    def _attach_consoles(self, ours: dict[str, socket.socket]) -> None:
        for name in self._target.consoles:
            transport = SocketTransport(ours.pop(name))
            if name in self._consoles:
                self._consoles[name].replace(transport, "new emulator process")
            else:
                path = self.context.run_dir / f"{self.name}-{name}.log"
                self._consoles[name] = StreamConsole(
                    name, transport, path, diagnose=self._why_closed, on_write=partial(self._wrote, name)
                )

    def _bring_up(self, monitor: socket.socket) -> None:
        from harness.boards.qmp import Qmp  # asyncio is only paid for by those who emulate

        self._qmp = Qmp(monitor, self._on_event, f"{self.name}")
        try:
            self._qmp.connect(_START_TIMEOUT)
        except BenchError as error:
            if self._child is not None and self._child.wait(2.0) is not None:
                raise self._start_error() from error
            raise
        self._version = self._qmp.version
        if older(self._version, self._target.minimum_version):
            raise self._too_old(self._version)
        self._qmp.call(self._run_on(), _START_TIMEOUT)

    async def _run_on(self) -> None:
        """Sensors first, then go; and poke until the firmware has spoken."""
        await self._restate()
        await self._require_qmp().command("cont")
        self._unheard.update(self._target.consoles)

    async def _restate(self) -> None:
        await self._set_all(dict(self._properties))

    def _wrote(self, name: str) -> None:
        """QEMU 7.2 holds back the first byte sent to a UART after a boot until its main loop is woken."""
        qmp = self._qmp
        if name in self._unheard and qmp is not None:
            self._unheard.discard(name)
            qmp.start_soon(self._poke(self._total()))

    async def _poke(self, before: int) -> None:
        """Wake the emulator's main loop, by any command, until the firmware has said something new."""
        pause = _POKE_FIRST
        while self._total() == before and pause < _POKE_LAST:
            await self._require_qmp().command("query-status")
            await asyncio.sleep(pause)
            pause *= _POKE_SLOWER

    def _require_qmp(self) -> Qmp:
        if self._qmp is None:
            raise HarnessBug("no monitor", kind="board-state")
        return self._qmp

    def _total(self) -> int:
        return sum(console.received for console in self._consoles.values())

    def _warm(self) -> None:
        self.check_alive()
        self._note("host-reset", "warm reset by the harness")
        self._call(self._reset_machine(), _START_TIMEOUT)

    async def _reset_machine(self) -> None:
        # Halted meanwhile, so that the firmware cannot read a sensor before its value is back.
        await self._require_qmp().command("stop")
        await self._require_qmp().command("system_reset")
        await self._restate()
        self._unheard.update(self._target.consoles)
        await self._require_qmp().command("cont")

    def _stop(self) -> None:
        """End the emulator, keeping what it printed."""
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
        if self._child is not None:
            self._child.kill()
            self._child = None

    # --- what happens to it -------------------------------------------------------------------

    async def _on_event(self, event: Mapping[str, Any]) -> None:
        data = event.get("data") or {}
        name = event.get("event")
        if name == "RESET" and data.get("guest"):
            self._note("guest-reset", f"the firmware reset the board ({data.get('reason', 'no reason given')})")
            self._unheard.update(self._target.consoles)
            self._require_qmp().start(self._poke(self._total()))  # a write may already be held back
            await self._restate()
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
        """For a console whose other side is gone: how the emulator ended."""
        child = self._child
        if child is None:
            return BenchError(f"board {self.name!r} is off", kind="board-off")
        return self._exit_error() if child.wait(2.0) is not None else None

    def _exit_error(self) -> HarnessError:
        child = self._child
        if child is None:
            return BenchError(f"board {self.name!r} is off", kind="board-off")
        words = child.last_words(200)  # a lockup prints all registers after the reason
        lines = words.splitlines()
        where = "\n".join([str(child.stderr_path), *lines[-10:]])
        if not any(event.kind == "emulator-exit" for event in self._events):
            self._events.append(
                BoardEvent("emulator-exit", child.ended(), time.monotonic() - self._began, self._offsets())
            )
        lockup = next((line for line in lines if "Lockup" in line), None)
        if child.poll() == -signal.SIGABRT and lockup:
            return DeviceFault(
                "the CPU locked up: a fault while handling a fault",
                kind="lockup",
                seen=lockup,
                where=str(child.stderr_path),
                hint="the last lines of the consoles say how far the firmware came",
            )
        telling = [line for line in lines if "warning:" not in line]
        return BenchError(
            f"the emulator ended by itself: {child.ended()}",
            kind="emulator-exit",
            expected="QEMU running until the board is released",
            seen=telling[-1] if telling else "no last words",
            where=where,
        )

    def _offsets(self) -> dict[str, int]:
        return {name: console.received for name, console in self._consoles.items()}

    def _start_error(self) -> BenchError:
        child = self._child
        words = child.last_words() if child else ""
        version = self._ask_version()
        if version and older(version, self._target.minimum_version):
            return self._too_old(version)
        return BenchError(
            f"QEMU refused to start board {self.name!r}: {child.ended() if child else 'not started'}",
            kind="emulator-start",
            seen=words or "no last words",
            where=" ".join(child.argv) if child else None,
            hint="the machine, sensors and images in the target and build must be ones this QEMU knows",
        )

    def _ask_version(self) -> str:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(
                [self._target.binary, "--version"], capture_output=True, text=True, timeout=10, check=False
            ).stdout
            if "version" in said:
                return said.split("version", 1)[1].split()[0]
        return ""

    def _too_old(self, version: str) -> BenchError:
        return BenchError(
            f"QEMU {version} is too old",
            kind="emulator-version",
            expected=f"{self._target.minimum_version} or newer",
            seen=version,
            where=self._target.binary,
            hint="install a newer qemu-system-arm, or name another `binary` in the target",
        )

    # --- images --------------------------------------------------------------------------------

    def _digest_images(self, build: Build) -> dict[Path, bytes]:
        import hashlib

        files = [image.file for image in build.images]
        files += [model.image for model in build.models.values() if model.image is not None]
        try:
            return {file: hashlib.sha256(file.read_bytes()).digest() for file in files}
        except OSError as error:
            raise BenchError(
                f"an image vanished: {error.strerror}", kind="image-changed", where=str(error.filename)
            ) from error

    def _check_unchanged(self) -> None:
        """A cold start reads the files again: they must be those that were flashed."""
        if self._build is None:
            return
        now = self._digest_images(self._build)
        for file, digest in self._digests.items():
            if now.get(file) != digest:
                raise BenchError(
                    f"{file.name} has changed since it was flashed",
                    kind="image-changed",
                    where=str(file),
                    hint="do not build while tests run, or build into another folder",
                )

    def _otp(self, build: Build) -> bytes | None:
        otp = self._target.virtual.otp
        if otp is None or self._huk is None:
            return None
        identity = self.identity
        return make_otp(
            huk=self._huk,
            lifecycle=identity.lifecycle or 0,
            implementation_id=identity.implementation_id or bytes(32),
            certification_reference=otp.certification_reference,
            verification_service=otp.verification_service,
            image_key_hash=_key_hash(build.trust.images),
            model_key_hash=_key_hash(build.trust.model_key),
        )


def _key_hash(path: Path | None) -> bytes:
    """SHA-256 of the key's DER SubjectPublicKeyInfo, as MCUboot's KEYHASH; zeros without a key."""
    if path is None:
        return bytes(32)
    import hashlib

    from cryptography.hazmat.primitives import serialization

    data = path.read_bytes()
    try:
        load = serialization.load_pem_public_key if data.startswith(b"-----") else serialization.load_der_public_key
        key = load(data)
    except ValueError as error:
        raise ConfigError(
            "not a public key", kind="key-invalid", expected="PEM or DER SubjectPublicKeyInfo", where=str(path)
        ) from error
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()
