"""PKCS#10 certification requests (RFC 2986): proof of possession, subject, key, extensions."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tfm_harness.findings import Report
from tfm_harness.verify import der as asn1
from tfm_harness.verify.algorithms import CURVES, P256, Curve
from tfm_harness.verify.checks import keys as check
from tfm_harness.verify.csr_extensions import extension_problems
from tfm_harness.verify.der import DerError, Element, children, read, read_oid
from tfm_harness.verify.der_strict import check_der, check_signature_value, whole_octets
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import KeyFormatError, PublicKey

__all__ = ["CertificationRequest", "parse_csr", "proves_possession", "verify_csr"]

MAX_CSR = 16384
"""Largest request in bytes."""
NAMES = {
    "2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
    "2.5.4.5": "serialNumber",
}  # fmt: skip
EC_PUBLIC_KEY = "1.2.840.10045.2.1"
CURVE_OIDS = {"1.2.840.10045.3.1.7": 1, "1.3.132.0.34": 2, "1.3.132.0.35": 3}
SIGNATURES = {
    "1.2.840.10045.4.3.2": ("ecdsa-with-SHA256", hashes.SHA256()),
    "1.2.840.10045.4.3.3": ("ecdsa-with-SHA384", hashes.SHA384()),
    "1.2.840.10045.4.3.4": ("ecdsa-with-SHA512", hashes.SHA512()),
}
FITTING_HASH = {1: "ecdsa-with-SHA256", 2: "ecdsa-with-SHA384", 3: "ecdsa-with-SHA512"}
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"


@dataclass(frozen=True, slots=True)
class CertificationRequest:
    """A parsed request; nothing is verified yet.

    Attributes:
        signed: the bytes the signature covers (CertificationRequestInfo).
        version: 0 for v1.
        subject: short names (or OIDs) and texts, in order.
        subject_problem: what is wrong with the subject's encoding, or empty.
        key: the key for which a certificate is requested; None when it cannot be used.
        key_problem: why the key cannot be used, or empty.
        algorithm: OID of the signature algorithm.
        parameters: its parameters as DER; empty when absent, as RFC 5758 s.3.2 requires.
        attributes: OIDs of the attributes; None when the field is missing.
        extension_problems: what is wrong with the requested extensions.
        signature: the signature, DER ECDSA-Sig-Value.
    """

    signed: bytes = field(repr=False)
    version: int
    subject: tuple[tuple[str, str], ...]
    subject_problem: str
    key: PublicKey | None
    key_problem: str
    algorithm: str
    parameters: bytes
    attributes: tuple[str, ...] | None
    extension_problems: tuple[str, ...]
    signature: bytes = field(repr=False)

    def names(self, short: str) -> list[str]:
        """The subject's texts under a short name: ``CN``, ``OU``, ..."""
        return [text for name, text in self.subject if name == short]


def parse_csr(data: bytes) -> CertificationRequest:
    """Parse one DER CertificationRequest.

    Raises:
        DerError: the structure is broken. Problems inside a whole structure are left to `verify_csr`.
    """
    if len(data) > MAX_CSR:
        raise DerError(0, f"{len(data)} bytes, more than the limit of {MAX_CSR}")
    outer = check_der(data, "the request", texts=False).require(asn1.SEQUENCE, "a certification request")
    parts = children(outer)
    if len(parts) != 3:
        raise DerError(outer.start, f"{len(parts)} parts in place of info, algorithm and signature")
    info, algorithm, signature = parts
    fields = children(info.require(asn1.SEQUENCE, "the request info"))
    if len(fields) not in {3, 4}:
        raise DerError(info.start, f"{len(fields)} fields in the request info in place of 4")
    version = asn1.read_integer(fields[0], "the version")
    names, name_problem = _read_name(fields[1])
    key, key_problem = _read_key(fields[2])
    attributes: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()
    if len(fields) == 4:
        attributes, problems = _read_attributes(fields[3])
    oid, parameters = _read_algorithm(algorithm)
    value = whole_octets(signature, "the signature")
    return CertificationRequest(
        info.encoded, version, names, name_problem, key, key_problem, oid,
        parameters, attributes, problems, value,
    )  # fmt: skip


