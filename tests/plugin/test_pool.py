"""Pools as users see them: each process a board of its own, a lost board's test shown and moved once."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tests.plugin.conftest import Project
from tests.reference_firmware import FIRMWARE, ROOT, needs_firmware

TRIGGER = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_trigger(test_commands, number):
    test_commands.print_log(1, 1)
    assert {holds}
"""


def pool_of(project: Project, *faults: str) -> tuple[str, ...]:
    words = ["--tfm-pool"]
    for number, fault in enumerate(faults):
        project.target(f"b{number}", fault)
        words += ["--tfm-target", f"b{number}"]
    return tuple(words)


def test_a_lost_boards_test_moves_once_and_is_shown(project: Project) -> None:
    project.test(TRIGGER.format(count=3, holds=True))
    result = project.run(*pool_of(project, "log-dies", ""), "-rA", "--tfm-run-dir", "run", target="")
    result.stdout.fnmatch_lines(
        [
            "*b0: in quarantine, emulator-exit*",
            "  moved: test_trigger*b0|b1+fw-0*: from b0 to b1: emulator-exit*",
        ]
    )
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] == 3
    assert result.parseoutcomes()["moved"] == 1
    assert project.life("b0")[-1] == "release"
    assert project.life("b1").count("flash") == 1
    assert json.loads((project.path / "run" / "quarantine" / "b0.json").read_text())["board"] == "b0"


def test_it_does_not_move_twice(project: Project) -> None:
    project.test(TRIGGER.format(count=1, holds=True))
    result = project.run(*pool_of(project, "log-dies", "log-dies", ""), target="")
    assert result.ret == 10
    assert result.parseoutcomes() == {"moved": 1, "errors": 1}
    assert project.life("b2") == []


def test_a_failure_of_the_product_never_moves(project: Project) -> None:
    project.test(TRIGGER.format(count=1, holds=False))
    result = project.run(*pool_of(project, "", ""), target="")
    assert result.ret == 1
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["E*assert False"])
    assert project.life("b1") == []


def test_the_product_that_fails_on_the_second_board_has_failed(project: Project) -> None:
    project.test(TRIGGER.format(count=1, holds=False))
    result = project.run(*pool_of(project, "log-dies", ""), target="")
    assert result.ret == 1
    assert result.parseoutcomes() == {"moved": 1, "failed": 1}
    result.stdout.fnmatch_lines(["E*assert False"])


def test_nobody_left(project: Project) -> None:
    project.test(TRIGGER.format(count=2, holds=True))
    result = project.run(*pool_of(project, "log-dies", "flash-fails"), target="")
    assert result.ret == 10
    result.stdout.fnmatch_lines(["*b0 was lost; no other board took over*"])
    assert "passed" not in result.parseoutcomes()


def test_more_processes_than_boards(project: Project) -> None:
    project.test(TRIGGER.format(count=1, holds=True))
    result = project.run("-n", "2", "-p", "xdist")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pool-small*2 test processes, but 1 board for bench+fw*"])
    assert project.life() == []


@pytest.mark.parametrize(
    ("test", "asked", "said"),
    [
        (
            "def test_asks(device): pass",
            {"target": "", "build": ""},
            "*test_asks needs a board, and none was asked for*",
        ),
        (
            "import pytest\n@pytest.mark.needs('infr')\ndef test_asks(device): pass",
            {},
            "*test_asks[[]two+fw] needs 'infr', which nothing can offer*",
        ),
    ],
)
def test_what_is_wrong_in_every_process_is_said_once(
    project: Project, test: str, asked: dict[str, str], said: str
) -> None:
    (project.path / "targets" / "two.yaml").write_text(
        (project.path / "targets" / "bench.yaml").read_text() + "count: 2\n"
    )
    project.test(test)
    result = project.run("-n", "2", "-p", "xdist", **({"target": "two"} | asked))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    assert result.stderr.str().count("what to do:") + result.stderr.str().count("nothing can offer") == 1
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


HOLDS = """
import pathlib, pytest, time

@pytest.mark.parametrize("number", range(8))
def test_describes(device, board, number):
    assert device.describe().firmware == "tfm-harness-reference"
    # Each process waits until the other has a board, so that both really take part.
    pathlib.Path(board.name).touch()
    end = time.monotonic() + 60
    while len(list(pathlib.Path().glob("pool.[12]"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
"""


@pytest.mark.qemu
@needs_firmware
def test_two_processes_two_emulated_boards(project: Project) -> None:
    text = (ROOT / "targets" / "qemu-an547.yaml").read_text()
    (project.path / "targets" / "pool.yaml").write_text(text + "count: 2\n")
    project.test(HOLDS)
    result = project.run(
        *("-n", "2", "-p", "xdist", "--junit-xml", "junit.xml", "--tfm-run-dir", "run"),
        target="pool",
        build=str(FIRMWARE / "build.yaml"),
    )
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["  board pool.1: * held by gw*", "  board pool.2: * held by gw*"])
    cases = ET.parse(project.path / "junit.xml").getroot().iter("testcase")
    boards = [p.get("value") for case in cases for p in case.iter("property") if p.get("name") == "harness.board"]
    assert len(boards) == 8
    assert set(boards) == {"pool.1", "pool.2"}
    assert sorted(path.name for path in (project.path / "run").glob("gw*/pool.?-ns.log")) == [
        "pool.1-ns.log",
        "pool.2-ns.log",
    ]
