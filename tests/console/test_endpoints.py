"""Ports of real boards through ptys, loopback servers and ser2net."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
from serial.rfc2217 import PortManager
from serial.urlhandler.protocol_loop import Serial as LoopSerial
from tfm_harness.config.endpoint import Rfc2217Endpoint, SerialEndpoint, TcpEndpoint, TelnetEndpoint
from tfm_harness.console import endpoints
from tfm_harness.console.base import Mark
from tfm_harness.console.endpoints import TelnetTransport, open_endpoint
from tfm_harness.console.reconnect import ReconnectingTransport
from tfm_harness.console.rfc2217 import Rfc2217Transport
from tfm_harness.console.stream import StreamConsole
from tfm_harness.console.transport import Transport
from tfm_harness.errors import InfrastructureError

TIOCGEXCL = 0x80045440
BLOB = bytes(range(256)) * 256  # 64 KiB with every byte value
PATIENCE = 60  # seconds without a byte: a loaded host may stop a process, or the kernel's own network thread, for long


def read_exactly(transport: Transport, count: int) -> bytes:
    data = b""
    buffer = memoryview(bytearray(65536))
    while len(data) < count:
        assert select.select([transport.fileno()], [], [], PATIENCE)[0], f"only {len(data)} of {count} bytes came"
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
            select.select([], [transport.fileno()], [], PATIENCE)


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


@contextlib.contextmanager
def echoing(fd: int) -> Iterator[None]:
    """What comes from `fd` is sent back, until the block ends; then no thread is left that would read from `fd`.

    A thread that outlives its test reads from the next file of that number, and takes the bytes of another test.
    """
    stopped, stop = os.pipe()

    def echo() -> None:
        with contextlib.suppress(OSError):
            while stopped not in select.select([fd, stopped], [], [])[0] and (data := os.read(fd, 65536)):
                left = memoryview(data)
                while left and stopped not in (ready := select.select([stopped], [fd], []))[0]:
                    left = left[os.write(fd, left[:4096]) if ready[1] else 0 :]

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(stop)  # the other end reads as ended
        thread.join(PATIENCE)
        os.close(stopped)
    assert not thread.is_alive()


def test_every_byte_of_a_tty_comes_back_counted(board: Pty) -> None:
    transport = open_endpoint(SerialEndpoint(port=str(board.link)))
    try:
        with echoing(board.master):
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
        with pytest.raises(InfrastructureError, match="is in use") as caught:
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
    with pytest.raises(InfrastructureError, match="there is no port") as caught:
        open_endpoint(SerialEndpoint(port=str(folder / "usb-board-if00")))
    assert caught.value.kind == "port-missing"
    assert "usb-other-if00" in (caught.value.seen or "")


def test_a_file_is_not_a_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match="cannot be opened"):
        open_endpoint(SerialEndpoint(port=str(tmp_path / "file")))


def test_unplugged_port_ends_the_stream(board: Pty) -> None:
    transport = open_endpoint(SerialEndpoint(port=str(board.link)))
    try:
        board.unplug()
        assert select.select([transport.fileno()], [], [], PATIENCE)[0]
        assert transport.read_into(memoryview(bytearray(10))) == 0
    finally:
        transport.close()


def test_re_enumerated_port_goes_on(board: Pty) -> None:
    took: list[float] = []
    transport = open_endpoint(SerialEndpoint(port=str(board.link), reconnect=10))
    assert isinstance(transport, ReconnectingTransport)
    transport.on_reconnect = took.append
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


def test_while_a_port_is_away_nobody_is_held_up(board: Pty, tmp_path: Path) -> None:
    """Waiting and closing keep to their own limits, what is written waits for the port, nothing is lost in between."""
    console = StreamConsole(
        "uart", open_endpoint(SerialEndpoint(port=str(board.link), reconnect=600)), tmp_path / "log", write_timeout=30
    )
    try:
        os.write(board.master, b"before")
        console.wait_for(b"before", timeout=PATIENCE, since=Mark(0))
        board.unplug()
        with pytest.raises(InfrastructureError) as caught:
            console.wait_for(b"never", timeout=0.2)
        assert caught.value.kind == "console-timeout"
        writer = threading.Thread(target=console.write, args=(b"hello",))
        writer.start()
        board.plug()
        writer.join(30)
        assert not writer.is_alive()
        assert select.select([board.master], [], [], PATIENCE)[0]
        assert os.read(board.master, 100) == b"hello"
        os.write(board.master, b"after")
        console.wait_for(b"after", timeout=PATIENCE, since=Mark(0))
        board.unplug()
    finally:
        console.close()
        board.plug()
    assert (tmp_path / "log").read_bytes() == b"beforeafter"


def test_a_port_that_does_not_come_back_ends(board: Pty) -> None:
    transport = open_endpoint(SerialEndpoint(port=str(board.link), reconnect=0.1))
    board.unplug()
    try:
        while transport.read_into(memoryview(bytearray(10))) is None:
            assert transport.write(memoryview(b"x")) == 0
    finally:
        transport.close()
        board.plug()


def test_a_server_that_is_restarted_is_found_again(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    transport = open_endpoint(TcpEndpoint(kind="tcp", host="127.0.0.1", port=port, reconnect=30))
    try:
        peer, _ = listener.accept()
        peer.sendall(b"one")
        assert read_exactly(transport, 3) == b"one"
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        listener.close()
        assert transport.read_into(memoryview(bytearray(10))) is None
        with socket.create_server(("127.0.0.1", port)) as again:
            assert transport.read_into(memoryview(bytearray(10))) is None
            peer, _ = again.accept()
            with peer:
                peer.sendall(b"two")
                assert read_exactly(transport, 3) == b"two"
    finally:
        transport.close()


def test_a_pty_can_be_opened_again_after_its_holder_was_killed(board: Pty) -> None:
    """Exclusive mode would stay on it, and nobody but the superuser could open it."""
    code = f"""if True:
        import os, signal
        from tfm_harness.config.endpoint import SerialEndpoint
        from tfm_harness.console.endpoints import TelnetTransport, open_endpoint
        port = open_endpoint(SerialEndpoint(port={str(board.link)!r}))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == -9
    assert fcntl.ioctl(board.slave, TIOCGEXCL, bytes(4)) == bytes(4)
    open_endpoint(SerialEndpoint(port=str(board.link))).close()


