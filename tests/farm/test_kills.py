"""Nights that are killed (SIGKILL, no last words) at random moments, and gone on with until they end: nothing twice."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.farm.storage import load_night
from tfm_harness.history.database import Database
from tfm_harness.history.queries import Memory
from tfm_harness.processes import descendants

from tests.farm.farms import write
from tests.farm.test_command import FARM, FarmProject, alive

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_one(device, bench, number):
    with open("ran", "a") as file:
        file.write(f"{bench.context.run_dir.name} {bench.combination.build.name} {number}\\n")
    assert device.describe()
"""


def project(folder: Path, builds: int) -> FarmProject:
    made = FarmProject(folder)
    write(folder / "suites" / "mine" / "test_mine.py", TESTS)
    names = [f"fw{number}" for number in range(builds)]
    for name in names:
        write(
            folder / "fw_builds" / name / "build.yaml",
            "protocol: smp\ntrust: {iak: provisioned, results: provisioned}\n",
        )
    farm = FARM.replace("[right, wrong]", str(names)).replace("[a, b, c]", "[a, b]")
    write(folder / "farm.yaml", farm)
    return made


def until_killed(made: FarmProject, words: list[str], journal_lines: int, delay: float) -> int | None:
    """Run until so many lines are in the journal, and a while longer; then kill. None, or the status when it ended."""
    process = made.start(*words)

    def far_enough() -> bool:
        journal = max(made.path.glob("nights/*/journal.jsonl"), default=None)
        return process.poll() is not None or (
            journal is not None and journal.read_bytes().count(b"\n") >= journal_lines
        )

    try:
        wait_until(far_enough, 200, 0.02)
        try:
            return process.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        theirs = descendants(process.pid)
        process.kill()
        process.wait()
        assert wait_until(lambda: not any(alive(pid) for pid in theirs), 60, 0.02), "a session outlived its night"
        return None
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.nightly  # half a minute of CPU and more; test_command.py kills one night in every run
@pytest.mark.parametrize(
    ("seed", "builds", "kills"), [(1, 3, 3), (2, 12, 30), *((seed, 6, 8) for seed in range(31, 36))]
)
def test_a_night_that_is_killed_again_and_again_runs_nothing_twice(
    tmp_path: Path, seed: int, builds: int, kills: int
) -> None:
    made = project(tmp_path, builds)
    chance = random.Random(seed)
    done, status = 0, None
    lines = 1
    while status is None and done < kills:
        words = ["night", "farm.yaml", *["--resume"] * bool(done)]
        status = until_killed(made, words, lines, chance.uniform(0.0, 1.5))
        if status is None:
            done += 1
            # The next kill comes after at least one more thing has happened, so that the night gets on.
            journal = max((tmp_path / "nights").glob("*/journal.jsonl"))
            lines = journal.read_bytes().count(b"\n") + chance.randrange(1, 4)
    if status is None:
        last = made.run("night", "farm.yaml", "--resume")
        status = last.returncode
    assert status == 0
    assert done >= min(kills, 2), "the night ended before it was killed"

    record = load_night(made.night)
    sys.stdout.write(f"{done} kills, {len(record.sessions)} sessions that count, {record.resumed} times gone on with\n")
    assert record.verdict == "passed"
    assert record.resumed == done
    assert len(list((tmp_path / "nights").iterdir())) == 1
    counts = {count.build: dict(count.outcomes) for count in record.counts}
    assert counts == {f"fw{number}": {"passed": 4} for number in range(builds)}
    # Each test has one outcome that counts. What it did more often than that, a kill had cut off.
    assert not record.tests, [one.test for one in record.tests]
    names = [session.name for session in record.sessions]
    assert len(set(names)) == len(names)
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert max(Counter(map(tuple, ran)).values()) == 1, "one session ran a test twice"
    kept = {session.name for session in record.sessions if not session.golden}
    counted = Counter((build, number) for session, build, number in ran if session in kept)
    assert set(counted) == {(f"fw{build}", str(number)) for build in range(builds) for number in range(4)}
    assert len(ran) <= builds * 4 + done * 8, "more ran than kills can explain"
    with Database(str(tmp_path / "state" / "store.sqlite")) as database:
        stored = [row.name for row in Memory(database).runs(night=record.name, limit=1000)]
    assert len(set(stored)) == len(stored)
    assert not [path for path in (tmp_path / "nights").rglob("*") if path.suffix == ".tmp"]
