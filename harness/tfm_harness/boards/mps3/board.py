"""``kind: mps3``: an Arm MPS3 board on USB: card, MCC, serial consoles.

Built against the board's documentation; run here only through the simulator in
`tfm_harness.testing.simulators.mps3` (see docs/targets.md).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tfm_harness.boards.base import ResetKind, RunContext
from tfm_harness.boards.image_bytes import whole_build
from tfm_harness.boards.kept_place import board_folder, take_over
from tfm_harness.boards.mps3 import mcc as mps3_mcc
from tfm_harness.boards.mps3.backup import CardBackup
from tfm_harness.boards.mps3.card import Card
from tfm_harness.boards.mps3.disk import Disk
from tfm_harness.boards.mps3.images import (
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
from tfm_harness.boards.real import RealBoard
from tfm_harness.config.mps3 import Mps3Target
from tfm_harness.console.stream import StreamConsole
from tfm_harness.errors import ConfigError, HarnessBug, HarnessError, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfm_harness.config.build import Build
    from tfm_harness.config.image import Image

__all__ = ["Mps3Board"]

_DISK_TIMEOUT: Final = 60.0
_POWER_HELPS: Final = frozenset({"mcc-silent", "mcc-hung"})


class Mps3Board(RealBoard):
    """One MPS3. `acquire` checks the card and opens the MCC; `flash` writes the card and reboots."""

    kind: ClassVar[str] = "mps3"
    config_model: ClassVar[type[Any]] = Mps3Target

    def __init__(self, target: Mps3Target, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._mcc: StreamConsole | None = None
        self._disk = Disk(target.disk)
        self._flashed = False
        self._backup = CardBackup(board_folder(target, context.state_dir) / "card-backup")

    # --- life ------------------------------------------------------------------------------

    def acquire(self) -> None:
        """See `Board`.

        Raises:
            InfrastructureError: ``board-busy``, ``mps3-*``, ``port-*``.
        """
        self._lock()
        take_over(self._backup.folder.parent, "card-backup")
        try:
            self._open_consoles({"mcc": self._target.mcc, **self._target.consoles})
            self._mcc = self._consoles.pop("mcc")
            self._open_stimulus(self._target.stimulus)
            with self._disk.mounted() as mount:
                card = self._card(mount)
                card.check(0)
                self._backup.take(card)
        except BaseException:
            self.release()
            raise

    def _card(self, mount: Path) -> Card:
        return Card(mount, self._target.application_note)

    def flash(self, build: Build) -> None:
        """See `Board`: card written, verified after a remount, board rebooted, MCC's log checked.

        Raises:
            InfrastructureError: ``mps3-*``, ``mcc-*``, ``power-*``.
            ConfigError: ``mps3-address``, ``image-*``.
        """
        self._require_acquired()
        self._flashed = False
        planned = whole_build(build)
        with self._disk.mounted() as mount:
            card = self._card(mount)
            images, entries = self._plan(planned, card.foreign())
            text = render_images_txt(entries, self._dialect(card))
            card.check(sum(map(len, images.values())))
            self._backup.note(text)
            written = card.write(images, text)
        relative = {path.relative_to(mount): digest for path, digest in written.items()}
        with self._disk.mounted() as mount:  # if the disk was really unmounted, this reads from the medium
            self._card(mount).verify({mount / path: digest for path, digest in relative.items()})
        self._reboot(list(images))
        self._flashed = True

    def _plan(
        self, planned: Sequence[tuple[Image, int, bytes]], taken: Sequence[str]
    ) -> tuple[dict[str, bytes], list[ImageEntry]]:
        """Plan the files by 8.3 name, avoiding names in `taken`, and the MCC's list of them."""
        images: dict[str, bytes] = {}
        entries: list[ImageEntry] = []
        for image, address, content in planned:
            window, mcc = mcc_address(address, len(content), self._windows())
            name = short_name(image.file.stem, [*images, *taken])
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
        try:
            text = self._backup.images_txt.read_text("ascii", "replace")
            return parse_images_txt(text, where=str(card.layout.images_txt))[0]
        except (OSError, ConfigError) as error:
            raise InfrastructureError(
                "the board's images.txt does not show its format of addresses",
                kind="mps3-images",
                expected="an images.txt that the MCC reads",
                seen=str(error),
                where=str(card.layout.images_txt),
                hint="give `dialect` in the target, or restore the file from Arm's file set",
            ) from error

    def _reboot(self, files: list[str]) -> None:
        """Reboot as the target says. If the MCC does not react and there is a power switch, cycle power."""
        how = self._target.reboot
        self._note("host-reset", f"board rebooted by the harness ({how})")
        try:
            self._start(how, files)
        except InfrastructureError as error:
            if how == "power" or self._power is None or error.kind not in _POWER_HELPS:
                raise
            self._note("power-fallback", f"{how} did not reboot the board ({error.kind}): power is cycled instead")
            if how == "reboot.txt":
                with self._disk.mounted() as mount:
                    self._card(mount).cancel_reboot()
            self._start("power", files)
        if not self._disk.wait(present=True, timeout=_DISK_TIMEOUT):
            self._note("disk-missing", "the board's disk did not come back after the reboot")

    def _start(self, how: str, files: list[str]) -> None:
        mcc = self._require_mcc()
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

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Warm: the MCC's ``reset``. Cold: ``reboot`` (the MCC loads everything again) or power."""
        self._require_acquired()
        if not self._flashed:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._reboot([])
            return
        self._note("host-reset", "warm reset by the harness, through the MCC")
        mps3_mcc.reset(self._require_mcc())

    def release(self) -> None:
        """See `Board`; with `restore` the card's earlier content is written back, also when flashing failed."""
        try:
            if self._target.restore and self._mcc is not None and self._backup.unrestored:
                self._restore()
        finally:
            mcc, self._mcc = self._mcc, None
            if mcc is not None:
                mcc.close()
            self._give_back()

    def _restore(self) -> None:
        try:
            with self._disk.mounted() as mount:
                self._backup.restore(self._card(mount))
        except HarnessError as error:
            # The run is over: only a note in the transcript and standard error can still report it.
            self._note("restore-failed", str(error))
            logging.getLogger(__name__).error("the card of %s was not restored: %s", self.name, error)  # noqa: TRY400 - the error says it all

    def check_alive(self) -> None:
        """See `Board`: the ports must still be there."""
        mcc = self._require_mcc()
        mcc.wait_data(mcc.mark(), timeout=0)
        super().check_alive()

    # --- what it is -------------------------------------------------------------------------

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        return {"board": f"MPS3 {self._target.application_note}", "reboot": self._target.reboot}

    # --- parts -------------------------------------------------------------------------------

    def _require_mcc(self) -> StreamConsole:
        if self._mcc is None:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        return self._mcc
