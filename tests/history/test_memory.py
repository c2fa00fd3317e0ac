"""The memory of runs, and what many nights say together."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.history.classify import KnownIssue, Seen, classify, wilson
from tfm_harness.history.issues import load_issues
from tfm_harness.history.memory import Memory
from tfm_harness.report.record import BoardEntry, CombinationEntry, FindingEntry, RunRecord, TestEntry
from tfm_harness.report.storage import save_run

ON = "qemu-an547+reference"
DAY = dt.date(2026, 11, 28)


def story(*nights: str, board: str = "a", identities: str = "") -> list[Seen]:
    """One test over nights: p passed, f failed, e error, n not run, . nothing; the firmware's letter by night."""
    words = {"p": "passed", "f": "failed", "e": "error", "n": "not run"}
    return [
        Seen(run=f"n{night}", started=float(night), test="t", combination=ON, board=board, outcome=words[letter],
             identity=identities[night : night + 1])
        for night, letter in enumerate("".join(nights))
        if letter != "."
    ]  # fmt: skip


def judged(history: list[Seen], **options: Any) -> Any:
    newest = max(history, key=lambda one: one.started)
    (found,) = classify(history, newest.run, today=DAY, **options)
    return found


@pytest.mark.parametrize(
    ("nights", "identities", "kind", "first_bad", "last_good"),
    [
        ("p", "", "passed", None, None),
        ("f", "", "new failure", "n0", None),
        ("ppf", "", "new failure", "n2", "n1"),
        ("pff", "", "still failing", "n1", "n0"),
        ("pfef", "", "still failing", "n1", "n0"),
        ("pffp", "", "fixed", None, None),
        ("ffpp", "", "passed", None, None),
        ("pfpf", "AAAA", "flaky", "n3", "n2"),
        ("pfpf", "ABCD", "new failure", "n3", "n2"),
        ("ppe", "", "infrastructure", None, None),
        ("pfe", "", "infrastructure", None, None),
        ("ppn", "", "never ran", None, None),
        ("pef", "", "new failure", "n2", "n0"),
    ],
)
def test_stories(nights: str, identities: str, kind: str, first_bad: str | None, last_good: str | None) -> None:
    found = judged(story(nights, identities=identities))
    assert found.kind == kind
    assert (found.first_bad.run if found.first_bad else None) == first_bad
    assert (found.last_good.run if found.last_good else None) == last_good


def test_boards_that_disagree_are_no_regression() -> None:
    good, bad = story("ppp", board="a", identities="AAB"), story("ppf", board="b", identities="AAB")
    found = judged([*good, *bad])
    assert found.kind == "boards disagree"
    assert found.boards == (("a", "passed"), ("b", "failed"))
    assert judged([*story("ppf", board="a", identities="AAB"), *bad]).kind == "new failure"


def test_known_issues_count_until_their_day() -> None:
    def issue(**changes: Any) -> KnownIssue:
        return KnownIssue(**{"ticket": "T-1", "test": "t*", "until": DAY, **changes})

    found = judged(story("ppf"), issues=[issue()])
    assert (found.kind, found.ticket) == ("known issue", "T-1")
    assert judged(story("ppf"), issues=[issue(until=DAY - dt.timedelta(days=1))]).kind == "new failure"
    assert judged(story("ppf"), issues=[issue(combination="mps3*")]).kind == "new failure"
    assert judged(story("pfp"), issues=[issue()]).kind == "fixed"
    assert judged(story("pfp"), issues=[issue(intermittent=True)]).kind == "known issue"


def test_runs_after_the_one_that_is_asked_about_do_not_count() -> None:
    (found,) = classify(story("ppffp"), "n2", today=DAY)
    assert found.kind == "new failure"


def test_wilson() -> None:
    assert wilson(0, 0) is None
    share, low, high = wilson(1, 2) or (0.0, 0.0, 0.0)
    assert (share, round(low, 3), round(high, 3)) == (0.5, 0.095, 0.905)
    _, low, _ = wilson(0, 10) or (1.0, 1.0, 1.0)
    assert low == 0.0


# -- the store


