"""Stores and records for the tests of the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tfm_harness.history.database import Database

from tests.history.postgres import running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = str(tmp_path / "store.sqlite") if request.param == "sqlite" else request.getfixturevalue("postgres")
    with Database(url) as opened:
        yield opened
        if request.param == "postgresql":
            from sqlalchemy import text

            with opened.engine.begin() as connection:
                connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
