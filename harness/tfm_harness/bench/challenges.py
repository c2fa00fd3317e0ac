"""Checks the token and the challenge that a test passes."""

from __future__ import annotations

from tfm_harness.bench.device import octets

__all__ = ["challenge_and_token"]

_LONGEST_NONCE = 64
"""Sizes in bytes; RFC 9711 s.4.1."""


def challenge_and_token(challenge: bytes, token: bytes | tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Both as bytes; `token` may be the result of `Device.attest`, a pair of challenge and token.

    Raises:
        ValueError: the token was requested with another challenge, or the two arguments are swapped: a mistake in the
            test.
        TypeError: one of them is no bytes.
    """
    if isinstance(challenge, tuple):
        raise TypeError(
            "challenge: bytes are wanted, and this is a tuple: the challenge first, then what attest() gave"
        )
    if isinstance(token, tuple):
        asked, token = token
        if asked != challenge:
            raise ValueError(f"the token was asked for with challenge {asked.hex()}, not {challenge.hex()}")
    challenge, token = octets("challenge", challenge), octets("token", token)
    if len(challenge) > _LONGEST_NONCE:
        raise ValueError(
            f"a challenge has at most {_LONGEST_NONCE} bytes, and this has {len(challenge)}:"
            " the challenge first, then the token"
        )
    return challenge, token
