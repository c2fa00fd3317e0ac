"""Requests a stamp from a time-stamping authority over HTTP (RFC 3161 s.3.4), within one deadline."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.evidence.timestamp import MAX_ANSWER, make_query, read_stamp
from tfm_harness.evidence.tsa_form import sort_certificates

__all__ = ["request_stamp", "split_url"]

_SECONDS: Final = 30.0
_PORTS: Final = {"http": 80, "https": 443}


def split_url(url: str) -> SplitResult:
    """The authority's address in parts.

    Raises:
        ConfigError: kind ``evidence-authority``: not an address of http or https.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(c.isspace() for c in url):
        raise ConfigError(
            "no address of a time-stamping authority", kind="evidence-authority", expected="http:// or https://",
            seen=url,
        )  # fmt: skip
    return parts


def request_stamp(url: str, data: bytes, *, seconds: float = _SECONDS) -> bytes:
    """A stamp of `data`: the authority's answer, DER. Its signature is not verified here.

    Args:
        url: the authority's address.
        data: the bytes to stamp; only their SHA-256 leaves this machine.
        seconds: the time in which the whole answer must arrive.

    Raises:
        ConfigError: kinds ``evidence-authority``, ``evidence-extra``, ``evidence-timestamp``.
        InfrastructureError: kind ``timestamp-authority``: no answer in time.
    """
    parts = split_url(url)
    query, nonce = make_query(data)
    try:
        with _connected(parts, seconds) as connection:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            said = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
            connection.request("POST", target, body=query, headers=said)
            with connection.getresponse() as response:
                answer = response.read(MAX_ANSWER + 1)
                status, headers = response.status, response.headers
    except (OSError, http.client.HTTPException) as error:
        raise _failed(url, f"{type(error).__name__}: {error}", seconds) from error
    if status != 200:
        location = f" (to {headers['Location']})" if headers.get("Location") else ""
        raise _failed(url, f"HTTP status {status}{location}", seconds)
    if (kind := headers.get_content_type()) != "application/timestamp-reply":
        raise _failed(url, f"an answer of type {kind}", seconds)
    answer = sort_certificates(answer)
    read_stamp(answer, data, nonce=nonce)
    return answer


@contextlib.contextmanager
def _connected(parts: SplitResult, seconds: float) -> Iterator[http.client.HTTPConnection]:
    """A connection that is closed at the deadline, whatever the other end sends."""
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    plain = socket.create_connection((host, port), timeout=seconds)
    cord = plain.dup()  # wrapping the socket in TLS detaches the original object: this one stays valid
    timer = threading.Timer(seconds, _cut, [cord])
    timer.daemon = True
    timer.start()
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    connection.sock = plain
    try:
        if parts.scheme == "https":
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        yield connection
    finally:
        timer.cancel()
        connection.close()
        plain.close()
        cord.close()


def _cut(cord: socket.socket) -> None:
    with contextlib.suppress(OSError):
        cord.shutdown(socket.SHUT_RDWR)


def _failed(url: str, seen: str, seconds: float) -> InfrastructureError:
    return InfrastructureError(
        "the time-stamping authority gave no answer", kind="timestamp-authority",
        expected=f"status 200 and a stamp, within {seconds:.0f} s", seen=seen, where=url,
        hint="`tfm-harness evidence timestamp` adds a stamp later; by --query and --reply another program can fetch it",
    )  # fmt: skip
