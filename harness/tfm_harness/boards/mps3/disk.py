"""The MPS3's USB disk: finding it among others, mounting and unmounting it through udisks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tfm_harness.boards.mps3.card import fat_is_dirty
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.boards.tools import run_tool
from tfm_harness.config.mps3 import DiskConfig
from tfm_harness.errors import InfrastructureError
from tfm_harness.files import resolved
from tfm_harness.mounts import MOUNTS, read_mounts

__all__ = ["Disk"]

_TIMEOUT = 30.0


class Disk:
    """The disk of one board, or a folder used in its place.

    Args:
        config: how to find it.
        dev, mounts: the kernel's views; tests give their own.
    """

    def __init__(self, config: DiskConfig, *, dev: Path = Path("/dev/disk"), mounts: Path = MOUNTS) -> None:
        self._config = config
        self._dev = dev
        self._mounts = mounts

    @property
    def device(self) -> Path | None:
        """The block device, None for a folder.

        Raises:
            InfrastructureError: kind ``mps3-no-disk`` or ``mps3-ambiguous``.
        """
        if self._config.mount is not None:
            return None
        label = self._config.label
        link = self._dev / "by-label" / str(label)
        by_label = resolved(link) if link.exists() else None
        if self._config.usb_serial is None:
            if by_label is None:
                raise self._missing()
            self._refuse_second(str(label), by_label)
            return by_label
        # by-label shows only one of several equal labels; the USB serial number tells the boards apart.
        found = sorted((self._dev / "by-id").glob(f"usb-*{self._config.usb_serial}*"))
        if not found:
            raise self._missing()
        # A card with a partition table is mounted by its partition.
        return resolved(next((entry for entry in found if entry.name.endswith("-part1")), found[0]))

    def _missing(self) -> InfrastructureError:
        folder = self._dev / "by-label"
        present = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        return InfrastructureError(
            "the board's disk is not there",
            kind="mps3-no-disk",
            expected=f"label {self._config.label}"
            + (f", USB serial {self._config.usb_serial}" if self._config.usb_serial else ""),
            seen="disks: " + (", ".join(present) or "none with a label"),
            hint="plug in the debug USB; the MCC's command `usb_on` makes the disk appear",
        )

    def _refuse_second(self, label: str, device: Path) -> None:
        links = list((self._dev / "by-id").glob("usb-*"))
        own = {_whole(entry.name) for entry in links if resolved(entry) == device}
        others = [entry.name for entry in links if _whole(entry.name) not in own and "V2M" in entry.name.upper()]
        if others:
            raise InfrastructureError(
                f"more than one board's disk is plugged in (label {label})",
                kind="mps3-ambiguous",
                expected="`usb_serial` in the target, which tells them apart",
                seen=", ".join(sorted(others)[:4]),
                hint="ls -l /dev/disk/by-id",
            )

    def wait(self, *, present: bool, timeout: float) -> bool:
        """Wait until the disk is there, or gone (the kernel gives no event without root's udev)."""
        if self._config.mount is not None:
            return True
        return wait_until(lambda: self._is_there() == present, timeout, step=0.1)

    def _is_there(self) -> bool:
        try:
            return self.device is not None
        except InfrastructureError:
            return False

    def mount_point(self) -> Path | None:
        """Where it is mounted now."""
        if self._config.mount is not None:
            return self._config.mount
        device = self.device
        with contextlib.suppress(OSError):
            for mount in read_mounts(self._mounts):
                if device is not None and resolved(Path(mount.source)) == device:
                    return mount.point
        return None

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """Mount the disk for the block; gives the mount point.

        A fresh mount reads from the medium, and the unmount at the end writes everything to it.

        An existing mount is ended first, for two reasons. Linux sets the dirty bit of every FAT that it mounts for
        writing, so a mounted FAT cannot be judged. And the board cannot be rebooted while its disk is mounted.

        Raises:
            InfrastructureError: kind ``tool-missing``, ``mps3-mount``, ``mps3-unmount``, ``mps3-dirty``, ``mps3-disk``.
        """
        device = self.device
        if device is None:
            if self._config.mount is not None:
                yield self._config.mount
            os.sync()
            return
        if self.mount_point() is not None:
            self._udisks("unmount", device, "mps3-unmount")
        self._refuse_dirty(device)
        self._udisks("mount", device, "mps3-mount")
        point = self.mount_point()
        if point is None:
            raise InfrastructureError(
                "the board's disk did not mount",
                kind="mps3-mount",
                expected=f"{device} in the list of mounts",
                seen="not there",
                hint=f"udisksctl mount -b {device}",
            )
        try:
            yield point
            os.sync()
        finally:
            self._udisks("unmount", device, "mps3-unmount")

    @staticmethod
    def _refuse_dirty(device: Path) -> None:
        """Check the FAT's dirty bit in the boot sector while the disk is not mounted."""
        try:
            with device.open("rb") as file:
                dirty = fat_is_dirty(file.read(512))
        except OSError as error:
            raise InfrastructureError(
                "the board's disk cannot be read",
                kind="mps3-disk",
                expected=f"read access to {device}",
                seen=str(error),
                hint="add the user to the group that owns the device (a udev rule)",
            ) from error
        if dirty:
            raise InfrastructureError(
                "the board's card was not unmounted cleanly",
                kind="mps3-dirty",
                expected="a clean FAT",
                seen="the dirty bit is set",
                where=str(device),
                hint=f"fsck.vfat -a {device}",
            )

    @staticmethod
    def _udisks(action: str, device: Path | None, kind: str) -> None:
        said = run_tool(
            ["udisksctl", action, "-b", str(device), "--no-user-interaction"],
            _TIMEOUT,
            what="udisks2, which mounts USB disks for users",
            hint="install udisks2; when it hangs plug the board again; or give `mount` under the target's `disk`",
        )
        if said.code:
            raise InfrastructureError(
                f"the board's disk cannot be {action}ed",
                kind=kind,
                expected="udisksctl to succeed",
                seen=(said.err or said.out).strip()[:300],
                where=str(device),
                hint="close what uses it, such as a file manager; run fsck.vfat -a when it is damaged",
            )


def _whole(name: str) -> str:
    """The link of the whole disk, from the link of a partition."""
    return name.partition("-part")[0]
