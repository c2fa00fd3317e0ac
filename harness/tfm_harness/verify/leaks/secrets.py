"""Secrets, and the forms in which their bytes may stand somewhere."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tfm_harness.verify.derive import (
    SALT,
    SYMMETRIC_LABELS,
    random_seed,
    reference_private_key,
    reference_symmetric_key,
)

__all__ = ["WORD", "Secret", "device_secrets", "fingerprints", "forms", "telling", "windows"]

_DIGESTS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256")
WORD = 4
"""The size in bytes of a word of a CPU's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Bytes that must not leave the secure side.

    Attributes:
        name: the secret's name, for findings.
        data: the bytes.
        window: bytes that must be found together to count; 8 bytes occur by chance once in 2**64 places.
        step: distance of the windows that are searched: a piece of `window` + `step` - 1 bytes is always found.
        distinct: share of different bytes that a window needs; a window with less may occur anywhere by chance.
        every_form: also search for reversed, swapped and inverted bytes; False for large secrets.
    """

    name: str
    data: bytes
    window: int = 8
    step: int = 4
    every_form: bool = True
    distinct: float = 0.6

    def __post_init__(self) -> None:
        if len(self.data) < self.window or self.window < 8 or self.step < 1:
            raise ValueError(f"{self.name}: windows of at least 8 bytes, and at least one of them")


def device_secrets(huk: bytes, seed_source: tuple[bytes, int] | None = None) -> list[Secret]:
    """A device's hardware unique key, and the keys that the reference firmware derives from it.

    With `seed_source` (the entropy of the last cold start, and the number of resets since then), also this entropy and
    the seed of the random generator.
    """
    found = [
        Secret(name="the hardware unique key", data=huk),
        Secret(name="the key that others are derived from", data=hmac.digest(SALT, huk, "sha256")),
    ]
    for role in ("iak", "result", "client"):
        scalar = reference_private_key(huk, role).private_numbers().private_value
        found.append(Secret(name=f"the private {role} key", data=scalar.to_bytes(32, "big")))
    found += [Secret(name=f"the {role} key", data=reference_symmetric_key(huk, role)) for role in SYMMETRIC_LABELS]
    if seed_source is not None:
        entropy, boots = seed_source
        found.append(Secret(name="the entropy of this start", data=entropy))
        found.append(Secret(name="the seed of the random generator", data=random_seed(entropy, boots)))
    return found


def fingerprints(secrets: Iterable[Secret]) -> list[Secret]:
    """Digests and checksums of whole secrets. They must not leave either: a guess of a secret can be checked with them.

    They are taken over the bytes in their order and in reverse. Of each digest only the first 8 bytes are searched,
    because logs begin with those.
    """
    found = []
    for secret in secrets:
        for order, data in (("", secret.data), (", reversed", secret.data[::-1])):
            sums = {name: hashlib.new(name, data, usedforsecurity=False).digest()[:8] for name in _DIGESTS}
            sums["CRC-32 and Adler-32"] = struct.pack("<II", zlib.crc32(data), zlib.adler32(data))
            found += [
                Secret(name=f"{name} of {secret.name}{order}", data=digest, distinct=0) for name, digest in sums.items()
            ]
    return found


def forms(data: bytes, *, every: bool) -> Iterator[tuple[str, bytes]]:
    """`data` in each order of bytes and bits that a CPU or a careless print may give it.

    `Index` finds each form also when every byte is combined with one constant by exclusive or.
    """
    yield "", data
    if not every:
        return
    yield "reversed", data[::-1]
    for size in (2, 4, 8):
        if len(data) % size == 0:
            words = [data[at : at + size] for at in range(0, len(data), size)]
            yield f"{size}-byte words reversed", b"".join(word[::-1] for word in words)
            yield f"{size}-byte words in reverse order", b"".join(reversed(words))
    yield "bits reversed", data.translate(_BITS)
    yield "nibbles swapped", data.translate(_NIBBLES)
    yield "digits reversed", data[::-1].translate(_NIBBLES)


def windows(secret: Secret) -> Iterator[tuple[str, bytes, int]]:
    """Every window to look for: the form in words, the whole secret in that form, the window's offset in it."""
    for form, data in forms(secret.data, every=secret.every_form):
        for at in (*range(0, len(data) - secret.window + 1, secret.step), len(data) - secret.window):
            window = data[at : at + secret.window]
            if len(set(window)) >= secret.distinct * secret.window:
                yield form, data, at


def telling(word: bytes) -> bool:
    """Whether a single word of a secret can be told from repeated and alternating bytes, which are common in memory."""
    return len(set(word)) > 2


_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NIBBLES = bytes((byte << 4 | byte >> 4) & 0xFF for byte in range(256))
