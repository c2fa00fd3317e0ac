"""One farm for all tests of the pages: none of them changes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tfm_harness.history.database import Database
from tfm_harness.history.known import add_issue
from tfm_harness.history.pages import Site

from tests.history.pages.farm import HOSTILE, fill


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    import datetime as dt

    folder = tmp_path_factory.mktemp("farm")
    with Database(str(folder / "farm.sqlite")) as database:
        fill(database, folder / "runs")
        add_issue(database, ticket=f"BUG-1 {HOSTILE}", test="*test_nothing*", until=dt.date(2999, 1, 1), by="somebody")
        yield database


@pytest.fixture(scope="session")
def written(farm: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages as files; of the nights only the last four."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    Site(farm).write(folder, nights=4)
    return folder
