"""How TF-M's releases pack a call of their Crypto service, for raw calls (`SmpDriver.psa_call`).

Source: TF-M, ``interface/include/tfm_crypto_defs.h`` and ``interface/src/tfm_crypto_api.c`` of the releases named. The
first input vector of each call is ``struct tfm_crypto_pack_iovec``; its layout and the numbers of the functions have
changed from release to release, and no call reports which layout a firmware has. A call with a known answer shows it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["CRYPTO_FORMS", "CryptoForm"]

MAX_NONCE: Final = 16
_NONCE_LENGTH_AT: Final = 16


@dataclass(frozen=True, slots=True)
class CryptoForm:
    """One layout of a call.

    Attributes:
        releases: in words.
        size: bytes of the structure.
        key_id, alg, operation, aead, function: offsets in it; `function` is that of a number of 2 or 4 bytes whose
            upper half is zero.
        functions: name to number.
    """

    releases: str
    size: int
    key_id: int
    alg: int
    operation: int
    aead: int
    function: int
    functions: Mapping[str, int]

    def pack(self, function: str, *, key: int = 0, alg: int = 0, operation: int = 0, nonce: bytes = b"") -> bytes:
        """The first input vector of a call.

        Args:
            function: one of `functions`.
            key: the key's id.
            alg: psa_algorithm_t.
            operation: the handle of an operation in several parts.
            nonce: for an AEAD, at most 16 bytes.

        Raises:
            ValueError: the nonce is too long.
        """
        if len(nonce) > MAX_NONCE:
            raise ValueError(f"a nonce of {len(nonce)} bytes, {MAX_NONCE} at most")
        packed = bytearray(self.size)
        words = {self.key_id: key, self.alg: alg, self.operation: operation, self.aead + _NONCE_LENGTH_AT: len(nonce)}
        for at, value in words.items():
            struct.pack_into("<I", packed, at, value)
        packed[self.aead : self.aead + len(nonce)] = nonce
        struct.pack_into("<H", packed, self.function, self.functions[function])
        return bytes(packed)

    @staticmethod
    def attributes(kind: int, bits: int, usage: int, alg: int) -> tuple[bytes, bytes]:
        """The attributes of a volatile key, in both layouts that the client's structure has had."""
        return (
            struct.pack("<HHIIIII", kind, bits, 0, usage, alg, 0, 0),  # psa_key_attributes_s of Mbed TLS 3.6
            struct.pack("<HHIIII", kind, bits, 0, 0, usage, alg),  # psa_client_key_attributes_s
        )


def _numbered(first: int, names: str) -> dict[str, int]:
    return {name: first + number for number, name in enumerate(names.split())}


_MAC = "mac_compute mac_verify mac_sign_setup mac_verify_setup mac_update mac_sign_finish mac_verify_finish mac_abort"
_CIPHER = (
    "cipher_encrypt cipher_decrypt cipher_encrypt_setup cipher_decrypt_setup cipher_generate_iv cipher_set_iv"
    " cipher_update cipher_finish cipher_abort"
)
_AEAD = "aead_encrypt aead_decrypt"
_HASH = "hash_compute hash_compare hash_setup hash_update hash_clone hash_finish hash_verify hash_abort"

_GROUPED: Final = MappingProxyType(
    _numbered(0x203, "import_key destroy_key export_key")
    | _numbered(0x300, _HASH)
    | _numbered(0x400, _MAC)
    | _numbered(0x500, _CIPHER)
    | _numbered(0x600, _AEAD)
)
_FLAT: Final = MappingProxyType(
    _numbered(4, "import_key destroy_key export_key") | _numbered(11, f"{_HASH} {_MAC} {_CIPHER} {_AEAD}")
)
_FLAT_OLD: Final = MappingProxyType(
    _numbered(4, "import_key destroy_key export_key")
    | _numbered(
        9,
        "hash_compute hash_compare hash_setup hash_update hash_finish hash_verify hash_abort hash_clone"
        f" {_MAC} {_CIPHER} {_AEAD}",
    )
)

CRYPTO_FORMS: Final = (
    CryptoForm("2.1 and later", 56, 0, 4, 8, 20, 40, _GROUPED),
    CryptoForm("2.1 and later, with PAKE roles", 64, 0, 4, 8, 20, 40, _GROUPED),
    CryptoForm("1.7 to 2.0", 48, 0, 4, 8, 24, 44, _GROUPED),
    CryptoForm("1.6", 52, 8, 12, 16, 32, 0, _FLAT),
    CryptoForm("1.4", 44, 8, 12, 16, 24, 0, _FLAT_OLD),
)  # fmt: skip
"""The layouts known, newest first."""
