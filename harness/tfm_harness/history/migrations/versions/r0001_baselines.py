"""The baseline store: series and accepted baselines. A store older than the migrations already has these tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables that are missing."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    if "harness_meta" not in there:
        op.create_table(
            "harness_meta",
            sa.Column("key", sa.String(32), primary_key=True),
            sa.Column("value", sa.String(64), nullable=False),
        )
    if "harness_series" not in there:
        op.create_table(
            "harness_series",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("run", sa.String(200), nullable=False, index=True),
            sa.Column("key", sa.String(64), nullable=False, index=True),
            sa.Column("name", sa.String(200), nullable=False),
            sa.Column("board", sa.String(200), nullable=False),
            sa.Column("clock", sa.String(200), nullable=False),
            sa.Column("taken", sa.DateTime(timezone=True), nullable=False),
            sa.Column("data", sa.JSON, nullable=False),
            sa.UniqueConstraint("run", "key"),
        )
    if "harness_baseline" not in there:
        op.create_table(
            "harness_baseline",
            sa.Column("key", sa.String(64), primary_key=True),
            sa.Column("series_id", sa.Integer, sa.ForeignKey("harness_series.id"), nullable=False),
            sa.Column("accepted", sa.DateTime(timezone=True), nullable=False),
            sa.Column("reason", sa.String(1000), nullable=False),
        )
