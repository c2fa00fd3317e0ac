"""A simulator for lite_bootstrap_server on the loopback interface, with mutual TLS.

It is stricter than the original: it checks proof of possession, limits bodies, accepts requests only with a bootstrap
certificate, and answers errors instead of crashing. `Tamper` makes it give wrong answers, so that a test can show that
the client notices them.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tfm_harness.errors import HarnessError
from tfm_harness.provisioning.ca import BOOTSTRAP_OU, RequestRefusedError, SmallCa
from tfm_harness.provisioning.messages import (
    CBOR_TYPE,
    JSON_TYPE,
    MAX_BODY,
    CertificateReply,
    MessageError,
    decode_request,
    encode_certificate_reply,
)
from tfm_harness.verify import cbor
from tfm_harness.verify.csr import parse_csr
from tfm_harness.verify.der import DerError

__all__ = ["BootstrapServer", "Tamper"]


class Tamper(enum.StrEnum):
    """Wrong answers that the simulator can give."""

    NONE = "none"
    OTHER_CA = "other-ca"  # a certificate of a CA that is not trusted
    OTHER_KEY = "other-key"  # a good certificate, for another key
    FLIPPED_BIT = "flipped-bit"  # one bit of the certificate is wrong
    GARBAGE = "garbage"  # not a protocol message
    ENDLESS = "endless"  # a body larger than every limit
    NO_POSSESSION = "no-possession"  # certifies requests whose signature does not verify, as the real server does
    REPEATS = "repeats"  # certifies one request again and again, as the real server does
    BAD_STATUS = "bad-status"  # a good certificate, but an error status


class BootstrapServer:
    """The simulator; a context manager that leaves no thread, socket or file behind.

    Args:
        ca: issues the certificates; clients must show one of its certificates.
        tamper: which wrong answers to give.
        hub: host and port that devices are told to connect to.
        timeout: seconds that a connection may be idle.
    """

    def __init__(
        self, ca: SmallCa, *, tamper: Tamper = Tamper.NONE, hub: tuple[str, int] = ("localhost", 8443),
        timeout: float = 10.0,
    ) -> None:  # fmt: skip
        self.ca = ca
        self.tamper = tamper
        self.hub = hub
        self.timeout = timeout
        self.seen_requests: set[bytes] = set()
        self.lock = threading.Lock()
        self._context = self._tls()
        server = self

        class Handler(_Handler):
            bootstrap = server
            timeout = server.timeout

        self._server = _TlsServer(("127.0.0.1", 0), Handler, self._context, timeout)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.ca.pem)
        with self.ca.identity("bootstrap server", server=True).files() as (certificate, key):
            context.load_cert_chain(certificate, key)
        return context

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(self.timeout)


def _end(connection: ssl.SSLSocket) -> None:
    """Shut down a connection while another thread reads from it."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _TlsServer(ThreadingHTTPServer):
    """Handshakes in the connection's own thread, so that a silent client does not block others.

    Closing ends the connections that are open and waits for their threads.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(
        self, address: tuple[str, int], handler: type[_Handler], context: ssl.SSLContext, timeout: float
    ) -> None:
        self._context = context
        self._idle = timeout
        self._open: set[ssl.SSLSocket] = set()
        self._lock = threading.Lock()
        self._closing = False
        super().__init__(address, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- socketserver's own signature
        request.settimeout(self._idle)
        connection = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(connection)
            if self._closing:
                _end(connection)
        try:
            connection.do_handshake()
            super().finish_request(connection, client_address)
        except OSError:
            return  # refused, or gone: the client reports its own error (ssl.SSLError is an OSError)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def server_close(self) -> None:
        """Stop listening, end open connections, wait for their threads."""
        with self._lock:
            self._closing = True
            for connection in self._open:
                _end(connection)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- socketserver's own signature
        """Print nothing on stderr: the client sees the error."""


class _Refusal(Exception):  # noqa: N818 -- an answer, not an error of ours
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    bootstrap: BootstrapServer
    _body_read = False
    protocol_version = "HTTP/1.1"
    server_version = "tfm-harness-bootstrap"
    sys_version = ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Log nothing."""

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_GET(self) -> None:
        self._answer(self._get)

    def _answer(self, make: Any) -> None:  # noqa: ANN401 -- either bound method below
        self.close_connection = True
        try:
            self._require_bootstrap_certificate()
            kind, body = make()
            status = 200
        except _Refusal as refusal:
            status, kind, body = refusal.status, "text/plain", f"{refusal}\n".encode()
            self._drain()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _drain(self) -> None:
        """Read an unread body of moderate size: closing without that resets the connection and loses the answer."""
        length = self.headers.get("Content-Length", "0")
        left = min(int(length), 64 * MAX_BODY) if length.isascii() and length.isdigit() and len(length) < 10 else 0
        while left > 0 and not self._body_read:
            chunk = self.rfile.read(min(left, MAX_BODY))
            left = left - len(chunk) if chunk else 0

    def _require_bootstrap_certificate(self) -> None:
        peer = self.connection.getpeercert()
        units = [value for rdn in peer.get("subject", ()) for name, value in rdn if name == "organizationalUnitName"]
        if units != [BOOTSTRAP_OU]:
            raise _Refusal(403, f"the client certificate's organizational unit is not {BOOTSTRAP_OU!r}")
        if int(peer["serialNumber"], 16) in self.bootstrap.ca.revoked:
            raise _Refusal(403, "the client certificate is revoked")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > 9:
            raise _Refusal(411, "a body has a Content-Length")
        if int(length) > MAX_BODY:
            raise _Refusal(413, f"a body has at most {MAX_BODY} bytes")
        self._body_read = True
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise _Refusal(400, "the body is cut off")
        return body

    def _post(self) -> tuple[str, bytes]:
        if self.path not in {"/api/v1/cr", "/api/v1/kur", "/api/v1/krr"}:
            raise _Refusal(404, "no such path")
        body = self._body()
        if self.path != "/api/v1/cr":
            return "text/plain", b""  # key update and revocation are stubs in the original as well
        kind = (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if kind not in {CBOR_TYPE, JSON_TYPE}:
            raise _Refusal(415, f"a body is {CBOR_TYPE} or {JSON_TYPE}")
        form = "cbor" if kind == CBOR_TYPE else "json"
        try:
            csr = decode_request(body, form)  # type: ignore[arg-type]  # one of the two literals
            certificate = self._issue(csr)
        except MessageError as error:
            raise _Refusal(400, error.message) from error
        except RequestRefusedError as error:
            raise _Refusal(400, f"{error.message}: {error.seen}") from error
        status = int(self.bootstrap.tamper is Tamper.BAD_STATUS)
        return kind, self._tampered(encode_certificate_reply(CertificateReply(status, certificate), form))  # type: ignore[arg-type]  # same

    def _issue(self, csr: bytes) -> bytes:
        bootstrap = self.bootstrap
        with bootstrap.lock:
            if csr in bootstrap.seen_requests and bootstrap.tamper is not Tamper.REPEATS:
                raise _Refusal(409, "this request was answered before")
            if bootstrap.tamper is Tamper.OTHER_KEY:
                return bootstrap.ca.identity(_common_name(csr)).der
            issuer = SmallCa("somebody else") if bootstrap.tamper is Tamper.OTHER_CA else bootstrap.ca
            try:
                certificate = issuer.issue(csr)
            except RequestRefusedError:
                if bootstrap.tamper is not Tamper.NO_POSSESSION:
                    raise
                certificate = issuer.identity(_common_name(csr)).der
            bootstrap.seen_requests.add(csr)
        if bootstrap.tamper is Tamper.FLIPPED_BIT:
            certificate = certificate[:-1] + bytes([certificate[-1] ^ 1])
        return certificate

    def _tampered(self, body: bytes) -> bytes:
        if self.bootstrap.tamper is Tamper.GARBAGE:
            return b"\xff\x00 no protocol"
        return b"\x00" * (4 * MAX_BODY) if self.bootstrap.tamper is Tamper.ENDLESS else body

    def _get(self) -> tuple[str, bytes]:
        ca = self.bootstrap.ca
        part = self.path.removeprefix("/api/v1/").split("/")
        if part == ["ccs"]:
            return CBOR_TYPE, cbor.encode({1: self.bootstrap.hub[0], 2: self.bootstrap.hub[1]})
        if len(part) == 2 and part[0] == "ds":
            serials = [serial for serial, name in ca.issued.items() if name == part[1]]
            return CBOR_TYPE, cbor.encode({1: int(bool(serials)), 2: [str(serial) for serial in serials]})
        if len(part) == 2 and part[0] == "cs" and part[1].isascii() and part[1].isdigit() and len(part[1]) <= 50:
            serial = int(part[1])
            if serial not in ca.issued:
                raise _Refusal(404, "no such certificate")
            return CBOR_TYPE, cbor.encode({1: int(serial not in ca.revoked)})
        raise _Refusal(404, "no such path")


def _common_name(csr: bytes) -> str:
    try:
        return ",".join(parse_csr(csr).names("CN"))
    except (DerError, HarnessError):
        return "nobody"
