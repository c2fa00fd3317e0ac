"""Checks of zephyr_secure_inference's evidence, the same for a live device and for a recorded session."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from tfm_harness.findings import Check

if TYPE_CHECKING:
    from tfm_harness.verify.results import SignedResult

__all__ = [
    "INPUTS_KEPT",
    "MODELS_LISTED",
    "PRINTED",
    "SIGNED_IS_PLAIN",
    "TOKEN_MODEL",
    "TOKEN_STABLE",
    "plain_value",
    "signed_value",
]

SIGNED_IS_PLAIN = Check(
    id="result.signed-is-plain",
    title="the signed value is the one the firmware shows for the same input",
    requirement="result profile",
)
"""Made for each signed value, against the text beside it and against the unsigned message, and for each unsigned value,
against the text beside it."""
PRINTED = 1e-6
"""The largest allowed difference of the printed text, which shows a float32 with six decimals."""
TOKEN_MODEL = Check(
    id="token.model-digest",
    title="the application token names the model file that the build describes",
    requirement="RFC 9334 s.8.1; result profile (claim -80002, MD5)",
)
"""Made for each application token."""
TOKEN_STABLE = Check(
    id="token.stable",
    title="two application tokens of one firmware make the same claims",
    requirement="RFC 9334 s.8.1 (evidence describes the state of the target environment)",
)
"""Made for two application tokens."""
MODELS_LISTED = Check(
    id="parity.models-listed",
    title="the device offers every model that the build describes",
    requirement="the build's description",
)
"""Made for the list of models."""
INPUTS_KEPT = Check(
    id="parity.inputs-kept",
    title="the device computes from the inputs that it was given",
    requirement="the firmware's command interface",
)
"""Made for the inputs that the device prints beside its outputs."""

_PLAIN_HEAD = bytes.fromhex("a13a0001387f44")
"""CBOR: a map of one pair, -80000 to a string of four bytes."""


def plain_value(message: bytes) -> float:
    """The output in an unsigned message: the map {-80000: bstr}, a little-endian float32, and nothing else.

    For anything else it is NaN, which equals no value.
    """
    if message[:7] != _PLAIN_HEAD or len(message) != 11:
        return math.nan
    return float(struct.unpack("<f", message[7:])[0])


def signed_value(result: SignedResult) -> float:
    """The output in a verified payload; NaN if the signature is wrong or the claim is missing."""
    value = result.values.get("value")
    return value if result.verified and isinstance(value, float) else math.nan
