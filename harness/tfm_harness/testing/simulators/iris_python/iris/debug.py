"""The two calls of Iris that the harness makes, for the FVP simulator."""

from __future__ import annotations

import socket

__all__ = ["NetworkModel"]


class NetworkModel:
    """A model reached through its Iris server."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=10)

    def reset(self, *, allow_partial_reset: bool = False) -> None:
        """Reset the model."""
        self._socket.sendall(b"reset partial\n" if allow_partial_reset else b"reset\n")
        if self._socket.recv(16) != b"ok\n":
            raise RuntimeError("the model refused")
