"""Where a console of a real board is reached: models used by the ``consoles`` of several board kinds."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field

from tfm_harness.config.fields import Strict

__all__ = [
    "Endpoint",
    "LineSettings",
    "Rfc2217Endpoint",
    "SerialEndpoint",
    "TcpEndpoint",
    "TelnetEndpoint",
    "endpoint_resource",
]


class _ComesBack(Strict):
    reconnect: float = Field(
        default=0.0, ge=0, le=600, description="seconds to wait for the port to come back when it disappears"
    )


class LineSettings(Strict):
    """The settings of a serial line."""

    baud: int = Field(default=115_200, ge=50, le=20_000_000)
    bits: Literal[5, 6, 7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stop: Literal[1, 2] = 1
    rtscts: bool = Field(default=False, description="hardware flow control")
    dtr: Literal["leave", "on", "off"] = Field(
        default="leave", description="DTR at opening: many boards reset on its edge, so it is left as it is"
    )
    rts: Literal["leave", "on", "off"] = "leave"


class SerialEndpoint(LineSettings, _ComesBack):
    """A tty of this host; use ``/dev/serial/by-id/...`` so that a re-plugged board is found again."""

    kind: Literal["serial"] = "serial"
    port: str = Field(min_length=1, pattern=r"^/", description="device path")


class Rfc2217Endpoint(LineSettings, _ComesBack):
    """A serial server that speaks RFC 2217 (ser2net, labgrid's exporter)."""

    kind: Literal["rfc2217"]
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)


class TcpEndpoint(_ComesBack):
    """A raw TCP port: every byte is data."""

    kind: Literal["tcp"]
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)


class TelnetEndpoint(_ComesBack):
    """A telnet port (RFC 854): options refused, IAC bytes escaped."""

    kind: Literal["telnet"]
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)


Endpoint = Annotated[SerialEndpoint | Rfc2217Endpoint | TcpEndpoint | TelnetEndpoint, Field(discriminator="kind")]


def endpoint_resource(endpoint: SerialEndpoint | Rfc2217Endpoint | TcpEndpoint | TelnetEndpoint) -> str:
    """The physical thing behind an endpoint, for locks: two names of one tty give the same thing."""
    if isinstance(endpoint, SerialEndpoint):
        return f"serial port {os.path.realpath(endpoint.port)}"
    return f"serial server {endpoint.host}:{endpoint.port}"
