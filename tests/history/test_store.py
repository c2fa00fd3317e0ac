"""The baseline store on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.history import BaselineKey, BaselineStore, default_url
from tfm_harness.latency import Clock, ClockQuality, Series, regression_gate

CLOCK = Clock(source="sse-counter", hz=32_000_000, bits=64, quality=ClockQuality.DETERMINISTIC)
ROOT = Path(__file__).resolve().parents[2]


def series(centre: int = 1000, **facts: object) -> Series:
    base: dict[str, object] = {"name": "tamper", "board": "qemu", "clock": CLOCK, "empty": (4,) * 16}
    return Series(**{**base, "ticks": tuple(centre + i % 2 for i in range(30)), **facts})  # type: ignore[arg-type]  # fields by name


@pytest.fixture
def store(store_url: str) -> Iterator[BaselineStore]:
    with BaselineStore(store_url) as opened:
        yield opened


def night(day: int) -> dt.datetime:
    return dt.datetime(2026, 11, day, 2, 0, tzinfo=dt.UTC)


def test_first_night_has_no_baseline(store: BaselineStore) -> None:
    assert store.baseline(series()) is None
    assert store.nights(series()) == []
    assert store.baselines() == []
    assert store.runs() == []
    assert regression_gate(series(), store.baseline(series()), Report()).verdict == "no-baseline"


def test_accepted_baseline_comes_back_whole(store: BaselineStore) -> None:
    store.add("run-1", series(), taken=night(1))
    assert store.baseline(series()) is None, "storing is not accepting"
    (accepted,) = store.accept("run-1", reason="first release")
    assert accepted == series()
    found = store.baseline(series(2000))
    assert found is not None
    assert found.run == "run-1"
    assert found.series == series()
    (shown,) = store.baselines()
    assert (shown.run, shown.reason) == ("run-1", "first release")
    assert abs((dt.datetime.now(dt.UTC) - shown.accepted).total_seconds()) < 600


def test_a_later_acceptance_replaces_the_first(store: BaselineStore) -> None:
    for day, centre in ((1, 1000), (2, 1010)):
        store.add(f"run-{day}", series(centre), taken=night(day))
    store.accept("run-1", reason="first")
    store.accept("run-2", reason="second")
    (shown,) = store.baselines()
    assert (shown.run, shown.reason) == ("run-2", "second")


def test_what_differs_has_its_own_baseline(store: BaselineStore) -> None:
    others = [
        series(name="sine"),
        series(board="mps3"),
        series(environment={"qemu": "9"}),
        series(clock=replace(CLOCK, hz=25_000_000)),
        series(clock=replace(CLOCK, quality=ClockQuality.CYCLE_EXACT)),
    ]
    store.add("run-1", series())
    store.accept("run-1", reason="r")
    for other in others:
        assert store.baseline(other) is None
        store.add("run-1", other)
    assert len(store.accept("run-1", reason="all")) == 6
    assert len(store.accept("run-1", reason="one", name="sine")) == 1
    assert len({BaselineKey.of(s).digest for s in [*others, series()]}) == 6


def test_nights_come_oldest_first_and_limited(store: BaselineStore) -> None:
    for day in (3, 1, 2, 5, 4):
        store.add(f"run-{day}", series(1000 + day), taken=night(day))
    assert [n.run for n in store.nights(series())] == [f"run-{d}" for d in (1, 2, 3, 4, 5)]
    assert [n.run for n in store.nights(series(), limit=2)] == ["run-4", "run-5"]
    assert [n.run for n in store.nights(series(), before="run-5", limit=2)] == ["run-3", "run-4"]
    assert [run for run, _, _ in store.runs()] == [f"run-{d}" for d in (1, 2, 3, 4, 5)]


def test_storing_again_replaces(store: BaselineStore) -> None:
    store.add("run-1", series(1000), taken=night(1))
    store.add("run-1", series(1100), taken=night(1))
    assert store.series_of("run-1") == [series(1100)]
    assert store.runs() == [("run-1", night(1), 1)]


def test_large_series_keep_every_value(store: BaselineStore) -> None:
    large = series(ticks=tuple(range(2**32 - 100_000, 2**32)))
    store.add("run-1", large)
    assert store.series_of("run-1") == [large]


def test_unknown_runs_and_missing_reasons_are_refused(store: BaselineStore) -> None:
    store.add("run-1", series())
    with pytest.raises(ConfigError, match="no series of run 'run-9'") as caught:
        store.accept("run-9", reason="x")
    assert "run-1" in str(caught.value.expected)
    with pytest.raises(ConfigError, match="called 'sine'"):
        store.accept("run-1", reason="x", name="sine")
    with pytest.raises(ConfigError, match="needs a reason"):
        store.accept("run-1", reason=" ")


def test_gate_over_the_store(store: BaselineStore) -> None:
    for day in range(1, 8):
        store.add(f"run-{day}", series(100_000 + day), taken=night(day))
    store.accept("run-7", reason="release")
    for centre, verdict in ((100_010, "passed"), (103_000, "slower")):
        tonight = series(centre)
        report = Report()
        result = regression_gate(tonight, store.baseline(tonight), report, nights=store.nights(tonight))
        assert result.verdict == verdict
        assert result.nights == 7


# --- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://x", "postgresql+nodriver://x/y", "sqlite+://", "://", "http://[::1", "postgresql://u@h:x/d",
        "sqlite:///a%00b", "sqlite:///x?timeout=abc", "sqlite:///x?check_same_thread=zz", "sqlite:///\udcff", "\udcff",
        "sqlite:///x?cached_statements=99999999999999999999",
    ],
)  # fmt: skip
def test_bad_urls_are_the_users(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BaselineStore(url)
    assert caught.value.kind == "store-url"


@pytest.mark.parametrize("name", ["50%25", "a?b=1", "a#b", "a%00b", "a b+c", "é;&:@", "token=%41"])
def test_a_path_may_hold_what_means_something_in_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    for given in (str(folder / "one"), "two", default_url(folder)):
        BaselineStore(given).close()
    assert sorted(path.name for path in folder.iterdir()) == ["one", "store.sqlite", "two"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_unreachable_server_hides_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra: postgresql)")
    with pytest.raises(InfrastructureError) as caught:
        BaselineStore(f"postgresql://bench:secret-word@/x?host={tmp_path}")
    assert caught.value.kind == "store-failed"
    assert "secret-word" not in str(caught.value)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "junk.sqlite"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(InfrastructureError, match="cannot be used"):
        BaselineStore(str(path))
    with pytest.raises(InfrastructureError):
        BaselineStore(str(tmp_path))  # a folder
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError):
        BaselineStore(str(tmp_path / "file" / "x.sqlite"))


def test_other_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    BaselineStore(str(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE harness_meta SET value = '99'")
    connection.close()
    with pytest.raises(InfrastructureError, match="another version"):
        BaselineStore(str(path))


def test_damaged_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with BaselineStore(str(path)) as store:
        store.add("run-1", series())
        with sqlite3.connect(path) as connection:
            connection.execute("""UPDATE harness_series SET data = '{"name": 1}'""")
        connection.close()
        with pytest.raises(InfrastructureError, match="'tamper' of run 'run-1' is damaged"):
            store.series_of("run-1")


def test_another_process_that_writes_the_same_row_first_is_no_error(store: BaselineStore) -> None:
    """Between the look whether a row is there and the write somebody else may have made it."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    def others(url: str) -> None:
        with BaselineStore(url) as other:
            other.add("run-1", series(900), taken=night(1))
            other.accept("run-1", reason="theirs")

    for work in (
        lambda: store.add("run-1", series(1000), taken=night(1)),
        lambda: store.accept("run-1", reason="ours"),
    ):
        event.listen(Session, "before_flush", lambda *_: others(store.url), once=True)
        work()
    (kept,) = store.series_of("run-1")
    assert len(store.baselines()) == 1
    assert kept.ticks in {series(900).ticks, series(1000).ticks}


def test_processes_may_open_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    script = (
        "import sys; from tfm_harness.history import BaselineStore; from tfm_harness.latency import Clock, Series\n"
        "with BaselineStore(sys.argv[1]) as store:\n"
        "    for n in range(20):\n"
        "        store.add(f'{sys.argv[2]}-{n}', Series(name='m', ticks=(1,) * 50, clock=Clock(source='c', hz=1)))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name], cwd=ROOT) for name in "ab"]
    assert [w.wait(timeout=60) for w in writers] == [0] * 2
    with BaselineStore(str(path)) as store:
        assert len(store.runs()) == 40


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TFM_HARNESS_BASELINE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_url() == f"sqlite:///{tmp_path}/tfm-harness/store.sqlite"
    monkeypatch.setenv("TFM_HARNESS_BASELINE", "postgresql://db/x")
    assert default_url() == "postgresql://db/x"


def test_importing_the_harness_does_not_load_sqlalchemy() -> None:
    check = "import tfm_harness.plugin.entry, sys; assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)
