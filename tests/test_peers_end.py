"""Peers that are no firmware (sensor player, serial server, gdbstub, CA) and talk without end: each wait ends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tfm_harness.boards.gdb_remote import GdbRemote, GdbRemoteError
from tfm_harness.console.endpoints import TelnetTransport
from tfm_harness.console.rfc2217 import _BoundedSerial
from tfm_harness.console.telnet import escape
from tfm_harness.console.transport import SocketTransport
from tfm_harness.errors import InfrastructureError
from tfm_harness.provisioning import server
from tfm_harness.provisioning.ca import BOOTSTRAP_OU, SmallCa
from tfm_harness.provisioning.client import BootstrapClient
from tfm_harness.stimulus.pico.link import PicoLink, seal

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def ca() -> SmallCa:
    return SmallCa()


class Answers:
    """A sensor player in memory: `answer` makes each line from the request's number; a line takes 0.1 s."""

    name = "in memory"

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self.answer = answer
        self.now = 0.0
        self.number = 0

    def clock(self) -> float:
        return self.now

    def send(self, line: bytes) -> None:
        self.number = int(line[1:].split()[0])

    def receive(self, timeout: float) -> bytes | None:
        self.now += 0.1
        assert self.now < 60, "it waits without end"
        return self.answer(self.number).rstrip(b"\n") if timeout >= 0 else None

    def close(self) -> None: ...


@pytest.mark.parametrize("answer", [lambda _n: seal("<0 ok"), lambda _n: b"\xff" * 40, lambda n: seal(f"<{n - 1} ok")])
def test_a_sensor_player_that_answers_something_else_without_end(answer: Callable[[int], bytes]) -> None:
    device = Answers(answer)
    with pytest.raises(InfrastructureError) as caught:
        PicoLink(device, clock=device.clock).hello()
    assert caught.value.kind == "pico-corrupt"
    assert device.now < 5


@pytest.mark.parametrize(
    "said", ["", "served", "served=", "served=x", "served=" + "9" * 5000, "served=1 1,2,3", "1,2,3"]
)
def test_a_sensor_player_whose_answers_have_another_form(said: str) -> None:
    device = Answers(lambda n: seal(f"<{n} ok {said}"))
    link = PicoLink(device, clock=device.clock)
    with pytest.raises(InfrastructureError, match="another form"):
        link.served(1)


def test_a_telnet_server_that_takes_half_of_a_pair_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    transport = TelnetTransport(ours)
    taken: list[bytes] = []
    room = iter([1, 0, 0, 1, 100])

    def write(_transport: object, data: memoryview | bytes) -> int:
        count = min(next(room), len(data))
        taken.append(bytes(data[:count]))
        return count

    monkeypatch.setattr(SocketTransport, "write", write)
    assert transport.write(b"\xffab") == 1
    assert transport.write(b"ab") == 0  # the peer takes nothing: this returns, and does not spin
    assert transport.write(b"ab") == 0
    assert transport.write(b"ab") == 2
    assert b"".join(taken) == escape(b"\xffab")
    transport.close()
    theirs.close()


def test_a_serial_server_that_floods_is_read_in_pieces() -> None:
    class Endless:
        def get(self, timeout: float) -> bytes:
            del timeout
            return b"x"

        def get_nowait(self) -> bytes:
            return b"x"

    port = _BoundedSerial(None)
    port._read_buffer = Endless()  # type: ignore[assignment]
    assert port.take() == b"x" * (64 << 10)


@contextlib.contextmanager
def dripping(listener: socket.socket, drip: bytes, first: bytes = b"") -> Iterator[None]:
    """Whoever connects gets `drip` every 20 ms."""
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with peer:
                peer.sendall(first)
                while not over.wait(0.02):
                    peer.sendall(drip)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        listener.close()
        thread.join(10)


@pytest.mark.parametrize("drip", [b"x", b"$T05#b9", b"$OK#9a" * 2000])
def test_a_gdbstub_that_never_answers_what_was_asked(drip: bytes, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "stub"))
    listener.listen()
    with dripping(listener, drip), pytest.raises((GdbRemoteError, OSError)):
        GdbRemote(str(tmp_path / "stub"), timeout=0.3)


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
    ids=["no TLS at all", "an answer in the clear"],
)
def test_a_ca_that_drips(first: bytes, ca: SmallCa) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = BootstrapClient("127.0.0.1", listener.getsockname()[1], ca.pem, None, timeout=0.3)
    with dripping(listener, b"\x16", first), pytest.raises(InfrastructureError) as caught:
        client.hub()
    assert caught.value.kind in {"ca-connection", "ca-tls"}


def test_a_ca_that_drips_its_answer_behind_tls(ca: SmallCa, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time; the whole never does."""
    over = threading.Event()

    def drip(handler: server._Handler, _make: object) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.02):
                handler.wfile.write(b"x")

    monkeypatch.setattr(server._Handler, "_answer", drip)
    with server.BootstrapServer(ca) as running:
        tool = ca.identity("tool", organizational_unit=BOOTSTRAP_OU)
        with pytest.raises(InfrastructureError, match="does not end its answer") as caught:
            BootstrapClient("127.0.0.1", running.port, ca.pem, tool, timeout=2.0).hub()
        over.set()
    assert caught.value.kind == "ca-connection"
