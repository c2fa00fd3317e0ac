"""Names the signer when the trusted key did not sign: another key of the device, or a published key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec

from tfm_harness.findings import Check
from tfm_harness.verify.algorithms import Algorithm
from tfm_harness.verify.cose import CoseMessage, signed_by
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.published import PUBLISHED_P256

__all__ = ["judge_other_signer", "name_signer"]


def name_signer(message: CoseMessage, algorithm: Algorithm | None, others: Mapping[str, PublicKey]) -> str | None:
    """Whose signature this is, in words; None when no key known here made it.

    Args:
        message: the message; the trusted key did not verify its signature.
        algorithm: from its headers.
        others: further keys of the same device, by names for people; they are tried before the published keys.
    """
    if algorithm is None or algorithm.curve is None:
        return None
    for name, key in (*others.items(), *_published()):
        if key.suits(algorithm) and signed_by(message, key, algorithm):
            return name
    return None


def judge_other_signer(
    message: CoseMessage,
    algorithm: Algorithm | None,
    others: Mapping[str, PublicKey],
    judge: Judge,
    *,
    other_role: Check,
    published: Check,
) -> None:
    """If a known key made the signature that the trusted key did not verify, fail the check for that kind of signer."""
    signer = name_signer(message, algorithm, others)
    if signer is not None:
        which = other_role if signer in others else published
        judge.failed(which, expected="the key that is trusted for this", seen=f"signed with {signer}")


@lru_cache(maxsize=1)
def _published() -> tuple[tuple[str, PublicKey], ...]:
    return tuple(
        (f"a published key, {name}", PublicKey.from_handle(ec.derive_private_key(scalar, ec.SECP256R1()).public_key()))
        for name, scalar in PUBLISHED_P256.items()
    )
