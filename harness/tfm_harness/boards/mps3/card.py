"""The MPS3's card, mounted through the board's USB mass storage: checks, writing, verifying.

The harness writes only these files: ``SOFTWARE/*.bin``, ``SOFTWARE/HARNESS.TXT`` (their list), the board's
``images.txt`` and ``reboot.txt``. It never touches FPGA images (``.ebf``), ``config.txt`` or other files in SOFTWARE.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfm_harness.errors import InfrastructureError
from tfm_harness.files import TEXT_LIMIT, read_file

__all__ = ["Card", "CardLayout", "card_io", "fat_is_dirty", "find_layout"]

REBOOT_WORD = b"hsyxhj"  # what LAVA's MPS device type writes into reboot.txt
_RESERVE = 64 * 1024  # free bytes to leave: directory entries and the MCC's own log
_MANIFEST = "HARNESS.TXT"
_SCRATCH = "HARNESS.TMP"


@dataclass(frozen=True, slots=True)
class CardLayout:
    """Where things are on a card: ``MB/HBI0309C/AN547/images.txt`` and ``SOFTWARE``."""

    images_txt: Path
    software: Path
    application_note: str


def find_layout(mount: Path, application_note: str) -> CardLayout:
    """Find the folder of `application_note` (``AN547``) on a mounted card.

    Raises:
        InfrastructureError: kind ``mps3-card`` when this is not such a card.
    """
    with card_io(mount, "read"):
        folders = sorted(mount.glob("MB/HBI0309*/*")) if mount.is_dir() else []
        for folder in folders:
            if folder.name.upper() == application_note.upper() and (folder / "images.txt").is_file():
                software = next((p for p in mount.iterdir() if p.name.upper() == "SOFTWARE"), mount / "SOFTWARE")
                return CardLayout(folder / "images.txt", software, folder.name)
    raise InfrastructureError(
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


@contextlib.contextmanager
def card_io(where: Path, verb: str) -> Iterator[None]:
    """Any error of the card's file system is an infrastructure error."""
    try:
        yield
    except OSError as error:
        raise InfrastructureError(
            f"the board's card cannot be {verb}" + (" (is it full?)" if verb == "written" else ""),
            kind="mps3-write" if verb == "written" else "mps3-read",
            expected="a card that stays plugged in and healthy",
            seen=str(error),
            where=str(error.filename or where),
            hint="a loose cable, a damaged FAT (fsck.vfat), or the board rebooted in the middle",
        ) from error


