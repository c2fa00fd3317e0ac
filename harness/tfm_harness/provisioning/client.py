"""The bootstrap tool's side: asks a CA for certificates over mutual TLS, and judges what comes back."""

from __future__ import annotations

import datetime as dt
import http.client
import socket
import ssl
from dataclasses import dataclass

from cryptography import x509

from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.findings import Report
from tfm_harness.provisioning.ca import Identity
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
    encode_request,
)
from tfm_harness.verify.certificates import verify_certificate
from tfm_harness.verify.csr import verify_csr
from tfm_harness.verify.keys import PublicKey

__all__ = ["BootstrapClient", "RefusedError", "provision"]


class RefusedError(ProductError):
    """The CA answered with an HTTP error; `status` is its code."""

    def __init__(self, status: int, text: str, where: str) -> None:
        super().__init__(
            f"the CA refuses: {text or 'without a reason'}", kind="ca-refused", seen=f"HTTP {status}", where=where
        )
        self.status = status


@dataclass(frozen=True)
class BootstrapClient:
    """Speaks to one CA.

    Attributes:
        host, port: where it listens.
        ca_pem: the CA certificate that the server must show a certificate of.
        identity: the bootstrap certificate; None sends none, which a server must refuse.
        timeout: seconds for each step of the exchange.
    """

    host: str
    port: int
    ca_pem: str
    identity: Identity | None
    timeout: float = 10.0

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.ca_pem)
        if self.identity is not None:
            with self.identity.files() as (certificate, key):
                context.load_cert_chain(certificate, key)
        return context

    def exchange(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> bytes:
        """One request; the body of the answer.

        Raises:
            RefusedError: the server answered with an HTTP error.
            InfrastructureError: no connection, no TLS, no answer, or one that is too long.
        """
        where = f"https://{self.host}:{self.port}{path}"
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self._context())
        try:
            connection.request(method, path, body=body, headers={"Content-Type": kind} if kind else {})
            with connection.getresponse() as response:
                answer = response.read(MAX_BODY + 1)
        except ssl.SSLError as error:
            raise InfrastructureError(
                f"TLS with the CA failed: {error.reason or error}", kind="ca-tls", where=where,
                hint="check that both ends trust the same CA and that no certificate has expired",
            ) from error  # fmt: skip
        except (OSError, http.client.HTTPException, socket.timeout) as error:  # noqa: UP041 -- both names say something
            raise InfrastructureError(
                f"no answer from the CA: {error or type(error).__name__}", kind="ca-connection", where=where
            ) from error
        finally:
            connection.close()
        if response.status != 200:
            raise RefusedError(response.status, answer[:300].decode("utf-8", errors="replace").strip(), where)
        if len(answer) > MAX_BODY:
            raise InfrastructureError(
                f"the CA's answer has more than {MAX_BODY} bytes", kind="ca-response", where=where
            )
        return answer

    def request_certificate(self, csr: bytes, form: Form = "cbor") -> CertificateReply:
        """Ask for a certificate.

        Raises:
            RefusedError, InfrastructureError: see `exchange`; an answer whose own status is not 0 is a refusal as well,
                a malformed one has kind ``ca-response``.
        """
        kind = CBOR_TYPE if form == "cbor" else JSON_TYPE
        answer = self.exchange("POST", "/api/v1/cr", encode_request(csr, form), kind)
        try:
            reply = decode_certificate_reply(answer, form)
        except MessageError as error:
            raise _malformed(error, "/api/v1/cr") from error
        if reply.status != 0:
            raise RefusedError(200, f"status {reply.status} in its answer", "/api/v1/cr")
        return reply

    def device_status(self, uuid: str) -> DeviceStatus:
        """What the CA knows of a device."""
        path = f"/api/v1/ds/{uuid}"
        try:
            return decode_device_status(self.exchange("GET", path, kind=CBOR_TYPE))
        except MessageError as error:
            raise _malformed(error, path) from error

    def certificate_valid(self, serial: int) -> bool:
        """Whether the CA holds a certificate for valid."""
        path = f"/api/v1/cs/{serial}"
        try:
            return decode_status(self.exchange("GET", path, kind=CBOR_TYPE)) == 1
        except MessageError as error:
            raise _malformed(error, path) from error

    def hub(self) -> Hub:
        """Where devices connect after provisioning."""
        try:
            return decode_hub(self.exchange("GET", "/api/v1/ccs", kind=CBOR_TYPE))
        except MessageError as error:
            raise _malformed(error, "/api/v1/ccs") from error


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
        now: when to judge validity; the present by default.
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
