"""A ledger on disk that several processes share: one small SQLite file with one table."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tfm_harness.errors import InfrastructureError
from tfm_harness.mounts import MOUNTS, read_mounts

__all__ = ["LedgerFile", "is_shared_by_hosts"]

_OF_SEVERAL_HOSTS = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3"}
)


def is_shared_by_hosts(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether other hosts may write to the file system of the folder `path`; True when that is not known.

    Args:
        path: an existing folder.
        mounts: the kernel's list of mounts, of proc_pid_mountinfo(5).
    """
    folder = path.resolve()
    try:
        holding = [mount for mount in read_mounts(mounts) if folder.is_relative_to(mount.point)]
    except OSError:
        return True
    kind = max(((len(mount.point.parts), mount.kind) for mount in holding), default=(0, ""))[1]  # the deepest one
    return not kind or kind in _OF_SEVERAL_HOSTS or kind.startswith("fuse.")


class LedgerFile:
    """Opens the file, makes the table, and reports errors of both.

    Use as a context manager. Each record is handed to the kernel at once, so a killed run loses nothing. A power cut
    may lose the latest records, never earlier ones: SQLite's write-ahead log is synced to the disk after each thousand
    pages and when the last process closes the file. On a file system that several hosts share that log is not safe, so
    each record is synced to the disk by itself.

    Raises:
        InfrastructureError: the file cannot be opened, or is no ledger (kind ``ledger``).
    """

    what: ClassVar[str]
    """The ledger's description, for people."""
    table: ClassVar[str]
    columns: ClassVar[str]
    """The columns of the table as SQL declares them, with the primary key."""

    def __init__(self, path: Path, *, timeout: float = 30.0) -> None:
        super().__init__()
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            try:
                if not is_shared_by_hosts(path.parent):
                    self._use_write_ahead_log()
                self._database.execute(f"CREATE TABLE IF NOT EXISTS {self.table} ({self.columns}) WITHOUT ROWID")
            except sqlite3.Error:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def _use_write_ahead_log(self) -> None:
        """Use SQLite's write-ahead log: a commit is one write, without waiting for the disk (https://sqlite.org/wal.html)."""
        with contextlib.suppress(sqlite3.OperationalError):  # an older process has it open: keep its mode
            (mode,) = self._database.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode == "wal":
                self._database.execute("PRAGMA synchronous = NORMAL")

    def _broken(self, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"the {self.what} cannot be used: {error}", kind="ledger", where=str(self.path),
            hint="move the file away to begin a new ledger; the old one still proves what it holds",
        )  # fmt: skip

    @contextlib.contextmanager
    def _asked(self) -> Iterator[sqlite3.Connection]:
        """The database, for queries in this block; their errors are reported as the constructor's are."""
        try:
            yield self._database
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def __len__(self) -> int:
        (count,) = self._database.execute(f"SELECT count(*) FROM {self.table}").fetchone()  # noqa: S608 - our own name
        return int(count)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