def _read_algorithm(element: Element) -> tuple[str, bytes]:
    parts = children(element.require(asn1.SEQUENCE, "an algorithm identifier"))
    if not 1 <= len(parts) <= 2:
        raise DerError(element.start, f"{len(parts)} parts in an algorithm identifier")
    return read_oid(parts[0]), parts[1].encoded if len(parts) == 2 else b""


def _read_name(element: Element) -> tuple[tuple[tuple[str, str], ...], str]:
    found: list[tuple[str, str]] = []
    problem = ""
    for relative in children(element.require(asn1.SEQUENCE, "the subject")):
        for pair in asn1.read_set(relative, "a relative distinguished name"):
            parts = children(pair.require(asn1.SEQUENCE, "an attribute of the subject"))
            if len(parts) != 2:
                raise DerError(pair.start, "an attribute of the subject without type and value")
            oid = read_oid(parts[0])
            name = NAMES.get(oid, oid)
            text, wrong = asn1.read_string(parts[1])
            if wrong:
                problem = f"{name} {wrong}"
            found.append((name, text))
    return tuple(found), problem


def _read_key(element: Element) -> tuple[PublicKey | None, str]:
    parts = children(element.require(asn1.SEQUENCE, "the public key"))
    if len(parts) != 2:
        raise DerError(element.start, "a public key without algorithm and bits")
    oid, parameters = _read_algorithm(parts[0])
    bits = parts[1].require(asn1.BIT_STRING, "the public key's bits").content
    if oid != EC_PUBLIC_KEY:
        return None, f"key algorithm {oid} in place of id-ecPublicKey"
    if not parameters or parameters[0] != asn1.OID:
        return None, "no named curve"
    curve = CURVES.get(CURVE_OIDS.get(read_oid(read(parameters, 0, len(parameters))), 0))
    if curve is None:
        return None, "a curve other than P-256, P-384 and P-521"
    if bits[:2] != b"\x00\x04":
        return None, "a point that is not in uncompressed form"
    half = (len(bits) - 2) // 2
    try:
        return PublicKey.from_coordinates(curve, bits[2 : 2 + half], bits[2 + half :]), ""
    except KeyFormatError as error:
        return None, error.message


def _read_attributes(element: Element) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if element.tag != 0xA0:
        raise DerError(element.start, f"attributes have tag {element.tag:#04x} in place of 0xa0")
    oids: list[str] = []
    problems: list[str] = []
    for attribute in children(element):
        parts = children(attribute.require(asn1.SEQUENCE, "an attribute"))
        if len(parts) != 2:
            raise DerError(attribute.start, "an attribute without type and values")
        oid = read_oid(parts[0])
        if oid in oids:
            problems.append(f"attribute {oid} twice")
        oids.append(oid)
        values = asn1.read_set(parts[1], "the values of an attribute")
        if oid == EXTENSION_REQUEST:
            if len(values) > 1:
                problems.append(f"{len(values)} lists of extensions in place of one")
            for value in values:
                problems += extension_problems(value)
    return tuple(oids), tuple(problems)


