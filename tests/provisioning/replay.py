"""The real lite_bootstrap_server as it was recorded: mutual TLS, and the recorded answer to each recorded request."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tfm_harness.provisioning.ca import SmallCa

from tests.protocol.zephyr_shell.simulator import path_of


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer; `status` 0 where TLS refused the client."""

    number: int
    method: str
    path: str
    kind: str | None
    request: bytes | None
    status: int
    content_type: str
    body: bytes
    client: str


def recorded() -> list[Exchange]:
    entries = json.loads(path_of("lite-bootstrap-server.json").read_text())
    return [
        Exchange(
            number=number,
            method=entry["method"],
            path=entry["path"],
            kind=entry["request_content_type"],
            request=bytes.fromhex(entry["request_hex"]) if entry["request_hex"] else None,
            status=entry.get("status", 0),
            content_type=entry.get("content_type", ""),
            body=bytes.fromhex(entry.get("body_hex", "")),
            client=entry.get("client", ""),
        )
        for number, entry in enumerate(entries)
    ]


def recorded_ca() -> Path:
    return path_of("lite-bootstrap-CA.crt")


class _Handler(BaseHTTPRequestHandler):
    exchanges: list[Exchange]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Keep quiet."""

    def do_GET(self) -> None:
        self.replay(None)

    def do_POST(self) -> None:
        self.replay(self.rfile.read(int(self.headers["Content-Length"])))

    def replay(self, body: bytes | None) -> None:
        kind = self.headers.get("Content-Type")
        for entry in self.exchanges:
            asked = (entry.method, entry.path, entry.kind, entry.request)
            if entry.status and asked == (self.command, self.path, kind, body):
                self.send_response(entry.status)
                self.send_header("Content-Type", entry.content_type)
                self.send_header("Content-Length", str(len(entry.body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(entry.body)
                break
        self.close_connection = True  # a request that was not recorded is dropped, as after a panic


@contextmanager
def replay_server(ca: SmallCa) -> Iterator[int]:
    """The port of a server that replays; `ca` takes the place of the throw-away CA for TLS only."""
    handler = type("Handler", (_Handler,), {"exchanges": recorded()})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=ca.pem)
    with ca.identity("replay", server=True).files() as (certificate, key):
        context.load_cert_chain(certificate, key)

    class Server(ThreadingHTTPServer):
        def finish_request(self, request: object, client_address: object) -> None:
            with suppress(OSError):
                connection = context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]  # a socket
                handler(connection, client_address, self)
                connection.close()

    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
