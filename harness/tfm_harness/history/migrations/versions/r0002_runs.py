"""The store of all runs: runs, boards, firmware, tests, outcomes, findings, figures, nights."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tfm_harness.history.migrations.first_memory import put_back, take_out

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and fill them from the first tables of runs.

    A harness that is older than the migrations refuses the store from now on.
    """
    old = take_out(op.get_bind())
    op.create_table(
        "harness_board",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("health", sa.Text(), server_default="Unknown", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "harness_check",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("requirement", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "harness_combination",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), server_default="", nullable=False),
        sa.Column("build", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "harness_known_issue",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("test", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), server_default="*", nullable=False),
        sa.Column("ticket", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("intermittent", sa.Boolean(), nullable=False),
        sa.Column("added", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "harness_night",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "harness_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("headline", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("package", sa.Text(), server_default="", nullable=False),
        sa.Column("interrupted", sa.Text(), server_default="", nullable=False),
        sa.Column("folder", sa.Text(), server_default="", nullable=False),
        sa.Column("collected", sa.BigInteger(), nullable=False),
        sa.Column("deselected", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index(op.f("ix_harness_run_name"), "harness_run", ["name"], unique=False)
    op.create_index(op.f("ix_harness_run_night"), "harness_run", ["night"], unique=False)
    op.create_index(op.f("ix_harness_run_started"), "harness_run", ["started"], unique=False)
    op.create_table(
        "harness_test",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "harness_board_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("board_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("health", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("night", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["board_id"], ["harness_board.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_harness_board_event_board_id"), "harness_board_event", ["board_id"], unique=False)
    op.create_table(
        "harness_finding",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.Integer(), nullable=False),
        sa.Column("check_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), server_default="", nullable=False),
        sa.Column("expected", sa.Text(), server_default="", nullable=False),
        sa.Column("seen", sa.Text(), server_default="", nullable=False),
        sa.Column("place", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("waiver", sa.Text(), server_default="", nullable=False),
        sa.Column("waived_by", sa.Text(), server_default="", nullable=False),
        sa.Column("try", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["check_id"],
            ["harness_check.id"],
        ),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["test_id"],
            ["harness_test.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_harness_finding_check_id"), "harness_finding", ["check_id"], unique=False)
    op.create_index(op.f("ix_harness_finding_run_id"), "harness_finding", ["run_id"], unique=False)
    op.create_index(op.f("ix_harness_finding_test_id"), "harness_finding", ["test_id"], unique=False)
    op.create_table(
        "harness_firmware",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("build", sa.Text(), server_default="", nullable=False),
        sa.Column("said", sa.Text(), server_default="", nullable=False),
        sa.Column("measurements", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("first_run", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["first_run"], ["harness_run.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "harness_latency",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("board_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("clock", sa.Text(), server_default="", nullable=False),
        sa.Column("quality", sa.Text(), server_default="", nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("median", sa.Double(), nullable=True),
        sa.Column("p90", sa.Double(), nullable=True),
        sa.Column("p99", sa.Double(), nullable=True),
        sa.Column("least", sa.Double(), nullable=True),
        sa.Column("most", sa.Double(), nullable=True),
        sa.Column("verdict", sa.Text(), server_default="", nullable=False),
        sa.Column("baseline", sa.Text(), server_default="", nullable=False),
        sa.Column("gate", sa.JSON(), nullable=False),
        sa.Column("budgets", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["board_id"],
            ["harness_board.id"],
        ),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_harness_latency_name"), "harness_latency", ["name"], unique=False)
    op.create_index(op.f("ix_harness_latency_run_id"), "harness_latency", ["run_id"], unique=False)
    op.create_table(
        "harness_outcome",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.Integer(), nullable=False),
        sa.Column("board_id", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("responsibility", sa.SmallInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("blocked_by", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["board_id"],
            ["harness_board.id"],
        ),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["test_id"],
            ["harness_test.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "combination_id", "test_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_harness_outcome_board", "harness_outcome", ["board_id", "run_id"], unique=False)
    op.create_index("ix_harness_outcome_test", "harness_outcome", ["test_id", "combination_id", "run_id"], unique=False)
    op.create_table(
        "harness_parity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("board_id", sa.Integer(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("vectors", sa.BigInteger(), nullable=False),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("failing", sa.BigInteger(), nullable=False),
        sa.Column("max_lsb", sa.BigInteger(), nullable=False),
        sa.Column("max_abs", sa.Double(), nullable=True),
        sa.Column("top1", sa.Double(), nullable=True),
        sa.Column("first_op", sa.Text(), server_default="", nullable=False),
        sa.Column("engine", sa.Text(), server_default="", nullable=False),
        sa.Column("outputs", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["board_id"],
            ["harness_board.id"],
        ),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_harness_parity_model"), "harness_parity", ["model"], unique=False)
    op.create_index(op.f("ix_harness_parity_run_id"), "harness_parity", ["run_id"], unique=False)
    op.create_table(
        "harness_run_board",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("board_id", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Text(), server_default="", nullable=False),
        sa.Column("link", sa.Text(), server_default="", nullable=False),
        sa.Column("boots", sa.BigInteger(), nullable=False),
        sa.Column("device_seconds", sa.Double(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("measurements", sa.JSON(), nullable=False),
        sa.Column("transcripts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["board_id"],
            ["harness_board.id"],
        ),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "combination_id", "board_id"),
    )
    op.create_index(op.f("ix_harness_run_board_board_id"), "harness_run_board", ["board_id"], unique=False)
    op.create_table(
        "harness_session",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("night_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("combination", sa.Text(), nullable=False),
        sa.Column("board", sa.Text(), server_default="", nullable=False),
        sa.Column("suites", sa.JSON(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["night_id"], ["harness_night.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("night_id", "key", "number"),
    )
    op.create_index(op.f("ix_harness_session_run_id"), "harness_session", ["run_id"], unique=False)
    op.create_table(
        "harness_suite",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("claim", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("passed", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("retried", sa.BigInteger(), nullable=False),
        sa.Column("excused", sa.JSON(), nullable=False),
        sa.Column("proven", sa.Integer(), nullable=False),
        sa.Column("requirements", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "combination_id", "suite"),
    )
    op.create_table(
        "harness_try",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("responsibility", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("board_id", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["board_id"],
            ["harness_board.id"],
        ),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["test_id"],
            ["harness_test.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "combination_id", "test_id", "number"),
    )
    op.create_table(
        "harness_run_combination",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("firmware_id", sa.Integer(), nullable=True),
        sa.Column("policy", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("protocol", sa.Text(), server_default="", nullable=False),
        sa.Column("clock", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["combination_id"],
            ["harness_combination.id"],
        ),
        sa.ForeignKeyConstraint(
            ["firmware_id"],
            ["harness_firmware.id"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["harness_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "combination_id"),
    )
    op.create_index(
        op.f("ix_harness_run_combination_combination_id"), "harness_run_combination", ["combination_id"], unique=False
    )
    op.create_index(
        op.f("ix_harness_run_combination_firmware_id"), "harness_run_combination", ["firmware_id"], unique=False
    )
    op.create_index(
        "ix_harness_outcome_not_passed",
        "harness_outcome",
        ["run_id", "test_id", "combination_id"],
        unique=False,
        sqlite_where=sa.text("outcome != 0"),
        postgresql_where=sa.text("outcome != 0"),
    )
    put_back(op.get_bind(), old)
    op.execute("DELETE FROM harness_meta WHERE key = 'schema'")
    op.execute("INSERT INTO harness_meta (key, value) VALUES ('schema', '2')")
