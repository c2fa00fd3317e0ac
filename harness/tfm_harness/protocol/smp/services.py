"""Structures that the reference firmware's services take in raw calls (`SmpDriver.psa_call`)."""

from __future__ import annotations

import struct

from tfm_harness.protocol.base import Source

__all__ = ["run_request"]

_RUN = struct.Struct("<II64sI32s")
"""``struct tfm_inference_run``: source, length of the nonce, nonce, whether a model is expected, its id."""


def run_request(
    source: int = Source.HOST,
    *,
    nonce: bytes = bytes(64),
    nonce_length: int = 16,
    expects: int = 0,
    model: bytes = bytes(32),
) -> bytes:
    """The request of a signed inference (inference service, message type 3; docs/protocol.md, "Services").

    The values are not checked, because tests also send wrong requests.

    Args:
        source: where the input comes from; a right value is a `Source`.
        nonce: at most 64 bytes.
        nonce_length: how many of them count.
        expects: 1 if only the model with the id `model` may run.
        model: an id, at most 32 bytes.
    """
    return _RUN.pack(source, nonce_length, nonce, expects, model)
