"""DSSE envelopes (Dead Simple Signing Envelope 1.0.2): made, and verified strictly.

A verified payload is exactly the bytes that the signature covers; nothing is parsed from other bytes. An envelope has
only one written form (members in order, no blanks, canonical base64, the key id of the key that verifies), so that any
changed byte of a file is noticed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tfm_harness.verify.keys import Ed25519Key, PublicKey

__all__ = ["PAYLOAD_TYPE", "Envelope", "EnvelopeSigner", "EnvelopeVerificationError", "make_envelope", "parse_envelope"]

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_SIGNATURES: Final = 16
_CURVE_HASH: Final = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384(), "P-521": hashes.SHA512()}

SigningKey = PublicKey | Ed25519Key
"""The keys that may sign an envelope: ECDSA with its curve's hash, or Ed25519."""


class EnvelopeVerificationError(Exception):
    """The envelope is broken, or no given key verifies its signature."""


class EnvelopeSigner(Protocol):
    """Signs bytes: a file's key, a PKCS#11 token or a key management service."""

    @property
    def keyid(self) -> str:
        """The key's id, as securesystemslib makes it."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature: DER for ECDSA, 64 bytes for Ed25519."""
        ...


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: the pre-authentication encoding (DSSE 1.0.2)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing is verified yet.

    Attributes:
        payload: the signed bytes.
        signatures: pairs of key id and signature.
    """

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def text(self) -> str:
        """The envelope in its only written form, without a line end."""
        return json.dumps(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [
                    {"keyid": keyid, "sig": base64.b64encode(signature).decode()}
                    for keyid, signature in self.signatures
                ],
            },
            separators=(",", ":"),
        )

    def verify(self, keys: Mapping[str, SigningKey]) -> None:
        """Verify every signature, each with the key of its key id.

        Args:
            keys: trusted keys by key id.

        Raises:
            EnvelopeVerificationError: an unknown key id, or a signature that does not verify.
        """
        signed = pae(PAYLOAD_TYPE, self.payload)
        for keyid, signature in self.signatures:
            key = keys.get(keyid)
            if key is None:
                raise EnvelopeVerificationError(f"signed by key {keyid}, which was not given")
            if not _verifies(key, signature, signed):
                raise EnvelopeVerificationError(f"the signature of key {keyid} does not verify")


def make_envelope(payload: bytes, signers: Sequence[EnvelopeSigner]) -> Envelope:
    """Make an envelope: each signer signs the payload."""
    signed = pae(PAYLOAD_TYPE, payload)
    return Envelope(payload, tuple((signer.keyid, signer.sign(signed)) for signer in signers))


def parse_envelope(line: str) -> Envelope:
    """Read one envelope, only in the form that `Envelope.text` writes.

    Raises:
        EnvelopeVerificationError: any other form.
    """
    try:
        plain: Any = json.loads(line)
        if plain.keys() != {"payload", "payloadType", "signatures"}:
            raise EnvelopeVerificationError(f"members {', '.join(map(str, plain))}")
        if plain["payloadType"] != PAYLOAD_TYPE:
            raise EnvelopeVerificationError(f"payload type {plain['payloadType']!r}, not {PAYLOAD_TYPE}")
        if not 1 <= len(plain["signatures"]) <= MAX_SIGNATURES:
            raise EnvelopeVerificationError(f"{len(plain['signatures'])} signatures")
        found = Envelope(
            base64.b64decode(plain["payload"], validate=True),
            tuple((str(one["keyid"]), base64.b64decode(one["sig"], validate=True)) for one in plain["signatures"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error) as error:
        raise EnvelopeVerificationError(f"no envelope: {type(error).__name__}: {error}") from None
    if len({keyid for keyid, _ in found.signatures}) != len(found.signatures):
        raise EnvelopeVerificationError("two signatures of one key")
    if found.text() != line:
        raise EnvelopeVerificationError("an envelope in another form than the harness writes")
    return found


def _verifies(key: SigningKey, signature: bytes, signed: bytes) -> bool:
    try:
        if isinstance(key, Ed25519Key):
            key.handle.verify(signature, signed)
        else:
            key.handle.verify(signature, signed, ec.ECDSA(_CURVE_HASH[key.curve.name]))
    except InvalidSignature:
        return False
    return True
