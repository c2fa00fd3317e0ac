"""Backup of an MPS3's card from before the harness wrote to it, kept in the state folder of this host."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tfm_harness.boards.mps3.card import Card
from tfm_harness.errors import InfrastructureError

__all__ = ["CardBackup"]

_JOURNAL = "written"  # SHA-256 of each images.txt the harness has written; removed when the card is restored


class CardBackup:
    """``images.txt`` and every file of SOFTWARE that it names.

    After the harness wrote to the card, the backup stays unchanged until it is restored, even if that session was
    killed. A new ``images.txt`` on the card that the harness did not write makes the backup outdated.

    Args:
        folder: the backup folder of one board; made when it is needed.

    Raises (all methods):
        InfrastructureError: kind ``mps3-backup``; ``mps3-*`` as `Card`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def images_txt(self) -> Path:
        """The list that was on the card."""
        return self.folder / "images.txt"

    @property
    def unrestored(self) -> bool:
        """Whether the harness has written to the card since the backup was made."""
        return (self.folder / _JOURNAL).is_file()

    def take(self, card: Card) -> None:
        """Save the card's content, unless an interrupted session of the harness left it there."""
        with _host_io(self.folder):
            text = card.layout.images_txt.read_bytes()
            if self.unrestored and self.images_txt.exists():
                if _digest(text) in self._ours():
                    return
                old = self.folder.with_name(f"{self.folder.name}.old")  # the old backup is kept beside the new one
                shutil.rmtree(old, ignore_errors=True)
                self.folder.rename(old)
            scratch = self.folder.with_name(f"{self.folder.name}.new")
            shutil.rmtree(scratch, ignore_errors=True)
            (scratch / "SOFTWARE").mkdir(parents=True)
            for file in card.layout.software.glob("*") if card.layout.software.is_dir() else ():
                if file.is_file() and file.name.upper().encode() in text.upper():
                    shutil.copyfile(file, scratch / "SOFTWARE" / file.name)
            (scratch / "images.txt").write_bytes(text)
            shutil.rmtree(self.folder, ignore_errors=True)
            scratch.rename(self.folder)  # the folder exists only when the backup is complete

    def _ours(self) -> set[str]:
        """Digests of ``images.txt`` which show that a session of the harness left the card as it is."""
        return {*(self.folder / _JOURNAL).read_text().split(), _digest(self.images_txt.read_bytes())}

    def note(self, images_txt: str) -> None:
        """Note, before the card is touched, what will be written to it."""
        with _host_io(self.folder), (self.folder / _JOURNAL).open("a") as journal:
            journal.write(_digest(images_txt.encode("ascii")) + "\n")

    def restore(self, card: Card) -> None:
        """Restore the saved files and remove the harness's own. It may be repeated after an interruption."""
        if not self.images_txt.is_file():
            raise InfrastructureError(
                "there is no backup of this card",
                kind="mps3-backup",
                expected=str(self.images_txt),
                seen="nothing",
                hint="the harness makes one before it writes the first time",
            )
        with _host_io(self.folder):
            files = {file.name: file.read_bytes() for file in (self.folder / "SOFTWARE").iterdir()}
            text = self.images_txt.read_bytes()
        for name, content in files.items():
            card.put(card.layout.software / name, content)
        card.put(card.layout.images_txt, text)
        card.remove_ours(keep=files)
        with _host_io(self.folder):
            (self.folder / _JOURNAL).unlink(missing_ok=True)


@contextlib.contextmanager
def _host_io(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InfrastructureError(
            "the backup of the board's card failed",
            kind="mps3-backup",
            expected="room and rights in the state folder, and a readable card",
            seen=str(error),
            where=str(error.filename or folder),
            hint="free space there, or name another folder with --state-dir",
        ) from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
