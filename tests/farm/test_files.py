"""Farm files: each mistake is told with its line, all of them at once, before anything runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tfm_harness.config.build import Build
from tfm_harness.config.farm import load_farm
from tfm_harness.config.schema import farm_schema
from tfm_harness.errors import ConfigError
from tfm_harness.farm.command import make_job
from tfm_harness.farm.load import OpenedFarm, make_plan, open_farm
from tfm_harness.farm.night import Night
from tfm_harness.farm.tasks import SessionResult, Times

from tests.farm.farms import write

TARGET = "kind: qemu\nmachine: mps3-an547\nconsoles: {ns: uart0}\n"
BUILD = "protocol: smp\nimages:\n  - {file: fw.elf, world: secure}\n"
FARM = "builds: [one]\ntargets: [board]\ngolden: {build: gold}\n"
SUITES = {"boot": Path("suites/boot"), "attestation": Path("suites/attestation")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("board", "other"):
        write(tmp_path / "targets" / f"{name}.yaml", TARGET)
    write(tmp_path / "targets" / "many.yaml", TARGET + "count: 3\n")
    for name in ("gold", "one", "two"):
        write(tmp_path / "fw_builds" / name / "build.yaml", BUILD)
        (tmp_path / "fw_builds" / name / "fw.elf").write_bytes(b"\x7fELF")
    return tmp_path


def opened(text: str) -> OpenedFarm:
    return open_farm(load_farm(write(Path("farm.yaml"), text)), SUITES, digests=_digests)


def _digests(build: Build) -> dict[str, str]:
    return {"build": f"digest of {build.name}"}


def test_a_small_file_has_everything(here: Path) -> None:
    farm = opened(FARM)
    assert farm.farm.name == "farm"
    assert farm.farm.results == here / "nights"
    (pool,) = farm.pools
    assert (pool.name, pool.boards, pool.each) == ("board", ("board",), True)
    plan = make_plan(farm, Times())
    assert [(task.build, task.home, task.suites) for task in plan.tasks] == [("one", "board", ("boot", "attestation"))]
    assert plan.builds["one"].files == {"build": "digest of one"}
    assert plan.at_once == (os.cpu_count() or 1)


@pytest.mark.parametrize("counted", [True, False])
def test_instructions_are_counted_for_builds_under_test_when_asked_for(here: Path, counted: bool) -> None:
    plan = make_plan(opened(FARM + "deterministic: true\n" * counted), Times())
    began: dict[bool, list[str]] = {}
    night = Night(plan, {}, Times(), name="N", began=0.0)
    for now in (0.0, 10.0):
        for one in night.next(now):
            began[one.task.golden] = list(make_job(one, plan).command)
            night.take(SessionResult(session=one.session, board=one.board, verdict="passed", at=now), now)
    assert ("--tfm-deterministic" in began[False]) is counted
    assert "--tfm-deterministic" not in began[True]
    words = began[False]
    assert not counted or words.index("--tfm-deterministic") > words.index("--")


def test_targets_run_on_each_board_and_pools_on_one(here: Path) -> None:
    farm = opened("builds: [one, two]\ntargets: [many]\npools: {p: {targets: [board, other]}}\ngolden: {build: gold}\n")
    plan = make_plan(farm, Times())
    assert [(task.build, task.pool, task.home) for task in plan.tasks] == [
        (build, pool, home)
        for build in ("one", "two")
        for pool, home in (("many", "many.1"), ("many", "many.2"), ("many", "many.3"), ("p", ""))
    ]
    assert [task.id for task in plan.tasks] == list(range(1, 9))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("builds", ["one@many.1", "one@many.2", "one@many.3", "two@many.1", "two@many.2", "two@many.3"]),
        ("boards", ["one@many.1", "two@many.1", "one@many.2", "two@many.2", "one@many.3", "two@many.3"]),
        ("longest", ["two@many.1", "two@many.2", "two@many.3", "one@many.1", "one@many.2", "one@many.3"]),
    ],
)
def test_order(here: Path, order: str, expected: list[str]) -> None:
    farm = opened(f"builds: [one, two]\ntargets: [many]\ngolden: {{build: gold}}\norder: {order}\n")
    times = Times(sessions={Times.key("many", "one"): 10.0, Times.key("many", "two"): 90.0})
    assert [f"{task.build}@{task.home}" for task in make_plan(farm, times).tasks] == expected


def test_a_pool_may_take_only_some_builds_and_other_suites(here: Path) -> None:
    farm = opened(
        "builds: [one, two]\ngolden: {build: gold}\n"
        "pools:\n  a: {targets: [board], builds: [two], suites: [boot]}\n  b: {targets: [other]}\n"
    )
    assert [(t.build, t.pool, t.suites) for t in make_plan(farm, Times()).tasks] == [
        ("one", "b", ("boot", "attestation")),
        ("two", "a", ("boot",)),
        ("two", "b", ("boot", "attestation")),
    ]


def test_a_folder_of_builds_and_the_newest_of_it(here: Path) -> None:
    for age, name in enumerate(("x", "y", "z")):
        file = write(here / "in" / name / "build.yaml", BUILD)
        (file.parent / "fw.elf").write_bytes(b"\x7fELF")
        os.utime(file, (1000 - age, 1000 - age))
    text = "targets: [board]\ngolden: {build: gold}\nbuilds: [{folder: in}]\n"
    assert [build.name for build in opened(text).builds] == ["x", "y", "z"]
    assert [build.name for build in opened(text.replace("in}", "in, newest: 2}")).builds] == ["x", "y"]
    assert [build.name for build in opened(text.replace("folder: in", "build: in/y/build.yaml")).builds] == ["y"]


WRONG = {
    "suits: [boot]": (4, "unknown key 'suits'; did you mean 'suites'?"),
    "suites: [boat]": (4, "no suite is called 'boat'; did you mean 'boot'?"),
    "limits: {nigth: 8h}": (4, "unknown key 'limits.nigth'; did you mean 'night'?"),
    "limits: {night: 8 hours}": (4, "expected a time such as 90, 90s, 15m, 8h or 1d"),
    "limits: {night: 0}": (4, "greater than 0"),
    "limits: {tries: 0}": (4, "greater than or equal to 1"),
    "limits: {tries: '3'}": (4, "should be a valid integer"),
    "order: random": (4, "order:"),
    "policy: prodution": (4, "did you mean 'production'?"),
    "pools: {p: {targets: [bord]}}": (4, "unknown target 'bord'; did you mean 'board'?"),
    "pools: {p: {targets: []}}": (4, "pools.p.targets: should have at least 1"),
    "pools: {p: {targets: [board]}}": (4, "target 'board' is in 'board' already"),
    "pools: {p: {targets: [other], builds: [ome]}}": (4, "no build of this farm is called 'ome'; did you mean 'one'?"),
    "pools: {board: {targets: [other]}}": (4, "'board' appears twice"),
    "engine: {scheduler: 'tcp://host:8786', ca: a, certificate: b, key: c}": (4, "engine.scheduler"),
    "engine: {scheduler: 'tls://host:8786'}": (4, "'engine.ca' is missing"),
    "flaky: maybe": (4, "flaky:"),
}


@pytest.mark.parametrize("line", WRONG)
def test_each_mistake_has_its_line(here: Path, line: str) -> None:
    number, words = WRONG[line]
    with pytest.raises(ConfigError) as caught:
        opened(FARM + line + "\n")
    assert caught.value.kind == "farm-invalid"
    assert f"farm.yaml:{number}:" in str(caught.value.seen)
    assert words in str(caught.value.seen)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("targets: [board]\n", "'builds' is missing"),
        ("builds: [one]\n", "no board: name `targets` or `pools`"),
        ("builds: [ome]\ntargets: [board]\ngolden: {build: gold}\n", "farm.yaml:1: [configuration:build-unknown]"),
        ("builds: [one, one]\ntargets: [board]\ngolden: {build: gold}\n", "the build 'one' appears twice"),
        ("builds: [{folder: nowhere}]\ntargets: [board]\ngolden: {build: gold}\n", "no such folder"),
        ("builds: [{folder: targets}]\ntargets: [board]\ngolden: {build: gold}\n", "no build.yaml in it"),
        ("builds: [{newest: 2}]\ntargets: [board]\n", "`newest` is for `folder`"),
        ("builds: [{}]\ntargets: [board]\n", "either a build, or `folder`"),
        ("builds: [{build: one, newest: 2}]\ntargets: [board]\n", "`newest` is for `folder`"),
        ("builds: [one]\ntargets: [board]\ngolden: {build: golf}\n", "farm.yaml:3: [configuration:build-unknown]"),
        ("builds: [one]\ntargets: [board]\ngolden: {build: gold, suites: [boots]}\n", "farm.yaml:3: no suite"),
        ("builds: [one]\ntargets: []\n", "no board"),
        ("- builds\n", "must be a mapping"),
    ],
)
def test_what_cannot_be_run(here: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(text)
    assert words in str(caught.value)


def test_a_wrong_entry_is_told_alone(here: Path) -> None:
    """Pydantic counts a list's right entries, and would say that there are none."""
    with pytest.raises(ConfigError) as caught:
        opened("builds: [{newest: 2}]\ntargets: [board]\n")
    assert "should have at least" not in str(caught.value.seen)
    with pytest.raises(ConfigError, match="builds: should have at least 1, has 0"):
        opened("builds: []\ntargets: [board]\n")


