"""Alembic's entry point: it runs the steps on the connection that the store has opened."""

from __future__ import annotations

from alembic import context

from tfm_harness.history.tables import METADATA

VERSION_TABLE = "harness_schema"


def _run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is None:
        msg = "open the store with tfm-harness: that runs the migrations (`tfm-harness history runs --store URL`)"
        raise SystemExit(msg)
    context.configure(connection=connection, target_metadata=METADATA, version_table=VERSION_TABLE)
    context.run_migrations()


_run()
