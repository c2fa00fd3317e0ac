"""The probe board: real pyOCD code, through the simulator probe, on QEMU's memory and core."""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from tfm_harness.boards.base import ResetKind, RunContext
from tfm_harness.boards.gdb_remote import GdbRemote
from tfm_harness.boards.probe import worker as probe_worker
from tfm_harness.boards.probe.board import ProbeBoard
from tfm_harness.config.build import Build
from tfm_harness.config.image import Image
from tfm_harness.config.loading import load_target
from tfm_harness.config.probe import ProbeTarget
from tfm_harness.errors import HarnessBug, InfrastructureError
from tfm_harness.testing import ask_line, wait_until_ready
from tfm_harness.testing.simulators.probe_board import StandInProbeBoard, entry_point_folder

from tests.boards.warm_probe import probe_server, warm_probe

__all__ = ["probe_server", "warm_probe"]

READY = re.compile(rb"ready ([0-9a-f]{8})\n")
UID = "TESTPROBE1"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probe_elf: Path) -> Iterator[StandInProbeBoard]:
    path = entry_point_folder(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(path), str(Path(__file__).parents[3])]))
    with StandInProbeBoard(UID, tmp_path / "p") as board:
        monkeypatch.setenv(*board.environment)
        yield board


def words_for(ports: tuple[int, int], **changes: object) -> dict[str, object]:
    return {
        "name": "probed",
        "kind": "probe",
        "probe": UID,
        "start": 0x10000000,
        "regions": {
            "itcm": {"start": 0x10000000, "size": "512K"},
            "dtcm": {"start": 0x30000000, "size": "512K"},
        },
        "consoles": {
            "ns": {"kind": "tcp", "host": "127.0.0.1", "port": ports[0]},
            "secure": {"kind": "tcp", "host": "127.0.0.1", "port": ports[1]},
        },
        "operation_timeout": 60,
        **changes,
    }


@pytest.fixture
def make_board(fake: StandInProbeBoard, tmp_path: Path) -> Iterator[Callable[..., ProbeBoard]]:
    boards: list[ProbeBoard] = []

    def make(**changes: object) -> ProbeBoard:
        target = ProbeTarget.model_validate(words_for(fake.ports, **changes))
        boards.append(ProbeBoard(target, RunContext(tmp_path / "run", tmp_path / "state")))
        return boards[-1]

    yield make
    for board in boards:
        board.release()


def kinds(board: ProbeBoard) -> list[str]:
    return [event.kind for event in board.events]


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_flash_reset_and_skip(make_board: Callable[..., ProbeBoard], probe_build: Build) -> None:
    with make_board() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert ask_line(board, "echo hello") == "hello"
        assert kinds(board) == ["host-reset", "flashed"]
        assert "simulator: QEMU gdbstub" in board.description["probe"]
        assert "M55" in board.description["core"]

        assert ask_line(board, "poke 31000000 1234abcd") == "ok"
        mark = board.console("ns").mark()
        board.reset(ResetKind.WARM)
        wait_until_ready(board, READY, since=mark)
        assert ask_line(board, "word 31000000") == "1234abcd"

        # The same image again: read back, not written, started afresh.
        mark = board.console("ns").mark()
        board.flash(probe_build)
        wait_until_ready(board, READY, since=mark)
        assert kinds(board)[-1] == "flash-skipped"
        assert not (board.context.run_dir / "probed.probe" / "answer.json.new").exists()
    assert not (board.context.run_dir / "probed.probe").exists()


