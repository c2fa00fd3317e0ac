"""A device on loopback: echoes lines; ``flood BYTES`` prints that much log and then a marker."""

from __future__ import annotations

import socket
import sys

LINE = b"[00:12:34.567,890] <inf> app: a line of log as firmware prints it, of usual length %04d\n"
BLOCK = b"".join(LINE % n for n in range(1000))
MARKER = b"MARKER-7f3a reached\n"


def serve(connection: socket.socket) -> None:
    """One client until it closes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pending = b""
    while data := connection.recv(65536):
        pending += data
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            if line.startswith(b"flood "):
                left = int(line[6:])
                while left > 0:
                    connection.sendall(BLOCK[:left])
                    left -= len(BLOCK)
                connection.sendall(MARKER)
            else:
                connection.sendall(line + b"\n")


def main() -> None:
    """Print the port, then serve one client after another until standard input closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                serve(connection)
            except ConnectionError as error:
                print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
