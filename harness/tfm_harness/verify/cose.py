"""COSE_Sign1 and COSE_Mac0 (RFC 9052), strictly: the envelope of tokens and results.

These are separate steps because a PSA token's key is found by a claim inside the payload
(RFC 9783 s.5.1.3): `parse` splits the message, `check_headers` judges the headers and gives
the algorithm, `check_signature` verifies. `verify_cose` does all three.

The algorithm comes from the protected header only, must be allow-listed and must belong to
the key's curve. Signature bytes do not identify a message: if (r, s) verifies, (r, n-s) verifies as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from tfm_harness.findings import Report
from tfm_harness.verify import cbor
from tfm_harness.verify.algorithms import ALGORITHMS, Algorithm
from tfm_harness.verify.checks import envelope as check
from tfm_harness.verify.cose_headers import check_headers
from tfm_harness.verify.cose_message import (
    MAC0,
    SIGN1,
    CoseMessage,
    EnvelopeError,
    not_verified,
    parse,
    record_oddities,
    record_parse,
)
from tfm_harness.verify.der import ecdsa_signature
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import KeyRing, PublicKey, SymmetricKey, VerificationKey, as_ring

__all__ = [
    "MAC0",
    "SIGN1",
    "CoseMessage",
    "EnvelopeError",
    "VerifiedMessage",
    "check_headers",
    "check_signature",
    "holds",
    "parse",
    "record_oddities",
    "record_parse",
    "signed_by",
    "to_be_signed",
    "verifies",
    "verify_cose",
]

_SIGNATURE_RULES = (check.KEY_FOUND, check.ALG_KEY, check.SIGNATURE_FORMAT, check.SIGNATURE)
_ECDSA = {number: ec.ECDSA(a.hash) for number, a in ALGORITHMS.items() if not a.is_mac}


@dataclass(frozen=True, slots=True)
class VerifiedMessage:
    """Outcome of `verify_cose`: `key` is None unless the signature verified with it."""

    message: CoseMessage | None
    algorithm: Algorithm | None
    key: VerificationKey | None

    @property
    def verified(self) -> bool:
        """Whether a trusted key verified the signature."""
        return self.key is not None


class Refused(NamedTuple):
    """A key that did not verify a signature or MAC over a structure (see `to_be_signed`)."""

    key: VerificationKey
    structure: bytes
    signature: bytes
    algorithm: Algorithm


def to_be_signed(message: CoseMessage, external_aad: bytes = b"") -> bytes:
    """The Sig_structure or MAC_structure (RFC 9052 s.4.4, s.6.3)."""
    context = b"\x84\x6aSignature1" if message.tag == SIGN1 else b"\x84\x64MAC0"
    raw = message.protected_raw if message.protected else b""  # an empty map is signed as an empty string
    payload = message.payload
    aad = cbor.head(2, len(external_aad)) + external_aad if external_aad else b"\x40"
    return b"".join((context, cbor.head(2, len(raw)), raw, aad, cbor.head(2, len(payload)), payload))


def check_signature(
    message: CoseMessage,
    algorithm: Algorithm | None,
    keys: KeyRing,
    judge: Judge,
    *,
    identifiers: tuple[bytes | None, ...] = (),
    external_aad: bytes = b"",
    refused: Refused | None = None,
) -> VerificationKey | None:
    """Verify the signature or MAC with the key that fits; that key, or None.

    Args:
        message: from `parse`.
        algorithm: from `check_headers`; None records that nothing could be verified.
        keys: what is trusted.
        judge: where findings go.
        identifiers: key identifiers beside the kid: the instance id of the payload.
        external_aad: externally supplied data (RFC 9052 s.4.3).
        refused: a signature that is known not to verify, so that it is not tried again.
    """
    if algorithm is None:
        not_verified(judge, "no usable algorithm")
        return None
    named = [i for i in (message.kid, *identifiers) if i is not None]
    candidates = keys.candidates(*named)
    if named and len(candidates) > 1:
        judge.failed(
            check.KEY_FOUND, expected=f"one of {len(keys)} trusted keys", seen=", ".join(i.hex() for i in named)[:200]
        )
        not_verified(judge, "no trusted key has this identity")
        return None
    fitting = [key for key in candidates if key.suits(algorithm)]
    problem = _signature_problem(message.signature, algorithm)
    if fitting and not problem:
        structure = to_be_signed(message, external_aad)
        for key in fitting:
            if refused is not None and refused == Refused(key, structure, message.signature, algorithm):
                continue
            if verifies(key, structure, message.signature, algorithm):
                judge.passed_all(_SIGNATURE_RULES)
                return key
    judge.passed(check.KEY_FOUND)
    if not fitting:
        judge.failed(check.ALG_KEY, expected=f"a key for {algorithm.name}", seen=", ".join(map(str, candidates))[:200])
        not_verified(judge, "no trusted key belongs to the algorithm")
        return None
    judge.passed(check.ALG_KEY)
    if problem:
        judge.failed(check.SIGNATURE_FORMAT, expected=f"{algorithm.size} bytes", seen=problem)
        not_verified(judge, problem)
        return None
    judge.passed(check.SIGNATURE_FORMAT)
    judge.failed(
        check.SIGNATURE, expected=f"made with {' or '.join(map(str, fitting))}"[:300], seen="it does not verify"
    )
    return None


def signed_by(message: CoseMessage, key: VerificationKey, algorithm: Algorithm, *, external_aad: bytes = b"") -> bool:
    """Whether `key` verifies the message's signature or MAC; a signature of a wrong form verifies with no key."""
    return holds(key, to_be_signed(message, external_aad), message.signature, algorithm)


