"""`tfm-harness night` as users meet it: boards in memory, every session a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.farm.storage import load_night
from tfm_harness.history.database import Database
from tfm_harness.history.queries import Memory
from tfm_harness.testing import make_distribution

from tests.farm.farms import write
from tests.warm import run_in

ROOT = Path(__file__).resolve().parents[2]
PROVE = "def test_it_serves(device):\n    assert device.describe()\n"
MINE = """
import os
from pathlib import Path

def test_good(device):
    assert device.describe()

def test_bad(bench):
    assert bench.combination.build.name != "wrong"

def test_sometimes(bench):
    seen = Path("seen-once")
    if bench.combination.build.name == "right" or seen.exists():
        return
    seen.touch()
    assert False, "the first time it fails"
"""
FARM = """
builds: [right, wrong]
pools: {hall: {targets: [a, b, c]}}
suites: [mine]
golden: {build: gold, suites: [prove]}
state_dir: state
limits: {at_once: 2}
"""


class FarmProject:
    """A user's project with a farm; its commands run in processes of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        boards = {"simulator": "tests.plugin.simulator_board:SimulatorBoard"}
        make_distribution(path / "site", "tests-simulator-board", {"tfm_harness.boards": boards})
        for name, fault in {"a": "", "b": "", "c": "flash-fails"}.items():
            self.target(name, fault)
        for name in ("gold", "right", "wrong"):
            write(
                path / "fw_builds" / name / "build.yaml",
                "protocol: smp\ntrust: {iak: provisioned, results: provisioned}\n",
            )
        for suite, body in {"prove": PROVE, "mine": MINE}.items():
            write(path / "suites" / suite / f"test_{suite}.py", body)
            write(path / "suites" / suite / "README.md", f"# {suite}\n\nProves things.\n")
        write(path / "farm.yaml", FARM)

    def target(self, name: str, fault: str = "") -> None:
        write(
            self.path / "targets" / f"{name}.yaml",
            f"kind: simulator\nconsoles: {{ns: 0, secure: 1}}\nfault: '{fault}'\n",
        )

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tfm_harness.cli.main", *words]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.path / 'site'}",
            "XDG_STATE_HOME": str(self.path / "home"),
            "XDG_CONFIG_HOME": str(self.path / "config"),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_in(self.path, list(words), self.environment(), 300, "tfm-harness")

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(*words), cwd=self.path, env=self.environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    @property
    def night(self) -> Path:
        return max((self.path / "nights").iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FarmProject:
    """One night that many tests look at."""
    project = FarmProject(tmp_path_factory.mktemp("farm"))
    project.done = project.run("night", "farm.yaml")  # type: ignore[attr-defined]
    return project


def test_what_a_night_says_in_the_end(whole: FarmProject) -> None:
    done = whole.done  # type: ignore[attr-defined]
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stdout
    assert "FAILED" in said
    assert "test_bad[a|b|c+wrong]: failed in two tries, on " in said
    assert "test_sometimes[a|b|c+wrong]: failed on " in said
    assert "the first time it fails" in said
    assert "c is Bad: the golden build failed: flash-failed" in said
    assert "responsible: the product for 2" in said


def test_its_record_is_typed_and_whole(whole: FarmProject) -> None:
    record = load_night(whole.night)
    assert record.verdict == "failed"
    assert {board.name: board.state for board in record.boards} == {"a": "Good", "b": "Good", "c": "Bad"}
    by_test = {test.test.rpartition("::")[2]: test for test in record.tests}
    bad = by_test["test_bad[a|b|c+wrong]"]
    assert (bad.outcome, bad.confirmed, sorted(bad.boards)) == ("failed", True, ["a", "b"])
    flaky = by_test["test_sometimes[a|b|c+wrong]"]
    assert [one.outcome for one in flaky.tries] == ["failed", "passed"]
    assert len({one.board for one in flaky.tries}) == 2
    assert [dict(count.outcomes) for count in record.counts if count.build == "right"] == [{"passed": 3}]
    for session in record.sessions:
        assert (whole.night / session.record).is_file()
        assert (whole.night / session.name / "report.html").is_file()
    assert all(not session.trouble for session in record.sessions)


def test_its_junit_hides_no_try_and_has_no_name_twice(whole: FarmProject) -> None:
    root = ET.parse(whole.night / "junit.xml").getroot()
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == len(list(root.iter("testcase"))) == 6
    tags = {name: [child.tag for child in case] for (_, name), case in cases.items()}
    assert tags["test_bad[a|b|c+wrong]"] == ["failure", "rerunFailure"]
    assert tags["test_sometimes[a|b|c+wrong]"] == ["flakyFailure"]
    assert tags["test_good[a|b|c+right]"] == []
    text = next(case for (_, name), case in cases.items() if name == "test_bad[a|b|c+wrong]")[0].text or ""
    assert "responsible: the product" in text
    assert "on board a, b" in text or "on board b, a" in text
    assert root.get("tests") == "6"
    assert root.get("failures") == "1"


def test_the_store_knows_the_night_and_the_boards(whole: FarmProject) -> None:
    with Database(str(whole.path / "state" / "store.sqlite")) as database:
        memory = Memory(database)
        (night,) = memory.nights()
        assert night.name == whole.night.name
        assert len(memory.runs(night=night.name)) == len(load_night(whole.night).sessions)
        assert {row.name: row.health for row in memory.boards()} == {"a": "Good", "b": "Good", "c": "Bad"}
        rows = memory.sessions(night.name)
        ended = load_night(whole.night).sessions
        assert len(rows) == len(ended)
        assert all(row["run_id"] for row in rows)
        assert {row["board"]: row["state"] for row in rows if "golden" in row["key"]} == {
            "a": "passed", "b": "passed", "c": "infrastructure",
        }  # fmt: skip
        (wrong,) = {row["key"] for row in rows if row["combination"] == "a|b|c+wrong"}
        assert [row["number"] for row in rows if row["key"] == wrong] == [1, 2]


def test_the_next_nights_plan_knows_durations_and_leaves_the_bad_board_out(whole: FarmProject) -> None:
    done = whole.run("night", "farm.yaml", "--plan")
    assert done.returncode == 0, done.stderr
    assert "Bad: the golden build failed: flash-failed" in done.stdout
    lines = done.stdout.splitlines()
    steps = lines[lines.index("sessions, as they should start") + 1 :]
    assert not any(" c " in line for line in steps)
    assert " ? " not in done.stdout
    assert "about " in lines[-1]


def test_only_a_person_brings_a_board_back(whole: FarmProject, capsys: pytest.CaptureFixture[str]) -> None:
    state = str(whole.path / "state")
    assert main(["boards", "health", "--state-dir", state]) == 0
    assert "Bad since" in capsys.readouterr().out
    for words, code, said in (
        (("c", "unknown", "--reason", "new cable"), 0, "c: Unknown, new cable"),
        (("c", "unknown", "--reason", "new cable"), 0, "it was so before"),
        (("c", "fine", "--reason", "new cable"), 4, "one of Good, Unknown"),
        (("c", "good", "--reason", " "), 4, "a reason"),
        (("cc", "maintenance", "--reason", "x"), 0, "no night has seen this board yet (did you mean 'c'?)"),
    ):
        assert main(["boards", "set", *words, "--state-dir", state]) == code
        seen = capsys.readouterr()
        assert said in seen.out + seen.err
    assert main(["boards", "health", "--json", "--state-dir", state]) == 0
    rows = {row["board"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["c"]["health"], rows["c"]["reason"]) == ("Unknown", "new cable")
    assert "Unknown: new cable" in whole.run("night", "farm.yaml", "--plan").stdout


def test_a_finished_night_has_nothing_to_go_on_with(whole: FarmProject) -> None:
    before = load_night(whole.night)
    done = whole.run("night", "farm.yaml", "--resume", whole.night.name)
    assert done.returncode == 1, done.stderr
    after = load_night(whole.night)
    assert [session.name for session in after.sessions] == [session.name for session in before.sessions]
    assert after.tests == before.tests
    assert after.resumed == 1


def test_a_night_does_not_go_on_with_another_build(whole: FarmProject, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole.path, copy)
    (copy / "fw_builds" / "right" / "build.yaml").write_text("protocol: smp\n")
    project = FarmProject.__new__(FarmProject)
    project.path = copy
    done = project.run("night", "farm.yaml", "--resume")
    assert done.returncode == 4
    assert "the build right has changed" in done.stderr


def test_nothing_runs_when_anything_is_wrong(tmp_path: Path) -> None:
    project = FarmProject(tmp_path)
    write(tmp_path / "farm.yaml", FARM + "quik: true\n")
    done = project.run("night", "farm.yaml")
    assert done.returncode == 4
    assert "farm.yaml:8: unknown key 'quik'; did you mean 'quick'?" in done.stderr
    assert not (tmp_path / "nights").exists()


WAITS = """
import time
from pathlib import Path

def test_first(device):
    with open("first-ran", "a") as file:
        file.write("x")

def test_waits(device):
    Path("waiting").touch()
    while not Path("go").exists():
        time.sleep(0.05)
"""


@pytest.fixture
def waiting(
    tmp_path: Path, wait_for: Callable[[Callable[[], bool]], None]
) -> Iterator[tuple[FarmProject, subprocess.Popen[str]]]:
    """A night in whose middle a test waits."""
    project = FarmProject(tmp_path)
    write(tmp_path / "suites" / "mine" / "test_mine.py", WAITS)
    write(tmp_path / "farm.yaml", FARM.replace("[right, wrong]", "[right]").replace("[a, b, c]", "[a]"))
    process = project.start("night", "farm.yaml", "--no-store")
    wait_for(lambda: (tmp_path / "waiting").exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    yield project, process
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    def wait(holds: Callable[[], bool]) -> None:
        import time

        until = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < until
            time.sleep(0.05)

    return wait


def test_an_interrupted_night_ends_politely_and_goes_on_with_nothing_twice(
    waiting: tuple[FarmProject, subprocess.Popen[str]],
) -> None:
    project, process = waiting
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "SIGINT: the night ends" in said
    assert "--resume" in said
    record = load_night(project.night)
    assert (record.verdict, record.ended_early) == ("interrupted", "SIGINT")
    assert json.loads((project.night / record.sessions[-1].record).read_text())["interrupted"] == "SIGTERM"
    (project.path / "go").touch()
    done = project.run("night", "farm.yaml", "--no-store", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.path / "first-ran").read_text() == "x"
    resumed = load_night(project.night)
    assert (resumed.verdict, resumed.resumed) == ("passed", 1)
    assert [dict(count.outcomes) for count in resumed.counts] == [{"passed": 2}]
    assert len([session for session in resumed.sessions if session.golden]) == 1


def test_nothing_survives_a_night_that_is_killed(
    waiting: tuple[FarmProject, subprocess.Popen[str]], wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    project, process = waiting
    from tfm_harness.processes import descendants

    theirs = descendants(process.pid)
    assert theirs
    process.kill()
    process.communicate()
    wait_for(lambda: not any(alive(pid) for pid in theirs))
    (project.path / "go").touch()
    done = project.run("night", "farm.yaml", "--no-store", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_night(project.night).verdict == "passed"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
