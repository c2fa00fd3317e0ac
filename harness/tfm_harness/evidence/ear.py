"""Attestation results (EAR) from the harness' findings: the trustworthiness vector, as JWT and as CWT.

Dialects: ``draft`` (draft-ietf-rats-ear, profile ``tag:ietf.org,2026:rats/ear#03``, JWT or CWT) and ``veraison``
(profile ``tag:github.com,2023:veraison/ear``, names with dots, JWT). The values are those of draft-ietf-rats-ar4si;
docs/evidence.md has the table from findings to values, which follows Veraison's PSA scheme.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tfm_harness.findings import Report
from tfm_harness.verify.cbor_encoder import encode, head
from tfm_harness.verify.token import PsaToken

__all__ = [
    "CLAIMS",
    "DIALECTS",
    "Ear",
    "Sign",
    "Vector",
    "sign_cose",
    "sign_cwt",
    "sign_jwt",
    "status_of",
    "trustworthiness",
]

CLAIMS: Final = (
    "instance-identity", "configuration", "executables", "file-system", "hardware", "runtime-opaque", "storage-opaque",
    "sourced-data",
)  # fmt: skip
"""The vector's claims in the order of their numbers, 0 to 7."""
DIALECTS: Final = {"draft": "tag:ietf.org,2026:rats/ear#03", "veraison": "tag:github.com,2023:veraison/ear"}
SUBMODULE: Final = "PSA_IOT"
POLICY: Final = "policy:PSA_IOT"

NONE, AFFIRMING, WARNING, UNRECOGNISED, CONTRAINDICATED, UNKNOWN_HARDWARE, CRYPTO_FAILED = 0, 2, 32, 33, 96, 97, 99

Vector = Mapping[str, int]
Sign = Callable[[bytes], bytes]
Dialect = Literal["draft", "veraison"]

_TIERS: Final = ((96, "contraindicated"), (32, "warning"), (2, "affirming"))
_TIER_NUMBER: Final = {"none": 0, "affirming": 2, "warning": 32, "contraindicated": 96}
_NOT_FRESH: Final = frozenset({"attestation.nonce-challenge", "attestation.nonce-size"})
_COMPONENTS: Final = frozenset({
    "attestation.component-missing", "attestation.component-extra", "attestation.component-measurement",
    "attestation.component-signer", "attestation.component-version", "evidence.components-endorsed",
})  # fmt: skip
_TRUSTED_LIFECYCLES: Final = (0x30, 0x40)  # secured; non-PSA-RoT debug


def trustworthiness(token: PsaToken, report: Report, *, results: Report | None = None) -> Vector:
    """The trustworthiness vector that is derived from findings.

    Args:
        token: the judged token; its findings are in `report`.
        report: the findings.
        results: findings on the signed results of the same device; None: none were judged.
    """
    failed = {finding.id for finding in report if not finding.passed}
    if not token.verified or failed & _NOT_FRESH:
        return dict.fromkeys(CLAIMS, CRYPTO_FAILED)
    lifecycle = token.security_lifecycle
    trusted = lifecycle is not None and lifecycle >> 8 in _TRUSTED_LIFECYCLES
    state = AFFIRMING if trusted else CONTRAINDICATED
    compared = {finding.id for finding in report} & _COMPONENTS
    unknown = "attestation.instance-id-expected" in failed
    return {
        "instance-identity": UNKNOWN_HARDWARE if unknown else state,
        "configuration": NONE,
        "executables": NONE if not compared else UNRECOGNISED if failed & _COMPONENTS else AFFIRMING,
        "file-system": NONE,
        "hardware": UNKNOWN_HARDWARE if "attestation.implementation-id-expected" in failed else AFFIRMING,
        "runtime-opaque": state,
        "storage-opaque": state,
        "sourced-data": NONE if results is None else AFFIRMING if results.ok else CONTRAINDICATED,
    }


def status_of(vector: Vector) -> str:
    """The tier of the worst claim (draft-ietf-rats-ar4si s.3.2)."""
    worst = max(vector.values(), default=0)
    return next((name for least, name in _TIERS if worst >= least), "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """An attestation result before it is signed.

    Attributes:
        issued: seconds since 1970.
        build: the verifier's name and version.
        developer: who made the verifier: a URI or a name.
        nonce: the challenge of the evidence; None when there was none.
        evidence: the raw token; None: it is left out.
    """

    vector: Vector
    issued: int
    build: str
    developer: str = "tfm-harness"
    nonce: bytes | None = None
    evidence: bytes | None = None

    def plain(self, dialect: Dialect) -> dict[str, Any]:
        """The JSON claims."""
        separator, joiner = ("_", "_") if dialect == "draft" else (".", "-")

        def name(*words: str) -> str:
            return f"ear{separator}{joiner.join(words)}"

        appraisal: dict[str, Any] = {
            name("status"): status_of(self.vector),
            name("trustworthiness", "vector"): dict(self.vector),
        }
        if dialect == "draft":
            appraisal[name("appraisal", "policy", "ids")] = [POLICY]
        else:
            appraisal[name("appraisal", "policy", "id")] = POLICY
        if self.nonce is not None and dialect == "draft":
            appraisal["eat_nonce"] = _base64(self.nonce)
        claims = {
            "eat_profile": DIALECTS[dialect],
            "iat": self.issued,
            name("verifier", "id"): {"build": self.build, "developer": self.developer},
            "submods": {SUBMODULE: appraisal},
        }
        if self.evidence is not None:
            claims[name("raw", "evidence")] = _base64(self.evidence)
        return claims

    def cbor(self) -> bytes:
        """The CBOR claims of the draft's dialect."""
        vector = {number: self.vector[name] for number, name in enumerate(CLAIMS) if name in self.vector}
        appraisal: dict[int, object] = {1000: _TIER_NUMBER[status_of(self.vector)], 1001: vector, 1003: [POLICY]}
        if self.nonce is not None:
            appraisal[10] = self.nonce
        claims: dict[int, object] = {
            265: DIALECTS["draft"],
            6: self.issued,
            1004: {0: self.developer, 1: self.build},
            266: {SUBMODULE: appraisal},
        }
        if self.evidence is not None:
            claims[1002] = self.evidence
        return encode(claims)


def sign_jwt(ear: Ear, sign: Sign, dialect: Dialect) -> str:
    """A JWT under ES256 (RFC 7519, RFC 7515 compact serialisation).

    Args:
        ear: the attestation result to sign.
        sign: ECDSA on P-256 with SHA-256 over the bytes it is given; DER.
        dialect: the names and the profile.
    """
    header = {"alg": "ES256", "typ": "JWT"}
    text = ".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, ear.plain(dialect)))
    return f"{text}.{_base64(_raw(sign(text.encode())))}"


def sign_cwt(ear: Ear, sign: Sign) -> bytes:
    """A CWT: a COSE_Sign1 under ES256 (RFC 8392, RFC 9052)."""
    return sign_cose(ear.cbor(), sign, {1: -7})


def sign_cose(payload: bytes, sign: Sign, protected: Mapping[int, object]) -> bytes:
    """A tagged COSE_Sign1 under ES256 (RFC 9052 s.4.2)."""
    raw = encode(dict(protected))
    signature = _raw(sign(encode(["Signature1", raw, b"", payload])))
    return head(6, 18) + encode([raw, {}, payload, signature])


def _raw(der: bytes) -> bytes:
    """``r || s``, 64 bytes (RFC 9053 s.2.1)."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