def test_all_problems_are_told_at_once_and_nothing_of_it_is_run(here: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened("builds: [ome]\ntargets: [bord]\ngolden: {build: golf}\nsuites: [boat]\n")
    for words in ("unknown build 'ome'", "unknown target 'bord'", "unknown build 'golf'", "no suite is called 'boat'"):
        assert words in str(caught.value.seen)


def test_a_build_that_does_not_fit_a_board_of_its_pool(here: Path) -> None:
    write(here / "fw_builds" / "one" / "build.yaml", BUILD + "console: other\n")
    with pytest.raises(ConfigError, match="speaks on console 'other'"):
        opened(FARM)


def test_two_builds_of_one_name(here: Path) -> None:
    for folder in ("in/one", "in/two"):
        (write(here / folder / "build.yaml", "name: same\n" + BUILD).parent / "fw.elf").write_bytes(b"\x7fELF")
    with pytest.raises(ConfigError, match="two builds are called 'same'"):
        opened(FARM.replace("[one]", "[{folder: in}]"))


def test_the_golden_build_may_be_under_test_too(here: Path) -> None:
    assert [task.build for task in make_plan(opened(FARM.replace("[one]", "[one, gold]")), Times()).tasks] == [
        "one",
        "gold",
    ]


def test_two_targets_of_one_board(here: Path) -> None:
    for name in ("p1", "p2"):
        write(here / "targets" / f"{name}.yaml", "kind: attach\nconsoles: {ns: {kind: serial, port: /dev/ttyX}}\n")
    write(here / "fw_builds" / "bare" / "build.yaml", "protocol: smp\n")
    with pytest.raises(ConfigError, match="also used by target 'p1'"):
        opened("builds: [bare]\npools: {a: {targets: [p1]}, b: {targets: [p2]}}\ngolden: {build: gold}\n")


def test_the_schema_takes_what_the_loader_takes() -> None:
    schema = farm_schema()
    assert json.loads(Path(__file__).parents[2].joinpath("docs/schemas/farm.schema.json").read_text()) == schema
    assert "name" not in schema["required"]
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    validator = jsonschema.Draft202012Validator(schema)
    whole = {
        "builds": ["one", {"folder": "in", "newest": 2}], "targets": ["board"], "limits": {"night": "8h", "tries": 2},
        "pools": {"p": {"targets": ["many"], "each": True, "golden": {"build": "gold", "every": "1d"}}},
    }  # fmt: skip
    assert list(validator.iter_errors(whole)) == []
    wrongs: list[dict[str, object]] = [{"suits": []}, {"limits": {"night": "8 hours"}}, {"builds": [{"folders": "in"}]}]
    for wrong in wrongs:
        assert list(validator.iter_errors({**whole, **wrong})), wrong
