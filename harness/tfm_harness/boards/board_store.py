"""Where a virtual board keeps its identity and memory: permanently, or for one run only."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from tfm_harness.boards.kept_place import note_target
from tfm_harness.errors import InfrastructureError

__all__ = ["HUK_SIZE", "KEY_FILE", "BoardStore", "EphemeralStore", "sweep"]

HUK_SIZE: Final = 32
KEY_FILE: Final = "huk.TEST_ONLY.bin"


class BoardStore:
    """The private folder of one virtual board: its hardware unique key and its NV memory.

    The folder's mode is 0700, the key's 0600. Each board draws its own key, so two boards are two identities.

    Args:
        described_by: the file that describes the board; it is noted in the folder.
    """

    def __init__(self, folder: Path, described_by: Path | None = None) -> None:
        self.folder = folder
        self._described_by = described_by

    @property
    def nv_file(self) -> Path:
        """The file behind the NV memory."""
        return self.folder / "nv.img"

    @property
    def nv_fd(self) -> int | None:
        """The descriptor that the emulator gets when the NV memory is not a file in the folder."""
        return None

    def open(self) -> None:
        """Make the folder, and note in it which file describes the board.

        Raises:
            InfrastructureError: kind ``state-dir``.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            note_target(self.folder, self._described_by)
            # A killed run left these; this session holds the board, so nobody else writes them now.
            for unfinished in self.folder.glob(f"{Path(KEY_FILE).stem}.[0-9]*"):
                unfinished.unlink()
        except OSError as error:
            raise self._failed(error) from error

    def huk(self) -> bytes:
        """The board's hardware unique key, drawn at its first use.

        Raises:
            InfrastructureError: kind ``identity`` when the file is damaged, ``state-dir`` when it cannot be used.
        """
        path = self.folder / KEY_FILE
        try:
            if not path.exists():
                scratch = path.with_suffix(f".{os.getpid()}")
                fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with os.fdopen(fd, "wb") as stream:
                    stream.write(secrets.token_bytes(HUK_SIZE))
                    stream.flush()
                    os.fsync(fd)
                scratch.rename(path)
            key = path.read_bytes()
        except OSError as error:
            raise self._failed(error) from error
        if len(key) != HUK_SIZE or len(set(key)) == 1:
            raise InfrastructureError(
                "the virtual board's hardware unique key is damaged",
                kind="identity",
                expected=f"{HUK_SIZE} random bytes",
                seen=f"{len(key)} bytes",
                where=str(path),
                hint="remove the board's folder; the board then gets a new identity",
            )
        return key

    def nv(self, size: int) -> Path:
        """The NV memory's file, sparse, of exactly `size` bytes; content is kept when the size is unchanged."""
        path = self.nv_file
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(fd).st_size != size:
                    os.ftruncate(fd, 0)
                    os.ftruncate(fd, size)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._failed(error) from error
        return path

    def erase_nv(self) -> None:
        """Forget what the NV memory holds (counters, updated models)."""
        with contextlib.suppress(FileNotFoundError):
            self.nv_file.unlink()

    def remove(self) -> None:
        """Forget the board altogether: identity and memory."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _failed(self, error: OSError) -> InfrastructureError:
        return InfrastructureError(
            f"cannot keep the virtual board's state: {error.strerror}",
            kind="state-dir",
            where=str(error.filename or self.folder),
            hint="the state folder must be writable and have space",
        )


def sweep(folder: Path) -> None:
    """Remove what killed runs have left: folders whose names end in the number of a process that no longer exists."""
    for left in folder.glob("*.*"):
        number = left.name.rpartition(".")[2]
        if number.isdecimal() and not Path(f"/proc/{number}").exists():
            shutil.rmtree(left, ignore_errors=True)


class EphemeralStore(BoardStore):
    """A board for one session: its key and NV memory exist in this process only and end with it."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._huk = secrets.token_bytes(HUK_SIZE)
        self._fd = -1

    @property
    def nv_file(self) -> Path:
        """The NV memory as the emulator sees it."""
        return Path(f"/dev/fd/{self._fd}")

    @property
    def nv_fd(self) -> int | None:
        """The anonymous file behind the NV memory."""
        return self._fd if self._fd >= 0 else None

    def open(self) -> None:
        """Nothing to prepare."""

    def huk(self) -> bytes:
        """The board's hardware unique key."""
        return self._huk

    def nv(self, size: int) -> Path:
        """See `BoardStore.nv`."""
        if self._fd < 0:
            self._fd = os.memfd_create("nv")
            os.ftruncate(self._fd, size)
        return self.nv_file

    def erase_nv(self) -> None:
        """See `BoardStore.erase_nv`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Forget everything."""
        self.erase_nv()
