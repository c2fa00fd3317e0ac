"""The FVP board, through the stand-in with the FVP's command line."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.boards.base import PowerState, ResetKind, RunContext
from harness.boards.fvp import FvpBoard
from harness.boards.standins import fvp as stand_in
from harness.boards.supervisor import wait_until
from harness.config.build import Build
from harness.config.fvp import FvpTarget, IrisConfig
from harness.config.loading import load_target
from harness.console.base import Mark
from harness.errors import BenchError, ConfigError

READY = re.compile(rb"ready ([0-9a-f]{8})\n")
IRIS = Path(stand_in.__file__).parent / "iris_python"


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in.install(tmp_path_factory.mktemp("fvp"))


@pytest.fixture
def make_fvp(tmp_path: Path, binary: Path) -> Iterator[Callable[..., FvpBoard]]:
    boards: list[FvpBoard] = []

    def make(name: str = "fvp", **changes: object) -> FvpBoard:
        loaded = load_target("fvp-corstone300")
        assert isinstance(loaded, FvpTarget)
        target = loaded.model_copy(update={"name": name, "binary": str(binary), **changes})
        boards.append(FvpBoard(target, RunContext(tmp_path / "run", tmp_path / "state")))
        return boards[-1]

    yield make
    for board in boards:
        board.release()


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + textwrap.dedent(text))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def ask(board: FvpBoard, line: str) -> str:
    console = board.console("ns")
    mark = console.mark()
    console.write(line.encode() + b"\n")
    found = console.wait_for(re.compile(rb"([^\n]*)\n"), timeout=10, since=mark)
    return (found.groups[0] or b"").decode()


def wait_ready(board: FvpBoard, since: Mark = Mark(0)) -> bytes:  # noqa: B008 - a frozen value
    return board.console("ns").wait_for(READY, timeout=20, since=since).groups[0] or b""


@pytest.mark.qemu
def test_boots_provisioned_and_talks(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        wait_ready(board)
        board.console("secure").wait_for(b"secure log\n", timeout=10, since=Mark(0))
        assert ask(board, "echo hello") == "hello"
        assert ask(board, "word 38000000") == "4f4d4654", "OTP is there"
        huk = board.identity.huk
        assert huk is not None
        assert ask(board, "word 38000010") == f"{int.from_bytes(huk[:4], 'little'):08x}"
        assert ask(board, "word 38001000") == "454d4654", "entropy is there"
        assert board.description["emulator"] == "FVP_Corstone_SSE-300_Ethos-U55 11.22.39"
        assert "stand-in" in board.description
    assert not (board.context.run_dir / "fvp.fvp").exists(), "OTP and entropy files are gone"


@pytest.mark.qemu
def test_cold_reset_is_a_new_simulation(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        wait_ready(board)
        mark = board.console("ns").mark()
        board.reset(ResetKind.COLD)
        wait_ready(board, mark)
        assert [event.kind for event in board.events] == ["host-reset"]


@pytest.mark.qemu
def test_warm_reset_goes_through_iris(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp(iris=IrisConfig(python_path=IRIS)) as board:
        board.flash(probe_build)
        wait_ready(board)
        assert ask(board, "poke 31000000 1234abcd") == "ok"
        mark = board.console("ns").mark()
        board.reset(ResetKind.WARM)
        wait_ready(board, mark)
        assert ask(board, "word 31000000") == "1234abcd", "RAM survives a warm reset"


@pytest.mark.qemu
def test_without_iris_there_is_no_warm_reset(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        with pytest.raises(BenchError, match="no warm reset") as caught:
            board.reset(ResetKind.WARM)
        assert caught.value.kind == "no-warm-reset"


@pytest.mark.qemu
def test_busy_ports_are_no_trouble(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        parameters = {f"mps3_board.telnetterminal{n}.start_port": first for n in (0, 1, 2, 5)}
        with make_fvp(parameters=parameters) as board:
            board.flash(probe_build)
            wait_ready(board)


@pytest.mark.qemu
def test_simulated_limit_is_named(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp(simulated_limit=1.0) as board:
        board.flash(probe_build)
        wait_ready(board)
        with pytest.raises(BenchError) as caught:
            board.console("ns").wait_for(b"never", timeout=20)
        assert caught.value.kind == "fvp-limit"
        with pytest.raises(BenchError, match="ended at a limit"):
            board.check_alive()


@pytest.mark.qemu
def test_killed_simulation_is_seen_at_once_and_the_board_is_usable_again(
    make_fvp: Callable[..., FvpBoard], probe_build: Build
) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        wait_ready(board)
        assert board._child is not None
        os.kill(board._child.pid, signal.SIGKILL)
        with pytest.raises(BenchError) as caught:
            board.console("ns").wait_for(b"never", timeout=20)
        assert caught.value.kind == "fvp-exit"
        board.power(PowerState.OFF)
        mark = board.console("ns").mark()
        board.power(PowerState.ON)
        wait_ready(board, mark)


@pytest.mark.qemu
def test_nothing_survives_a_killed_harness(tmp_path: Path, binary: Path, probe_elf: Path) -> None:
    code = f"""
        import os, signal, re
        from pathlib import Path
        from harness.boards.base import RunContext
        from harness.boards.fvp import FvpBoard
        from harness.config.loading import load_build, load_target
        from harness.console.base import Mark
        target = load_target("fvp-corstone300").model_copy(update={{"binary": {str(binary)!r}}})
        board = FvpBoard(target, RunContext(Path({str(tmp_path)!r}) / "run", Path({str(tmp_path)!r}) / "state"))
        Path({str(tmp_path / "b.yaml")!r}).write_text("name: b\\nimages: [{{file: {probe_elf}, world: secure}}]\\n")
        board.acquire(); board.flash(load_build({str(tmp_path / "b.yaml")!r}))
        board.console("ns").wait_for(b"ready", timeout=20, since=Mark(0))
        print(board._child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    pid = int(done.stdout)
    assert wait_until(lambda: not alive(pid), 5), "the simulation lives on"
    assert wait_until(lambda: not emulators(tmp_path), 5), "the emulator lives on"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def emulators(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"qemu-system-arm" in words and str(folder).encode() in words:
            found.append(path.parent.name)
    return found


def test_unknown_parameter_is_refused_before_flashing(make_fvp: Callable[..., FvpBoard]) -> None:
    board = make_fvp(parameters={"ethosu.num_mac": 128})
    with pytest.raises(ConfigError, match="no parameter") as caught:
        board.acquire()
    assert "ethosu.num_macs" in (caught.value.hint or "")


def test_missing_binary(make_fvp: Callable[..., FvpBoard]) -> None:
    with pytest.raises(BenchError, match="was not found") as caught:
        make_fvp(binary="no-such-fvp").acquire()
    assert caught.value.kind == "tool-missing"


def test_old_version(make_fvp: Callable[..., FvpBoard], tmp_path: Path) -> None:
    old = script(tmp_path / "old", 'echo "Fast Models [11.16.24 (Nov 4 2021)]"\n')
    with pytest.raises(BenchError, match=r"11\.16\.24 is too old") as caught:
        make_fvp(binary=old).acquire()
    assert caught.value.kind == "fvp-version"


def test_licence_error_is_explained_and_the_board_is_free_again(
    make_fvp: Callable[..., FvpBoard], tmp_path: Path
) -> None:
    unlicensed = script(tmp_path / "u", 'echo "Error: License not found for FM_Simulator" >&2\nexit 1\n')
    with pytest.raises(BenchError) as caught:
        make_fvp(binary=unlicensed).acquire()
    assert caught.value.kind == "fvp-licence"
    make_fvp().acquire()


def test_model_that_dies_at_the_start(
    make_fvp: Callable[..., FvpBoard], binary: Path, probe_build: Build, tmp_path: Path
) -> None:
    crashing = script(
        tmp_path / "c",
        f'case "$1" in --*) exec {binary} "$@";; esac\n'
        'echo "fvp: error while loading shared libraries: libatomic.so.1: cannot open" >&2; exit 127\n',
    )
    board = make_fvp(binary=crashing)
    board.acquire()
    with pytest.raises(BenchError) as caught:
        board.flash(probe_build)
    assert caught.value.kind == "fvp-host"


def test_two_sessions_do_not_share_a_board(make_fvp: Callable[..., FvpBoard]) -> None:
    make_fvp().acquire()
    with pytest.raises(BenchError, match="in use"):
        make_fvp().acquire()
