"""New SQLite stores from one that was migrated: the migrations take most of the time of a test with a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, inspect
from tfm_harness.history import database

__all__ = ["MIGRATE", "migrated_once"]

MIGRATE: Callable[[Connection], None] = database._migrate
"""The harness's own, for tests of the migrations themselves."""

_script: list[str] = []


def migrated_once(connection: Connection) -> None:
    """As `MIGRATE`; an empty SQLite store gets what the first one had after it."""
    if connection.dialect.name != "sqlite" or inspect(connection).get_table_names():
        MIGRATE(connection)
        return
    if not _script:
        MIGRATE(connection)
        driver: Any = connection.connection.dbapi_connection
        _script.extend(line for line in driver.iterdump() if line not in {"BEGIN TRANSACTION;", "COMMIT;"})
        return
    for line in _script:
        connection.exec_driver_sql(line)
