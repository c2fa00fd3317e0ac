"""The COSE algorithms and curves that evidence may use (RFC 9053, RFC 9864)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["ALGORITHMS", "CURVES", "CURVES_BY_NAME", "NAMES", "Algorithm", "Curve", "describe"]


@dataclass(frozen=True)
class Curve:
    """A NIST curve (FIPS 186-5, SP 800-186) with its COSE number (RFC 9053 s.7.1).

    `size` is the length of a coordinate and of r and s in bytes; `order` is n.
    """

    cose: int
    name: str
    size: int
    order: int
    implementation: ec.EllipticCurve

    @cached_property
    def order_bytes(self) -> bytes:
        """The order, big endian, `size` bytes."""
        return self.order.to_bytes(self.size, "big")

    @cached_property
    def zero_bytes(self) -> bytes:
        """Zero in `size` bytes."""
        return bytes(self.size)


P256 = Curve(
    1, "P-256", 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, ec.SECP256R1()
)  # fmt: skip
"""NIST P-256 (secp256r1): COSE curve 1."""
P384 = Curve(
    2, "P-384", 48,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ec.SECP384R1(),
)  # fmt: skip
P521 = Curve(
    3, "P-521", 66,
    0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
    ec.SECP521R1(),
)  # fmt: skip

CURVES = {curve.cose: curve for curve in (P256, P384, P521)}
CURVES_BY_NAME = {curve.implementation.name: curve for curve in CURVES.values()}


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One COSE algorithm: its number and, for ECDSA, the one curve it is bound to.

    RFC 9053 s.2.1 leaves the curve open, RFC 9864 deprecates that; the harness binds
    ES256 to P-256, ES384 to P-384 and ES512 to P-521. `size` is the length of the
    signature or tag in bytes.
    """

    cose: int
    name: str
    hash: hashes.HashAlgorithm
    size: int
    curve: Curve | None = None

    @property
    def is_mac(self) -> bool:
        """Whether this is an HMAC (COSE_Mac0) and not a signature (COSE_Sign1)."""
        return self.curve is None


ALGORITHMS = {
    algorithm.cose: algorithm
    for algorithm in (
        Algorithm(-7, "ES256", hashes.SHA256(), 64, P256),
        Algorithm(-35, "ES384", hashes.SHA384(), 96, P384),
        Algorithm(-36, "ES512", hashes.SHA512(), 132, P521),
        Algorithm(5, "HMAC 256/256", hashes.SHA256(), 32),
        Algorithm(6, "HMAC 384/384", hashes.SHA384(), 48),
        Algorithm(7, "HMAC 512/512", hashes.SHA512(), 64),
    )
}
"""The allow-list of RFC 9783 s.5.1.2, by COSE number."""

NAMES = {
    -8: "EdDSA", -9: "ESP256", -19: "Ed25519", -37: "PS256", -38: "PS384", -39: "PS512", -47: "ES256K",
    -48: "ML-DSA-44", -49: "ML-DSA-65", -50: "ML-DSA-87", -51: "ESP384", -52: "ESP512", -257: "RS256", 4: "HMAC 256/64",
}  # fmt: skip
"""Names of algorithms that are refused, for readable findings (IANA COSE Algorithms)."""


def describe(number: object) -> str:
    """``ES256 (-7)``, or the value itself as text when it is no known algorithm."""
    if isinstance(number, int) and not isinstance(number, bool):
        known = ALGORITHMS.get(number)
        return f"{known.name if known else NAMES.get(number, 'unknown algorithm')} ({number})"
    return f"{number!r}"[:80]
