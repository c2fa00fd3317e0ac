"""The serial server in front of simulated UARTs serves the next client whatever became of the one before."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tfm_harness.testing.simulators.serial_server import SerialServer


@pytest.fixture
def served() -> Iterator[tuple[SerialServer, socket.socket]]:
    """The server, and the board's end of its UART."""
    server = SerialServer()
    board = server.uart.dup()
    server.start()
    try:
        yield server, board
    finally:
        server.stop()
        board.close()


def connected(server: SerialServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def test_bytes_go_both_ways(served: tuple[SerialServer, socket.socket]) -> None:
    server, board = served
    with connected(server) as client:
        client.sendall(b"hello")
        assert board.recv(100) == b"hello"
        board.sendall(b"world")
        assert client.recv(100) == b"world"


def test_clients_that_a_board_never_read_do_not_keep_the_port(served: tuple[SerialServer, socket.socket]) -> None:
    server, board = served
    for number in range(12):  # more than the queue of a listening socket holds
        with connected(server) as client:
            client.sendall(b"%02d" % number)
            assert board.recv(2, socket.MSG_PEEK)  # it was served; the board takes nothing
    with connected(server) as client:
        client.sendall(b"!")
        seen = b""
        while not seen.endswith(b"!"):
            seen += board.recv(100)
        board.sendall(b"still here")
        assert client.recv(100) == b"still here"


def test_what_no_client_hears_is_lost(served: tuple[SerialServer, socket.socket]) -> None:
    server, board = served
    with connected(server) as first:
        first.sendall(b"a")
        assert board.recv(1) == b"a"
    board.sendall(b"unheard" * 100_000)  # does not block: it is taken and dropped
    with connected(server) as second:
        second.sendall(b"b")
        assert board.recv(1) == b"b"
        board.sendall(b" heard")
        seen = b""
        while not seen.endswith(b" heard"):
            seen += second.recv(65536)
        assert len(seen) < 700_000


def test_the_port_stays_over_a_power_cycle() -> None:
    first = SerialServer()
    first.start()
    first.stop()
    with pytest.raises(ConnectionRefusedError):
        connected(first)
    second = SerialServer(first.port)
    assert second.port == first.port
    second.stop()
    second.stop()
