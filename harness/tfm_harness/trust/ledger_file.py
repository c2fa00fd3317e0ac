"""A ledger on disk that several processes share: one small SQLite file with one table."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tfm_harness.errors import InfrastructureError

__all__ = ["LedgerFile"]


class LedgerFile:
    """Opens the file, makes the table, and reports what goes wrong with either.

    Use as a context manager. What is stored is stored at once, so a killed run forgets nothing.

    Raises:
        InfrastructureError: the file cannot be opened, or is no ledger (kind ``ledger``).
    """

    what: ClassVar[str]
    """Which ledger this is, for people."""
    table: ClassVar[str]
    columns: ClassVar[str]
    """Of the table, as SQL declares them, with its primary key."""

    def __init__(self, path: Path, *, timeout: float = 30.0) -> None:
        super().__init__()
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            try:
                # The default rollback journal survives SIGKILL and leaves no side files behind.
                self._database.execute(f"CREATE TABLE IF NOT EXISTS {self.table} ({self.columns}) WITHOUT ROWID")
            except sqlite3.Error:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"the {self.what} cannot be used: {error}", kind="ledger", where=str(self.path),
            hint="move the file away to begin a new ledger; the old one still proves what it holds",
        )  # fmt: skip

    @contextlib.contextmanager
    def _asked(self) -> Iterator[sqlite3.Connection]:
        """The database, for questions in this block: what they raise is reported as the constructor does."""
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
