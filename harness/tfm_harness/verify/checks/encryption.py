"""Checks of one COSE_Encrypt0 message, and of all nonces used under one key."""

from __future__ import annotations

from tfm_harness.findings import Catalogue
from tfm_harness.verify.checks.common import LOST, declare

ENCRYPTION = Catalogue("encryption")

STRUCTURE = declare(
    ENCRYPTION,
    "encryption.structure",
    "a COSE_Encrypt0 (tag 16): an array of three, protected bstr, unprotected map, ciphertext bstr",
    "RFC 9052 s.5.2",
    waivable=False,
)
ALGORITHM = declare(
    ENCRYPTION,
    "encryption.algorithm",
    "the algorithm is in the protected header, is AES-GCM (A128GCM, A192GCM, A256GCM), and fits the key",
    "RFC 9052 s.3.1; RFC 9053 s.4.1",
    waivable=False,
)
NONCE = declare(
    ENCRYPTION,
    "encryption.nonce",
    "the nonce (IV) has 12 bytes, and is in one of the header buckets",
    "RFC 9052 s.3.1; RFC 9053 s.4.1",
    waivable=False,
)
AUTHENTIC = declare(
    ENCRYPTION,
    "encryption.authentic",
    "the message decrypts with the key and the external data that belong to it",
    "RFC 9052 s.5.3; SP 800-38D s.7.2",
    waivable=False,
)
NONCE_REUSE = declare(
    ENCRYPTION,
    "encryption.nonce-reuse",
    "no nonce encrypts two messages under one key",
    "SP 800-38D s.8; RFC 9053 s.4.1.1",
    severity=(LOST, LOST, LOST),
)
