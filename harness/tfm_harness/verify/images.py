"""Judges MCUboot images, and derives what a token must say about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfm_harness.findings import Report
from tfm_harness.verify import cbor
from tfm_harness.verify.checks import image as check
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.image_files import split_images, trailing_problem
from tfm_harness.verify.image_signers import PUBLISHED_KEY_HASHES, check_key, check_signature, key_hashes, signers
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import Ed25519Key, ImageKey, PublicKey, RsaKey
from tfm_harness.verify.mcuboot import HASHES, ImageFormatError, McubootImage, TlvType, parse_mcuboot

__all__ = [
    "PUBLISHED_KEY_HASHES",
    "BootRecord",
    "ExpectedComponent",
    "ImageFormatError",
    "McubootImage",
    "boot_record",
    "expected_components",
    "key_hashes",
    "parse_mcuboot",
    "split_images",
    "verify_mcuboot",
]

_PARTS = {"header": check.HEADER, "tlvs": check.TLVS, "protected-sizes": check.SIGNED_AREA}
_FORMAT = (check.HEADER, check.TLVS, check.SIGNED_AREA)


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


def verify_mcuboot(
    image: bytes | McubootImage,
    public_key: ImageKey | Sequence[ImageKey],
    report: Report,
    *,
    subject: str = "",
) -> McubootImage | None:
    """Judge one image: format, hash, signing key, signature, boot record.

    Args:
        image: the file, or one image of a combined file from `split_images`.
        public_key: the trusted key, or several. The image must name one of them and be signed with it, and every
            signature that the image claims of one of them must verify.
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
    once = {*HASHES, TlvType.SEC_CNT, TlvType.BOOT_RECORD}
    twice = sorted(kind for kind in once if len(parsed.all(kind)) > 1)
    named_keys = [tlv for tlv in parsed.tlvs if tlv.type in {TlvType.KEYHASH, TlvType.PUBKEY}]
    if len({tlv.value for tlv in named_keys}) < len(named_keys) or len(named_keys) > max(1, len(signers(parsed))):
        twice.append(named_keys[-1].type)  # one key for each signature, no key twice
    judge.judge(check.TLV_ONCE, not twice, expected="once each", seen=f"TLV(s) {', '.join(map(hex, twice))} repeated")
    problem = trailing_problem(parsed.trailing)
    judge.judge(
        check.TRAILING, not problem, expected="0xFF and an image trailer", seen=problem, where=f"byte {parsed.end:#x}"
    )
    keys = [public_key] if isinstance(public_key, PublicKey | RsaKey | Ed25519Key) else list(public_key)
    # An image that may be encrypted later (imgtool --clear) has the flag but a plain payload: only the hash shows it.
    hidden = parsed.encrypted and parsed.hash_tlv is not None and parsed.computed_hash != parsed.hash_tlv[1]
    judge.judge(
        check.ENCRYPTED, not hidden, expected="a payload that can be read",
        seen=f"flags {parsed.flags:#x}: what the hash covers is encrypted, so the hash cannot be judged",
    )  # fmt: skip
    if not hidden:
        _check_hash(parsed, judge)
    check_key(parsed, keys, judge)
    check_signature(parsed, keys, judge)
    _check_boot_record(parsed, judge)
    judge.judge(
        check.SECURITY_COUNTER,
        parsed.security_counter is not None,
        expected="a protected TLV 0x50 of 4 bytes",
        seen="none",
    )
    judge.judge(
        check.COMPRESSED, not parsed.compressed, expected="a plain payload",
        seen=f"flags {parsed.flags:#x}: header, compressed payload and signature are judged",
    )  # fmt: skip
    judge.judge(check.BOOTABLE, parsed.bootable, expected="a bootable image", seen=f"flags {parsed.flags:#x}")
    judge.judge(check.VERSION_SET, any(parsed.version), expected="a version", seen="0.0.0+0")
    return parsed


def _check_hash(image: McubootImage, judge: Judge) -> None:
    claimed = image.hash_tlv
    if claimed is None and image.pure:
        return  # the signature covers the image itself, and is judged in place of the hash
    if claimed is None:
        judge.failed(check.HASH, expected="a hash TLV", seen="none")
        return
    name, value = claimed
    computed = hashlib.new(name, image.hashed).digest()
    judge.judge(check.HASH, value == computed, expected=f"{name} {computed.hex()}", seen=value.hex())


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
            records then name the type. An `ExpectedComponent` describes a component that is no
            MCUboot image, such as an ELF file that the loader puts into memory.

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
