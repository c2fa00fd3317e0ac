"""The FVP board, through the simulator with the FVP's command line."""

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
from pydantic import ValidationError
from tfm_harness.boards.base import PowerState, ResetKind, RunContext
from tfm_harness.boards.fvp.board import FvpBoard
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.boards.virtual import Burned, VirtualControl
from tfm_harness.config.build import Build
from tfm_harness.config.fvp import FvpTarget, IrisConfig
from tfm_harness.config.loading import load_target
from tfm_harness.console.base import Mark
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.testing import ask_line, wait_until_ready
from tfm_harness.testing.simulators import fvp as simulator

READY = re.compile(rb"ready ([0-9a-f]{8})\n")
IRIS = Path(simulator.__file__).parent / "iris_python"


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulator.install(tmp_path_factory.mktemp("fvp"))


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


@pytest.mark.qemu
def test_boots_provisioned_and_talks(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        board.console("secure").wait_for(b"secure log\n", timeout=10, since=Mark(0))
        assert ask_line(board, "echo hello") == "hello"
        assert ask_line(board, "word 38000000") == "4f4d4654", "OTP is there"
        huk = board.identity.huk
        assert huk is not None
        assert ask_line(board, "word 38000010") == f"{int.from_bytes(huk[:4], 'little'):08x}"
        assert ask_line(board, "word 38001000") == "454d4654", "entropy is there"
        assert board.description["emulator"] == "FVP_Corstone_SSE-300_Ethos-U55 11.22.39"
        assert "simulator" in board.description
    assert not (board.context.run_dir / "fvp.fvp").exists(), "OTP and entropy files are gone"


@pytest.mark.qemu
def test_cold_reset_is_a_new_simulation(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert isinstance(board, VirtualControl)
        assert {"provision", "fast-flash", "known-secrets"} <= board.capabilities
        assert not {"nv-access", "write-stops", "call-stops"} & board.capabilities
        board.provision(Burned(lifecycle=0x1000))
        mark = board.console("ns").mark()
        board.reset(ResetKind.COLD)
        wait_until_ready(board, READY, since=mark)
        assert ask_line(board, "word 38000008") == "00001000", "what was burned is there after the cold start"
        assert board.identity.lifecycle == 0x1000
        assert [event.kind for event in board.events] == ["host-reset"]
        with pytest.raises(InfrastructureError, match="no-write-stops"):
            board.write_stops([0x38000000], lambda _: None)
        with pytest.raises(InfrastructureError, match="no-call-stops"):
            board.call_stops([0x10070000], lambda _before, _after: None)


@pytest.mark.qemu
def test_warm_reset_goes_through_iris(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp(iris=IrisConfig(python_path=IRIS)) as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert ask_line(board, "poke 31000000 1234abcd") == "ok"
        mark = board.console("ns").mark()
        board.reset(ResetKind.WARM)
        wait_until_ready(board, READY, since=mark)
        assert ask_line(board, "word 31000000") == "1234abcd", "RAM survives a warm reset"


@pytest.mark.qemu
def test_without_iris_there_is_no_warm_reset(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        with pytest.raises(InfrastructureError, match="no warm reset") as caught:
            board.reset(ResetKind.WARM)
        assert caught.value.kind == "no-warm-reset"


@pytest.mark.qemu
def test_busy_ports_are_no_trouble(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        parameters = {f"mps3_board.telnetterminal{n}.start_port": first for n in (0, 1, 2, 5)}
        with make_fvp(parameters=parameters) as board:
            board.flash(probe_build)
            wait_until_ready(board, READY)


@pytest.mark.qemu
def test_telnet_terminals_are_unpacked(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    """The FVP's own default: what the user's parameters make of a terminal is what the harness must speak."""
    parameters = {f"mps3_board.telnetterminal{n}.mode": "telnet" for n in (0, 1, 2, 5)}
    with make_fvp(parameters=parameters) as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert ask_line(board, "echo hello") == "hello"
        for console in board.consoles.values():
            assert b"\xff" not in console.transcript.read_bytes()


@pytest.mark.qemu
def test_every_terminal_is_read(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    """Also those that the target does not name, in whatever order they are announced."""
    with make_fvp(consoles={"ns": "telnetterminal0"}) as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert set(board._drains) == {"terminal1", "terminal2", "terminal5"}
        board._drains["terminal1"].wait_for(b"secure log\n", timeout=10, since=Mark(0))


@pytest.mark.qemu
def test_limits_hold_when_nobody_reads(binary: Path, probe_elf: Path) -> None:
    words = [str(binary), "-a", str(probe_elf), "--timelimit", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "Simulation stopped by user" in done.stdout


@pytest.mark.qemu
def test_with_a_debug_server_the_model_waits_to_be_started(binary: Path, probe_elf: Path) -> None:
    """``-I`` alone is no running simulation: nothing comes from its UARTs."""
    output = ["-C", "mps3_board.uart0.out_file=-", "--timelimit", "3"]
    for run, speaks in ((["-I", "-R", "-p"], True), (["-I", "-p"], False)):
        words = [str(binary), "-a", str(probe_elf), *output, *run]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert "Iris server started listening to port" in done.stdout
        assert speaks or "ready" not in done.stdout


@pytest.mark.qemu
def test_a_model_that_ignores_its_limit_is_killed(
    make_fvp: Callable[..., FvpBoard], probe_build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert board._child is not None
        monkeypatch.setattr("tfm_harness.boards.fvp.board._KILL_GRACE", -board._target.wall_limit)
        board._watch_clock(board._child)
        with pytest.raises(InfrastructureError) as caught:
            board.console("ns").wait_for(b"never", timeout=60)
        assert caught.value.kind == "fvp-limit"
        assert "was killed" in caught.value.message


@pytest.mark.qemu
def test_simulated_limit_is_named(make_fvp: Callable[..., FvpBoard], probe_build: Build) -> None:
    def run_into_it(board: FvpBoard) -> None:
        board.flash(probe_build)  # on a busy host already here
        board.console("ns").wait_for(b"never", timeout=60)

    with make_fvp(simulated_limit=1.0) as board:
        with pytest.raises(InfrastructureError, match="ended at a limit") as caught:
            run_into_it(board)
        assert caught.value.kind == "fvp-limit"
        with pytest.raises(InfrastructureError) as caught:
            board.check_alive()
        assert caught.value.kind in {"fvp-limit", "board-off"}


@pytest.mark.qemu
def test_killed_simulation_is_seen_at_once_and_the_board_is_usable_again(
    make_fvp: Callable[..., FvpBoard], probe_build: Build
) -> None:
    with make_fvp() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert board._child is not None
        os.kill(board._child.pid, signal.SIGKILL)
        with pytest.raises(InfrastructureError) as caught:
            board.console("ns").wait_for(b"never", timeout=20)
        assert caught.value.kind == "fvp-exit"
        board.power(PowerState.OFF)
        mark = board.console("ns").mark()
        board.power(PowerState.ON)
        wait_until_ready(board, READY, since=mark)


@pytest.mark.qemu
def test_nothing_survives_a_killed_harness(tmp_path: Path, binary: Path, probe_elf: Path) -> None:
    code = f"""
        import os, signal, re
        from pathlib import Path
        from tfm_harness.boards.base import RunContext
        from tfm_harness.boards.fvp.board import FvpBoard
        from tfm_harness.config.loading import load_build, load_target
        from tfm_harness.console.base import Mark
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
    with pytest.raises(InfrastructureError, match="not installed") as caught:
        make_fvp(binary="no-such-fvp").acquire()
    assert caught.value.kind == "tool-missing"


def test_a_program_for_another_machine(make_fvp: Callable[..., FvpBoard], tmp_path: Path) -> None:
    other = tmp_path / "fvp"
    other.write_bytes(b"\x7fELF of another machine")
    other.chmod(0o755)
    with pytest.raises(InfrastructureError, match="cannot be run") as caught:
        make_fvp(binary=str(other)).acquire()
    assert caught.value.kind == "tool-start"


def test_no_version_is_no_fvp(make_fvp: Callable[..., FvpBoard], tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="does not say which version") as caught:
        make_fvp(binary=script(tmp_path / "x", "echo hello\n")).acquire()
    assert caught.value.kind == "fvp-version"


def test_a_hung_licence_server_is_ended_with_all_it_started(
    make_fvp: Callable[..., FvpBoard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfm_harness.boards.fvp.binary._ASK_TIMEOUT", 1.0)
    hung = script(tmp_path / "h", f"sleep 1000 &\necho $! > {tmp_path}/pid\nwait\n")
    with pytest.raises(InfrastructureError, match="hangs") as caught:
        make_fvp(binary=hung).acquire()
    assert caught.value.kind == "tool-hung"
    assert "licence server" in (caught.value.hint or "")
    assert wait_until(lambda: not alive(int((tmp_path / "pid").read_text())), 5)


def test_old_version(make_fvp: Callable[..., FvpBoard], tmp_path: Path) -> None:
    old = script(tmp_path / "old", 'echo "Fast Models [11.16.24 (Nov 4 2021)]"\n')
    with pytest.raises(InfrastructureError, match=r"11\.16\.24 is too old") as caught:
        make_fvp(binary=old).acquire()
    assert caught.value.kind == "fvp-version"


def test_licence_error_is_explained_and_the_board_is_free_again(
    make_fvp: Callable[..., FvpBoard], tmp_path: Path
) -> None:
    unlicensed = script(tmp_path / "u", 'echo "Error: License not found for FM_Simulator" >&2\nexit 1\n')
    with pytest.raises(InfrastructureError) as caught:
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
    with pytest.raises(InfrastructureError) as caught:
        board.flash(probe_build)
    assert caught.value.kind == "fvp-host"


def test_a_window_would_take_the_terminal_away() -> None:
    words = load_target("fvp-corstone300").model_dump()
    words["parameters"] = {"mps3_board.telnetterminal0.start_telnet": True}
    with pytest.raises(ValidationError, match="a window of its own"):
        FvpTarget.model_validate(words)


def test_two_sessions_do_not_share_a_board(make_fvp: Callable[..., FvpBoard]) -> None:
    make_fvp().acquire()
    with pytest.raises(InfrastructureError, match="in use"):
        make_fvp().acquire()
