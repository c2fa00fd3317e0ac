"""The MPS3's card, mounted through the board's USB mass storage: checks, backup, writing, verifying.

Only these are ever written: ``SOFTWARE/*.bin``, ``SOFTWARE/HARNESS.TXT`` (their list), the board's ``images.txt`` and
``reboot.txt``. FPGA images (``.ebf``) and ``config.txt`` are never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BenchError

__all__ = ["Card", "CardLayout", "fat_is_dirty", "find_layout"]

REBOOT_WORD = b"hsyxhj"  # what LAVA's MPS device type writes into reboot.txt
_RESERVE = 64 * 1024  # free bytes to leave: directory entries and the MCC's own log


@dataclass(frozen=True, slots=True)
class CardLayout:
    """Where things are on a card: ``MB/HBI0309C/AN547/images.txt`` and ``SOFTWARE``."""

    images_txt: Path
    software: Path
    application_note: str


def find_layout(mount: Path, application_note: str) -> CardLayout:
    """Find the folder of `application_note` (``AN547``) on a mounted card.

    Raises:
        BenchError: kind ``mps3-card`` when this is not such a card.
    """
    folders = sorted(mount.glob("MB/HBI0309*/*")) if mount.is_dir() else []
    for folder in folders:
        if folder.name.upper() == application_note.upper() and (folder / "images.txt").is_file():
            software = next((p for p in mount.iterdir() if p.name.upper() == "SOFTWARE"), mount / "SOFTWARE")
            return CardLayout(folder / "images.txt", software, folder.name)
    raise BenchError(
        f"no {application_note} board files on the card",
        kind="mps3-card",
        expected=f"MB/HBI0309*/{application_note}/images.txt",
        seen=", ".join(str(f.relative_to(mount)) for f in folders) or "no MB/HBI0309* folder",
        where=str(mount),
        hint=f"install Arm's {application_note} file set on the card, or correct the target",
    )


def fat_is_dirty(boot_sector: bytes) -> bool:
    """Whether a FAT16/FAT32 boot sector carries the dirty bit.

    Microsoft FAT specification, ``BS_Reserved1``: bit 0 at offset 0x25 (FAT16) or 0x41 (FAT32).
    """
    if len(boot_sector) < 0x5A or boot_sector[510:512] != b"\x55\xaa":
        return False
    fat16_size = int.from_bytes(boot_sector[0x16:0x18], "little")
    return bool(boot_sector[0x25 if fat16_size else 0x41] & 1)


class Card:
    """One mounted card.

    Args:
        mount: its mount point, or a folder that stands in for it.
        application_note: ``AN547`` or ``AN552``.
        device: the block device, when the dirty bit shall be checked.
        sync: how to get everything to the medium (``os.sync``; tests pass their own).
    """

    def __init__(
        self,
        mount: Path,
        application_note: str,
        *,
        device: Path | None = None,
        sync: Callable[[], None] = os.sync,
    ) -> None:
        self.mount = mount
        self.device = device
        self.layout = find_layout(mount, application_note)
        self._sync = sync

    def check(self, bytes_needed: int) -> None:
        """Refuse a card that cannot be written safely.

        Raises:
            BenchError: kind ``mps3-read-only``, ``mps3-dirty`` or ``mps3-full``.
        """
        facts = os.statvfs(self.mount)
        if facts.f_flag & os.ST_RDONLY:
            raise BenchError(
                "the board's card is mounted read-only",
                kind="mps3-read-only",
                expected="a writable file system",
                seen="read-only (the kernel does that after FAT errors)",
                where=str(self.mount),
                hint="unmount it, run `fsck.vfat -a` on the device, plug the board again",
            )
        if self.device is not None and fat_is_dirty(self._boot_sector(self.device)):
            raise BenchError(
                "the board's card was not unmounted cleanly",
                kind="mps3-dirty",
                expected="a clean FAT",
                seen="the dirty bit is set",
                where=str(self.device),
                hint="unmount it and run `fsck.vfat -a` on the device",
            )
        free = facts.f_bavail * facts.f_frsize + self._reusable()
        if free < bytes_needed + _RESERVE:
            raise BenchError(
                "the board's card is too full",
                kind="mps3-full",
                expected=f"{bytes_needed + _RESERVE} bytes free",
                seen=f"{free} bytes",
                where=str(self.mount),
                hint="remove old files from SOFTWARE",
            )

    @staticmethod
    def _boot_sector(device: Path) -> bytes:
        try:
            with device.open("rb") as file:
                return file.read(512)
        except OSError as error:
            raise BenchError(
                "the board's disk cannot be read",
                kind="mps3-disk",
                expected=f"read access to {device}",
                seen=str(error),
                hint="add the user to the group that owns the device (a udev rule)",
            ) from error

    def _reusable(self) -> int:
        """Bytes of earlier images of the harness, which `write` replaces."""
        names = self._manifest()
        return sum((self.layout.software / n).stat().st_size for n in names if (self.layout.software / n).is_file())

    def _manifest(self) -> list[str]:
        try:
            names = json.loads((self.layout.software / "HARNESS.TXT").read_text())
        except (OSError, ValueError):
            return []
        return [n for n in names if isinstance(n, str) and n.endswith(".bin") and "/" not in n and "\\" not in n]

    def backup(self, folder: Path) -> None:
        """Keep what is there (once): ``images.txt`` and every file of SOFTWARE that it names."""
        if (folder / "images.txt").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        software = folder / "SOFTWARE"
        software.mkdir(exist_ok=True)
        text = self.layout.images_txt.read_bytes()
        for file in self.layout.software.glob("*") if self.layout.software.is_dir() else ():
            if file.is_file() and file.name.upper().encode() in text.upper():
                shutil.copyfile(file, software / file.name)
        # Last, so that its presence says that the backup is whole.
        (folder / "images.txt.new").write_bytes(text)
        (folder / "images.txt.new").replace(folder / "images.txt")

    def restore(self, folder: Path) -> None:
        """Put a backup back.

        Raises:
            BenchError: kind ``mps3-backup`` when there is none.
        """
        if not (folder / "images.txt").is_file():
            raise BenchError(
                "there is no backup of this card",
                kind="mps3-backup",
                expected=str(folder / "images.txt"),
                seen="nothing",
                hint="the harness makes one before it writes the first time",
            )
        for file in (folder / "SOFTWARE").iterdir():
            self._put(self.layout.software / file.name, file.read_bytes())
        self._put(self.layout.images_txt, (folder / "images.txt").read_bytes())
        self._sync()

    def write(self, images: Mapping[str, bytes], images_txt: str) -> dict[Path, str]:
        """Write images (8.3 name to content) and then ``images.txt``; returns SHA-256 by path, for `verify`.

        Raises:
            BenchError: kind ``mps3-write``, with what stopped it.
        """
        self.check(sum(map(len, images.values())))
        self.layout.software.mkdir(exist_ok=True)
        for name in self._manifest():
            if name not in images:
                (self.layout.software / name).unlink(missing_ok=True)
        written: dict[Path, str] = {}
        self._put(self.layout.software / "HARNESS.TXT", json.dumps(sorted(images)).encode())
        for name, content in images.items():
            path = self.layout.software / name
            self._put(path, content)
            written[path] = hashlib.sha256(content).hexdigest()
        text = images_txt.encode("ascii")
        self._put(self.layout.images_txt, text)
        written[self.layout.images_txt] = hashlib.sha256(text).hexdigest()
        self._sync()
        return written

    def verify(self, written: Mapping[Path, str]) -> None:
        """Read everything again (after a remount: from the medium).

        Raises:
            BenchError: kind ``mps3-verify``.
        """
        for path, digest in written.items():
            try:
                seen = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                seen = str(error)
            if seen != digest:
                raise BenchError(
                    f"{path.name} on the card is not what was written",
                    kind="mps3-verify",
                    expected=f"SHA-256 {digest}",
                    seen=seen,
                    where=str(path),
                    hint="the card or its FAT is damaged: fsck.vfat, or another card",
                )

    def request_reboot(self) -> None:
        """Write ``reboot.txt``; the MCC reboots the board when it sees it."""
        self._put(self.mount / "reboot.txt", REBOOT_WORD)
        self._sync()

    @staticmethod
    def _put(path: Path, content: bytes) -> None:
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise BenchError(
                f"writing {path.name} to the board's card failed",
                kind="mps3-write",
                expected=f"{len(content)} bytes written",
                seen=str(error),
                where=str(path),
                hint="a full card, a loose cable, or the board rebooted in the middle",
            ) from error
