"""A small CA for one test run: it makes its key, issues and revokes certificates, and keeps nothing after the run.

Keys live in memory, and in files only while the TLS library reads them (`Identity.files`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tfm_harness.errors import ProductError
from tfm_harness.findings import Finding, Policy, Report
from tfm_harness.verify.csr import CertificationRequest, verify_csr
from tfm_harness.verify.keys import PublicKey

__all__ = ["BOOTSTRAP_OU", "Identity", "RequestRefusedError", "SmallCa"]

BOOTSTRAP_OU = "LinaroCA Bootstrap Cert"
"""Organizational unit of the certificate that lets a bootstrap tool talk to the CA."""

_OIDS = {
    "CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME, "L": NameOID.LOCALITY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
}  # fmt: skip
_SIGNING = {
    "digital_signature": True, "content_commitment": False, "key_encipherment": False, "data_encipherment": False,
    "key_agreement": False, "key_cert_sign": False, "crl_sign": False, "encipher_only": False, "decipher_only": False,
}  # fmt: skip


class RequestRefusedError(ProductError):
    """The CA refuses a certification request; `findings` say why."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        reasons = "; ".join(f"{f.id}: {f.seen}" for f in findings)
        super().__init__("the certification request is refused", kind="csr-refused", seen=reasons[:500])
        self.findings = findings


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key, for one end of a TLS connection."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @contextlib.contextmanager
    def files(self) -> Iterator[tuple[Path, Path]]:
        """Certificate and key as PEM files, which the TLS library insists on, while the context lasts.

        Where the system has anonymous files in memory, nothing touches a disk, so that not even
        SIGKILL leaves a key behind; elsewhere it is a temporary folder that only this user can read.
        """
        certificate = self.certificate.public_bytes(serialization.Encoding.PEM)
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with contextlib.ExitStack() as stack:
            if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
                yield (
                    _in_memory("certificate", certificate, stack),
                    _in_memory("key", key, stack),
                )
            else:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfm-harness-")))
                for name, content in (("certificate.pem", certificate), ("key.pem", key)):
                    handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    with os.fdopen(handle, "wb") as file:
                        file.write(content)
                yield folder / "certificate.pem", folder / "key.pem"


def _in_memory(name: str, content: bytes, stack: contextlib.ExitStack) -> Path:
    handle = os.memfd_create(f"tfm-harness-{name}", os.MFD_CLOEXEC)
    stack.callback(os.close, handle)
    os.write(handle, content)
    return Path(f"/proc/self/fd/{handle}")


class SmallCa:
    """A CA for one test run.

    Args:
        name: common name of the CA.
        now: the start of its validity, and of its certificates' validity.
        days: how long it is valid.
    """

    def __init__(self, name: str = "tfm-harness test CA", *, now: dt.datetime | None = None, days: int = 30) -> None:
        self.now = now or dt.datetime.now(dt.UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.not_after = self.now + dt.timedelta(days=days)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(**{**_SIGNING, "key_cert_sign": True, "crl_sign": True})
        self.certificate = (
            self._builder(subject, self._key.public_key(), issuer=subject, days=days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.issued: dict[int, str] = {}
        self.revoked: set[int] = set()

    @property
    def der(self) -> bytes:
        """The CA certificate, DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        """The CA certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, issuer: x509.Name, days: int, start: int = 0
    ) -> x509.CertificateBuilder:
        begin = self.now + dt.timedelta(days=start, minutes=-5)  # the clocks of two machines may differ
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(min(self.now + dt.timedelta(days=start + days), self.not_after))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def issue(
        self, csr: bytes, *, expected_key: PublicKey | None = None, policy: Policy = Policy.DEV, client: bool = True,
        days: int = 7,
    ) -> bytes:  # fmt: skip
        """Issue a device certificate, DER, for a request that passes every check of `verify_csr`.

        The subject is copied from the request; the extensions are the CA's own, whatever the request asks for.

        Raises:
            RequestRefusedError: no proof of possession, CA rights asked for, another key than expected, ...
        """
        report = Report(policy=policy)
        request = verify_csr(csr, expected_key=expected_key, report=report)
        if request is None or request.key is None or not report.ok:
            raise RequestRefusedError(tuple(report.failed))
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if client else [x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")]
        certificate = (
            self._builder(_subject(request), request.key.handle, issuer=self.certificate.subject, days=days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**_SIGNING), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.issued[certificate.serial_number] = ",".join(request.names("CN"))
        return certificate.public_bytes(serialization.Encoding.DER)

    def identity(
        self, name: str, *, organizational_unit: str | None = None, server: bool = False, start: int = 0, days: int = 7
    ) -> Identity:
        """Make a key and its certificate, for the server or for a bootstrap tool.

        `start` is in days from now; with a negative one and few `days` the certificate is expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if organizational_unit is not None:
            names.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, organizational_unit))
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            self._builder(x509.Name(names), key.public_key(), issuer=self.certificate.subject, days=days, start=start)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**_SIGNING), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if server:
            import ipaddress

            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(
                x509.SubjectAlternativeName([address, x509.DNSName("localhost")]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        self.issued[certificate.serial_number] = name
        return Identity(certificate, key)

    def revoke(self, serial: int) -> None:
        """Revoke a certificate.

        Raises:
            KeyError: the CA did not issue it.
        """
        if serial not in self.issued:
            raise KeyError(serial)
        self.revoked.add(serial)


def _subject(request: CertificationRequest) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(_OIDS.get(n) or x509.ObjectIdentifier(n), text) for n, text in request.subject]
    )
