"""On which CPU emulators run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tfm_harness.boards import placement
from tfm_harness.boards.placement import choose_cpu
from tfm_harness.boards.supervisor import spawn


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "self").mkdir()
    return folder


def process(proc: Path, pid: int, cpus: str, *, kernel: bool = False) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    memory = "" if kernel else "VmSize:\t 4096 kB\n"
    (folder / "status").write_text(f"Name:\tx:y\nUmask:\t0022\n{memory}Cpus_allowed:\tf\nCpus_allowed_list:\t{cpus}\n")


def test_the_cpu_with_the_fewest_bound_processes(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5})
    assert [choose_cpu(f"farm.{number}", proc) for number in range(6)] == [2, 3, 5, 2, 3, 5]
    process(proc, 10, "2")
    process(proc, 11, "5")
    process(proc, 12, "5")
    process(proc, 13, "0-7")  # may run anywhere
    process(proc, 14, "3", kernel=True)
    process(proc, 15, "3", kernel=True)
    process(proc, 16, "0")  # not ours to use
    (proc / "17").mkdir()  # ended while it was looked at
    assert {choose_cpu(f"farm.{number}", proc) for number in range(6)} == {3}
    process(proc, 18, "3")
    assert [choose_cpu(f"farm.{number}", proc) for number in range(4)] == [2, 3, 2, 3]
    monkeypatch.setattr(os, "getpid", lambda: 7)
    assert choose_cpu("desk", proc) == 3


def test_nothing_to_choose(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4})
    assert choose_cpu("board", proc) is None


def test_a_helper_on_one_cpu_leaves_everybody_else_free(tmp_path: Path) -> None:
    everywhere = os.sched_getaffinity(0)
    cpu = max(everywhere)
    child = spawn(["sleep", "600"], stderr_path=tmp_path / "a", cpu=cpu)
    free = spawn(["sleep", "600"], stderr_path=tmp_path / "b")
    gone = spawn(["sleep", "600"], stderr_path=tmp_path / "c", cpu=1023)  # no such CPU: it runs all the same
    try:
        assert os.sched_getaffinity(child.pid) == {cpu}
        for other in (0, free.pid, gone.pid):
            assert os.sched_getaffinity(other) == everywhere
    finally:
        for started in (child, free, gone):
            started.kill()


def test_a_choice_is_kept_for_some_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {2, 3})
    now, looks = [0.0], []

    def look(board: str, _proc: Path) -> int:
        looks.append(board)
        return 2 + len(looks) % 2

    monkeypatch.setattr(placement, "choose_cpu", look)
    chosen = placement.Placement(lambda: now[0], tmp_path)
    assert [chosen.choose("desk") for _ in range(3)] == [3, 3, 3]
    now[0] = 10.5
    assert chosen.choose("desk") == 2
    assert len(looks) == 2
