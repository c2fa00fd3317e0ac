"""Attaching to a board that already runs: ports, resets by command, and what cannot be proven."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from tfm_harness.boards.attach.board import AttachBoard
from tfm_harness.boards.base import PowerState, ResetKind, RunContext
from tfm_harness.boards.registry import make_board
from tfm_harness.config.attach import AttachTarget
from tfm_harness.config.build import Build
from tfm_harness.config.loading import check_combination, load_target
from tfm_harness.console.base import Mark
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError
from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver

from tests.protocol.zephyr_shell.simulator import Device

BUILD = Build(name="firmware", protocol="zephyr-shell")


def target(consoles: dict[str, object], **more: object) -> AttachTarget:
    return AttachTarget.model_validate({"name": "bench", "kind": "attach", "consoles": consoles, **more})


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    (tmp_path / "run").mkdir()
    (tmp_path / "state").mkdir()
    return RunContext(run_dir=tmp_path / "run", state_dir=tmp_path / "state")


class Served:
    """A device behind a TCP port, replaying the recorded firmware in odd chunks."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.peer: socket.socket | None = None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        try:
            peer, _ = self.listener.accept()
            self.peer = peer
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.send(peer, self.device.boot)
            while data := peer.recv(4096):
                self.send(peer, self.device(data))
        except OSError:
            return

    def send(self, peer: socket.socket, data: bytes) -> None:
        size = 1
        while data:
            peer.sendall(data[:size])
            data, size = data[size:], size % 89 + 7

    def close(self) -> None:
        peer, self.peer = self.peer, None
        if peer is not None:
            # Reset instead of an orderly end: what a vanished serial server looks like.
            with peer, contextlib.suppress(OSError):  # the harness may have hung up first
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes a pending accept
        self.listener.close()
        self.thread.join(10)
        if self.peer is not None:  # accepted meanwhile
            self.peer.close()


