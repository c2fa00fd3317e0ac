"""The store's tables come from migrations; a store of before them is taken over with its baselines."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.errors import InfrastructureError
from tfm_harness.history import BaselineKey, BaselineStore, default_url
from tfm_harness.history.database import NEWEST, Database
from tfm_harness.history.tables import METADATA, Word
from tfm_harness.latency import Series

from tests.history.records import CLOCK

OLD = """
CREATE TABLE harness_meta ("key" VARCHAR(32) NOT NULL, value VARCHAR(64) NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE harness_series (id INTEGER NOT NULL, run VARCHAR(200) NOT NULL, "key" VARCHAR(64) NOT NULL,
  name VARCHAR(200) NOT NULL, board VARCHAR(200) NOT NULL, clock VARCHAR(200) NOT NULL, taken DATETIME NOT NULL,
  data JSON NOT NULL, PRIMARY KEY (id), UNIQUE (run, "key"));
CREATE INDEX ix_harness_series_run ON harness_series (run);
CREATE INDEX ix_harness_series_key ON harness_series ("key");
CREATE TABLE harness_baseline ("key" VARCHAR(64) NOT NULL, series_id INTEGER NOT NULL, accepted DATETIME NOT NULL,
  reason VARCHAR(1000) NOT NULL, PRIMARY KEY ("key"), FOREIGN KEY(series_id) REFERENCES harness_series (id));
INSERT INTO harness_meta VALUES ('schema', '1');
"""
"""As SQLAlchemy made it before the migrations."""
SERIES = Series(name="tamper", board="b0", clock=CLOCK, ticks=tuple(range(40)))


def old_store(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD)
        key = BaselineKey.of(SERIES)
        connection.execute(
            "INSERT INTO harness_series VALUES (1, 'run-1', ?, ?, ?, ?, '2026-11-01 02:00:00.000000', ?)",
            (key.digest, key.name, key.board, key.clock, json.dumps(SERIES.as_dict())),
        )
        connection.execute(
            "INSERT INTO harness_baseline VALUES (?, 1, '2026-11-02 08:00:00.000000', 'first')", (key.digest,)
        )
    connection.close()


def test_an_old_baseline_store_moves_in(tmp_path: Path) -> None:
    old_store(tmp_path / "baseline.sqlite")
    with BaselineStore(default_url(tmp_path)) as store:
        assert store.shown.endswith("/baseline.sqlite"), "the file of before keeps its name"
        night = store.baseline(SERIES)
        assert night is not None
        assert (night.run, night.series) == ("run-1", SERIES)
        assert [b.reason for b in store.baselines()] == ["first"]
        store.add("run-2", replace(SERIES, ticks=tuple(range(50))))
        assert [n.run for n in store.nights(SERIES)] == ["run-1", "run-2"]


def test_the_harness_of_before_refuses_the_new_store(tmp_path: Path) -> None:
    """It compared ``schema`` with its own and said so; it never wrote into tables that it did not know."""
    old_store(tmp_path / "s.sqlite")
    Database(str(tmp_path / "s.sqlite")).close()
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        assert connection.execute("SELECT value FROM harness_meta WHERE key = 'schema'").fetchall() == [("2",)]
    connection.close()


def test_a_later_store_is_refused(tmp_path: Path) -> None:
    Database(str(tmp_path / "s.sqlite")).close()
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        connection.execute("UPDATE harness_schema SET version_num = '9999'")
    connection.close()
    with pytest.raises(InfrastructureError, match="another version") as caught:
        Database(str(tmp_path / "s.sqlite"))
    assert caught.value.seen == "migration 9999"


def test_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def ours(item: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name not in {"harness_meta", "harness_series", "harness_baseline", "harness_schema"}

    with database.engine.connect() as connection:
        options = {"include_object": ours, "compare_type": _same_type, "compare_server_default": False}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    assert found == []


def _same_type(context: object, there: object, wanted: object, has: object, wants: object) -> bool | None:
    return False if isinstance(wants, Word) else None


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    import tfm_harness.history.migrations as package
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(package.__path__[0])))
    assert script.get_current_head() == NEWEST
