"""The memory of runs, and what many nights say together."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from tfm_harness.cli.history_show import in_a_line
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.history import tables as t
from tfm_harness.history.classify import KnownIssue, Seen, classify, wilson
from tfm_harness.history.database import Database
from tfm_harness.history.health import set_health
from tfm_harness.history.issues import load_issues
from tfm_harness.history.judged import durations, judge_night
from tfm_harness.history.keep import keep_run
from tfm_harness.history.pages.views import tonight
from tfm_harness.history.prune import prune
from tfm_harness.history.queries import Memory
from tfm_harness.history.summary import summary
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
    newest = max(one.started for one in history)
    tonight = [one for one in history if one.started == newest]
    (found,) = classify(tonight, [one for one in history if one.started < newest], today=DAY, **options)
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
        ("pffp", "AAAA", "flaky", None, None),  # nothing was mended: it is the same firmware
        ("pffp", "ABBC", "fixed", None, None),
        ("fp", "AA", "fixed", None, None),  # the test or the bench may have been mended
        ("pfpf", "", "new failure", "n3", "n2"),
        ("pfpfpf", "ABCDEF", "flaky", "n5", "n4"),
        ("pfpfp", "ABCDE", "flaky", None, None),
        ("pffpf", "AABBC", "new failure", "n4", "n3"),  # fixed, and broken again
        ("pf..f", "AA..B", "still failing", "n1", "n0"),
        ("pfeenf", "AABBBB", "still failing", "n1", "n0"),
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
    assert judged(story("ppf"), issues=[issue(combination="a")]).kind == "known issue", "a board's name"
    assert judged(story("pfp"), issues=[issue()]).kind == "fixed"
    assert judged(story("pfp"), issues=[issue(intermittent=True)]).kind == "known issue"


def test_a_board_that_always_fails_makes_no_test_flaky() -> None:
    good, bad = story("pppp", board="a", identities="AAAA"), story("ffff", board="b", identities="AAAA")
    assert judged([*good, *bad]).kind == "boards disagree"
    assert judged(story("pfpf", board="a", identities="AAAA") + story("pfpf", board="b", identities="AAAA")).kind == (
        "flaky"
    )


def test_one_board_that_goes_to_and_fro_is_flaky_whatever_the_others_say() -> None:
    assert judged(
        [*story("pfpf", board="a", identities="AAAA"), *story("pppp", board="b", identities="AAAA")]
    ).kind == ("flaky")


def test_what_the_bench_lost_on_one_board_hides_no_judgement_of_another() -> None:
    assert judged([*story("pfp", board="a"), *story("pfe", board="b")]).kind == "fixed"
    lost = story("ppe", board="b")
    assert judged([*story("ppf", board="a"), *lost]).kind == "new failure"
    assert judged([*story("ppe", board="a"), *lost]).kind == "infrastructure"


def test_one_board_with_two_outcomes_in_one_night_is_flaky() -> None:
    first, second = story("pf", identities="AA")
    again = replace(first, started=second.started, run="n1", night="n1")
    assert [one.kind for one in classify([replace(second, night="n1"), again])] == ["flaky"]
    elsewhere = replace(again, board="b")
    assert [one.kind for one in classify([replace(second, night="n1"), elsewhere])] == ["boards disagree"]


def test_what_boards_disagreed_about_is_not_fixed_by_one_of_them() -> None:
    failed, elsewhere = story("f", board="a", identities="A"), story("p", board="b", identities="A")
    for identity in "AB":
        again = story(".p", board="a", identities="." + identity)
        assert judged([*failed, *elsewhere, *again]).kind == "passed"
    assert judged([*failed, *story("f", board="b", identities="A"), *again]).kind == "fixed"


def test_a_new_failure_with_the_firmware_of_before_says_so() -> None:
    assert judged(story("ppf", identities="AAA")).same_firmware
    assert not judged(story("ppf", identities="AAB")).same_firmware
    assert not judged(story("ppf")).same_firmware, "not known"


def with_checks(history: list[Seen], *checks: str) -> list[Seen]:
    """The failures with the checks that failed, a night's separated by blanks."""
    return [replace(one, checks=frozenset(words.split())) for one, words in zip(history, checks, strict=True)]