class Card:
    """One mounted card.

    Args:
        mount: its mount point, or a folder used in its place.
        application_note: ``AN547`` or ``AN552``.
        sync: writes everything to the medium (``os.sync``; tests pass their own).
    """

    def __init__(
        self,
        mount: Path,
        application_note: str,
        *,
        sync: Callable[[], None] = os.sync,
    ) -> None:
        self.mount = mount
        self.layout = find_layout(mount, application_note)
        self.sync = sync

    def check(self, bytes_needed: int) -> None:
        """Refuse a card that cannot be written safely.

        Raises:
            InfrastructureError: kind ``mps3-read-only``, ``mps3-full`` or ``mps3-read``.
        """
        with card_io(self.mount, "read"):
            facts = os.statvfs(self.mount)
            free = facts.f_bavail * facts.f_frsize + self._reusable()
        if facts.f_flag & os.ST_RDONLY:
            raise InfrastructureError(
                "the board's card is mounted read-only",
                kind="mps3-read-only",
                expected="a writable file system",
                seen="read-only (the kernel does that after FAT errors)",
                where=str(self.mount),
                hint="unmount it, run `fsck.vfat -a` on the device, plug the board again",
            )
        if free < bytes_needed + _RESERVE:
            raise InfrastructureError(
                "the board's card is too full",
                kind="mps3-full",
                expected=f"{bytes_needed + _RESERVE} bytes free",
                seen=f"{free} bytes",
                where=str(self.mount),
                hint="remove old files from SOFTWARE",
            )

    def _reusable(self) -> int:
        """Bytes of earlier images of the harness, which `write` replaces."""
        names = self._manifest()
        return sum((self.layout.software / n).stat().st_size for n in names if (self.layout.software / n).is_file())

    def _manifest(self) -> list[str]:
        try:
            names = json.loads(read_file(self.layout.software / _MANIFEST, TEXT_LIMIT))
        except (OSError, ValueError):
            return []
        if not isinstance(names, list):
            return []
        return [n for n in names if isinstance(n, str) and n.endswith(".bin") and "/" not in n and "\\" not in n]

    def remove_ours(self, keep: Iterable[str]) -> None:
        """Remove the harness's own files, except names in `keep`."""
        kept = {name.lower() for name in keep}
        with card_io(self.layout.software, "written"):
            for name in self._manifest():
                if name.lower() not in kept:
                    (self.layout.software / name).unlink(missing_ok=True)
            (self.layout.software / _MANIFEST).unlink(missing_ok=True)
        self.sync()

    def foreign(self) -> list[str]:
        """Names of files in SOFTWARE that are not the harness's. New files must not use these names."""
        ours = {name.lower() for name in self._manifest()}
        with card_io(self.layout.software, "read"):
            present = [file.name for file in self.layout.software.iterdir()] if self.layout.software.is_dir() else []
        return [name for name in present if name.lower() not in ours]

    def write(self, images: Mapping[str, bytes], images_txt: str) -> dict[Path, str]:
        """Write images (8.3 name to content) and then ``images.txt``; returns SHA-256 by path, for `verify`.

        Args:
            images: names must not be among `foreign`.
            images_txt: the MCC's list of them.

        Raises:
            InfrastructureError: kind ``mps3-write``, with the cause; ``mps3-full``, ``mps3-read-only``.
        """
        self.check(sum(map(len, images.values())))
        old = [name for name in self._manifest() if name not in images]
        with card_io(self.layout.software, "written"):
            self.layout.software.mkdir(exist_ok=True)
            for name in old:
                (self.layout.software / name).unlink(missing_ok=True)
        written: dict[Path, str] = {}
        self.put(self.layout.software / _MANIFEST, json.dumps(sorted(images)).encode())
        for name, content in images.items():
            path = self.layout.software / name
            self.put(path, content)
            written[path] = hashlib.sha256(content).hexdigest()
        text = images_txt.encode("ascii")
        self.put(self.layout.images_txt, text)
        written[self.layout.images_txt] = hashlib.sha256(text).hexdigest()
        self.sync()
        return written

    def verify(self, written: Mapping[Path, str]) -> None:
        """Read everything again (after a remount: from the medium).

        Raises:
            InfrastructureError: kind ``mps3-verify``.
        """
        for path, digest in written.items():
            try:
                seen = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                seen = str(error)
            if seen != digest:
                raise InfrastructureError(
                    f"{path.name} on the card is not what was written",
                    kind="mps3-verify",
                    expected=f"SHA-256 {digest}",
                    seen=seen,
                    where=str(path),
                    hint="the card or its FAT is damaged: fsck.vfat, or another card",
                )

    def request_reboot(self) -> None:
        """Write ``reboot.txt``; the MCC reboots the board when it sees it."""
        self.put(self.mount / "reboot.txt", REBOOT_WORD)
        self.sync()

    def cancel_reboot(self) -> None:
        """Remove a ``reboot.txt`` that the MCC has not seen."""
        with card_io(self.mount, "written"):
            (self.mount / "reboot.txt").unlink(missing_ok=True)
        self.sync()

    @staticmethod
    def put(path: Path, content: bytes) -> None:
        """Write one file, whole or not at all. Raises `InfrastructureError` kind ``mps3-write``."""
        temporary = path.with_name(_SCRATCH)  # one name: the next file overwrites a killed session's
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):  # the card may have gone
                temporary.unlink(missing_ok=True)
            raise InfrastructureError(
                f"writing {path.name} to the board's card failed",
                kind="mps3-write",
                expected=f"{len(content)} bytes written",
                seen=str(error),
                where=str(path),
                hint="a full card, a loose cable, or the board rebooted in the middle",
            ) from error
