"""Payloads through every text field of every record, into every output: the pages, exports, mails, summaries.

The fields are found by walking the record types: one that is added later is covered without a word here.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.farm.record import NightBoard, NightBuild, NightNotRun, NightRecord, NightSession, NightTest, NightTry
from tfm_harness.farm.storage import save_night
from tfm_harness.farm.words import summary_words
from tfm_harness.history.database import Database
from tfm_harness.history.health import set_health
from tfm_harness.history.keep import keep_run
from tfm_harness.history.known import add_issue
from tfm_harness.history.pages import Site
from tfm_harness.history.summary import summary as mail
from tfm_harness.plugin.summary import summary as terminal_summary
from tfm_harness.report import RunRecord, load_run, save_run
from tfm_harness.report.harmless import harmless, needs_cleaning
from tfm_harness.report.record import AccuracyEntry, ConsoleExcerpt, MoveEntry, TimingEntry, WaiverEntry
from tfm_harness.report.storage import _lines

from tests.campaigns.exports import every_export
from tests.history.records import record
from tests.untrusted import PAYLOADS, filled, troubles

ON = "mps3+app"


def whole() -> RunRecord:
    """A run that has entries of each kind."""
    return replace(
        record(),
        interrupted="SIGTERM",
        moves=(MoveEntry(nodeid="n", combination=ON, before="a", after="b", why="gone"),),
        waivers=(WaiverEntry(combination=ON, finding="a.b", reason="known", where="x:1", state="unused"),),
        consoles=(ConsoleExcerpt(combination=ON, board="b0", name="ns", text="last words"),),
        accuracy=(
            AccuracyEntry(
                combination=ON, model="m", metric="top-1", device=0.5, reference=1.0, labels=("a", "b"),
                device_matrix=((1, 1), (0, 2)), reference_matrix=((2, 0), (0, 2)), differing=("x",),
            ),
        ),
        timings=(
            TimingEntry(
                combination=ON, board="b0", name="tag", check="latency.dudect-tag", fixed=5000, random=5100,
                means=(700.0, 701.5), values=(("raw", 2.0), ("99 %", float("inf")), ("2nd", 0.0)), limits=(4.5, 10.0),
            ),
        ),
    )  # fmt: skip


def test_the_record_has_entries_of_each_kind() -> None:
    """Else fields of an empty list would hold no payload."""
    empty = [name for name in RunRecord.__dataclass_fields__ if getattr(whole(), name) in ((), {}, "")]
    assert set(empty) <= {"traces", "version", "package_sha256"}, empty


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_every_export_and_the_page(payload: str) -> None:
    run = filled(whole(), payload)
    wrong = [trouble for name, text in every_export(run).items() for trouble in troubles(name, text)]
    assert not wrong, "\n".join(wrong)


class Terminal:
    """What the summary needs of pytest's terminal."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.config = None
        self._tw = self
        self.fullwidth = 120
        self.isatty = False
        self.hasmarkup = False

    def write_line(self, line: str, **_markup: bool) -> None:
        self.out.write(line + "\n")

    def write(self, text: str, **_markup: bool) -> None:
        self.out.write(text)

    line = write_line

    def ensure_newline(self) -> None: ...

    def section(self, title: str, *_: object, **_more: object) -> None:
        self.out.write(f"== {title} ==\n")

    write_sep = lambda self, _sep, title="", **_markup: self.section(title)  # noqa: E731 - pytest's own name


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_the_summary_in_the_terminal(payload: str) -> None:
    terminal = Terminal()
    terminal_summary(terminal, filled(whole(), payload))  # type: ignore[arg-type]
    said = terminal.out.getvalue()
    assert len(said) > 100
    assert not troubles("summary.txt", said)


def night() -> NightRecord:
    tried = NightTry(session="s", board="b", outcome="failed", responsibility="product", kind="k", message="m")
    return NightRecord(
        name="n", farm="farm.yaml", farm_sha256="00", verdict="failed", headline="h", ended_early="killed",
        engine="local",
        builds=(NightBuild(name="app", source="x", files={"a": "00"}),),
        boards=(NightBoard(name="b", pool="p", before="Good", state="Bad", reason="r", away="w", host="h"),),
        sessions=(NightSession(name="s", pool="p", build="app", board="b", trouble="t", headline="h", why="w"),),
        tests=tuple(
            NightTest(pool="p", build="app", test=f"t{n}", boards=("b",), outcome=outcome, tries=(tried, tried))  # type: ignore[arg-type]
            for n, outcome in enumerate(("failed", "flaky", "error"))
        ),
        not_run=(NightNotRun(pool="p", build="app", suites=("s",), why="w"),),
    )  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_nights_words_and_record(payload: str, tmp_path: Path) -> None:
    made = filled(night(), payload)
    said = summary_words(made)
    assert not troubles("night.txt", said)
    save_night(made, tmp_path / "night.json")
    assert not troubles("night.json", (tmp_path / "night.json").read_text())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A store with runs whose every text is a payload; names of runs stay apart."""
    folder = tmp_path_factory.mktemp("untrusted")
    with Database(str(folder / "s.sqlite")) as database:
        for number, payload in enumerate(PAYLOADS.values()):
            made = filled(whole(), payload, keep=frozenset({"started", "combinations"}))
            named: Any = replace(made, name=f"run-{number} {payload[:60]}")
            keep_run(database, harmless(named).record, folder=str(folder / f"{number}"), night="night-1")
            set_health(database, f"b{number}{payload[:60]}", "Bad", reason=payload, by=payload)
            add_issue(
                database,
                ticket=f"{number}{payload[:60]}",
                test=f"*{payload[:60]}*",
                until=dt.date(2999, 1, 1),
                by=payload,
            )
        yield database


def test_the_pages_of_the_store(store: Database, tmp_path: Path) -> None:
    Site(store).write(tmp_path / "site", nights=4)
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAYLOADS)
    wrong = [trouble for path in pages for trouble in troubles(path.name, path.read_text(encoding="utf-8"))]
    assert not wrong, "\n".join(wrong[:20])
    for path in (tmp_path / "site").rglob("*"):
        assert path.name.isprintable()


def test_the_mail(store: Database) -> None:
    said = mail(store, dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert len(said) > 200
    assert not troubles("mail.md", said)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_record_on_the_disk_is_harmless_to_print(payload: str, tmp_path: Path) -> None:
    """People cat it, and CI systems print artefacts."""
    run = filled(whole(), payload)
    save_run(run, tmp_path / "run.json")
    text = (tmp_path / "run.json").read_text()
    assert not troubles("run.json", text)
    assert load_run(tmp_path / "run.json").verdict == run.verdict


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_record_from_elsewhere_is_cleaned_when_it_is_read(payload: str, tmp_path: Path) -> None:
    """Written by another program, without a thought of what its texts may do."""
    run = filled(whole(), payload.encode("utf-8", "replace").decode())
    path = tmp_path / "run.json"
    path.write_text("".join(_lines(run)))
    assert load_run(path) == harmless(run).record


def test_an_ordinary_record_is_not_walked() -> None:
    plain = "".join(_lines(record())).encode()
    assert not needs_cleaning(plain)
    assert harmless(record()).record == record()
    kept = record()
    assert harmless(kept).record is kept