@pytest.mark.parametrize(
    ("checks", "kind", "says"),
    [
        (("", "a", "a"), "still failing", ()),
        (("", "a b", "a"), "still failing", ()),
        (("", "a", "a b"), "new failure", ("b",)),
        (("", "a", "c b"), "new failure", ("b", "c")),
        (("", "", "a"), "still failing", ()),  # it failed without a check before: no reason is known to be new
        (("", "a", ""), "still failing", ()),
    ],
)
def test_another_failure_does_not_hide_behind_an_old_one(
    checks: tuple[str, ...], kind: str, says: tuple[str, ...]
) -> None:
    found = judged(with_checks(story("pff", identities="ABC"), *checks))
    assert (found.kind, found.checks) == (kind, says)
    assert found.first_bad is not None
    assert found.first_bad.run == ("n2" if says else "n1")
    known = judged(
        with_checks(story("pff", identities="ABC"), *checks), issues=[KnownIssue(ticket="T", test="*", until=DAY)]
    )
    assert known.kind == ("new failure" if says else "known issue")
    assert known.ticket == "T"


def test_what_ran_only_before_is_no_part_of_tonight() -> None:
    tonight, before = Seen(run="n1", started=1, test="t"), Seen(run="n0", started=0, test="other", outcome="failed")
    assert [one.newest.test for one in classify([tonight], [before])] == ["t"]


def test_wilson() -> None:
    assert wilson(0, 0) is None
    share, low, high = wilson(1, 2) or (0.0, 0.0, 0.0)
    assert (share, round(low, 3), round(high, 3)) == (0.5, 0.095, 0.905)
    _, low, _ = wilson(0, 10) or (1.0, 1.0, 1.0)
    assert low == 0.0


# -- the store


