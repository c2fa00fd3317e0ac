"""The bootstrap tool's side: asks a CA for certificates over mutual TLS, and judges the answers."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tfm_harness.errors import ConfigError, InfrastructureError, ProductError
from tfm_harness.findings import Report
from tfm_harness.provisioning.messages import (
    CBOR_TYPE,
    JSON_TYPE,
    MAX_BODY,
    CertificateReply,
    DeviceStatus,
    Form,
    Hub,
    MessageError,
    decode_certificate_reply,
    decode_device_status,
    decode_hub,
    decode_status,
    decode_stored_certificate,
    encode_request,
    error_text,
    form_of,
)
from tfm_harness.verify.certificates import verify_certificate
from tfm_harness.verify.csr import verify_csr
from tfm_harness.verify.keys import PublicKey

__all__ = ["Answer", "BootstrapClient", "FileIdentity", "RefusedError", "provision"]

_TYPES: Final[dict[Form, str]] = {"cbor": CBOR_TYPE, "json": JSON_TYPE}
_T = TypeVar("_T")


class RefusedError(ProductError):
    """The CA answered with an HTTP error; `status` is its code."""

    def __init__(self, status: int, text: str, where: str) -> None:
        super().__init__(
            f"the CA refuses: {text or 'without a reason'}", kind="ca-refused", seen=f"HTTP {status}", where=where
        )
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's body with the Content-Type that names its form."""

    body: bytes
    content_type: str


class Certified(Protocol):
    """A certificate and key for TLS: `Identity` of the run's own CA, or `FileIdentity`."""

    def files(self) -> AbstractContextManager[tuple[Path, Path]]:
        """Certificate and key as PEM files, while the context lasts."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """A user's certificate and private key. The TLS library reads the files; the harness never does."""

    certificate: Path
    key: Path

    @contextmanager
    def files(self) -> Iterator[tuple[Path, Path]]:
        """The files as they are."""
        yield self.certificate, self.key


class _End:
    """Shuts a connection down when its time is over: a socket's own time-out starts again with each byte."""

    def __init__(self, connection: http.client.HTTPSConnection, seconds: float) -> None:
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        connect = connection._create_connection  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way

        def remembered(*args: object, **kwargs: object) -> socket.socket:
            made: socket.socket = connect(*args, **kwargs)
            self._sockets.append(made.dup())  # TLS takes over the original
            if self.passed:
                self._shut()
            return made

        connection._create_connection = remembered  # type: ignore[attr-defined]  # noqa: SLF001 - same
        self._timer.start()

    def _shut(self) -> None:
        self.passed = True
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """The exchange is over."""
        self._timer.cancel()
        self._timer.join()
        for each in self._sockets:
            each.close()