def test_nobody_else_may_open_an_open_port(board: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIOCEXCL on real ports: also for programs that ask for no lock; the superuser may always."""
    monkeypatch.setattr(endpoints, "_is_pty", lambda _fd: False)
    transport = open_endpoint(SerialEndpoint(port=str(board.link)))
    try:
        assert fcntl.ioctl(board.slave, TIOCGEXCL, bytes(4)) != bytes(4)
    finally:
        transport.close()
    assert fcntl.ioctl(board.slave, TIOCGEXCL, bytes(4)) == bytes(4)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_tcp_port(listener: socket.socket) -> None:
    transport = open_endpoint(TcpEndpoint(kind="tcp", host="127.0.0.1", port=listener.getsockname()[1]))
    peer, _ = listener.accept()
    with peer, echoing(peer.fileno()):
        writer = threading.Thread(target=write_all, args=(transport, BLOB))
        writer.start()
        assert read_exactly(transport, len(BLOB)) == BLOB
        writer.join()
        transport.close()


def test_telnet_port_is_byte_exact(listener: socket.socket) -> None:
    transport = open_endpoint(TelnetEndpoint(kind="telnet", host="127.0.0.1", port=listener.getsockname()[1]))
    peer, _ = listener.accept()
    with peer:
        peer.settimeout(PATIENCE)
        sent = b"\xff\xfd\x00" + BLOB.replace(b"\xff", b"\xff\xff")
        sender = threading.Thread(target=peer.sendall, args=(sent,))
        sender.start()
        assert read_exactly(transport, len(BLOB)) == BLOB
        sender.join()
        write_all(transport, b"a\xffb")
        heard = b""
        while not heard.endswith(b"b"):
            got = peer.recv(100)
            assert got, f"the stream ended after {heard!r}"
            heard += got
        assert heard == b"\xff\xfb\x00" + b"a\xff\xffb"
    transport.close()


class Narrow(socket.socket):
    """A socket that takes only as many bytes as it is allowed to."""

    allowed = 0

    def send(self, data: Any, flags: int = 0) -> int:
        taken = bytes(data)[: self.allowed]
        self.allowed -= len(taken)
        if not taken:
            raise BlockingIOError
        return super().send(taken, flags)


def test_a_telnet_port_that_takes_no_bytes_loses_no_answer_and_no_half_of_a_pair() -> None:
    near, far = socket.socketpair()
    narrow = Narrow(fileno=near.detach())
    transport = TelnetTransport(narrow)
    buffer = memoryview(bytearray(100))
    with far:
        far.sendall(b"\xff\xfd\x00x\xff\xfb\x01")  # DO binary, WILL echo
        assert transport.read_into(buffer) == 1
        assert transport.write(b"a") == 0
        narrow.allowed = 7  # the answers, and one byte more
        assert transport.write(b"\xffb") == 1
        assert transport.write(b"b") == 0
        narrow.allowed = 2
        assert transport.write(b"b") == 1
        assert far.recv(100) == b"\xff\xfb\x00" + b"\xff\xfe\x01" + b"\xff\xff" + b"b"
        transport.close()


@pytest.mark.parametrize("kind", ["tcp", "telnet"])
def test_refused_connection_is_the_benchs_fault(kind: str, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    endpoint = TcpEndpoint(kind="tcp", host="127.0.0.1", port=port)
    if kind == "telnet":
        with pytest.raises(InfrastructureError, match="no connection"):
            open_endpoint(TelnetEndpoint(kind="telnet", host="127.0.0.1", port=port))
    else:
        with pytest.raises(InfrastructureError, match="no connection") as caught:
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
            small = BLOB[:4096]
            with echoing(board.master):
                writer = threading.Thread(target=write_all, args=(transport, small))
                writer.start()
                assert read_exactly(transport, len(small)) == small
                writer.join()
        finally:
            transport.close()
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("wanted", ["leave", "on", "off"])
def test_rfc2217_moves_dtr_and_rts_only_when_told(
    listener: socket.socket, wanted: Literal["leave", "on", "off"]
) -> None:
    """A server that acts on requests as RFC 2217 has them, and notes each move of a line."""
    moves: list[tuple[str, bool]] = []

    class Port(LoopSerial):
        def _update_dtr_state(self) -> None:
            moves.append(("dtr", self.dtr))

        def _update_rts_state(self) -> None:
            moves.append(("rts", self.rts))

    port = Port("loop://")
    moves.clear()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            manager = PortManager(cast("Any", port), cast("Any", SimpleNamespace(write=peer.sendall)))
            with contextlib.suppress(OSError):
                while data := peer.recv(4096):
                    plain = b"".join(manager.filter(data))
                    if plain:
                        peer.sendall(b"".join(manager.escape(plain)))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    endpoint = Rfc2217Endpoint(
        kind="rfc2217", host="127.0.0.1", port=listener.getsockname()[1], dtr=wanted, rts=wanted, rtscts=False
    )
    transport = open_endpoint(endpoint)
    try:
        write_all(transport, b"hello\xff")
        assert read_exactly(transport, 6) == b"hello\xff"
    finally:
        transport.close()
    server.join(PATIENCE)
    expected = [] if wanted == "leave" else [("dtr", wanted == "on"), ("rts", wanted == "on")]
    assert [move for move in moves if move[0] == "dtr"] == expected[:1]
    assert [move for move in moves if move[0] == "rts"] == expected[1:]


def connect_when_up(endpoint: Rfc2217Endpoint) -> Transport:
    for _ in range(400):
        try:
            return open_endpoint(endpoint)
        except InfrastructureError:
            threading.Event().wait(0.02)  # ser2net has no way to tell that it listens
    raise AssertionError("ser2net did not come up")


def test_rfc2217_server_missing(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(InfrastructureError, match="no RFC 2217 serial server"):
        open_endpoint(Rfc2217Endpoint(kind="rfc2217", host="127.0.0.1", port=port))


def test_rfc2217_peer_that_never_ends_a_subnegotiation(listener: socket.socket) -> None:
    """The stream ends soon after the limit; nothing is collected without end."""
    sent = 0
    stopped = threading.Event()

    def serve() -> None:
        nonlocal sent
        peer, _ = listener.accept()
        manager = PortManager(cast("Any", LoopSerial("loop://")), cast("Any", SimpleNamespace(write=peer.sendall)))
        with peer, contextlib.suppress(OSError):
            peer.settimeout(PATIENCE)
            opened = False
            while not opened:
                data = peer.recv(4096)
                list(manager.filter(data))
                opened = b"hello" in data
            peer.sendall(b"before\xff\xfa\x2c")
            while sent < 1 << 30:
                sent += peer.send(b"x" * 65536)
        stopped.set()

    threading.Thread(target=serve, daemon=True).start()
    endpoint = Rfc2217Endpoint(kind="rfc2217", host="127.0.0.1", port=listener.getsockname()[1])
    transport = open_endpoint(endpoint)
    try:
        write_all(transport, b"hello")
        assert read_exactly(transport, 6) == b"before"
        assert select.select([transport.fileno()], [], [], PATIENCE)[0]
        assert transport.read_into(memoryview(bytearray(10))) == 0
    finally:
        transport.close()
    assert stopped.wait(PATIENCE)
    assert sent < 64 << 20


@pytest.mark.parametrize(
    ("unanswered", "changed", "words"),
    [
        ({12}, {}, ""),  # PURGE-DATA: the port opens
        ({12, 10, 11}, {}, ""),  # nor the masks of what it shall tell
        (set(), {12: b"\0"}, ""),  # PURGE-DATA answered with another value
        (set(), {1: b"\0\1\xc2\0", 2: b"\x08"}, ""),  # says again what was asked for
        (set(), {0: b"a signature"}, ""),
        ({5}, {}, ""),  # SET-CONTROL: the lines are left as they are
        (set(), {2: b"\x07"}, "does not take the port's settings"),  # seven data bits
        ({1, 2, 3, 4}, {}, "does not take the port's settings"),
        (set(), {1: b"\0\0\x25\x80"}, "does not take the port's settings"),  # 9600 where 115200 was asked for
        (None, {}, "speaks no RFC 2217"),
    ],
)
def test_rfc2217_servers_that_answer_in_part(
    listener: socket.socket, unanswered: set[int] | None, changed: dict[int, bytes], words: str
) -> None:
    """A server that speaks Telnet options (RFC 855) and RFC 2217 commands, some of which it does not answer."""

    def answer(buffer: bytes) -> tuple[bytes, bytes]:
        out = b""
        while len(buffer) > 2 and buffer[0] == 255:
            if buffer[1] in {251, 253} and unanswered is not None:  # WILL: DO, DO: WILL
                out += bytes([255, 253 if buffer[1] == 251 else 251, buffer[2]])
            if buffer[1] != 250:
                buffer = buffer[3:]
                continue
            end = buffer.find(b"\xff\xf0")
            if end < 0:
                break
            option, code, value = buffer[2], buffer[3], buffer[4:end]
            if option == 44 and unanswered is not None and code not in unanswered:
                out += bytes([255, 250, 44, code + 100]) + changed.get(code, value) + b"\xff\xf0"
            buffer = buffer[end + 2 :]
        return out, buffer

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, contextlib.suppress(OSError):
            pending = b""
            while data := peer.recv(4096):
                out, pending = answer(pending + data)
                # What others send besides: a banner, the state of the modem (107) and of the line (106).
                peer.sendall(b"login\r\n\xff\xfa\x2c\x6b\xb0\xff\xf0\xff\xfa\x2c\x6a\x60\xff\xf0" + out)

    threading.Thread(target=serve, daemon=True).start()
    endpoint = Rfc2217Endpoint(kind="rfc2217", host="127.0.0.1", port=listener.getsockname()[1])
    if not words:
        open_endpoint(endpoint).close()
        return
    with pytest.raises(InfrastructureError) as caught:
        Rfc2217Transport(endpoint, timeout=1)
    assert words in (caught.value.hint or "")


@pytest.mark.parametrize("answers", [0, 1, 4, 6, 7, 9])
def test_an_rfc2217_server_that_hangs_up_in_the_middle_of_the_negotiation(
    listener: socket.socket, answers: int
) -> None:
    """As ser2net does where the port is in use. It is told at once, not when the time for an answer is over."""

    def serve() -> None:
        peer, _ = listener.accept()
        sockets.append(peer)
        with peer, contextlib.suppress(OSError, EOFError):
            if not answers:
                return
            manager = PortManager(cast("Any", LoopSerial("loop://")), cast("Any", SimpleNamespace(write=answer)))
            while data := peer.recv(4096):
                list(manager.filter(data))

    def answer(data: bytes) -> None:
        sockets[0].sendall(data)
        sent.append(data)
        if len(sent) == answers:
            raise EOFError

    sockets: list[socket.socket] = []
    sent: list[bytes] = []
    server = threading.Thread(target=serve, daemon=True)
    server.start()
    endpoint = Rfc2217Endpoint(kind="rfc2217", host="127.0.0.1", port=listener.getsockname()[1])
    with pytest.raises(InfrastructureError) as caught:
        Rfc2217Transport(endpoint, timeout=20)
    server.join(PATIENCE)
    assert caught.value.kind == "port-refused"
    assert re.search("hung up|Broken pipe|reset by peer", caught.value.seen or ""), caught.value.seen
    assert "is the port free" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["ok", "banner", "nopurge", "busy"])
def test_the_given_servers(kind: str) -> None:
    """The servers of inputs/rfc2217_servers.py, of which the part that serves is taken; its imports are another's."""
    path = Path(__file__).resolve().parents[3] / "shared" / "inputs" / "rfc2217_servers.py"
    if not path.is_file():
        pytest.skip("inputs/rfc2217_servers.py is not present beside the checkout")
    source = path.read_text()
    begin, end = source.index("IAC,"), source.index("for kind in sys.argv")
    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []

    class Listener(socket.socket):  # the given code closes nothing that it accepts, and waits for no thread
        def accept(self) -> tuple[socket.socket, Any]:
            peer, address = super().accept()
            accepted.append(peer)
            return peer, address

    def thread(**arguments: Any) -> threading.Thread:
        threads.append(threading.Thread(**arguments))
        return threads[-1]

    room: dict[str, Any] = {
        "socket": SimpleNamespace(**vars(socket) | {"socket": Listener}),
        "threading": SimpleNamespace(Thread=thread),
    }
    exec(compile(source[begin:end], str(path), "exec"), room)
    listening, port = room["server"](kind)
    with contextlib.ExitStack() as stack:

        @stack.callback
        def close() -> None:
            with listening:
                listening.shutdown(socket.SHUT_RDWR)  # wakes accept()
            for one in threads:
                one.join(PATIENCE)
                assert not one.is_alive()
            for peer in accepted:
                peer.close()

        endpoint = Rfc2217Endpoint(kind="rfc2217", host="127.0.0.1", port=port)
        if kind != "busy":
            open_endpoint(endpoint).close()
            return
        with pytest.raises(InfrastructureError) as caught:
            open_endpoint(endpoint)
        assert caught.value.kind == "port-refused"
        assert "is the port free" in (caught.value.hint or "")