def record(name: str, day: int, *outcomes: str, identity: str = "aa", board: str = "a") -> RunRecord:
    return RunRecord(
        name=name, verdict="passed", headline=f"night {day}", started=f"2026-11-{day:02}T02:00:00+00:00",
        combinations=(CombinationEntry(name=ON, image={"SPE": identity}),),
        boards=(BoardEntry(combination=ON, name=board, measurements={"SPE": identity}),),
        tests=tuple(
            TestEntry(nodeid=f"t{index}", combination=ON, board=board, outcome=outcome,  # type: ignore[arg-type]
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


def test_a_changed_record_of_a_run_replaces_it(database: Database, tmp_path: Path) -> None:
    first = keep_run(database, record("night-1", 1, "passed", "passed"))
    keep_run(database, record("night-1", 1, "passed", board="b"))
    again = keep_run(database, record("night-1", 1, "failed", "passed"))
    assert again.new
    memory = Memory(database)
    assert first.run_id not in {run.id for run in memory.runs()}
    assert len(memory.runs()) == 2, "another board is another run"
    assert [row.outcome for row in memory.outcomes(run_ids=[again.run_id])] == ["failed", "passed"]
    assert [one.check for one in memory.findings(run_id=again.run_id)] == ["x.y"], "the passed one is a count"
    (firmware,) = memory.firmware()
    assert firmware.first_run == "night-1"


def test_nights_are_judged(database: Database) -> None:
    for day, outcomes in ((1, "pppp"), (2, "ppfp"), (3, "pffe")):
        words = [{"p": "passed", "f": "failed", "e": "error"}[letter] for letter in outcomes]
        keep_run(database, record(f"night-{day}", day, *words, identity=f"{day:02}"))
    keep_run(database, record("other board", 3, "passed", identity="03", board="b"))
    judged = judge_night(database)
    assert (judged.name, len(judged.runs), judged.before) == ("2026-11-02", 2, 2)
    assert judged.counts == {"new failure": 1, "still failing": 1, "infrastructure": 1, "passed": 1}
    assert [(one.newest.test, one.kind) for one in judged.tests] == [
        ("t1", "new failure"), ("t2", "still failing"), ("t3", "infrastructure"),
    ]  # fmt: skip
    assert judged.tests[1].first_bad is not None
    assert (judged.tests[1].first_bad.run, judged.tests[1].first_bad.firmware) == ("night-2", "SPE:02")
    everything = judge_night(database, everything=True)
    assert everything.counts == judged.counts
    assert len(everything.tests) == 4
    earlier = judge_night(database, "2026-11-01")
    assert earlier.counts == {"new failure": 1, "passed": 3}, "what came later does not count"


def named(run: RunRecord, combination: str) -> RunRecord:
    """The run with another combination."""
    return replace(
        run,
        combinations=tuple(
            replace(one, name=combination, build=combination.rpartition("+")[2]) for one in run.combinations
        ),
        boards=tuple(replace(one, combination=combination) for one in run.boards),
        tests=tuple(replace(one, combination=combination) for one in run.tests),
    )


@pytest.mark.parametrize(
    ("before", "after", "firmware", "kind"),
    [
        ("a|b+fw", "a|b|c+fw", "bb", "still failing"),  # a board was added to the pool
        ("a|b|c+fw", "a|b+fw", "bb", "still failing"),
        ("a|b+fw", "b|d+fw", "bb", "still failing"),  # a board was exchanged
        ("a|b+fw", "a|b+other", "aa", "still failing"),  # the build was renamed
        ("a|b+fw", "a|b+other", "bb", "new failure"),  # another name, other firmware: another build
        ("a|b+fw", "c|d+fw", "aa", "new failure"),  # other boards
    ],
)
def test_a_combination_that_is_named_anew_keeps_its_history(
    database: Database, before: str, after: str, firmware: str, kind: str
) -> None:
    keep_run(database, named(record("r1", 21, "passed"), before))
    keep_run(database, named(record("r2", 22, "failed"), before))
    keep_run(database, named(record("r3", 23, "failed", identity=firmware), after))
    (found,) = judge_night(database).tests
    assert (found.kind, found.newest.combination) == (kind, after)
    assert found.first_bad is not None
    assert found.first_bad.run == ("r2" if kind == "still failing" else "r3")
    keep_run(database, named(record("r4", 24, "passed", identity="cc"), after))
    assert [one.kind for one in judge_night(database).tests] == ["fixed"]


def test_a_combination_that_still_runs_gives_its_history_to_no_other(database: Database) -> None:
    keep_run(database, named(record("r1", 21, "failed"), "a|b+fw"))
    keep_run(database, named(record("r2", 22, "failed"), "a|b+fw"))
    keep_run(database, named(record("r3", 22, "failed"), "a|b+copy"))
    found = {one.newest.combination: one.kind for one in judge_night(database).tests}
    assert found == {"a|b+fw": "still failing", "a|b+copy": "new failure"}


def test_the_store_tells_another_reason(database: Database) -> None:
    def failing(name: str, day: int, *checks: str) -> RunRecord:
        run = record(name, day, "failed")
        findings = tuple(FindingEntry(id=check, status="failed") for check in checks)
        return replace(run, tests=(replace(run.tests[0], findings=findings),))

    keep_run(database, failing("r1", 21, "dummy.key"))
    keep_run(database, failing("r2", 22, "dummy.key"))
    (found,) = judge_night(database).tests
    assert (found.kind, found.checks) == ("still failing", ())
    keep_run(database, failing("r3", 23, "dummy.key", "token.replayed"))
    (found,) = judge_night(database).tests
    assert (found.kind, found.checks) == ("new failure", ("token.replayed",))


def test_what_was_left_out_is_not_called_passed(database: Database) -> None:
    keep_run(database, record("r1", 21, "failed", "passed", "passed", "passed"))
    keep_run(database, record("r2", 22, "skipped", "not covered", "passed", "skipped"))
    found = judge_night(database)
    assert found.counts == {"passed": 1, "left out": 3}
    (silent,) = found.tests  # the one that failed: nobody looks at it any more
    assert (silent.newest.test, silent.kind) == ("t0", "left out")
    assert silent.first_bad is not None
    assert silent.first_bad.run == "r1"
    assert [group.kind for group in tonight(database).groups] == ["left out"]
    assert "Left out, and failed when it was last judged" in summary(database)
    assert judge_night(database, everything=True).counts == found.counts


def test_a_page_of_a_night_before_shows_the_health_of_that_night(database: Database) -> None:
    for day in (21, 22, 23):
        keep_run(database, record(f"r{day}", day, "passed", board="b"))
    evening = dt.datetime(2026, 11, 22, 2, 5, tzinfo=dt.UTC)
    morning = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)
    set_health(database, "b", "Bad", reason="the golden build failed", night="2026-11-21", at=evening)
    set_health(database, "b", "Unknown", reason="cable replaced", by="me", at=morning)
    set_health(database, "b", "Maintenance", reason="now", by="me", at=morning + dt.timedelta(days=3))
    sick = {night: [row.health for row in tonight(database, f"2026-11-{night}").sick] for night in (20, 21, 22)}
    assert sick == {20: [], 21: ["Bad"], 22: ["Maintenance"]}, "the newest night's page shows what is now"


def test_what_the_bench_lost_before_the_test_had_its_board_is_that_boards(database: Database) -> None:
    def lost(name: str, *boards: str) -> RunRecord:
        run = record(name, 21, "error")
        return replace(
            run, boards=tuple(replace(run.boards[0], name=board) for board in boards),
            tests=(replace(run.tests[0], board="", responsibility="infrastructure", kind="console-closed"),),
        )  # fmt: skip

    keep_run(database, lost("one", "b"))
    assert judge_night(database).lost == (("b", "console-closed", 1),)
    keep_run(database, lost("two", "b", "c"))
    assert set(judge_night(database).lost) == {("b", "console-closed", 1), ("", "console-closed", 1)}


def test_a_page_shows_the_line_that_says_what_is_wrong(database: Database) -> None:
    text = "device = <Device object>\n\n    def test_it(device):\n>       assert x\nE       AssertionError: too late"
    run = record("r1", 21, "failed")
    keep_run(database, replace(run, tests=(replace(run.tests[0], message=text),)))
    ((line,),) = [group.lines for group in tonight(database).groups]
    assert line.message == "AssertionError: too late"


def test_a_failure_as_old_as_the_memory_may_be_older(database: Database) -> None:
    for day in (21, 22, 23):
        keep_run(database, record(f"r{day}", day, "failed", "failed" if day > 21 else "passed"))
    found = {one.newest.test: one for one in judge_night(database).tests}
    assert {test: one.or_before for test, one in found.items()} == {"t0": True, "t1": False}
    assert "since r21 or before with" in in_a_line(found["t0"])
    assert "since r22 with" in in_a_line(found["t1"])
    prune(database, keep_nights=2)
    found = {one.newest.test: one for one in judge_night(database).tests}
    assert {one.or_before for one in found.values()} == {True}, "what was before is forgotten"


def test_a_session_that_never_ran_is_no_pass_of_the_night(database: Database) -> None:
    keep_run(database, record("r1", 21, "passed"))
    night = judge_night(database).name
    assert tonight(database).title == "All passed"
    with database.begin() as connection:
        row = {"name": night, "started": dt.datetime(2026, 11, 21, tzinfo=dt.UTC), "plan": {}}
        night_id = connection.execute(insert(t.NIGHTS).values(row).returning(t.NIGHTS.c.id)).scalar()
        tries = [
            ("lab fw", 1, "never ran", "c: Maintenance: new cable"),
            ("hall fw", 1, "never ran", "ended"),
            ("hall fw", 2, "passed", ""),  # the night was gone on with
        ]
        for key, number, state, why in tries:
            facts = {"key": key, "number": number, "combination": "c+fw" if "lab" in key else "a+fw", "suites": []}
            connection.execute(insert(t.SESSIONS).values(night_id=night_id, state=state, reason=why, **facts))
    assert judge_night(database).never == (("c+fw", "c: Maintenance: new cable"),)
    page = tonight(database)
    assert page.title == "What ran passed; 1 planned session never ran"
    assert page.colour == "bench"
    assert "## Planned, and never ran\n\n- c+fw: c: Maintenance: new cable" in summary(database)


def test_a_night_in_which_nothing_could_run_is_a_night(database: Database) -> None:
    keep_run(database, record("r1", 21, "passed"))
    keep_run(database, record("r2", 23, "passed"))
    moments = {"idle": dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC), "now": dt.datetime(2026, 11, 24, tzinfo=dt.UTC)}
    with database.begin() as connection:
        for name, moment in moments.items():
            row = {"name": name, "started": moment, "ended": moment if name == "idle" else None, "plan": {}}
            night_id = connection.execute(insert(t.NIGHTS).values(row).returning(t.NIGHTS.c.id)).scalar()
            facts = {"key": "k", "number": 1, "combination": "a+fw", "suites": [], "state": "never ran"}
            connection.execute(insert(t.SESSIONS).values(night_id=night_id, reason="a: Bad: cable", **facts))
    memory = Memory(database)
    assert [(row.name, row.runs) for row in memory.nights()] == [("2026-11-22", 1), ("idle", 0), ("2026-11-20", 1)], (
        "one that runs and has no run yet is not shown"
    )
    assert [row.name for row in memory.nights(before="idle")] == ["2026-11-20"]
    assert [row.name for row in memory.nights(before="2026-11-22")] == ["idle", "2026-11-20"]
    assert [row.name for row in memory.nights(limit=2)] == ["2026-11-22", "idle"]
    assert tonight(database, "idle").title == "Nothing was judged; 1 planned session never ran"
    with database.begin() as connection:
        connection.execute(update(t.NIGHTS).where(t.NIGHTS.c.name == "now").values(ended=moments["now"]))
    assert tonight(database).title == "Nothing was judged; 1 planned session never ran"
    assert "a+fw: a: Bad: cable" in summary(database)


def test_boards_stand_in_their_natural_order(database: Database) -> None:
    boards = [f"v.{number}" for number in (1, 2, 10, 11)]
    for board in reversed(boards):
        keep_run(database, record(f"r-{board}", 21, "error" if board == "v.2" else "failed", board=board))
        set_health(database, board, "Maintenance", reason="new cable", by="me")
    memory = Memory(database)
    assert memory.names("boards") == boards
    assert [row.name for row in memory.boards(nights=["2026-11-20"])] == boards
    assert [cell.board for cell in memory.grid(["2026-11-20"])] == boards
    assert memory.search("v.")["boards"] == boards
    (found,) = judge_night(database).tests
    assert [board for board, _ in found.boards] == boards
    page = tonight(database)
    assert [row.name for row in page.sick] == boards
    assert [row.name for row in page.boards] == ["v.1", "v.10", "v.11", "v.2"]  # what failed first


def test_a_flake_that_passes_again_is_not_fixed(database: Database) -> None:
    for day, outcome in enumerate(("passed", "failed", "passed", "failed", "passed"), 21):
        keep_run(database, record(f"r{day}", day, outcome))
    (found,) = judge_night(database).tests
    assert (found.kind, found.newest.outcome) == ("flaky", "passed")
    assert found.rate is not None
    assert found.rate[0] == 0.4
    said = summary(database)
    assert "## Flaky, and passed this time" in said
    assert "Fixed" not in said


def test_tests_that_were_left_out_on_purpose_are_not_missed(database: Database) -> None:
    made = record("n1", 1, "passed", "not run", "not run")
    quick = replace(made.tests[1], message="not run: thorough, and the run was asked to be quick")
    ended = replace(made.tests[2], message="the run ended before this test")
    keep_run(database, replace(made, tests=(made.tests[0], quick, ended)))
    judged = judge_night(database)
    assert [(one.newest.test, one.kind) for one in judged.tests] == [("t2", "never ran")]
    assert {row.test: row.outcome for row in Memory(database).outcomes()} == {
        "t0": "passed",
        "t1": "skipped",
        "t2": "not run",
    }


def test_a_store_of_before_says_of_left_out_tests_that_they_did_not_run() -> None:
    quick = Seen(run="n1", started=1, test="t", outcome="not run", message="not run: thorough, and the run was quick")
    assert [one.kind for one in classify([quick])] == ["left out"]
    assert [one.kind for one in classify([replace(quick, message="the run ended before")])] == ["never ran"]


def test_durations_come_from_runs_that_say_something(database: Database) -> None:
    for day, seconds in enumerate((10.0, 20.0, 60.0), 1):
        made = record(f"n{day}", day, "passed", "passed")
        tests = tuple(replace(test, seconds=seconds / 4, suite="boot") for test in made.tests)
        keep_run(database, replace(made, tests=tests, seconds=seconds))
    bench = record("n4", 4, "error")
    keep_run(database, replace(bench, seconds=9999.0, verdict="infrastructure"))
    found = {one.suite: (one.seconds, one.runs) for one in durations(database)}
    assert found == {"": (10.0, 3), "boot": (10.0, 3)}
    assert {one.suite: one.seconds for one in durations(database, runs=1)} == {"": 30.0, "boot": 30.0}


def test_health_of_boards(database: Database) -> None:
    at = dt.datetime(2026, 11, 28, 3, tzinfo=dt.UTC)
    assert set_health(database, "b7", "bad", reason="golden build did not boot", by="health check", night="n1", at=at)
    later = at + dt.timedelta(days=1)
    assert not set_health(database, "b7", "Bad", reason="golden build did not boot", at=later)
    memory = Memory(database)
    (board,) = memory.boards()
    assert (board.name, board.health, board.reason) == ("b7", "Bad", "golden build did not boot")
    assert (board.since, board.checked) == (at, later)
    set_health(database, "b7", "Good", reason="new cable", by="somebody")
    assert [(event.health, event.reason, event.by) for event in memory.board_events("b7")] == [
        ("Good", "new cable", "somebody"), ("Bad", "golden build did not boot", "health check"),
    ]  # fmt: skip
    keep_run(database, record("r", 1, "passed", board="b7"))
    assert Memory(database).boards()[0].health == "Good", "a run changes nobody's health"
    for name, health, reason in (("b7", "Ill", "x"), ("b7", "Bad", " "), (" ", "Bad", "x")):
        with pytest.raises(ConfigError) as caught:
            set_health(database, name, health, reason=reason)
        assert caught.value.kind == "board-health"


def test_the_commands(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", str(runs / "m.sqlite")]
    assert main(["history", "show", *store]) == 4
    assert "the store has no night yet" in capsys.readouterr().err
    assert main(["history", "import", *(str(runs / f"r{day}") for day in (1, 2, 3)), *store]) == 0
    assert "3 imported" in capsys.readouterr().out
    assert main(["history", "show", *store]) == 0
    out = capsys.readouterr().out
    assert "2026-11-02: 1 still failing, 1 infrastructure" in out
    assert f"t1 on {ON}; since night-2 with SPE:02; last good in night-1" in out
    (runs / "known.yaml").write_text("- {ticket: T-7, test: t1, until: 2026-12-31}\n")
    show = ["history", "show", *store, "--run", "night-2", "--issues", str(runs / "known.yaml"), "--format", "json"]
    assert main([*show, "--all"]) == 0
    said = {one["test"]: one for one in json.loads(capsys.readouterr().out)["tests"]}
    assert (said["t1"]["class"], said["t1"]["ticket"], said["t0"]["class"]) == ("known issue", "T-7", "passed")
    assert main(["history", "show", *store, "--format", "markdown", "--all"]) == 0
    assert capsys.readouterr().out.startswith("# 2026-11-02")
    assert main(["history", "show", *store, "--run", "missing"]) == 4
    assert "one of: night-3" in capsys.readouterr().err
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
