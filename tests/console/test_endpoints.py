"""Ports of real boards through ptys, loopback servers and ser2net."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config.endpoint import Rfc2217Endpoint, SerialEndpoint, TcpEndpoint, TelnetEndpoint
from harness.console.endpoints import SerialTransport, open_endpoint
from harness.console.transport import Transport
from harness.errors import BenchError

BLOB = bytes(range(256)) * 256  # 64 KiB with every byte value


def read_exactly(transport: Transport, count: int) -> bytes:
    data = b""
    buffer = memoryview(bytearray(65536))
    while len(data) < count:
        assert select.select([transport.fileno()], [], [], 10)[0], f"only {len(data)} of {count} bytes came"
        got = transport.read_into(buffer)
        assert got != 0, f"the stream ended after {len(data)} bytes"
        data += bytes(buffer[: got or 0])
    return data


def write_all(transport: Transport, data: bytes) -> None:
    left = memoryview(data)
    while left:
        sent = transport.write(left)
        left = left[sent:]
        if not sent:
            select.select([], [transport.fileno()], [], 10)


class Pty:
    """A board's tty: a pty behind a stable link, which can be unplugged and plugged again."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.plug()

    def plug(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.link.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        self.link.unlink()
        self.close()

    def close(self) -> None:
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Pty]:
    made = Pty(tmp_path / "usb-board-if01")
    yield made
    made.close()


def echo(fd: int) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(fd, 65536):
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left) :]


def test_every_byte_of_a_tty_comes_back_counted(board: Pty) -> None:
    threading.Thread(target=echo, args=(board.master,), daemon=True).start()
    transport = open_endpoint(SerialEndpoint(port=str(board.link)))
    try:
        writer = threading.Thread(target=write_all, args=(transport, BLOB))
        writer.start()
        assert read_exactly(transport, len(BLOB)) == BLOB
        writer.join()
    finally:
        transport.close()


def test_a_port_belongs_to_one_session(board: Pty) -> None:
    endpoint = SerialEndpoint(port=str(board.link))
    first = open_endpoint(endpoint)
    try:
        with pytest.raises(BenchError, match="is in use") as caught:
            open_endpoint(endpoint)
        assert caught.value.kind == "port-busy"
    finally:
        first.close()
    open_endpoint(endpoint).close()


def test_closing_does_not_hang_up(board: Pty) -> None:
    open_endpoint(SerialEndpoint(port=str(board.link))).close()
    flags = termios.tcgetattr(board.slave)
    assert not flags[2] & termios.HUPCL
    assert flags[0] & termios.IGNBRK


def test_missing_port_names_its_neighbours(tmp_path: Path) -> None:
    folder = tmp_path / "serial" / "by-id"
    folder.mkdir(parents=True)
    (folder / "usb-other-if00").touch()
    with pytest.raises(BenchError, match="there is no port") as caught:
        open_endpoint(SerialEndpoint(port=str(folder / "usb-board-if00")))
    assert caught.value.kind == "port-missing"
    assert "usb-other-if00" in (caught.value.seen or "")


def test_a_file_is_not_a_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot be opened"):
        open_endpoint(SerialEndpoint(port=str(tmp_path / "file")))


def test_unplugged_port_ends_the_stream(board: Pty) -> None:
    transport = open_endpoint(SerialEndpoint(port=str(board.link)))
    try:
        board.unplug()
        assert select.select([transport.fileno()], [], [], 10)[0]
        assert transport.read_into(memoryview(bytearray(10))) == 0
    finally:
        transport.close()


def test_re_enumerated_port_goes_on(board: Pty) -> None:
    took: list[float] = []
    transport = SerialTransport(SerialEndpoint(port=str(board.link), reconnect=10), on_reconnect=took.append)
    try:
        os.write(board.master, b"before")
        assert read_exactly(transport, 6) == b"before"
        board.unplug()
        board.plug()
        assert transport.read_into(memoryview(bytearray(10))) is None
        assert transport.reconnections == len(took) == 1
        os.write(board.master, b"after")
        assert read_exactly(transport, 5) == b"after"
    finally:
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_tcp_port(listener: socket.socket) -> None:
    transport = open_endpoint(TcpEndpoint(kind="tcp", host="127.0.0.1", port=listener.getsockname()[1]))
    peer, _ = listener.accept()
    with peer:
        threading.Thread(target=echo, args=(peer.fileno(),), daemon=True).start()
        writer = threading.Thread(target=write_all, args=(transport, BLOB))
        writer.start()
        assert read_exactly(transport, len(BLOB)) == BLOB
        writer.join()
        transport.close()


def test_telnet_port_is_byte_exact(listener: socket.socket) -> None:
    transport = open_endpoint(TelnetEndpoint(kind="telnet", host="127.0.0.1", port=listener.getsockname()[1]))
    peer, _ = listener.accept()
    with peer:
        peer.sendall(b"\xff\xfd\x00" + BLOB.replace(b"\xff", b"\xff\xff"))
        assert read_exactly(transport, len(BLOB)) == BLOB
        write_all(transport, b"a\xffb")
        peer.settimeout(10)
        heard = b""
        while not heard.endswith(b"b"):
            heard += peer.recv(100)
        assert heard == b"\xff\xfb\x00" + b"a\xff\xffb"
    transport.close()


@pytest.mark.parametrize("kind", ["tcp", "telnet"])
def test_refused_connection_is_the_benchs_fault(kind: str, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    endpoint = TcpEndpoint(kind="tcp", host="127.0.0.1", port=port)
    if kind == "telnet":
        with pytest.raises(BenchError, match="no connection"):
            open_endpoint(TelnetEndpoint(kind="telnet", host="127.0.0.1", port=port))
    else:
        with pytest.raises(BenchError, match="no connection") as caught:
            open_endpoint(endpoint)
        assert caught.value.kind == "port-refused"


@pytest.mark.skipif(shutil.which("ser2net") is None, reason="ser2net is not installed")
def test_rfc2217_through_ser2net(board: Pty, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = tmp_path / "ser2net.yaml"
    config.write_text(
        f"connection: &con0\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}\n"
        f"  connector: serialdev,{os.path.realpath(board.link)},115200n81,local\n"
    )
    server = subprocess.Popen(
        ["ser2net", "-n", "-u", "-c", str(config)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        transport = connect_when_up(Rfc2217Endpoint(kind="rfc2217", host="127.0.0.1", port=port))
        try:
            threading.Thread(target=echo, args=(board.master,), daemon=True).start()
            small = BLOB[:4096]
            writer = threading.Thread(target=write_all, args=(transport, small))
            writer.start()
            assert read_exactly(transport, len(small)) == small
            writer.join()
        finally:
            transport.close()
    finally:
        server.kill()
        server.wait()


def connect_when_up(endpoint: Rfc2217Endpoint) -> Transport:
    for _ in range(400):
        try:
            return open_endpoint(endpoint)
        except BenchError:
            threading.Event().wait(0.02)  # ser2net has no way to tell that it listens
    raise AssertionError("ser2net did not come up")


def test_rfc2217_server_missing(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(BenchError, match="no RFC 2217 serial server"):
        open_endpoint(Rfc2217Endpoint(kind="rfc2217", host="127.0.0.1", port=port))
