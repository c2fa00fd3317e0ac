"""A summary of the nights since a day, as Markdown for a mail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from tfm_harness.errors import ConfigError
from tfm_harness.history.classify import Classified, KnownIssue
from tfm_harness.history.database import Database
from tfm_harness.history.judged import Judged, judge_night
from tfm_harness.history.queries import Memory
from tfm_harness.history.rows import NightRow
from tfm_harness.report.headline import WHOSE
from tfm_harness.report.markdown import plain
from tfm_harness.report.record import in_words
from tfm_harness.safe_text import hide_secrets, safe

__all__ = ["summary"]

_MOST: Final = 10
"""The most entries under one heading; the mail counts the others."""
_MOST_NIGHTS: Final = 14
_FAILS: Final = ("new failure", "boards disagree", "flaky", "still failing")


def summary(
    database: Database, since: dt.datetime | None = None, *, issues: Sequence[KnownIssue] = (), link: str = ""
) -> str:
    """The newest night in comparison with earlier ones, and everything that is new since a day.

    Args:
        since: the day; default seven days before the newest night.
        issues: known issues besides those of the store.
        link: address of the pages (`tfm-harness dashboard` or a written site).

    Raises:
        ConfigError: kind ``history-run``: there is no night since then.
        InfrastructureError: kind ``store-failed``.
    """
    memory = Memory(database)
    nights = memory.nights(limit=400)
    newest = nights[0].started if nights else None
    start = since or (newest or dt.datetime.now(dt.UTC)) - dt.timedelta(days=7)
    chosen = [night for night in nights if night.started is not None and (night.ended or night.started) >= start]
    if not chosen:
        raise ConfigError(
            "there is no night since then", kind="history-run", expected=nights[0].name if nights else "any run",
            seen=f"{start:%Y-%m-%d}", where=database.shown, hint="add runs: tfm-harness history import RUN",
        )  # fmt: skip
    judged = judge_night(database, chosen[0].name, issues=issues)
    return "\n".join(_lines(database, judged, chosen, start, link.rstrip("/"))) + "\n"


def _lines(
    database: Database, judged: Judged, nights: Sequence[NightRow], start: dt.datetime, link: str
) -> Iterator[str]:
    day = f"{start:%Y-%m-%d}"
    never = f"; {len(judged.never)} planned sessions never ran" if judged.never else ""
    yield f"# {_md(judged.name)}: {in_words(judged.counts) or 'no outcome'}{never}"  # type: ignore[arg-type] # classes are texts
    yield ""
    pages = f"; [the pages]({link}/index.html)" if link else ""
    runs = f"{len(judged.runs)} run{'' if len(judged.runs) == 1 else 's'}"
    yield f"{runs}, judged beside {judged.before} nights before; new means since {day}{pages}."
    failing = [one for one in judged.tests if one.kind in _FAILS and one.newest.outcome == "failed"]
    new = [one for one in failing if one.first_bad is None or one.first_bad.started >= start.timestamp()]
    old = [one for one in failing if one not in new]
    yield from _tests(f"Failing since {day} or later", new, link)
    yield from _tests(f"Failing since before {day}", old, link)
    well = [one for one in judged.tests if one.kind == "flaky" and one.newest.outcome != "failed"]
    yield from _tests("Flaky, and passed this time", well, link)
    silent = [one for one in judged.tests if one.kind == "left out" and one.first_bad is not None]
    yield from _tests("Left out, and failed when it was last judged", silent, link)
    for heading, kind in (("Fixed", "fixed"), ("Known", "known issue"), ("Never ran", "never ran")):
        yield from _tests(heading, [one for one in judged.tests if one.kind == kind], link)
    if judged.never:
        yield from ("", "## Planned, and never ran", "")
        yield from (f"- {_md(combination)}: {_md(why)}" for combination, why in judged.never[:_MOST])
        if len(judged.never) > _MOST:
            yield f"- and {len(judged.never) - _MOST} more"
    yield from _bench(database, judged)
    yield from _figures(database, judged)
    yield from _nights(database, nights)


def _tests(heading: str, tests: Sequence[Classified], link: str) -> Iterator[str]:
    if not tests:
        return
    yield from ("", f"## {heading}", "")
    for one in tests[:_MOST]:
        yield f"- {_test(one, link)}"
    if len(tests) > _MOST:
        yield f"- and {len(tests) - _MOST} more"


def _test(one: Classified, link: str) -> str:
    from tfm_harness.history.pages.links import run_page

    name = _md(one.newest.test.rpartition("::")[2])
    parts = [f"[{name}]({link}/{run_page(one.newest.run_id, one.newest.test)})" if link else f"**{name}**"]
    parts[0] += f" on {_md(one.newest.combination)}: {one.kind}"
    if one.newest.outcome == "failed":
        parts.append(_md(WHOSE.get(one.newest.responsibility, one.newest.responsibility)))
    if one.first_bad is not None:
        firmware = f" with {one.first_bad.firmware}" if one.first_bad.firmware else ""
        before = " or before" * one.or_before
        parts.append(_md(f"since {one.first_bad.night or one.first_bad.run}{before}{firmware}"))
    if one.same_firmware:
        parts.append("with the firmware with which it was good before")
    if one.checks:
        parts.append(_md(f"failed before, and now for another reason too: {', '.join(one.checks)}"))
    if one.rate is not None and one.kind == "flaky":
        parts.append(f"fails in {one.rate[0]:.0%}")
    if len({outcome for _, outcome in one.boards}) > 1:
        parts.append(_md(", ".join(f"{board or 'no board'} {outcome}" for board, outcome in one.boards[:6])))
    if one.ticket:
        parts.append(_md(one.ticket))
    return "; ".join(part for part in parts if part)


def _bench(database: Database, judged: Judged) -> Iterator[str]:
    boards = Memory(database).boards(nights=[judged.name])
    ill = [row for row in boards if row.health in {"Bad", "Looping", "Maintenance"}]
    if not judged.lost and not ill:
        return
    yield from ("", "## The bench", "")
    for board, kind, count in judged.lost[:_MOST]:
        yield f"- {_md(board or 'no board')}: {count} tests lost to {_md(kind or 'an error')}"
    if len(judged.lost) > _MOST:
        yield f"- and {len(judged.lost) - _MOST} more"
    for row in ill[:_MOST]:
        yield f"- {_md(row.name)} is {row.health}: {_md(row.reason)}"
    if len(ill) > _MOST:
        yield f"- and {len(ill) - _MOST} more boards that run nothing"


def _figures(database: Database, judged: Judged) -> Iterator[str]:
    memory = Memory(database)
    slower = [
        row for row in memory.figures("latency", nights=[judged.name], limit=5000) if row.verdict in {"slower", "drift"}
    ]
    differs = [row for row in memory.figures("parity", nights=[judged.name], limit=5000) if row.verdict == "failed"]
    rows = [f"latency of {one.what}: {one.verdict} {one.figures['gate'].get('change', '')}" for one in slower]
    rows += [f"parity of {one.what}: at most {one.figures['max_lsb']} LSB, not tolerated" for one in differs]
    places = [f"{one.combination}, {one.board or 'no board'}" for one in (*slower, *differs)]
    rows = [f"{row.strip()} ({place})" for row, place in zip(rows, places, strict=True)]
    if rows:
        yield from ("", "## Figures", "")
        yield from (f"- {_md(row.strip())}" for row in rows[:_MOST])
        if len(rows) > _MOST:
            yield f"- and {len(rows) - _MOST} more"


def _nights(database: Database, nights: Sequence[NightRow]) -> Iterator[str]:
    if len(nights) < 2:
        return
    yield from ("", "## Night by night", "")
    yield from ("| night | runs | new | fixed | failing | lost to the bench |", "|---|---|---|---|---|---|")
    for night in nights[:_MOST_NIGHTS]:
        judged = judge_night(database, night.name)
        counts = judged.counts
        failing = sum(one.kind in _FAILS and one.newest.outcome == "failed" for one in judged.tests)
        lost = sum(count for _, _, count in judged.lost)
        new, fixed = counts.get("new failure", 0), counts.get("fixed", 0)
        yield f"| {_md(night.name)} | {night.runs} | {new} | {fixed} | {failing} | {lost} |"
    if len(nights) > _MOST_NIGHTS:
        yield f"\nand {len(nights) - _MOST_NIGHTS} nights before"


def _md(text: str) -> str:
    clean = " ".join(safe(hide_secrets(text)).split())
    return plain(clean if len(clean) <= 200 else f"{clean[:200]}...")
