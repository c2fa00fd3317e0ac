"""Known issues in the store: added with a last day, and ended, never deleted."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select, update

from tfm_harness.errors import ConfigError
from tfm_harness.history import tables as t
from tfm_harness.history.database import Database
from tfm_harness.history.names import clean

__all__ = ["add_issue", "end_issue"]


def add_issue(
    database: Database,
    *,
    ticket: str,
    test: str,
    until: dt.date,
    environment: str = "*",
    title: str = "",
    by: str = "",
    intermittent: bool = False,
    now: dt.datetime | None = None,
) -> int:
    """Add a known issue; returns its number.

    Args:
        ticket: the ticket of the issue.
        test, environment: shell patterns of the test's name, and of the combination or the board.
        until: the last day on which it counts: an issue without end hides a defect for ever.

    Raises:
        ConfigError: kind ``known-issues``: something is missing, or the last day has passed.
        InfrastructureError: kind ``store-failed``.
    """
    at = now or dt.datetime.now(dt.UTC)
    if not ticket.strip() or not test.strip() or not environment.strip() or until < at.date():
        raise ConfigError(
            "a known issue cannot be kept", kind="known-issues", expected="a ticket, a test's pattern, a day to come",
            seen=f"ticket {ticket!r}, test {test!r}, environment {environment!r}, until {until}",
        )  # fmt: skip
    row = {
        "title": clean(title.strip() or ticket.strip()), "ticket": clean(ticket.strip()), "test": clean(test.strip()),
        "environment": clean(environment.strip()), "by": clean(by.strip()), "intermittent": intermittent, "added": at,
        "expires": dt.datetime.combine(until, dt.time(23, 59, 59), dt.UTC),
    }  # fmt: skip
    with database.begin() as connection:
        return int(connection.execute(t.KNOWN_ISSUES.insert().values(row).returning(t.KNOWN_ISSUES.c.id)).scalar_one())


def end_issue(database: Database, number: int, *, now: dt.datetime | None = None) -> None:
    """End an issue: it excuses nothing from now on, but stays in the store.

    Raises:
        ConfigError: kind ``known-issues``: no issue has this number.
        InfrastructureError: kind ``store-failed``.
    """
    at = (now or dt.datetime.now(dt.UTC)) - dt.timedelta(days=1)
    issues = t.KNOWN_ISSUES.c
    with database.begin() as connection:
        if connection.execute(select(issues.id).where(issues.id == number)).scalar() is None:
            raise ConfigError("no such known issue", kind="known-issues", seen=str(number), where=database.shown)
        connection.execute(update(t.KNOWN_ISSUES).where(issues.id == number).values(expires=at))