@pytest.mark.qemu
def test_a_forked_worker_says_what_one_of_a_new_interpreter_says(
    make_board: Callable[..., ProbeBoard],
    fake: StandInProbeBoard,
    probe_build: Build,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Tests of what boards do have forked ones."""
    (tmp_path / "raw.bin").write_bytes(b"x" * 16)
    nowhere = Image(file=tmp_path / "raw.bin", world="data", at=0xF8000000)
    said = []
    for name in ("new", "forked"):
        with make_board(name=name) as board:
            board.flash(probe_build)
            wait_until_ready(board, READY)
            with pytest.raises(InfrastructureError) as caught:
                board.flash(probe_build.model_copy(update={"images": (*probe_build.images, nowhere)}))
            said.append((dict(board.description), kinds(board), str(caught.value).replace(f"/{name}.", "/")))
        fake.power_off()
        fake.power_on()
        request.getfixturevalue("warm_probe")
    assert said[0] == said[1]


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_another_image_is_written_over_the_first(
    make_board: Callable[..., ProbeBoard], probe_build: Build, tmp_path: Path
) -> None:
    """One byte of difference must be enough: a skipped flash would leave the old image."""
    old = tmp_path / "old.bin"
    with make_board() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert ask_line(board, "poke 10040000 0") == "ok"
        old.write_bytes(b"\x00\x00\x00\x01")
        image = Image(file=old, world="data", at=0x10040000)
        mark = board.console("ns").mark()
        board.flash(probe_build.model_copy(update={"images": (*probe_build.images, image)}))
        wait_until_ready(board, READY, since=mark)
        assert kinds(board)[-1] == "flashed"
        assert ask_line(board, "word 10040000") == "01000000"


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_image_where_there_is_no_memory(
    make_board: Callable[..., ProbeBoard], probe_build: Build, tmp_path: Path
) -> None:
    raw = tmp_path / "raw.bin"
    raw.write_bytes(b"x" * 16)
    image = Image(file=raw, world="data", at=0xF8000000)
    with make_board() as board:
        with pytest.raises(InfrastructureError) as caught:
            board.flash(probe_build.model_copy(update={"images": (*probe_build.images, image)}))
        assert caught.value.kind == "image-region"
        with pytest.raises(HarnessBug, match="reset before flash"):  # a failed flash leaves nothing to use
            board.reset()
        board.flash(probe_build)
        wait_until_ready(board, READY)


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_memory_that_does_not_keep_bytes_is_found(
    make_board: Callable[..., ProbeBoard], probe_build: Build, tmp_path: Path
) -> None:
    """UART registers taken for RAM: what is written does not read back."""
    raw = tmp_path / "raw.bin"
    raw.write_bytes(b"\xff" * 16)
    image = Image(file=raw, world="data", at=0x59304FD0)
    build = probe_build.model_copy(update={"images": (*probe_build.images, image)})
    regions = {"itcm": {"start": 0x10000000, "size": "512K"}, "uart": {"start": 0x59304000, "size": "4K"}}
    with make_board(regions=regions) as board, pytest.raises(InfrastructureError) as caught:
        board.flash(build)
    assert caught.value.kind == "flash-verify"
    assert "0x59304fd0" in (caught.value.seen or "")


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_wrong_probe_names_those_that_are_there(make_board: Callable[..., ProbeBoard]) -> None:
    # Part of an id is not the id: pyOCD alone would take it.
    with pytest.raises(InfrastructureError) as caught:
        make_board(probe="TESTPROBE").acquire()
    assert caught.value.kind == "probe-missing"
    assert UID in (caught.value.seen or "")


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_unknown_part(make_board: Callable[..., ProbeBoard], probe_build: Build) -> None:
    with make_board(part="no_such_part") as board, pytest.raises(InfrastructureError) as caught:
        board.flash(probe_build)
    assert caught.value.kind == "probe-part"


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_probe_gone_before_and_after_flashing(
    make_board: Callable[..., ProbeBoard], fake: StandInProbeBoard, probe_build: Build
) -> None:
    with make_board() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        fake.power_off()
        with pytest.raises(InfrastructureError) as caught:
            board.reset()
        assert caught.value.kind == "probe-missing"
        with pytest.raises(InfrastructureError, match="console-closed"):
            board.check_alive()
    with pytest.raises(InfrastructureError):
        make_board(name="again").acquire()
    fake.power_on()
    with make_board(name="third") as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)


@pytest.mark.qemu
def test_hung_probe_is_ended_and_the_board_usable_afterwards(
    make_board: Callable[..., ProbeBoard], probe_build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = tmp_path / "hang"
    hang.mkdir()
    (hang / "pyocd").mkdir()
    (hang / "pyocd" / "__init__.py").write_text(
        textwrap.dedent("""
        import signal
        signal.pause()
        """)
    )
    good = os.environ["PYTHONPATH"]
    with make_board(operation_timeout=30) as board:
        short = board._target.model_copy(update={"operation_timeout": 0.5})
        monkeypatch.setattr(board, "_target", short)
        monkeypatch.setenv("PYTHONPATH", f"{hang}{os.pathsep}{good}")
        with pytest.raises(InfrastructureError) as caught:
            board.flash(probe_build)
        assert caught.value.kind == "tool-hung"
        monkeypatch.setenv("PYTHONPATH", good)
        monkeypatch.setattr(board, "_target", short.model_copy(update={"operation_timeout": 60}))
        board.flash(probe_build)
        wait_until_ready(board, READY)


@pytest.mark.parametrize(
    ("version", "kind"),
    [("raise ImportError('no module named usb')", "tool-missing"), ("__version__ = '0.35.1'", "tool-version")],
)
def test_pyocd_missing_or_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, kind: str) -> None:
    (tmp_path / "site" / "pyocd").mkdir(parents=True)
    (tmp_path / "site" / "pyocd" / "__init__.py").write_text(version + "\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parents[3])]))
    target = ProbeTarget.model_validate(words_for((4001, 4002)))
    with pytest.raises(InfrastructureError) as caught:
        ProbeBoard(target, RunContext(tmp_path / "run", tmp_path / "state")).acquire()
    assert caught.value.kind == kind
    assert "pyocd>=0.36" in (caught.value.hint or "")


def test_what_a_killed_worker_leaves_is_not_in_the_hosts_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "pyocd").mkdir(parents=True)
    (tmp_path / "site" / "pyocd" / "__init__.py").write_text("import os, tempfile; tempfile.mkstemp(); os._exit(9)\n")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parents[3])]))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    target = ProbeTarget.model_validate(words_for((4001, 4002)))
    with pytest.raises(InfrastructureError) as caught:
        ProbeBoard(target, RunContext(tmp_path / "run", tmp_path / "state")).acquire()
    assert caught.value.kind == "probe-failed"
    assert "exit status 9" in str(caught.value)
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.qemu
def test_nobody_is_attached_while_tests_run(
    make_board: Callable[..., ProbeBoard], fake: StandInProbeBoard, probe_build: Build
) -> None:
    """After flashing and resets no process of a debugger is left, the debug port is free, the core runs."""
    with make_board() as board:
        board.flash(probe_build)
        board.reset()
        wait_until_ready(board, READY)
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes()
                assert not (b"probe.worker" in words and str(board.context.run_dir).encode() in words)
        remote = GdbRemote(str(fake.folder / "gdb"))  # there is room for one
        remote.go()
        remote.close()
        assert ask_line(board, "echo still running") == "still running"


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_cold_reset_needs_a_switch(make_board: Callable[..., ProbeBoard], probe_build: Build) -> None:
    with make_board() as board:
        board.flash(probe_build)
        with pytest.raises(InfrastructureError) as caught:
            board.reset(ResetKind.COLD)
    assert caught.value.kind == "no-power-control"


@pytest.mark.qemu
@pytest.mark.usefixtures("warm_probe")
def test_two_sessions_and_shared_probes(make_board: Callable[..., ProbeBoard]) -> None:
    make_board().acquire()
    with pytest.raises(InfrastructureError, match="in use"):
        make_board(name="other").acquire()


def test_auto_unlock_can_not_be_asked_for() -> None:
    with pytest.raises(ValidationError, match="auto_unlock"):
        ProbeTarget.model_validate(words_for((4001, 4002), auto_unlock=True))
    asked: dict[str, object] = {}

    class Session:
        def __init__(self, _probe: object, options: dict[str, object]) -> None:
            asked.update(options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyocd.core.session.Session", Session)
        patch.setattr(probe_worker, "_probe", lambda _: None)
        request = {"probe": UID, "part": "x", "pack": None, "frequency": None, "erase": "sector", "folder": "/"}
        probe_worker._session(request, "halt")
    assert asked["auto_unlock"] is False
    assert asked["resume_on_disconnect"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"consoles": {n: {"kind": "tcp", "host": "h", "port": 1} for n in ("a", "b")}}, "used twice"),
        (
            {"regions": {"a": {"start": 0, "size": 32}, "b": {"start": 16, "size": 32}}},
            "overlap",
        ),
        ({"probe": ""}, "at least 1 character"),
    ],
)
def test_configuration_mistakes(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ProbeTarget.model_validate(words_for((4001, 4002), **changes))


def test_locked_parts_are_told_apart() -> None:
    from pyocd.core import exceptions

    explain = probe_worker._explain
    assert explain(exceptions.TargetError("device is locked; auto unlock disabled"))["error"] == "target-locked"
    assert explain(exceptions.ProbeDisconnected("usb"))["error"] == "probe-lost"
    assert explain(exceptions.FlashProgramFailure("x", address=0))["error"] == "flash-failed"
    assert explain(exceptions.TransferFaultError())["error"] == "probe-transfer"
    assert explain(RuntimeError("?"))["error"] == "probe-failed"


def test_the_example_target_loads() -> None:
    target = load_target("probe-example")
    assert isinstance(target, ProbeTarget)
    assert target.resources()[0].startswith("probe ")
