"""Stores and records for the tests of the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.pool import QueuePool
from tfm_harness.history.database import Database

from tests.history.postgres import emptied, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store without a row. PostgreSQL's is migrated once for all tests: that takes most of the time of a test."""
    if request.param == "sqlite":
        yield str(tmp_path / "deep" / "store.sqlite")
        return
    url: str = request.getfixturevalue("postgres")
    monkeypatch.setattr("tfm_harness.history.database.NullPool", QueuePool)
    yield url
    emptied(url)


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with Database(store_url) as opened:
        yield opened
