"""The base of all queries of the store. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select

from tfm_harness.history.database import Database

__all__ = ["Questions"]


class Questions:
    """The base class of all queries.

    Args:
        database: an open store; the caller closes it.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        with self.database.begin() as connection:
            return connection.execute(query).all()

    def _maps(self, query: Select[Any]) -> Sequence[Mapping[Any, Any]]:
        with self.database.begin() as connection:
            return connection.execute(query).mappings().all()
