"""Images that are signed with the right key and still must be refused, or whose signature only looks right."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tfm_harness import Check, ModelUpdates
from tfm_harness.verify import P256

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

INVALID_ARGUMENT, INVALID_SIGNATURE, NOT_PERMITTED = -135, -149, -133
SEC_CNT, NAME = 0x50, 0xA0

UNSIGNED_TLV = Check(
    id="update.unsigned-tlv-refused",
    title="an image with a TLV that is neither signed nor one that may stand unsigned is refused",
    requirement="MCUboot design, image format (TLVs outside the protected area are on a list)",
)
HEADER = Check(
    id="update.header-refused",
    title="a signed image whose header contradicts the image or asks for what is not done is refused",
    requirement="MCUboot design, image format (header, flags)",
)
COUNTER_TLV = Check(
    id="update.counter-needed",
    title="a model without exactly one protected security counter of 4 bytes is refused",
    requirement="MCUboot design, security counter; PSA Security Model 1.1 s.5.4",
)
NAME_TLV = Check(
    id="update.name-form-refused",
    title="a model whose name is missing, given twice, too long or not printable is refused",
    requirement="docs/protocol.md, Identity (protected TLV 0x00A0)",
)
SIGNATURE = Check(
    id="update.signature-form-refused",
    title="a signature that is empty, of another image, malformed or out of range is refused",
    requirement="PSA Security Model 1.1 s.5.4; FIPS 186-5 s.6.4.2; X.690 s.8",
)
HASH = Check(
    id="update.hash-needed",
    title="an image without the hash of its own content is refused",
    requirement="MCUboot design, image format (IMAGE_TLV_SHA256)",
)


@pytest.mark.parametrize("kind", [0x40, SEC_CNT, 0x60, 0x74, 0x80, NAME, 0xA1, 0x1A0, 0xFFFE])
def test_unsigned_tlvs_are_refused(updates: ModelUpdates, kind: int) -> None:
    """They can be appended by anybody: an image that was signed once must not change its meaning by them."""
    value = (0xFFFF).to_bytes(4, "little") if kind == SEC_CNT else b"tail"
    # Anybody can append to an image that the vendor signed; older ones are what an attacker wants back.
    image = updates.image(ahead=1, unprotected=((kind, value),))
    updates.refuse(UNSIGNED_TLV, image, INVALID_ARGUMENT, subject=f"type {kind:#06x}")


HEADERS: dict[str, dict[str, int]] = {
    "magic": {"magic": 0x96F3B83C},
    "an old magic": {"magic": 0x96F3B83C ^ 1 ^ 0xFF},
    "load address": {"load_address": 0x21000000},
    "encrypted, AES-128": {"flags": 0x04},
    "encrypted, AES-256": {"flags": 0x08},
    "not bootable": {"flags": 0x10},
    "RAM load": {"flags": 0x20},
    "compressed": {"flags": 0x400},
    "unknown flag": {"flags": 1 << 31},
    "header of 0 bytes": {"header_size": 0},
    "header of 16 bytes": {"header_size": 16},
    "header larger than the file": {"header_size": 0xFFFF},
    "image larger than the bank": {"image_size": 0x40000},
    "image size at 2^32": {"image_size": 0xFFFFFFFF},
    "image size that wraps with the header": {"image_size": 0x1_0000_0000 - ModelUpdates.HEADER_SIZE},
    "no protected TLVs": {"protected_size": 0},
    "protected TLVs one byte shorter": {"protected_size": -1},
    "protected TLVs longer than they are": {"protected_size": 1},
    "protected size at 2^16": {"protected_size": 0xFFFF},
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_contradict_the_image_are_refused(updates: ModelUpdates, name: str) -> None:
    header = dict(HEADERS[name])
    if name.startswith("protected TLVs"):
        whole = struct.unpack_from("<H", updates.image(ahead=1), 10)[0]
        header["protected_size"] += whole
    updates.refuse(HEADER, updates.image(ahead=1, header=header), INVALID_ARGUMENT, INVALID_SIGNATURE, subject=name)


def test_a_counter_that_is_missing_double_or_misshapen_is_refused(updates: ModelUpdates) -> None:
    high = (1000).to_bytes(4, "little")
    cases: dict[str, dict[str, object]] = {
        "none": {"counter": None},
        "none protected, one unprotected": {"counter": None, "unprotected": ((SEC_CNT, high),)},
        "twice, the second higher": {"protected": ((SEC_CNT, high),)},
        "twice, the second zero": {"counter": 1000, "protected": ((SEC_CNT, bytes(4)),)},
        "2 bytes": {"counter": None, "protected": ((SEC_CNT, high[:2]),)},
        "8 bytes": {"counter": None, "protected": ((SEC_CNT, high + bytes(4)),)},
        "0 bytes": {"counter": None, "protected": ((SEC_CNT, b""),)},
    }
    for subject, changes in cases.items():
        updates.refuse(COUNTER_TLV, updates.image(ahead=1, **changes), INVALID_ARGUMENT, subject=subject)


def test_a_name_that_is_missing_double_or_misshapen_is_refused(updates: ModelUpdates) -> None:
    own = updates.entry.name.encode()
    cases: dict[str, dict[str, object]] = {
        "none": {"name": ""},
        "twice": {"protected": ((NAME, own),)},
        "empty": {"name": "", "protected": ((NAME, b""),)},
        "16 bytes": {"name": "sixteen-bytes-xx"},
        "255 bytes": {"name": "n" * 255},
        "a NUL inside": {"name": "", "protected": ((NAME, own + b"\0x"),)},
        "a space": {"name": "two words"},
        "not ASCII": {"name": "", "protected": ((NAME, b"tamp\xc3\xa9r"),)},
    }
    for subject, changes in cases.items():
        updates.refuse(NAME_TLV, updates.image(ahead=1, **changes), INVALID_ARGUMENT, subject=subject)


def test_signatures_that_only_look_right_are_refused(updates: ModelUpdates) -> None:
    right = updates.key.sign(b"something else", ec.ECDSA(hashes.SHA256()))
    n = P256.order
    cases: dict[str, bytes] = {
        "empty": b"",
        "of something else": right,
        "r and s zero": encode_dss_signature(0, 0),
        "r zero": encode_dss_signature(0, 1),
        "s zero": encode_dss_signature(1, 0),
        "r = s = 1": encode_dss_signature(1, 1),
        "r at the order": encode_dss_signature(n, 1),
        "r = s = order": encode_dss_signature(n, n),
        "cut short": right[:-1],
        "64 raw bytes": bytes(range(1, 65)),
        "all 0xff": b"\xff" * 72,
    }
    for subject, signature in cases.items():
        updates.refuse(
            SIGNATURE, updates.image(ahead=1, signature=signature), INVALID_SIGNATURE, INVALID_ARGUMENT, subject=subject
        )
    twice = updates.image(ahead=1, unprotected=((0x22, right),))
    updates.refuse(SIGNATURE, twice, INVALID_ARGUMENT, subject="a second signature")


def test_a_hash_that_is_missing_or_of_something_else_is_refused(updates: ModelUpdates) -> None:
    updates.refuse(HASH, updates.image(ahead=1, with_hash=False), INVALID_SIGNATURE, subject="none")
    updates.refuse(
        HASH, updates.image(ahead=1, hash_of=b"other"), INVALID_SIGNATURE, subject="signed, of another image"
    )
    updates.refuse(
        HASH, updates.image(ahead=1, unprotected=((0x10, bytes(32)),)), INVALID_ARGUMENT, subject="a second one"
    )
    updates.old_model_works()
