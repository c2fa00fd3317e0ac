"""Judging MCUboot images, and what a token must say about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tfm_harness.findings import Report
from tfm_harness.verify import cbor
from tfm_harness.verify.checks import image as check
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import PublicKey, RsaKey
from tfm_harness.verify.mcuboot import (
    HASHES,
    ImageFormatError,
    McubootImage,
    TlvType,
    parse_mcuboot,
    split_images,
    trailing_problem,
)

__all__ = [
    "BootRecord",
    "ExpectedComponent",
    "ImageFormatError",
    "McubootImage",
    "boot_record",
    "expected_components",
    "parse_mcuboot",
    "split_images",
    "verify_mcuboot",
]

_PARTS = {"header": check.HEADER, "tlvs": check.TLVS, "protected-sizes": check.SIGNED_AREA}
_FORMAT = (check.HEADER, check.TLVS, check.SIGNED_AREA)
_PSS_SIZES = {TlvType.RSA2048_PSS: 2048, TlvType.RSA3072_PSS: 3072}
PUBLISHED_KEY_HASHES = {
    "fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994": "root-rsa-2048 (MCUboot, TF-M)",
    "e18015993d6d2760b499274baef264b83af229e9a785f3d5bf00b9d32c1f0396": "root-rsa-2048_1 (TF-M)",
    "bfe6d86f8826f4ff97fb96c4e6fbc4993e4619fc565da26adf34c329489adc38": "root-rsa-3072 (MCUboot, TF-M)",
    "b360caf5c98c6b942a4882fa9d4823efb166a9ef6a6e4aa37c1919ed1fccc049": "root-rsa-3072_1 (TF-M)",
}
"""Key hashes (SHA-256 of the PKCS#1 form) of signing keys whose private halves are public."""


@dataclass(frozen=True, slots=True)
class BootRecord:
    """The CBOR boot record that imgtool puts into an image for measured boot; absent members are None."""

    type: str | None
    version: str | None
    signer_id: bytes | None
    description: str | None


def boot_record(image: McubootImage) -> BootRecord | None:
    """The boot record in the protected TLVs; None when absent.

    Raises:
        CborError: it is no strict CBOR.
    """
    record = next((t.value for t in image.all(TlvType.BOOT_RECORD) if t.protected), None)
    if record is None:
        return None
    value = cbor.decode(record).value
    members = value if isinstance(value, dict) else {}
    kind, version, signer, description = (members.get(key) for key in (1, 4, 5, 6))
    return BootRecord(
        kind if isinstance(kind, str) else None,
        version if isinstance(version, str) else None,
        signer if isinstance(signer, bytes) else None,
        description if isinstance(description, str) else None,
    )


def key_hashes(key: PublicKey | RsaKey) -> dict[str, bytes]:
    """What a KEYHASH TLV may be for a key, by the form that is hashed.

    SHA-256 of the PKCS#1 form (RSA) or of the SubjectPublicKeyInfo (both are in use); SHA-384
    for a P-384 key, whose images are hashed with it.
    """
    found = {"SubjectPublicKeyInfo": hashlib.sha256(key.spki).digest()}
    if isinstance(key, PublicKey) and key.curve.size == 48:
        found["SubjectPublicKeyInfo, SHA-384"] = hashlib.sha384(key.spki).digest()
    if isinstance(key, RsaKey):
        found["PKCS#1"] = hashlib.sha256(key.pkcs1).digest()
    return found


def verify_mcuboot(
    image: bytes | McubootImage, public_key: PublicKey | RsaKey, report: Report, *, subject: str = ""
) -> McubootImage | None:
    """Judge one image: format, hash, signing key, signature, boot record.

    Args:
        image: the file, or one image of a combined file from `split_images`.
        public_key: the key that is trusted to sign it.
        report: gets the findings.
        subject: named in findings.

    Returns:
        The parsed image; None when it is not well-formed.
    """
    judge = Judge(report, subject)
    if isinstance(image, McubootImage):
        parsed = image
    else:
        try:
            parsed = parse_mcuboot(image)
        except ImageFormatError as error:
            judge.failed(
                _PARTS[error.part], expected=error.expected or error.message,
                seen=f"{error.message}: {error.seen}" if error.seen else error.message, where=error.where or "",
            )  # fmt: skip
            judge.failed(check.SIGNATURE, expected="a signature that verifies", seen="not verified: no image to judge")
            return None
    judge.passed_all(_FORMAT)
    once = {*HASHES, TlvType.KEYHASH, TlvType.PUBKEY, TlvType.SEC_CNT, TlvType.BOOT_RECORD}
    twice = sorted(kind for kind in once if len(parsed.all(kind)) > 1)
    judge.judge(check.TLV_ONCE, not twice, expected="once each", seen=f"TLV(s) {', '.join(map(hex, twice))} repeated")
    problem = trailing_problem(parsed.trailing)
    judge.judge(
        check.TRAILING, not problem, expected="0xFF and an image trailer", seen=problem, where=f"byte {parsed.end:#x}"
    )
    judge.judge(check.ENCRYPTED, not parsed.encrypted, expected="plain", seen=f"flags {parsed.flags:#x}")
    _check_hash(parsed, judge)
    _check_key(parsed, public_key, judge)
    _check_signature(parsed, public_key, judge)
    _check_boot_record(parsed, judge)
    judge.judge(
        check.SECURITY_COUNTER,
        parsed.security_counter is not None,
        expected="a protected TLV 0x50 of 4 bytes",
        seen="none",
    )
    judge.judge(check.VERSION_SET, any(parsed.version), expected="a version", seen="0.0.0+0")
    return parsed


def _check_hash(image: McubootImage, judge: Judge) -> None:
    claimed = image.hash_tlv
    if claimed is None:
        judge.failed(check.HASH, expected="a hash TLV", seen="none")
        return
    name, value = claimed
    computed = hashlib.new(name, image.hashed).digest()
    judge.judge(check.HASH, value == computed, expected=f"{name} {computed.hex()}", seen=value.hex())


def _check_key(image: McubootImage, key: PublicKey | RsaKey, judge: Judge) -> None:
    named = image.first(TlvType.KEYHASH)
    whole = image.first(TlvType.PUBKEY)
    accepted = key_hashes(key)
    problems = []
    if named is None and whole is None:
        problems.append("neither KEYHASH nor PUBKEY")
    if named is not None and named not in accepted.values():
        problems.append(f"KEYHASH {named.hex()[:128]}")
    forms = {key.spki, key.pkcs1} if isinstance(key, RsaKey) else {key.spki}
    if whole is not None and whole not in forms:
        problems.append(f"PUBKEY {hashlib.sha256(whole).hexdigest()} (hash)")
    wanted = " or ".join(f"{value.hex()} ({form})" for form, value in accepted.items())
    judge.judge(check.KEY_HASH, not problems, expected=wanted, seen=", ".join(problems))
    hashed = {value.hex() for value in (*accepted.values(), *image.signer_ids)}
    published = next((PUBLISHED_KEY_HASHES[h] for h in hashed if h in PUBLISHED_KEY_HASHES), None)
    if published is None and isinstance(key, PublicKey):
        published = key.published_as
    judge.judge(check.DUMMY_KEY, published is None, expected="a key of the vendor's own", seen=published)


def _check_signature(image: McubootImage, key: PublicKey | RsaKey, judge: Judge) -> None:
    wanted = TlvType.ECDSA_SIG
    if isinstance(key, RsaKey):
        wanted = {size: kind for kind, size in _PSS_SIZES.items()}.get(key.handle.key_size, 0)
    candidates = [tlv for tlv in image.all(wanted) if not tlv.protected] if wanted else []
    others = sorted({hex(t.type) for t in image.tlvs if 0x20 <= t.type < 0x30})
    if not candidates:
        judge.failed(
            check.SIGNATURE,
            expected=f"a signature TLV {wanted:#x} for {key}",
            seen=f"TLVs {', '.join(others) or 'none'}",
        )
        return
    held = all(_verifies(image, tlv.value, key) for tlv in candidates)
    judge.judge(
        check.SIGNATURE,
        held,
        expected=f"made with {key}",
        seen="it does not verify",
        where=f"byte {candidates[0].offset:#x}",
    )


def _verifies(image: McubootImage, signature: bytes, key: PublicKey | RsaKey) -> bool:
    # MCUboot pads short ECDSA signatures of older imgtool versions with zeros behind the DER.
    try:
        if isinstance(key, RsaKey):
            digest = hashlib.sha256(image.hashed).digest()
            scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            key.handle.verify(signature, digest, scheme, Prehashed(hashes.SHA256()))
            return True
        algorithm: hashes.HashAlgorithm = hashes.SHA384() if key.curve.size == 48 else hashes.SHA256()
        digest = hashlib.new(algorithm.name, image.hashed).digest()
        key.handle.verify(_strip_der(signature), digest, ec.ECDSA(Prehashed(algorithm)))
    except InvalidSignature:
        return False
    return True


def _strip_der(signature: bytes) -> bytes:
    if len(signature) > 2 and signature[0] == 0x30 and signature[1] < 0x80:
        end = 2 + signature[1]
        if not signature[end:].strip(b"\x00"):
            return signature[:end]
    return signature


def _check_boot_record(image: McubootImage, judge: Judge) -> None:
    try:
        record = boot_record(image)
    except cbor.CborError as error:
        judge.failed(check.BOOT_RECORD, expected="strict CBOR", seen=f"{error.message} at byte {error.offset} of it")
        return
    if record is None:
        return
    problems = []
    if record.version != image.version_text:
        problems.append(f"version {record.version}, the header has {image.version_text}")
    if record.signer_id not in image.signer_ids:
        problems.append(f"signer id {(record.signer_id or b'').hex()}")
    judge.judge(check.BOOT_RECORD, not problems, expected="header and key TLV", seen="; ".join(problems))


def expected_components(
    images: Mapping[str, McubootImage | ExpectedComponent] | Sequence[McubootImage],
) -> tuple[ExpectedComponent, ...]:
    """What a token must say about the images that were flashed.

    Args:
        images: measurement type (``SPE``, ``NSPE``, ...) to image, or just images, whose boot
            records then name the type. An `ExpectedComponent` stands for what is no MCUboot
            image, such as an ELF file that the loader puts into memory.

    Returns:
        One component for each image: the hash TLV as measurement, the key TLV's hash as signer id,
        the header's version. An image without a hash TLV gives a measurement no token can match.
    """
    named = images.items() if isinstance(images, Mapping) else ((None, image) for image in images)
    components = []
    for name, image in named:
        if isinstance(image, ExpectedComponent):
            components.append(image)
            continue
        record = _record_or_none(image)
        claimed = image.hash_tlv
        components.append(
            ExpectedComponent(
                type=name or (record.type if record else None),
                measurement=claimed[1] if claimed else b"",
                signer_ids=image.signer_ids,
                version=image.version_text,
                name=name or "",
            )
        )
    return tuple(components)


def _record_or_none(image: McubootImage) -> BootRecord | None:
    try:
        return boot_record(image)
    except cbor.CborError:
        return None
