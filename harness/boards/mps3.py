"""``kind: mps3``: an Arm MPS3 board on USB: card, MCC, serial consoles.

Built against the board's documentation; run here only through the stand-in in
`harness.boards.standins.mps3` (see docs/targets.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.boards import mps3_mcc
from harness.boards.base import Board, BoardEvent, PowerState, ResetKind, RunContext
from harness.boards.image_bytes import whole_build
from harness.boards.locks import BoardLock, acquire_all
from harness.boards.mps3_card import Card
from harness.boards.mps3_disk import Disk
from harness.boards.mps3_images import (
    AN547_MAP,
    AN552_MAP,
    Dialect,
    ImageEntry,
    MccWindow,
    Update,
    mcc_address,
    parse_images_txt,
    render_images_txt,
    short_name,
)
from harness.boards.power import PowerControl, cycle, make_power
from harness.config.mps3 import Mps3Target
from harness.console.base import Console
from harness.console.endpoints import SerialTransport, open_endpoint
from harness.console.stream import StreamConsole
from harness.errors import BenchError, ConfigError, HarnessBug
from harness.stimulus.real import make_stimulus

if TYPE_CHECKING:
    from harness.config.build import Build
    from harness.config.endpoint import Endpoint
    from harness.stimulus.base import Stimulus
    from harness.stimulus.real import RealStimulus

__all__ = ["Mps3Board"]

_DISK_TIMEOUT = 60.0


class Mps3Board(Board):
    """One MPS3. `acquire` checks the card and opens the MCC; `flash` writes the card and reboots."""

    kind: ClassVar[str] = "mps3"
    config_model: ClassVar[type[Any]] = Mps3Target

    def __init__(self, target: Mps3Target, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._began = time.monotonic()
        self._events: list[BoardEvent] = []
        self._consoles: dict[str, StreamConsole] = {}
        self._mcc: StreamConsole | None = None
        self._disk = Disk(target.disk)
        self._power: PowerControl | None = make_power(target.power) if target.power is not None else None
        self._flashed = False
        self._stimulus: RealStimulus | None = None
        self._backup = context.state_dir / "boards" / target.name / "card-backup"
        about = {"target": target.name, "kind": "mps3", "run_dir": str(context.run_dir)}
        self._locks = [BoardLock(name, context.state_dir, about) for name in (target.name, *target.resources())]

    # --- life ------------------------------------------------------------------------------

    def acquire(self) -> None:
        """See `Board`.

        Raises:
            BenchError: ``board-busy``, ``mps3-*``, ``port-*``.
        """
        acquire_all(self._locks, self.target.timeouts.acquire)
        try:
            self._mcc = self._open("mcc", self._target.mcc)
            for name, endpoint in self._target.consoles.items():
                self._consoles[name] = self._open(name, endpoint)
            if self._target.stimulus is not None:
                self._stimulus = make_stimulus(self._target.stimulus, self._target.sensors)
            with self._disk.mounted() as mount:
                card = self._card(mount)
                card.check(0)
                card.backup(self._backup)
        except BaseException:
            self.release()
            raise

    def _open(self, name: str, endpoint: Endpoint) -> StreamConsole:
        transport = open_endpoint(endpoint)
        if isinstance(transport, SerialTransport):
            transport.on_reconnect = lambda seconds: self._note("reconnect", f"{name} came back after {seconds:.1f} s")
        return StreamConsole(name, transport, self.context.run_dir / f"{self.name}-{name}.log")

    def _card(self, mount: Path) -> Card:
        return Card(mount, self._target.application_note, device=self._disk.device)

    def flash(self, build: Build) -> None:
        """See `Board`: card written, verified after a remount, board rebooted, MCC's log checked.

        Raises:
            BenchError: ``mps3-*``, ``mcc-*``, ``power-*``.
            ConfigError: ``mps3-address``, ``image-*``.
        """
        self._require_acquired()
        self._flashed = False
        images, entries = self._plan(build)
        with self._disk.mounted() as mount:
            card = self._card(mount)
            text = render_images_txt(entries, self._dialect(card))
            written = card.write(images, text)
        relative = {path.relative_to(mount): digest for path, digest in written.items()}
        with self._disk.mounted() as mount:  # from the medium where the disk was really unmounted
            self._card(mount).verify({mount / path: digest for path, digest in relative.items()})
        self._reboot(list(images))
        self._flashed = True

    def _plan(self, build: Build) -> tuple[dict[str, bytes], list[ImageEntry]]:
        images: dict[str, bytes] = {}
        entries: list[ImageEntry] = []
        for image, address, content in whole_build(build):
            window, mcc = mcc_address(address, len(content), self._windows())
            name = short_name(image.file.stem, list(images))
            images[name] = content
            update = Update.FORCEQSPI if window.qspi else Update.AUTO
            entries.append(ImageEntry(mcc, f"\\SOFTWARE\\{name}", update, window.port))
        return images, entries

    def _windows(self) -> tuple[MccWindow, ...]:
        if self._target.mcc_map:
            return tuple(
                MccWindow(mcc=w.mcc, cpu=w.cpu, size=w.size, name=w.name, port=w.port, qspi=w.qspi)
                for w in self._target.mcc_map
            )
        return AN547_MAP if self._target.application_note == "AN547" else AN552_MAP

    def _dialect(self, card: Card) -> Dialect:
        if self._target.dialect is not None:
            return Dialect(self._target.dialect)
        dialect, _ = parse_images_txt(
            (self._backup / "images.txt").read_text("ascii", "replace"), where=str(card.layout.images_txt)
        )
        return dialect

    def _reboot(self, files: list[str]) -> None:
        mcc = self._require_mcc()
        how = self._target.reboot
        self._note("host-reset", f"board rebooted by the harness ({how})")
        if how == "mcc":
            since = mps3_mcc.reboot(mcc)
        elif how == "reboot.txt":
            since = mcc.mark()
            with self._disk.mounted() as mount:
                self._card(mount).request_reboot()
        else:
            since = mcc.mark()
            self._cycle()
        mps3_mcc.watch_start(mcc, since, files, timeout=self._target.start_timeout)
        if not self._disk.wait(present=True, timeout=_DISK_TIMEOUT):
            self._note("disk-missing", "the board's disk did not come back after the reboot")

    def _cycle(self) -> None:
        if self._power is None or self.target.power is None:
            raise BenchError(
                f"target {self.name!r} has no power switch",
                kind="no-power-control",
                hint="add `power` to the target's YAML",
            )
        cycle(self._power, self.target.power.off_seconds)
        self._note("power-cycle", "power cycled by the harness")

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Warm: the MCC's ``reset``. Cold: ``reboot`` (the MCC loads everything again) or power."""
        self._require_acquired()
        if not self._flashed:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._reboot([])
            return
        self._note("host-reset", "warm reset by the harness, through the MCC")
        mps3_mcc.command(self._require_mcc(), "reset")

    def power(self, state: PowerState) -> None:
        """See `Board`."""
        if self._power is None:
            raise BenchError(
                f"target {self.name!r} has no power switch",
                kind="no-power-control",
                hint="add `power` to the target's YAML",
            )
        self._power.set(state)
        self._note(f"power-{state}", f"power switched {state} by the harness")

    def release(self) -> None:
        """See `Board`."""
        try:
            if self._target.restore and self._flashed:
                with self._disk.mounted() as mount:
                    self._card(mount).restore(self._backup)
        except BenchError as error:
            self._note("restore-failed", str(error))
        finally:
            if self._stimulus is not None:
                self._stimulus.close()
                self._stimulus = None
            for console in (self._mcc, *self._consoles.values()):
                if console is not None:
                    console.close()
            for lock in self._locks:
                lock.release()

    def check_alive(self) -> None:
        """See `Board`: the ports must still be there."""
        for console in (self._require_mcc(), *self._consoles.values()):
            console.wait_data(console.mark(), timeout=0)

    def stimulus(self) -> Stimulus | None:
        """See `Board`."""
        return self._stimulus

    # --- what it is -------------------------------------------------------------------------

    def console(self, name: str) -> Console:
        """See `Board`."""
        if name not in self._target.consoles:
            known = ", ".join(self._target.consoles)
            raise ConfigError(f"target {self.name!r} has no console {name!r}", kind="console-unknown", expected=known)
        return self._consoles[name]

    @property
    def consoles(self) -> Mapping[str, Console]:
        """See `Board`; the MCC's is not among them, but its transcript is kept."""
        return dict(self._consoles)

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        return {"board": f"MPS3 {self._target.application_note}", "reboot": self._target.reboot}

    # --- parts -------------------------------------------------------------------------------

    def _require_acquired(self) -> None:
        if self._mcc is None:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")

    def _require_mcc(self) -> StreamConsole:
        if self._mcc is None:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        return self._mcc

    def _note(self, kind: str, detail: str) -> None:
        offsets = {name: console.received for name, console in self._consoles.items()}
        self._events.append(BoardEvent(kind, detail, time.monotonic() - self._began, offsets))