@pytest.fixture(params=["colour", "plain"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    server = Served(Device(request.param))
    yield server
    server.close()


def test_the_recorded_firmware_over_a_socket(served: Served, context: RunContext) -> None:
    """The client on the real console, over a real socket, in odd chunks."""
    board = AttachBoard(target({"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}), context)
    with board:
        board.flash(BUILD)
        driver = ZephyrShellDriver(board.console("ns"), watch=board.check_alive)
        description = driver.wait_ready(timeout=20)
        assert description.uuid == "d5668f22-64b7-4efd-b4cb-0b6d940434b0"
        assert len(driver.infer(data=struct.pack("<f", 45.0)).message) == 106
        assert len(driver.app_token()) == 219
        assert any("nothing was flashed" in event.detail for event in board.events if event.kind == "not-proven")
        assert "not proven" in board.description
    transcript = (context.run_dir / "bench-ns.log").read_bytes()
    assert served.device.boot in transcript


def test_a_vanished_server_is_the_benchs_fault(served: Served, context: RunContext) -> None:
    board = AttachBoard(target({"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}), context)
    with board:
        board.flash(BUILD)
        driver = ZephyrShellDriver(board.console("ns"), watch=board.check_alive)
        driver.wait_ready(timeout=20)
        served.close()
        with pytest.raises(InfrastructureError) as caught:
            driver.describe()
        assert caught.value.kind == "console-closed"
        with pytest.raises(InfrastructureError):
            board.check_alive()


def test_a_tty(context: RunContext) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    try:
        board = AttachBoard(target({"ns": {"kind": "serial", "port": os.ttyname(theirs)}}), context)
        with board:
            board.flash(BUILD)
            console = board.console("ns")
            mark = console.mark()
            os.write(ours, b"hello\r\n")
            assert console.wait_for(b"hello\r\n", timeout=10, since=mark)
            console.write(b"world")
            assert os.read(ours, 5) == b"world"
    finally:
        os.close(ours)
        os.close(theirs)


def test_missing_port_and_refused_connection(context: RunContext) -> None:
    with (
        pytest.raises(InfrastructureError) as caught,
        AttachBoard(target({"ns": {"kind": "serial", "port": "/dev/there-is-no-such-tty"}}), context),
    ):
        pass
    assert caught.value.kind == "port-missing"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        pytest.raises(InfrastructureError) as caught,
        AttachBoard(target({"ns": {"kind": "tcp", "host": "127.0.0.1", "port": port}}), context),
    ):
        pass
    assert caught.value.kind == "port-refused"


def test_no_reset_and_no_power_without_a_command(served: Served, context: RunContext) -> None:
    with AttachBoard(target({"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}), context) as board:
        board.flash(BUILD)
        for kind in ResetKind:
            with pytest.raises(InfrastructureError) as caught:
                board.reset(kind)
            assert caught.value.kind == "no-reset-control"
        with pytest.raises(InfrastructureError) as caught:
            board.power(PowerState.OFF)
        assert caught.value.kind == "no-power-control"
        assert any("nothing was reset" in line for line in board.unproven)


def test_reset_command(served: Served, context: RunContext, tmp_path: Path) -> None:
    mark = tmp_path / "was-reset"
    words = [sys.executable, "-c", f"open({str(mark)!r}, 'a').write('x')"]
    consoles: dict[str, object] = {"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}
    with AttachBoard(target(consoles, reset={"warm": words}), context) as board:
        board.flash(BUILD)
        assert mark.read_text() == "x"
        board.reset()
        assert mark.read_text() == "xx"
        assert not any("nothing was reset" in line for line in board.unproven)
        with pytest.raises(InfrastructureError):
            board.reset(ResetKind.COLD)


def test_a_reset_is_noted_before_it_is_given(
    served: Served, context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boot speaks before the user's command or the switch has ended; its lines stand behind the note."""
    consoles: dict[str, object] = {"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}
    seen: list[str] = []

    class Switch:
        def set(self, state: PowerState) -> None:
            seen.append(f"{state}: {board.events[-1].kind}")

        def state(self) -> PowerState:
            return PowerState.UNKNOWN

    power = {"kind": "command", "on": ["true"], "off": ["true"], "off_seconds": 0}
    with AttachBoard(target(consoles, reset={"warm": ["true"]}, power=power), context) as board:
        monkeypatch.setattr(board, "_run", lambda *_: seen.append(board.events[-1].kind))
        monkeypatch.setattr(board, "_power", Switch())
        board.reset()
        board.reset(ResetKind.COLD)
        board.power(PowerState.ON)
    assert seen == ["host-reset", "off: host-reset", "on: host-reset", "on: power-on"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["there-is-no-such-tool"], "tool-missing"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "reset-failed"),
        ([sys.executable, "-c", "import threading; threading.Event().wait()"], "tool-hung"),
    ],
)
def test_reset_commands_that_fail(served: Served, context: RunContext, words: list[str], kind: str) -> None:
    consoles: dict[str, object] = {"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}
    described = target(consoles, reset={"warm": words, "timeout": 0.5, "at_start": False})
    with AttachBoard(described, context) as board:
        board.flash(BUILD)
        with pytest.raises(InfrastructureError) as caught:
            board.reset()
        assert caught.value.kind == kind


def test_one_session_a_port(served: Served, context: RunContext) -> None:
    consoles: dict[str, object] = {"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}
    with AttachBoard(target(consoles), context):
        other = AttachBoard(target(consoles).model_copy(update={"name": "other"}), context)
        with pytest.raises(InfrastructureError) as caught:
            other.acquire()
        assert caught.value.kind == "board-busy"


def test_described_in_yaml(tmp_path: Path, context: RunContext) -> None:
    path = tmp_path / "board.yaml"
    path.write_text("kind: attach\nconsoles:\n  ns: {kind: rfc2217, host: lab, port: 4001}\n")
    loaded = load_target(path)
    assert isinstance(loaded, AttachTarget)
    assert loaded.resources() == ("serial server lab:4001",)
    assert isinstance(make_board(loaded, context), AttachBoard)
    check_combination(loaded, BUILD)
    with pytest.raises(ConfigError, match="combination-invalid"):
        check_combination(loaded, Build(name="firmware", protocol="smp", console="other"))
    path.write_text("kind: attach\nconsoles:\n  ns: {kind: tcp, hots: lab, port: 4001}\n")
    with pytest.raises(ConfigError, match="did you mean 'host'"):
        load_target(path)


def test_bundled_targets() -> None:
    assert load_target("attach-example").kind == "attach"
    an521 = load_target("qemu-an521")
    assert an521.kind == "qemu"


def test_release_twice_and_unknown_console(served: Served, context: RunContext) -> None:
    board = AttachBoard(target({"ns": {"kind": "tcp", "host": "127.0.0.1", "port": served.port}}), context)
    board.acquire()
    with pytest.raises(ConfigError, match="console-unknown"):
        board.console("secure")
    assert board.console("ns").read_from(Mark(0), limit=0) == b""
    board.release()
    board.release()
    with pytest.raises(HarnessError):
        board.console("ns").write(b"x")
