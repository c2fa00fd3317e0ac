"""Checks of keys, signing requests, certificates and the provisioning exchange."""

from __future__ import annotations

from tfm_harness.findings import Catalogue
from tfm_harness.verify.checks.common import FAIL, INFO, LAX, LOST, WARN, declare

KEY = Catalogue("key")
CSR = Catalogue("csr")
CERTIFICATE = Catalogue("certificate")

KEY_VALID = declare(
    KEY,
    "key.valid",
    "the public key is a point on its curve, not at infinity",
    "SP 800-56A Rev. 3 s.5.6.2.3.3; RFC 9053 s.7.1",
    iat="assert, lost under -O",
    veraison="yes",
    waivable=False,
)
KEY_EXPECTED = declare(
    KEY,
    "key.expected",
    "the key the device shows is the one derived from its known root",
    "PSA Security Model; result profile",
)
KEY_STABLE = declare(KEY, "key.stable", "keys are the same over resets", "PSA Security Model")
KEY_BOARDS_DIFFER = declare(
    KEY,
    "key.boards-differ",
    "two boards share no key",
    "RFC 9783 s.4.2.1; PSA Security Model",
    severity=(LOST, LOST, LOST),
)
KEY_ROLES_DIFFER = declare(
    KEY,
    "key.roles-differ",
    "one board's keys for attestation, results and TLS are different",
    "NIST SP 800-57 Part 1 s.5.2",
)
RFC6979 = declare(
    KEY,
    "key.ecdsa-rfc6979",
    "a signature with a private key that the host knows is the one that deterministic ECDSA gives",
    "RFC 6979 s.3.2; FIPS 186-5 s.6.3; docs/protocol.md, Identity",
)
KEY_DUMMY = declare(
    KEY, "key.dummy", "the key is no published test key", "TF-M provisioning; RFC 6979 A.2", severity=LAX
)

CSR_DER = declare(
    CSR,
    "csr.der",
    "the request is one strict DER structure with nothing after it",
    "RFC 2986 s.4; X.690 s.10",
    waivable=False,
)
CSR_VERSION = declare(CSR, "csr.version", "the version is v1 (0)", "RFC 2986 s.4.1")
CSR_SUBJECT = declare(
    CSR,
    "csr.subject",
    "the subject has exactly one common name, as printable text",
    "RFC 2986 s.4.1; RFC 5280 s.4.1.2.4",
)
CSR_CN_EXPECTED = declare(CSR, "csr.common-name", "the common name is the device's UUID", "RFC 9562 s.4")
CSR_OU = declare(
    CSR,
    "csr.organizational-unit",
    "the organizational unit names the key's purpose",
    "lite_bootstrap_server",
    severity=(INFO, WARN, WARN),
)
CSR_KEY = declare(
    CSR,
    "csr.key",
    "the request holds a key on the expected curve (P-256 unless said), as named curve and uncompressed point",
    "RFC 5480 s.2.1, s.2.2",
)
CSR_KEY_EXPECTED = declare(
    CSR,
    "csr.key-expected",
    "the key is the one that the device uses for the certificate's purpose",
    "RFC 2986 s.3",
    waivable=False,
)
CSR_ALGORITHM = declare(
    CSR,
    "csr.signature-algorithm",
    "the signature algorithm is ecdsa-with-SHA256 (the curve's own) without parameters",
    "RFC 5758 s.3.2",
    severity=(WARN, FAIL, FAIL),
)
CSR_SIGNATURE = declare(
    CSR,
    "csr.signature",
    "the request is signed with its own key (proof of possession)",
    "RFC 2986 s.4.2; RFC 4211 s.4",
    waivable=False,
)
CSR_EXTENSIONS = declare(
    CSR,
    "csr.extensions",
    "the request asks for no CA rights and no unknown critical extension",
    "RFC 2985 s.5.4.2; RFC 5280 s.4.2.1.9, s.4.2.1.3",
)
CSR_ATTRIBUTES = declare(
    CSR,
    "csr.attributes",
    "the request has no attribute other than the extension request",
    "RFC 2986 s.4.1",
    severity=(INFO, WARN, FAIL),
)

CERT_DER = declare(
    CERTIFICATE,
    "certificate.der",
    "the certificate is one X.509 v3 structure with nothing after it",
    "RFC 5280 s.4.1",
    waivable=False,
)
CERT_CHAIN = declare(
    CERTIFICATE,
    "certificate.chain",
    "the certificate is signed by the trusted CA and names it as issuer",
    "RFC 5280 s.6.1",
    waivable=False,
)
CERT_VALIDITY = declare(
    CERTIFICATE,
    "certificate.validity",
    "the certificate and its CA are valid now, and not beyond the CA's own end",
    "RFC 5280 s.4.1.2.5, s.6.1.3",
)
CERT_KEY = declare(
    CERTIFICATE, "certificate.key", "the certificate holds the key of the request", "RFC 5280 s.4.1.2.7", waivable=False
)
CERT_SUBJECT = declare(
    CERTIFICATE,
    "certificate.subject",
    "the subject is that of the request, with the device's UUID as common name",
    "RFC 5280 s.4.1.2.6",
)
CERT_SERIAL = declare(
    CERTIFICATE,
    "certificate.serial",
    "the serial number is positive, at most 20 octets, and unique",
    "RFC 5280 s.4.1.2.2",
)
CERT_NOT_CA = declare(
    CERTIFICATE, "certificate.not-ca", "a device certificate is no CA certificate", "RFC 5280 s.4.2.1.9"
)
CERT_USAGE = declare(
    CERTIFICATE,
    "certificate.usage",
    "key usage is digitalSignature; extended key usage is there for a TLS client",
    "RFC 5280 s.4.2.1.3, s.4.2.1.12",
    severity=(WARN, WARN, FAIL),
)
CERT_CA = declare(
    CERTIFICATE,
    "certificate.ca",
    "the issuer is a CA: basicConstraints CA, keyCertSign",
    "RFC 5280 s.4.2.1.9, s.4.2.1.3",
)
CERT_REVOKED = declare(
    CERTIFICATE,
    "certificate.not-revoked",
    "the certificate's serial number is not revoked",
    "RFC 5280 s.3.3",
    severity=(FAIL, FAIL, FAIL),
)