def holds(key: VerificationKey, structure: bytes, signature: bytes, algorithm: Algorithm) -> bool:
    """Whether a signature or MAC of the right form was made with `key` over `structure` (see `to_be_signed`)."""
    return not _signature_problem(signature, algorithm) and verifies(key, structure, signature, algorithm)


def _signature_problem(signature: bytes, algorithm: Algorithm) -> str:
    size, curve = algorithm.size, algorithm.curve
    if len(signature) != size:
        der = " that look like DER" if signature[:1] == b"\x30" and curve else ""
        return f"{len(signature)} bytes{der}"
    if curve is None:
        return ""
    # Big-endian numbers of the same length compare as their bytes do.
    half, zero, order = curve.size, curve.zero_bytes, curve.order_bytes
    if not zero < signature[:half] < order:
        return "r is zero or not below the group order"
    if not zero < signature[half:] < order:
        return "s is zero or not below the group order"
    return ""


def verifies(key: VerificationKey, structure: bytes, signature: bytes, algorithm: Algorithm) -> bool:
    """Whether `key` verifies a MAC, or a signature in the form of COSE and JOSE: r || s, `Algorithm.size` bytes."""
    if isinstance(key, SymmetricKey):
        return hmac.compare_digest(hmac.digest(key.secret, structure, algorithm.hash.name), signature)
    try:
        key.handle.verify(ecdsa_signature(signature), structure, _ECDSA[algorithm.cose])
    except InvalidSignature:
        return False
    return True


def verify_cose(
    data: bytes,
    *,
    keys: KeyRing | PublicKey | SymmetricKey | Iterable[VerificationKey] | None,
    report: Report,
    external_aad: bytes = b"",
    algorithms: frozenset[int] = frozenset(ALGORITHMS),
    subject: str = "",
    max_size: int = cbor.MAX_SIZE,
) -> VerifiedMessage:
    """Judge one message: encoding, structure, headers, key and signature.

    Args:
        data: the whole tagged message.
        keys: what is trusted.
        report: gets the findings.
        external_aad: externally supplied data (RFC 9052 s.4.3).
        algorithms: COSE numbers allowed, of those this module knows.
        subject: named in findings.
        max_size: largest message in bytes.

    Raises:
        ConfigError: no key (kind ``no-key``).
    """
    ring = as_ring(keys)
    judge = Judge(report, subject)
    message = record_parse(data, judge, max_size=max_size)
    if message is None:
        return VerifiedMessage(None, None, None)
    algorithm = check_headers(message, judge, algorithms=algorithms)
    key = check_signature(message, algorithm, ring, judge, external_aad=external_aad)
    record_oddities(message.oddities, judge)
    return VerifiedMessage(message, algorithm, key)
