"""A QEMU behind TCP is kept awake through its monitor."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tfm_harness.boards.attach.board import AttachBoard
from tfm_harness.boards.attach.monitor import MonitorWaker
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.supervisor import Child, spawn, wait_until
from tfm_harness.config.loading import load_target
from tfm_harness.errors import InfrastructureError

from tests.boards.labgrid.kit import free_port

pytestmark = pytest.mark.qemu


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Path]:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    child = start(tmp_path)
    yield tmp_path / "monitor"
    child.kill()


def start(folder: Path) -> Child:
    (folder / "monitor").unlink(missing_ok=True)
    words = ["qemu-system-arm", "-M", "none", "-display", "none", "-nodefaults"]
    words += ["-qmp", f"unix:{folder / 'monitor'},server=on,wait=off"]
    child = spawn(words, stderr_path=folder / "qemu.log")
    assert wait_until(lambda: listens(folder / "monitor"), 20), child.last_words()
    return child


def listens(path: Path) -> bool:
    """Whether somebody takes connections there: the file is there a little earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_it_asks_again_and_again_and_ends(monitor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfm_harness.boards.attach import monitor as module

    asked: list[socket.socket] = []
    answer = module._answer

    def counted(control: socket.socket) -> None:
        answer(control)
        asked.append(control)

    monkeypatch.setattr(module, "_answer", counted)
    waker = MonitorWaker(monitor)
    assert wait_until(lambda: len(asked) >= 10, 20)
    waker.close()
    waker.close()
    after = len(asked)
    assert not waker._thread.is_alive()
    assert len(asked) == after


def test_it_finds_a_qemu_that_was_started_again(tmp_path: Path) -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    first = start(tmp_path)
    waker = MonitorWaker(tmp_path / "monitor")
    before = waker._socket
    first.kill()
    second = start(tmp_path)
    assert wait_until(lambda: waker._socket is not before and waker._socket.fileno() >= 0, 20)
    waker.close()
    second.kill()


def test_nobody_there_is_the_benchs_fault_and_locks_nothing(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError) as caught:
        MonitorWaker(tmp_path / "none")
    assert caught.value.kind == "qmp-lost"


def test_a_target_with_a_monitor(monitor: Path, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "t.yaml").write_text(
        f"kind: attach\nqemu_monitor: {monitor.name}\nconsoles: {{ns: {{kind: tcp, host: 127.0.0.1, port: {port}}}}}\n"
    )
    target = load_target(tmp_path / "t.yaml")
    with socket.create_server(("127.0.0.1", port)):
        board = AttachBoard(target, RunContext(tmp_path / "run", tmp_path / "state"))  # type: ignore[arg-type]  # its kind says so
        with board:
            assert board._waker is not None
        assert board._waker is None
