"""Objects of the reference firmware's protected storage, as they are in flash (docs/protocol.md, Protected storage)."""

from __future__ import annotations

import contextlib
from typing import Final

from tfm_harness.errors import ProductError
from tfm_harness.verify import cbor
from tfm_harness.verify.cose_encrypt0 import EncryptedMessage, parse_encrypted

__all__ = ["MOST_BYTES", "NONSECURE_OWNER", "messages_in", "object_aad"]

NONSECURE_OWNER: Final = -1
"""The client id under which the non-secure side stores objects."""
_BEGIN = b"\xd0\x83"  # tag 16, array of three
MOST_BYTES: Final = 4096
"""The most bytes of a message."""


def object_aad(uid: int, *, owner: int = NONSECURE_OWNER, flags: int = 0) -> bytes:
    """The external data that binds a stored object to its owner, uid and PSA storage flags."""
    return cbor.encode([owner, uid, flags])


def messages_in(flash: bytes) -> dict[int, EncryptedMessage]:
    """The COSE_Encrypt0 messages in a piece of flash, by the offset of each; other bytes may surround them."""
    found: dict[int, EncryptedMessage] = {}
    at = flash.find(_BEGIN)
    while at >= 0:
        with contextlib.suppress(ProductError):  # these two bytes may occur anywhere, without a message
            found[at] = parse_encrypted(flash[at : at + MOST_BYTES], rest=True)
        at = flash.find(_BEGIN, at + 1)
    return found
