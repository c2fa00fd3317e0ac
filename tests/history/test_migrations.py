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
from tfm_harness.history.keep import keep_run
from tfm_harness.history.queries import Memory
from tfm_harness.history.tables import METADATA, Word
from tfm_harness.latency import Series

from tests.history.postgres import emptied
from tests.history.records import CLOCK, record
from tests.stores import MIGRATE


@pytest.fixture(autouse=True)
def _real_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfm_harness.history.database._migrate", MIGRATE)


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
FIRST_MEMORY = """
CREATE TABLE harness_meta ("key" VARCHAR(32) NOT NULL, value VARCHAR(64) NOT NULL, PRIMARY KEY ("key"));
INSERT INTO harness_meta VALUES ('schema', '1');
CREATE TABLE harness_run (id INTEGER NOT NULL, digest VARCHAR(64) NOT NULL, name VARCHAR(200) NOT NULL,
  started FLOAT NOT NULL, seconds FLOAT NOT NULL, verdict VARCHAR(32) NOT NULL, headline VARCHAR(500) NOT NULL,
  version VARCHAR(32) NOT NULL, PRIMARY KEY (id), UNIQUE (digest));
CREATE INDEX ix_harness_run_started ON harness_run (started);
CREATE TABLE harness_test (id INTEGER NOT NULL, nodeid VARCHAR(1000) NOT NULL, suite VARCHAR(200) NOT NULL,
  PRIMARY KEY (id), UNIQUE (nodeid));
CREATE TABLE harness_run_board (id INTEGER NOT NULL, run_id INTEGER NOT NULL, combination VARCHAR(200) NOT NULL,
  name VARCHAR(200) NOT NULL, firmware VARCHAR(200) NOT NULL, identity VARCHAR(200) NOT NULL,
  lost VARCHAR(300) NOT NULL, boots INTEGER NOT NULL, device_seconds FLOAT NOT NULL, PRIMARY KEY (id),
  FOREIGN KEY(run_id) REFERENCES harness_run (id));
CREATE INDEX ix_harness_run_board_run_id ON harness_run_board (run_id);
CREATE TABLE harness_outcome (id INTEGER NOT NULL, run_id INTEGER NOT NULL, test_id INTEGER NOT NULL,
  combination VARCHAR(200) NOT NULL, board VARCHAR(200) NOT NULL, identity VARCHAR(200) NOT NULL,
  outcome VARCHAR(16) NOT NULL, responsibility VARCHAR(16) NOT NULL, kind VARCHAR(64) NOT NULL,
  message VARCHAR(300) NOT NULL, seconds FLOAT NOT NULL, tries INTEGER NOT NULL, passed_findings INTEGER NOT NULL,
  PRIMARY KEY (id), FOREIGN KEY(run_id) REFERENCES harness_run (id), FOREIGN KEY(test_id) REFERENCES harness_test (id));
CREATE INDEX harness_outcome_by_test ON harness_outcome (test_id, run_id);
CREATE TABLE harness_finding (id INTEGER NOT NULL, run_id INTEGER NOT NULL, test_id INTEGER NOT NULL,
  "check" VARCHAR(200) NOT NULL, status VARCHAR(16) NOT NULL, seen VARCHAR(300) NOT NULL, PRIMARY KEY (id),
  FOREIGN KEY(run_id) REFERENCES harness_run (id), FOREIGN KEY(test_id) REFERENCES harness_test (id));
CREATE TABLE harness_figure (id INTEGER NOT NULL, run_id INTEGER NOT NULL, combination VARCHAR(200) NOT NULL,
  board VARCHAR(200) NOT NULL, model VARCHAR(200) NOT NULL, kind VARCHAR(32) NOT NULL, value FLOAT NOT NULL,
  PRIMARY KEY (id), FOREIGN KEY(run_id) REFERENCES harness_run (id));
INSERT INTO harness_run VALUES (7, '00', 'run-1-b0', 1793570400.0, 12.5, 'failed', '2 passed, 1 failed', '1.0');
INSERT INTO harness_run_board VALUES (1, 7, 'mps3+app', 'b0', 'app 1.0', 'SPE:010101010101', '', 2, 3.5);
INSERT INTO harness_test VALUES (1, 'suites/boot/test_a.py::test_cases[mps3+app-7]', 'boot'),
  (2, 'suites/boot/test_a.py::test_good[mps3+app]', 'boot'), (3, 't.py::test_lost[mps3+app]', '');
INSERT INTO harness_outcome VALUES
  (1, 7, 2, 'mps3+app', 'b0', 'SPE:010101010101', 'passed', '', '', '', 1.0, 0, 2),
  (2, 7, 1, 'mps3+app', 'b0', 'SPE:010101010101', 'failed', 'product', '', '1 is not 2', 2.0, 1, 0),
  (3, 7, 3, 'mps3+app', '', '', 'error', 'infrastructure', 'probe-lost', '', 0.0, 0, 0);
INSERT INTO harness_finding VALUES (1, 7, 1, 'check.failed', 'failed', '2');
INSERT INTO harness_figure VALUES (1, 7, 'mps3+app', 'b0', 'tamper', 'latency median', 0.001),
  (2, 7, 'mps3+app', 'b0', 'tamper', 'latency p99', 0.002), (3, 7, 'mps3+app', 'b0', 'tamper', 'parity exact', 0.75);
"""
"""As the first memory of runs left it, which lay beside the baselines before the migrations."""
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


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_first_memory_moves_in(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from sqlalchemy import create_engine, text

    url = f"sqlite:///{tmp_path}/s.sqlite" if kind == "sqlite" else request.getfixturevalue("postgres")
    if kind == "postgresql":
        emptied(url, tables=False)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.begin() as connection:
            for statement in FIRST_MEMORY.split(";\n"):
                if statement.strip():
                    connection.execute(text(statement))
        with Database(url) as database:
            memory = Memory(database)
            (run,) = memory.runs()
            assert (run.id, run.name, run.night, run.verdict, run.seconds) == (
                7,
                "run-1-b0",
                "2026-11-01",
                "failed",
                12.5,
            )
            rows = {row.test: row for row in memory.outcomes()}
            assert set(rows) == {
                "suites/boot/test_a.py::test_cases[7]",
                "suites/boot/test_a.py::test_good",
                "t.py::test_lost",
            }
            failed = rows["suites/boot/test_a.py::test_cases[7]"]
            assert (failed.outcome, failed.responsibility, failed.board, failed.message, failed.tries) == (
                "failed", "product", "b0", "1 is not 2", 1,
            )  # fmt: skip
            assert (rows["t.py::test_lost"].outcome, rows["t.py::test_lost"].kind) == ("error", "probe-lost")
            (finding,) = memory.findings(run_id=7)
            assert (finding.check, finding.test, finding.seen) == ("check.failed", failed.test, "2")
            (latency,) = memory.figures("latency")
            assert (latency.figures["median"], latency.figures["p99"]) == (0.001, 0.002)
            (parity,) = memory.figures("parity")
            assert parity.verdict == "failed", "nobody kept whether the difference was tolerated"
            (firmware,) = memory.firmware()
            assert (firmware.measurements, firmware.said, firmware.first_run) == (
                {"SPE": "010101010101"}, "app 1.0", "run-1-b0",
            )  # fmt: skip
            assert keep_run(database, record(day=2)).run_id > 7, "new numbers come after the old ones"
            again = keep_run(database, record(day=1))
            assert again.new
            assert [one.id for one in memory.runs(run="run-1-b0")] == [again.run_id], "the whole record replaces it"
    finally:
        if kind == "postgresql":
            emptied(url, tables=False)
        engine.dispose()
