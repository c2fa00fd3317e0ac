"""Checks of MCUboot images."""

from __future__ import annotations

from tfm_harness.findings import Catalogue
from tfm_harness.verify.checks.common import FAIL, LAX, NOTE, WARN, declare

IMAGE = Catalogue("image")

HEADER = declare(
    IMAGE,
    "image.header",
    "the header is MCUboot's: magic, sizes within the file, padding zero",
    "MCUboot design, image format",
    waivable=False,
)
TLVS = declare(
    IMAGE,
    "image.tlvs",
    "the TLV areas are complete, within the file, and of known layout",
    "MCUboot design, image format",
    waivable=False,
)
TLV_ONCE = declare(
    IMAGE,
    "image.tlv-once",
    "hash and security-counter TLVs appear once, and one key TLV for each signature",
    "MCUboot design, image TLVs",
)
TRAILING = declare(
    IMAGE,
    "image.trailing",
    "only erased flash and the image trailer follow the TLVs",
    "MCUboot design, image trailer",
    severity=LAX,
)
HASH = declare(
    IMAGE,
    "image.hash",
    "the hash TLV is the hash of header, payload and protected TLVs",
    "MCUboot design, image TLVs",
    waivable=False,
)
KEY_HASH = declare(
    IMAGE,
    "image.key-hash",
    "the key TLV (KEYHASH, or the whole PUBKEY) names the trusted signing key",
    "MCUboot design, image TLVs",
)
SIGNATURE = declare(
    IMAGE,
    "image.signature",
    "the signature (RSA-PSS, ECDSA or Ed25519) verifies with the trusted signing key",
    "MCUboot design, image TLVs; RFC 8017 s.8.1.2; RFC 8032",
    waivable=False,
)
SIGNED_AREA = declare(
    IMAGE,
    "image.protected-sizes",
    "the header's protected size is that of the protected TLV area",
    "MCUboot design, image format",
    waivable=False,
)
ENCRYPTED = declare(
    IMAGE,
    "image.encrypted",
    "the payload is not encrypted: the hash of an encrypted image covers the plain payload, which is not in the file",
    "MCUboot design, encrypted images",
)
BOOT_RECORD = declare(
    IMAGE,
    "image.boot-record",
    "the boot record agrees with the header's version and the signing key",
    "TF-M measured boot; RFC 9783 s.4.4.1",
)
SECURITY_COUNTER = declare(
    IMAGE,
    "image.security-counter",
    "a security counter is present (rollback protection)",
    "MCUboot design, downgrade prevention",
    severity=(WARN, WARN, FAIL),
)
DUMMY_KEY = declare(
    IMAGE,
    "image.dummy-key",
    "the image is not signed with a development key published with MCUboot, TF-M or a platform",
    "TF-M secure boot, signing keys",
    severity=LAX,
)
VERSION_SET = declare(
    IMAGE,
    "image.version-set",
    "the image has a version other than 0.0.0",
    "MCUboot design, image header",
    severity=NOTE,
)
COMPRESSED = declare(
    IMAGE,
    "image.compressed",
    "the payload is not compressed: the decompressed code runs and is measured, and is not judged here",
    "MCUboot design, compressed images",
    severity=NOTE,
)
BOOTABLE = declare(
    IMAGE,
    "image.bootable",
    "the boot loader starts the image: it is not marked as non-bootable",
    "MCUboot design, image header",
    severity=NOTE,
)