@dataclass(frozen=True)
class BootstrapClient:
    """Speaks to one CA.

    Attributes:
        host, port: where it listens.
        ca_pem: the CA that must have issued the server's certificate.
        identity: the bootstrap certificate; None sends none, which a server must refuse.
        timeout: seconds for a whole exchange; a server that sends its answer slowly does not extend them.
    """

    host: str
    port: int
    ca_pem: str
    identity: Certified | None
    timeout: float = 10.0

    def without_identity(self) -> BootstrapClient:
        """The same client with no certificate to show."""
        return replace(self, identity=None)

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(cadata=self.ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                "the CA's certificate cannot be used", kind="tls-identity", expected="PEM", seen=str(error)
            ) from error
        if self.identity is not None:
            with self.identity.files() as (certificate, key):
                try:
                    # Without a password OpenSSL would ask for one at the terminal: give an empty one.
                    context.load_cert_chain(certificate, key, password=lambda: b"")
                except (OSError, ValueError) as error:
                    raise ConfigError(
                        "the certificate for mutual TLS cannot be used", kind="tls-identity", seen=str(error),
                        expected="a PEM certificate and its private key without a passphrase", where=str(certificate),
                    ) from error  # fmt: skip
        return context

    def exchange(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> Answer:
        """One request; the answer.

        Raises:
            RefusedError: the server answered with an HTTP error.
            InfrastructureError: no connection, no TLS, no answer, or one that is too long.
        """
        where = f"https://{self.host}:{self.port}{path}"
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self._context())
        end = _End(connection, self.timeout)
        try:
            connection.request(method, path, body=body, headers={"Content-Type": kind} if kind else {})
            with connection.getresponse() as response:
                answer = response.read(MAX_BODY + 1)
                if end.passed:  # a connection that was shut down looks like the end of the answer
                    raise TimeoutError
                if response.length and len(answer) <= MAX_BODY:  # read() with a size accepts a truncated answer
                    raise http.client.IncompleteRead(answer, response.length)
                said = response.headers.get("Content-Type") or ""
        except (OSError, http.client.HTTPException) as error:
            if end.passed:
                raise InfrastructureError(
                    "the CA does not end its answer", kind="ca-connection", where=where,
                    expected=f"an answer within {self.timeout:g} s",
                ) from error  # fmt: skip
            raise self._failed(error, where) from error
        finally:
            end.forget()
            connection.close()
        if response.status != 200:
            raise RefusedError(response.status, error_text(answer), where)
        if len(answer) > MAX_BODY:
            raise InfrastructureError(
                f"the CA's answer has more than {MAX_BODY} bytes", kind="ca-response", where=where
            )
        return Answer(answer, said)

    @staticmethod
    def _failed(error: OSError | http.client.HTTPException, where: str) -> InfrastructureError:
        if isinstance(error, ssl.SSLError):
            return InfrastructureError(
                f"TLS with the CA failed: {error.reason or error}", kind="ca-tls", where=where,
                hint="check that both ends trust the same CA and that no certificate has expired",
            )  # fmt: skip
        if isinstance(error, http.client.RemoteDisconnected):
            return InfrastructureError(
                "the CA ended the connection without an answer", kind="ca-connection", where=where,
                hint="lite_bootstrap_server does so when a request makes it panic: look at its log",
            )  # fmt: skip
        return InfrastructureError(
            f"no answer from the CA: {error or type(error).__name__}", kind="ca-connection", where=where
        )

    def request_certificate(self, csr: bytes, form: Form = "cbor") -> CertificateReply:
        """Ask for a certificate.

        Raises:
            RefusedError, InfrastructureError: see `exchange`; an answer with a status other than 0 is also a
                `RefusedError`; a malformed answer has kind ``ca-response``.
        """
        answer = self.exchange("POST", "/api/v1/cr", encode_request(csr, form), _TYPES[form])
        reply = _read(answer, decode_certificate_reply, "/api/v1/cr")
        if reply.status != 0:
            raise RefusedError(200, f"status {reply.status} in its answer", "/api/v1/cr")
        return reply

    def request_pem(self, csr: bytes) -> bytes:
        """Ask for a certificate with a PEM file in a form (``p10cr``). Returns the certificate, DER.

        Raises:
            RefusedError, InfrastructureError: as `request_certificate`.
        """
        path = "/api/v1/p10cr"
        mark = "tfm-harness-part"
        head = f'--{mark}\r\nContent-Disposition: form-data; name="csrfile"; filename="device.csr"\r\n'
        pem = x509.load_der_x509_csr(csr).public_bytes(serialization.Encoding.PEM)
        body = head.encode() + b"Content-Type: text/plain\r\n\r\n" + pem + f"\r\n--{mark}--\r\n".encode()
        answer = self.exchange("POST", path, body, f"multipart/form-data; boundary={mark}")
        try:
            return x509.load_pem_x509_certificate(answer.body).public_bytes(serialization.Encoding.DER)
        except ValueError as error:
            raise _malformed(
                MessageError("the answer is no PEM certificate", seen=repr(answer.body[:60])), path
            ) from error

    def device_status(self, uuid: str, form: Form = "cbor") -> DeviceStatus:
        """The CA's record of a device. A UUID that it cannot read raises `RefusedError`."""
        path = f"/api/v1/ds/{uuid}"
        return _read(self.exchange("GET", path, kind=_TYPES[form]), decode_device_status, path)

    def certificate_valid(self, serial: int, form: Form = "cbor") -> bool:
        """Whether the CA says that a certificate is valid. An unknown serial raises `RefusedError` (400 or 404)."""
        path = f"/api/v1/cs/{serial}"
        return _read(self.exchange("GET", path, kind=_TYPES[form]), decode_status, path) == 1

    def certificate(self, serial: int, form: Form = "cbor") -> bytes:
        """A certificate that the CA issued before, DER."""
        path = f"/api/v1/cc/{serial}"
        reply = _read(self.exchange("GET", path, kind=_TYPES[form]), decode_stored_certificate, path)
        if reply.status != 0:
            raise RefusedError(200, f"status {reply.status} in its answer", path)
        return reply.certificate

    def hub(self, form: Form = "cbor") -> Hub:
        """Where devices connect after provisioning."""
        return _read(self.exchange("GET", "/api/v1/ccs", kind=_TYPES[form]), decode_hub, "/api/v1/ccs")

    def update_key(self) -> None:
        """Send a key update request (``kur``), which the server accepts without acting on it. Raises as `exchange`."""
        self.exchange("POST", "/api/v1/kur", b"{}", JSON_TYPE)

    def revoke(self) -> None:
        """Send a key revocation request (``krr``), which the server accepts without acting. Raises as `exchange`."""
        self.exchange("POST", "/api/v1/krr", b"{}", JSON_TYPE)


def _read(answer: Answer, decode: Callable[[bytes, Form], _T], path: str) -> _T:
    """Decode an answer in the form that its own Content-Type names."""
    try:
        return decode(answer.body, form_of(answer.content_type))
    except MessageError as error:
        raise _malformed(error, path) from error


def _malformed(error: MessageError, path: str) -> InfrastructureError:
    return InfrastructureError(
        f"the CA's answer breaks the protocol: {error.message}", kind="ca-response", seen=error.seen, where=path
    )


def provision(
    client: BootstrapClient,
    csr: bytes,
    *,
    ca: bytes,
    expected_key: PublicKey,
    expected_cn: str | None,
    report: Report,
    form: Form = "cbor",
    now: dt.datetime | None = None,
    known_serials: frozenset[int] = frozenset(),
    for_client: bool = True,
    subject: str = "",
) -> x509.Certificate | None:
    """Judge a device's request, have it certified, and judge the certificate.

    Args:
        client: speaks to the CA.
        csr: the device's request, DER.
        ca: the trusted CA certificate, DER.
        expected_key: the key the device is known to use.
        expected_cn: the device's UUID as text.
        report: gets the findings.
        form: ``cbor`` or ``json``.
        now: the time at which validity is judged; by default the present.
        known_serials: serial numbers issued before.
        for_client: whether the certificate is for a TLS client.
        subject: named in findings.

    Returns:
        The certificate; None when the request or the certificate cannot be read.

    Raises:
        RefusedError, InfrastructureError: see `BootstrapClient.exchange`.
    """
    request = verify_csr(csr, expected_key=expected_key, expected_cn=expected_cn, report=report, subject=subject)
    if request is None:
        return None
    reply = client.request_certificate(csr, form)
    return verify_certificate(
        reply.certificate, issuer=ca, now=now or dt.datetime.now(dt.UTC), expected_key=expected_key,
        expected_subject=request.subject, expected_cn=expected_cn, known_serials=known_serials, client=for_client,
        report=report, subject=subject,
    )  # fmt: skip