def verify_csr(
    der: bytes,
    *,
    expected_key: PublicKey | None = None,
    expected_cn: str | None = None,
    expected_ou: str | None = None,
    report: Report,
    subject: str = "",
) -> CertificationRequest | None:
    """Judge one certification request.

    Args:
        der: the request (decode PEM first).
        expected_key: the key that the device is known to use; its curve is required. Without it, P-256 is required.
        expected_cn: the device's UUID as text.
        expected_ou: the organizational unit that names the key's purpose.
        report: gets the findings.
        subject: named in findings.

    Returns:
        The parsed request; None when it is not DER.
    """
    judge = Judge(report, subject)
    try:
        request = parse_csr(der)
    except DerError as error:
        judge.failed(check.CSR_DER, expected="one strict DER request", seen=error.message, where=f"byte {error.offset}")
        judge.failed(check.CSR_SIGNATURE, expected="proof of possession", seen="not verified: no request to judge")
        return None
    judge.passed(check.CSR_DER)
    judge.judge(check.CSR_VERSION, request.version == 0, expected="0 (v1)", seen=request.version)
    _check_subject(request, expected_cn, expected_ou, judge)
    curve = expected_key.curve if expected_key else P256
    _check_key(request, expected_key, curve, judge)
    _check_signature(request, curve, judge)
    seen = "; ".join(request.extension_problems)
    judge.judge(check.CSR_EXTENSIONS, not seen, expected="no CA rights, nothing unknown and critical", seen=seen)
    others = [oid for oid in request.attributes or () if oid != EXTENSION_REQUEST]
    problem = "the attributes field is missing" if request.attributes is None else ", ".join(others)
    judge.judge(check.CSR_ATTRIBUTES, not problem, expected="none but extensionRequest", seen=problem)
    return request


def _check_subject(request: CertificationRequest, cn: str | None, ou: str | None, judge: Judge) -> None:
    names = request.names("CN")
    problem = request.subject_problem or ("" if len(names) == 1 else f"{len(names)} common names")
    judge.judge(check.CSR_SUBJECT, not problem, expected="exactly one common name, as text", seen=problem)
    if cn is not None:
        judge.judge(check.CSR_CN_EXPECTED, names == [cn], expected=cn, seen=", ".join(names))
    if ou is not None:
        units = request.names("OU")
        judge.judge(check.CSR_OU, units == [ou], expected=ou, seen=", ".join(units) or "none")


def _check_key(request: CertificationRequest, expected: PublicKey | None, curve: Curve, judge: Judge) -> None:
    problem = request.key_problem
    if request.key is not None and request.key.curve is not curve:
        problem = f"a {request.key.curve.name} key"
    judge.judge(check.CSR_KEY, not problem, expected=f"a {curve.name} key on a named curve, uncompressed", seen=problem)
    if expected is not None:
        judge.judge(check.CSR_KEY_EXPECTED, request.key == expected, expected=expected, seen=request.key or "none")
    if request.key is not None:
        published = request.key.published_as
        judge.judge(check.KEY_DUMMY, published is None, expected="a key of the board's own", seen=published)


def _check_signature(request: CertificationRequest, curve: Curve, judge: Judge) -> None:
    name, algorithm = SIGNATURES.get(request.algorithm, (request.algorithm, None))
    wanted = FITTING_HASH[curve.cose]
    problem = "" if name == wanted else name
    if request.parameters:
        what = "NULL" if request.parameters == b"\x05\x00" else request.parameters[:16].hex()
        problem = (
            f"{name} with parameters ({what}); RFC 5758 s.3.2 wants none: OpenSSL takes it, strict parsers refuse it"
        )
    judge.judge(check.CSR_ALGORITHM, not problem, expected=f"{wanted} without parameters", seen=problem)
    judge.judge(
        check.CSR_SIGNATURE, proves_possession(request), expected="a signature by the key in the request",
        seen="it does not verify" if request.key and algorithm else "not verified: no usable key or algorithm",
    )  # fmt: skip


def proves_possession(request: CertificationRequest) -> bool:
    """Whether the request's own key made its signature (RFC 2986 s.4.2)."""
    _, algorithm = SIGNATURES.get(request.algorithm, ("", None))
    if request.key is None or algorithm is None:
        return False
    try:
        check_signature_value(request.signature, "the signature")
        request.key.handle.verify(request.signature, request.signed, ec.ECDSA(algorithm))
    except (DerError, InvalidSignature):
        return False
    return True
