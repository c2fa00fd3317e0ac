"""An open store: its URL, its connection, its migrations, and errors with hints.

It is SQLite by default (one file in the user's state folder), PostgreSQL by URL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tfm_harness.config import state_folder
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import resolved
from tfm_harness.safe_text import hide_secrets

__all__ = ["NEWEST", "Database", "default_url"]

NEWEST: Final = "0002"
"""The newest migration (`tfm_harness.history.migrations`)."""

_BEFORE_MIGRATIONS: Final = "1"
"""The schema in ``harness_meta`` of a store that is older than the migrations."""
_ATTEMPTS: Final = 5
_ADVISORY_LOCK: Final = 0x74666D68
"""PostgreSQL's advisory lock, with which only one process migrates at a time."""


def default_url(state_dir: Path | None = None) -> str:
    """The URL of the store for runs and commands: ``TFM_HARNESS_STORE`` when set, else SQLite in the state folder.

    ``TFM_HARNESS_BASELINE`` is the variable's older name, ``baseline.sqlite`` the file's; both are still used.

    Args:
        state_dir: the state folder; default ``TFM_HARNESS_STATE_DIR``, else ``$XDG_STATE_HOME/tfm-harness``.
    """
    if url := os.environ.get("TFM_HARNESS_STORE") or os.environ.get("TFM_HARNESS_BASELINE"):
        return url
    if state_dir is None:
        state_dir = state_folder.state_dir(os.environ.get("TFM_HARNESS_STATE_DIR", ""))
    place = resolved(state_dir) / "store.sqlite"
    older = place.with_name("baseline.sqlite")
    return _file_url(str(older if older.exists() and not place.exists() else place))


def _file_url(path: str) -> str:
    """The URL of an SQLite file, whose path may hold characters that are special in a URL (``%``, ``?``, ``#``).

    Raises:
        ConfigError: the path is no text.
    """
    try:
        return URL.create("sqlite", database=path).render_as_string(hide_password=False)
    except UnicodeError as exc:
        raise _wrong_url(exc) from exc


def _wrong_url(exc: Exception) -> ConfigError:
    return ConfigError(
        "the store's URL cannot be used",
        kind="store-url",
        expected="a path, sqlite:///path or postgresql://user@host/database",
        seen=f"{type(exc).__name__}: {exc}",
        hint="PostgreSQL needs the extra: pip install 'tfm-harness[postgresql]'",
    )


class Database:
    """An open store; a context manager.

    Args:
        url: an SQLAlchemy URL, for instance ``postgresql+psycopg://bench@db/harness`` or
            ``sqlite:///path``; a plain path means SQLite. Default: `default_url`.

    Attributes:
        shown: the URL without its password.

    Raises:
        ConfigError: kind ``store-url`` (not a URL, or its driver is not installed).
        InfrastructureError: kind ``store-failed``: the database cannot be reached, is damaged or of a later version.
    """

    def __init__(self, url: str | None = None) -> None:
        words = url or default_url()
        self.url = words if "://" in words else _file_url(words)
        self.shown = hide_secrets(self.url)
        try:
            parsed = make_url(self.url)
            self.shown = hide_secrets(parsed.render_as_string(hide_password=True))
            self.sqlite = parsed.get_backend_name() == "sqlite"
            in_memory = self.sqlite and parsed.database in {None, "", ":memory:"}
            if self.sqlite and not in_memory:
                Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            waits = {"timeout": 30} if self.sqlite else {"connect_timeout": 10}
            # Without a pool, no connection (and so no lock) stays open after the operation that needed it.
            pool = {} if in_memory else {"poolclass": NullPool}
            self.engine = create_engine(parsed, connect_args=waits, **pool)
        except (ArgumentError, ImportError, SQLAlchemyError, ValueError) as exc:  # ValueError: the port is no number
            raise _wrong_url(exc) from exc
        except OSError as exc:
            raise self.failed(exc) from exc
        for attempt in range(_ATTEMPTS):
            try:
                self._prepare()
                break
            except InfrastructureError as exc:
                # Another process may be creating the same tables at this moment.
                if attempt + 1 == _ATTEMPTS or not isinstance(exc.__cause__, SQLAlchemyError):
                    raise

    def close(self) -> None:
        """Close all connections. Safe to call twice."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: it is committed at the end of the block, and rolled back if the block raises.

        Raises:
            InfrastructureError: kind ``store-failed``.
        """
        with self.guard(), self.engine.connect() as connection:
            if self.sqlite:
                # SQLite checks foreign keys only with this setting.
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                connection.commit()
            with connection.begin():
                yield connection

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Convert errors of the database in this block into the harness' own."""
        try:
            yield
        except SQLAlchemyError as exc:
            raise self.failed(exc) from exc

    def failed(self, exc: Exception) -> InfrastructureError:
        """The error for a store that cannot be used."""
        lines = str(exc).splitlines()
        return InfrastructureError(
            "the store cannot be used",
            kind="store-failed",
            seen=f"{type(exc).__name__}: {lines[0] if lines else ''}",
            where=self.shown,
            hint="check that the database can be reached and written, or name another one "
            "(--store or TFM_HARNESS_STORE)",
        )

    def _connect(self) -> Connection:
        """Make the first connection; the driver checks the URL's parts only now."""
        try:
            return self.engine.connect()
        except (TypeError, ValueError, ArithmeticError) as exc:
            raise _wrong_url(exc) from exc

    def _prepare(self) -> None:
        """Bring the tables to the newest version."""
        with self.guard(), self._connect() as connection:
            if self._version(connection) == NEWEST:
                return
            connection.rollback()
            if self.sqlite:
                self._as_one_writer(connection)
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            if self._version(connection) != NEWEST:  # another process may have migrated while this one waited
                _migrate(connection)
            connection.commit()

    @staticmethod
    def _as_one_writer(connection: Connection) -> None:
        # Python's driver begins no transaction for CREATE TABLE, so begin one here.
        driver: Any = connection.connection.dbapi_connection
        driver.isolation_level = None
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _version(self, connection: Connection) -> str:
        """The store's migration; empty for a new store and for one that is older than the migrations."""
        there = set(inspect(connection).get_table_names())
        if "harness_schema" in there:
            found = connection.execute(text("SELECT version_num FROM harness_schema")).scalar() or ""
            if found > NEWEST:
                raise self._later(f"migration {found}")
            if found == NEWEST and "harness_meta" in there:
                said = connection.execute(text("SELECT value FROM harness_meta WHERE key = 'schema'")).scalar()
                if said not in {None, "2"}:
                    raise self._later(f"schema {said}")
            return str(found)
        if "harness_meta" in there:
            said = connection.execute(text("SELECT value FROM harness_meta WHERE key = 'schema'")).scalar()
            if said not in {None, _BEFORE_MIGRATIONS}:
                raise self._later(f"schema {said}")
        return ""

    def _later(self, seen: str) -> InfrastructureError:
        return InfrastructureError(
            "the store is of another version",
            kind="store-failed",
            expected=f"migration {NEWEST} or an earlier one",
            seen=seen,
            where=self.shown,
            hint="use the version of tfm-harness that wrote it, or name another store",
        )


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).resolve().parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
