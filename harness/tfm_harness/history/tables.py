"""The store's tables after the newest migration.

Names repeat in every run, so each is stored once, in the tables `TESTS`, `CHECKS`, `BOARDS` and `COMBINATIONS`, and an
outcome holds numbers: a row of about 40 bytes. Outcomes and responsibilities are stored as the numbers of their words
in `OUTCOME_WORDS` and `RESPONSIBILITY_WORDS`; new words are appended, never inserted.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

__all__ = [
    "BOARDS",
    "BOARD_EVENTS",
    "CHECKS",
    "COMBINATIONS",
    "FINDINGS",
    "FIRMWARE",
    "KNOWN_ISSUES",
    "LATENCY",
    "METADATA",
    "NIGHTS",
    "OUTCOMES",
    "OUTCOME_WORDS",
    "PARITY",
    "RESPONSIBILITY_WORDS",
    "RUNS",
    "RUN_BOARDS",
    "RUN_COMBINATIONS",
    "SESSIONS",
    "SUITES",
    "TESTS",
    "TRIES",
]

OUTCOME_WORDS: Final = ("passed", "failed", "error", "blocked", "not covered", "skipped", "not run")
RESPONSIBILITY_WORDS: Final = ("", "product", "infrastructure", "configuration", "test", "harness")

METADATA: Final = MetaData()


class Word(TypeDecorator[str]):
    """A word of a fixed list, stored as its number."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, *words: str) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: str | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """The word's number."""
        return None if value is None else self.words.index(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ANN401, ARG002 - same
        """The number's word; a number that a later harness has added is returned as text."""
        return None if value is None else self.words[value] if 0 <= value < len(self.words) else f"word {value}"


class Moment(TypeDecorator[dt.datetime]):
    """A moment in UTC; SQLite loses the zone, so it is added again."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - same
        """The moment with its zone."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=dt.UTC)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _run(*, primary: bool = False) -> Column[int]:
    return Column(
        "run_id",
        ForeignKey("harness_run.id", ondelete="CASCADE"),
        nullable=False,
        primary_key=primary,
        index=not primary,
    )


def _text(name: str, **more: Any) -> Column[str]:  # noqa: ANN401 - Column's own
    return Column(name, Text, nullable=False, server_default="", **more)


NIGHTS = Table(
    "harness_night", METADATA, _id(), Column("name", Text, unique=True, nullable=False), _text("file"), _text("state"),
    Column("started", Moment()), Column("ended", Moment()),
    Column("plan", JSON, nullable=False),
)  # fmt: skip
"""A night of `tfm-harness night`, and its plan. Nights of single runs have no row here, only a name."""

RUNS = Table(
    "harness_run", METADATA, _id(), Column("digest", Text, unique=True, nullable=False),
    Column("name", Text, nullable=False, index=True), Column("night", Text, nullable=False, index=True),
    Column("started", Moment(), index=True), Column("seconds", Double, nullable=False),
    Column("verdict", Text, nullable=False), _text("headline"), _text("version"), _text("package"),
    _text("interrupted"), _text("folder"), Column("collected", BigInteger, nullable=False),
    Column("deselected", BigInteger, nullable=False), Column("environment", JSON, nullable=False),
)  # fmt: skip
"""A run. `digest`: SHA-256 of its record, so that none is stored twice; `night`: the night to which it belongs."""

COMBINATIONS = Table(
    "harness_combination", METADATA, _id(), Column("name", Text, unique=True, nullable=False),
    _text("target"), _text("build"),
)  # fmt: skip
FIRMWARE = Table(
    "harness_firmware", METADATA, _id(), Column("digest", Text, unique=True, nullable=False), _text("build"),
    _text("said"), Column("measurements", JSON, nullable=False), Column("files", JSON, nullable=False),
    Column("first_run", ForeignKey("harness_run.id", ondelete="SET NULL")),
)  # fmt: skip
"""Flashed firmware; `digest` is taken over the image files, or else over the measurements."""

BOARDS = Table(
    "harness_board", METADATA, _id(), Column("name", Text, unique=True, nullable=False),
    Column("health", Text, nullable=False, server_default="Unknown"), _text("reason"),
    Column("since", Moment()), Column("checked", Moment()),
)  # fmt: skip
BOARD_EVENTS = Table(
    "harness_board_event", METADATA, _id(),
    Column("board_id", ForeignKey("harness_board.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Moment(), nullable=False), Column("health", Text, nullable=False), _text("reason"),
    _text("by"), _text("night"),
)  # fmt: skip
"""Every change of a board's health, with its author and its reason."""

TESTS = Table(
    "harness_test", METADATA, _id(), Column("name", Text, unique=True, nullable=False), _text("suite"),
)  # fmt: skip
"""A test by its node id without the combination."""

CHECKS = Table(
    "harness_check", METADATA, _id(), Column("name", Text, unique=True, nullable=False), _text("title"),
    _text("requirement"),
)  # fmt: skip

RUN_COMBINATIONS = Table(
    "harness_run_combination", METADATA, _run(primary=True),
    Column("combination_id", ForeignKey("harness_combination.id"), primary_key=True, index=True),
    Column("firmware_id", ForeignKey("harness_firmware.id"), index=True), _text("policy"), _text("kind"),
    _text("protocol"), _text("clock"),
)  # fmt: skip
RUN_BOARDS = Table(
    "harness_run_board", METADATA, _run(primary=True),
    Column("combination_id", ForeignKey("harness_combination.id"), primary_key=True),
    Column("board_id", ForeignKey("harness_board.id"), primary_key=True, index=True),
    _text("lost"), _text("link"), Column("boots", BigInteger, nullable=False),
    Column("device_seconds", Double, nullable=False), Column("facts", JSON, nullable=False),
    Column("measurements", JSON, nullable=False), Column("transcripts", JSON, nullable=False),
)  # fmt: skip
OUTCOMES = Table(
    "harness_outcome", METADATA, _run(primary=True),
    Column("combination_id", Integer, primary_key=True),
    Column("test_id", ForeignKey("harness_test.id"), primary_key=True),
    Column("board_id", ForeignKey("harness_board.id")), Column("outcome", Word(*OUTCOME_WORDS), nullable=False),
    Column("responsibility", Word(*RESPONSIBILITY_WORDS), nullable=False), Column("seconds", Double, nullable=False),
    Column("passed", Integer, nullable=False), Column("tries", SmallInteger, nullable=False),
    Column("kind", Text), Column("blocked_by", Text), Column("message", Text),
    ForeignKeyConstraint(["combination_id"], ["harness_combination.id"]),
    Index("ix_harness_outcome_test", "test_id", "combination_id", "run_id"),
    Index("ix_harness_outcome_board", "board_id", "run_id"),
    Index("ix_harness_outcome_not_passed", "run_id", "test_id", "combination_id", sqlite_where=text("outcome != 0"),
          postgresql_where=text("outcome != 0")),
    sqlite_with_rowid=False,
)  # fmt: skip
"""One test in one run on one combination. `passed`: number of checks that held; `tries`: number of earlier tries."""

TRIES = Table(
    "harness_try", METADATA, _run(primary=True),
    Column("combination_id", ForeignKey("harness_combination.id"), primary_key=True),
    Column("test_id", ForeignKey("harness_test.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False), Column("why", Text, nullable=False),
    Column("outcome", Word(*OUTCOME_WORDS), nullable=False),
    Column("responsibility", Word(*RESPONSIBILITY_WORDS), nullable=False), _text("kind"),
    Column("board_id", ForeignKey("harness_board.id")), Column("seconds", Double, nullable=False), _text("message"),
)  # fmt: skip
"""The earlier tries before an outcome, numbered from 1."""

FINDINGS = Table(
    "harness_finding", METADATA, _id(), _run(),
    Column("combination_id", ForeignKey("harness_combination.id"), nullable=False),
    Column("test_id", ForeignKey("harness_test.id"), nullable=False, index=True),
    Column("check_id", ForeignKey("harness_check.id"), nullable=False, index=True),
    Column("status", Text, nullable=False),
    _text("severity"), _text("expected"), _text("seen"), _text("place"), _text("subject"), _text("waiver"),
    _text("waived_by"), Column("try", Integer, nullable=False, server_default="0"),
)  # fmt: skip
"""Findings that are failed, waived or noted. `try` is 0 for the outcome itself, else the number of the earlier try."""

SUITES = Table(
    "harness_suite", METADATA, _run(primary=True),
    Column("combination_id", ForeignKey("harness_combination.id"), primary_key=True),
    Column("suite", Text, primary_key=True), _text("claim"), Column("state", Text, nullable=False),
    Column("passed", BigInteger, nullable=False), Column("total", BigInteger, nullable=False),
    Column("retried", BigInteger, nullable=False), Column("excused", JSON, nullable=False),
    Column("proven", Integer, nullable=False), Column("requirements", Integer, nullable=False),
)  # fmt: skip
"""The state of a suite in a run; `proven` of `requirements` rows of its table."""

LATENCY = Table(
    "harness_latency", METADATA, _id(), _run(),
    Column("combination_id", ForeignKey("harness_combination.id"), nullable=False),
    Column("board_id", ForeignKey("harness_board.id")), Column("name", Text, nullable=False, index=True),
    _text("clock"), _text("quality"), Column("n", BigInteger, nullable=False), Column("median", Double),
    Column("p90", Double), Column("p99", Double), Column("least", Double), Column("most", Double), _text("verdict"),
    _text("baseline"), Column("gate", JSON, nullable=False), Column("budgets", JSON, nullable=False),
)  # fmt: skip
"""Figures of one series, in seconds; the series themselves are in ``harness_series``."""

PARITY = Table(
    "harness_parity", METADATA, _id(), _run(),
    Column("combination_id", ForeignKey("harness_combination.id"), nullable=False),
    Column("board_id", ForeignKey("harness_board.id")), Column("model", Text, nullable=False, index=True),
    Column("vectors", BigInteger, nullable=False), Column("exact", Boolean, nullable=False),
    Column("passed", Boolean, nullable=False), Column("failing", BigInteger, nullable=False),
    Column("max_lsb", BigInteger, nullable=False), Column("max_abs", Double), Column("top1", Double), _text("first_op"),
    _text("engine"), Column("outputs", JSON, nullable=False),
)  # fmt: skip

SESSIONS = Table(
    "harness_session", METADATA, _id(),
    Column("night_id", ForeignKey("harness_night.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False), Column("number", Integer, nullable=False),
    Column("combination", Text, nullable=False),
    _text("board"), Column("suites", JSON, nullable=False), _text("why"), Column("state", Text, nullable=False),
    _text("reason"), _text("host"), Column("started", Moment()),
    Column("ended", Moment()),
    Column("run_id", ForeignKey("harness_run.id", ondelete="SET NULL"), index=True),
    UniqueConstraint("night_id", "key", "number"),
)  # fmt: skip
"""A planned session of a night, and each try of it (`number` from 1)."""

KNOWN_ISSUES = Table(
    "harness_known_issue", METADATA, _id(), Column("title", Text, nullable=False), Column("test", Text, nullable=False),
    Column("environment", Text, nullable=False, server_default="*"), _text("ticket"), _text("by"),
    Column("intermittent", Boolean, nullable=False), Column("added", Moment(), nullable=False),
    Column("expires", Moment()),
)  # fmt: skip
"""A known issue: patterns of test and environment (combination), ticket, expiry."""
