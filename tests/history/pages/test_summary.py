"""The mail of a morning."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.history.database import Database
from tfm_harness.history.keep import keep_run
from tfm_harness.history.summary import summary
from tfm_harness.report.markdown import plain
from tfm_harness.report.record import RunRecord, TestEntry


def part(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_what_is_new_since_a_day_is_told_from_what_is_old(farm: Database) -> None:
    since = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)  # nights 4, 5 and 6
    text = summary(farm, since)
    assert text.startswith("# night-6: 1 new failure, 1 boards disagree, 1 flaky")
    assert "test\\_token** on mps3+app: new failure; the product; since night-6 with SPE:0c0c0c0c0c0c" in text
    assert "test\\_signed" in part(text, "Failing since before 2026-11-24")
    assert "test\\_signed" not in part(text, "Failing since 2026-11-24 or later")
    assert "test\\_reset" in part(text, "Fixed")
    assert "- bench-c: 14 tests lost to console-closed" in part(text, "The bench")
    assert "bench-c is Bad" in part(text, "The bench")
    assert "latency of tamper: slower +9 %" in part(text, "Figures")
    assert re.findall(r"^\| (night-\d)", part(text, "Night by night"), re.MULTILINE) == [
        "night-6",
        "night-5",
        "night-4",
    ]
    earlier = summary(farm, dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC))
    assert "test\\_signed" in part(earlier, "Failing since 2026-11-22 or later")


def test_device_text_is_plain_in_the_mail(farm: Database) -> None:
    text = summary(farm)
    assert "<script" not in text
    assert "\x1b" not in text
    assert plain("a|b @you <i> [x](y) `c` https://e *d* #1") == (
        "a\\|b &#64;you &lt;i&gt; \\[x\\](y) \\`c\\` https&#58;//e \\*d\\* \\#1"
    )


def test_the_mail_stays_short(tmp_path: Path) -> None:
    with Database(str(tmp_path / "s.sqlite")) as database:
        for day in range(1, 17):
            tests = tuple(
                TestEntry(
                    nodeid=f"t.py::test_{n}",
                    board=f"b{n}",
                    outcome="failed",
                    responsibility="product",
                    message="x" * 9000,
                )
                for n in range(60)
            )
            keep_run(
                database,
                RunRecord(name=f"n{day}", verdict="failed", started=f"2026-11-{day:02}T22:00:00+00:00", tests=tests),
            )
        text = summary(database, dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    assert len(text) < 10_000
    assert "and 50 more" in text
    assert "and 2 nights before" in text


def test_the_command(farm: Database, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["history", "summary", "--store", farm.url]
    assert main([*command, "--since", "2026-11-20", "--link", "https://farm.example.org/"]) == 0
    printed = capsys.readouterr().out
    assert "](https://farm.example.org/run/" in printed
    assert "[the pages](https://farm.example.org/index.html)" in printed
    assert main([*command, "--since", "2999-01-01"]) == 4
    assert "no night since" in capsys.readouterr().err
    assert main([*command, "--link", "javascript:alert(1)"]) == 4
    assert main([*command, "--link", "https://x)[y](z"]) == 4
    assert main(["history", "summary", "--store", str(tmp_path / "empty.sqlite")]) == 4