def record(name: str, day: int, *outcomes: str, identity: str = "aa") -> RunRecord:
    return RunRecord(
        name=name, verdict="passed", headline=f"night {day}", started=f"2026-11-{day:02}T02:00:00+00:00",
        combinations=(CombinationEntry(name=ON, image={"SPE": identity}),),
        boards=(BoardEntry(combination=ON, name="a", measurements={"SPE": identity}),),
        tests=tuple(
            TestEntry(nodeid=f"t{index}", combination=ON, board="a", outcome=outcome,  # type: ignore[arg-type]
                      responsibility="product" if outcome == "failed" else "",
                      findings=(FindingEntry(id="x.y", status="failed" if outcome == "failed" else "passed"),))
            for index, outcome in enumerate(outcomes)
        ),
    )  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for day, outcomes in ((1, ("passed", "passed")), (2, ("passed", "failed")), (3, ("error", "failed"))):
        save_run(record(f"night-{day}", day, *outcomes, identity=f"{day:02}"), tmp_path / f"r{day}/run.json")
    return tmp_path


def test_a_run_is_taken_in_once_and_a_changed_record_replaces_it(runs: Path) -> None:
    with Memory(str(runs / "m.sqlite")) as memory:
        assert memory.import_run(runs / "r1")
        assert not memory.import_run(runs / "r1/run.json")
        save_run(record("night-1", 1, "failed", "passed"), runs / "r1/run.json")
        assert memory.import_run(runs / "r1")
        (only,) = memory.remembered()
        assert [seen.outcome for seen in memory.outcomes([only.id])] == ["failed", "passed"]
        assert memory.sizes()["harness_finding"] == 1  # the passed one is a count
        assert memory.sizes()["harness_outcome"] == 2
        assert memory.prune(dt.datetime(2026, 12, 1, tzinfo=dt.UTC)) == 1
        assert memory.sizes()["harness_outcome"] == 0
        with pytest.raises(ConfigError) as caught:
            memory.take(RunRecord(name="x", verdict="passed"), "0" * 64)
        assert caught.value.kind == "run-file"


def test_the_commands(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", str(runs / "m.sqlite")]
    assert main(["history", "import", *(str(runs / f"r{day}") for day in (1, 2, 3)), *store]) == 0
    assert "3 taken in, 0 known" in capsys.readouterr().out
    assert main(["history", "import", str(runs / "r1"), *store]) == 0
    assert "0 taken in, 1 known" in capsys.readouterr().out
    assert main(["history", "show", *store]) == 0
    out = capsys.readouterr().out
    assert "night-3: 1 still failing, 1 infrastructure" in out
    assert "t1; since night-2 with SPE:02; last good in night-1" in out
    (runs / "known.yaml").write_text("- {ticket: T-7, test: t1, until: 2026-12-31}\n")
    assert (
        main(["history", "show", *store, "--run", "night-2", "--issues", str(runs / "known.yaml"), "--format", "json"])
        == 0
    )
    said = {one["test"]: one for one in json.loads(capsys.readouterr().out)["tests"]}
    assert (said["t1"]["class"], said["t1"]["ticket"], said["t0"]["class"]) == ("known issue", "T-7", "passed")
    assert main(["history", "show", *store, "--format", "markdown", "--all"]) == 0
    assert capsys.readouterr().out.startswith("# night-3")
    assert main(["history", "show", *store, "--run", "missing"]) == 4
    assert main(["history", "prune", "--keep-days", "0", *store]) == 4
    assert main(["history", "prune", "--keep-days", "1", *store]) == 0
    assert main(["history", "show", *store]) == 4


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (("passed",), 0),
        (("passed", "failed"), 1),
        (("failed", "error"), 1),
        (("passed", "error"), 125),
        (("blocked",), 125),
        (("not run", "passed"), 125),
        ((), 125),
        (("not covered",), 125),
    ],
)
def test_bisect(tmp_path: Path, outcomes: tuple[str, ...], code: int) -> None:
    save_run(record("r", 1, *outcomes), tmp_path / "run.json")
    assert main(["bisect", str(tmp_path)]) == code
    assert main(["bisect", str(tmp_path / "nowhere")]) == 125


@pytest.mark.parametrize(
    "text", ["{", "x: 1", "- {ticket: T}", "- {ticket: T, test: t}", "- {ticket: T, test: t, until: soon}", "\xff\xfe"]
)
def test_wrong_files_of_issues(tmp_path: Path, text: str) -> None:
    (tmp_path / "known.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load_issues(tmp_path / "known.yaml")
    assert caught.value.kind == "known-issues"
