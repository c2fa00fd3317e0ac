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
from tfm_harness.verify import cbor, published_image_keys
from tfm_harness.verify.checks import image as check
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import Ed25519Key, ImageKey, PublicKey, RsaKey
from tfm_harness.verify.mcuboot import (
    HASHES,
    ImageFormatError,
    McubootImage,
    Tlv,
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
    line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in published_image_keys.TABLE.splitlines() if line
}
"""Hashes of public keys whose private halves are published, each with algorithm and sources: every form of KEYHASH."""


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


def key_hashes(key: ImageKey) -> dict[str, bytes]:
    """What a KEYHASH TLV may be for a key, by the form that is hashed.

    The SubjectPublicKeyInfo, and of an RSA key the PKCS#1 form; by the hash that the image itself is hashed with.
    """
    found = {"SubjectPublicKeyInfo": hashlib.sha256(key.spki).digest()}
    if isinstance(key, PublicKey) and key.curve.size == 48:
        found["SubjectPublicKeyInfo, SHA-384"] = hashlib.sha384(key.spki).digest()
    if isinstance(key, Ed25519Key):
        found["SubjectPublicKeyInfo, SHA-512"] = hashlib.sha512(key.spki).digest()
    if isinstance(key, RsaKey):
        found["PKCS#1"] = hashlib.sha256(key.pkcs1).digest()
    return found


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
        public_key: the key that is trusted to sign it, or several: the image must name and be signed by one of them,
            and what any of them signed must verify.
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
    # An image that may be encrypted later (imgtool --clear) is flagged and holds the plain payload: the hash tells.
    hidden = parsed.encrypted and parsed.hash_tlv is not None and parsed.computed_hash != parsed.hash_tlv[1]
    judge.judge(
        check.ENCRYPTED, not hidden, expected="a payload that can be read",
        seen=f"flags {parsed.flags:#x}: what the hash covers is encrypted, so the hash cannot be judged",
    )  # fmt: skip
    if not hidden:
        _check_hash(parsed, judge)
    _check_key(parsed, keys, judge)
    _check_signature(parsed, keys, judge)
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
        return  # the signature covers the image itself, and is judged
    if claimed is None:
        judge.failed(check.HASH, expected="a hash TLV", seen="none")
        return
    name, value = claimed
    computed = hashlib.new(name, image.hashed).digest()
    judge.judge(check.HASH, value == computed, expected=f"{name} {computed.hex()}", seen=value.hex())


def signers(image: McubootImage) -> list[tuple[Tlv | None, list[Tlv]]]:
    """The image's signatures, each group with the key TLV in front of it (None: there is none)."""
    found: list[tuple[Tlv | None, list[Tlv]]] = []
    named: Tlv | None = None
    for tlv in image.tlvs:
        if tlv.type in {TlvType.KEYHASH, TlvType.PUBKEY}:
            named = tlv
            found.append((tlv, []))
        elif tlv.type in TlvType.SIGNATURES and not tlv.protected:
            if not found:
                found.append((named, []))
            found[-1][1].append(tlv)
    return [(key, group) for key, group in found if group]


def _names(tlv: Tlv | None, key: ImageKey) -> bool:
    """Whether a key TLV names this key."""
    if tlv is None:
        return False
    if tlv.type == TlvType.PUBKEY:
        return tlv.value in ({key.spki, key.pkcs1} if isinstance(key, RsaKey) else {key.spki})
    return tlv.value in key_hashes(key).values()


def _check_key(image: McubootImage, keys: Sequence[ImageKey], judge: Judge) -> None:
    named = [tlv for tlv in image.tlvs if tlv.type in {TlvType.KEYHASH, TlvType.PUBKEY}]
    trusted = any(_names(tlv, key) for tlv in named for key in keys)
    seen = ", ".join(
        f"KEYHASH {tlv.value.hex()[:128]}" if tlv.type == TlvType.KEYHASH
        else f"PUBKEY {hashlib.sha256(tlv.value).hexdigest()} (hash)"
        for tlv in named
    )  # fmt: skip
    wanted = " or ".join(f"{value.hex()} ({form})" for key in keys for form, value in key_hashes(key).items())
    judge.judge(check.KEY_HASH, trusted, expected=wanted, seen=seen or "neither KEYHASH nor PUBKEY")
    hashed = {value.hex() for value in image.signer_ids}
    hashed |= {
        value.hex() for key in keys if any(_names(tlv, key) for tlv in named) for value in key_hashes(key).values()
    }
    if not trusted or not named:
        hashed |= {value.hex() for key in keys for value in key_hashes(key).values()}
    published = next((PUBLISHED_KEY_HASHES[h] for h in sorted(hashed) if h in PUBLISHED_KEY_HASHES), None)
    published = published or next((k.published_as for k in keys if isinstance(k, PublicKey) and k.published_as), None)
    judge.judge(check.DUMMY_KEY, published is None, expected="a key of the vendor's own", seen=published)


def _check_signature(image: McubootImage, keys: Sequence[ImageKey], judge: Judge) -> None:
    groups = signers(image)
    wanted = " or ".join(f"a signature TLV {_signature_type(key):#x} for {key}" for key in keys)
    others = sorted({hex(t.type) for t in image.tlvs if t.type in TlvType.SIGNATURES})
    mine = [
        (key, tlv)
        for named, group in groups
        for key in keys
        # A signature without a key in front, and one whose key is not trusted where no other is, are tried with each.
        if _names(named, key) or not any(_names(other, any_key) for other, _ in groups for any_key in keys)
        for tlv in group
        if tlv.type == _signature_type(key)
    ]
    if not mine:
        judge.failed(check.SIGNATURE, expected=wanted, seen=f"TLVs {', '.join(others) or 'none'}")
        return
    bad = [(key, tlv) for key, tlv in mine if not _verifies(image, tlv.value, key)]
    paired = any(_names(named, key) for named, _ in groups for key in keys)
    held = not bad if paired or len(keys) == 1 else len(bad) < len(mine)
    key, tlv = (bad or mine)[0]
    judge.judge(
        check.SIGNATURE, held, expected=f"made with {key}", seen="it does not verify", where=f"byte {tlv.offset:#x}"
    )


def _signature_type(key: ImageKey) -> int:
    """The TLV type of this key's signatures; 0 when MCUboot knows none."""
    if isinstance(key, RsaKey):
        return {size: kind for kind, size in _PSS_SIZES.items()}.get(key.handle.key_size, 0)
    return TlvType.ED25519 if isinstance(key, Ed25519Key) else TlvType.ECDSA_SIG


def _verifies(image: McubootImage, signature: bytes, key: ImageKey) -> bool:
    # MCUboot pads short ECDSA signatures of older imgtool versions with zeros behind the DER.
    try:
        if isinstance(key, RsaKey):
            digest = _signed_digest(image, "sha256")
            scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            key.handle.verify(signature, digest, scheme, Prehashed(hashes.SHA256()))
            return True
        if isinstance(key, Ed25519Key):
            key.handle.verify(signature, _ed25519_message(image))
            return True
        algorithm: hashes.HashAlgorithm = hashes.SHA384() if key.curve.size == 48 else hashes.SHA256()
        digest = _signed_digest(image, algorithm.name)
        key.handle.verify(_strip_der(signature), digest, ec.ECDSA(Prehashed(algorithm)))
    except InvalidSignature:
        return False
    return True


def _signed_digest(image: McubootImage, name: str) -> bytes:
    """What is signed: the hash of what the file shows; of an encrypted image, the hash that its TLV claims."""
    claimed = image.hash_tlv
    if image.encrypted and claimed is not None and claimed[0] == name:
        return claimed[1]
    return hashlib.new(name, image.hashed).digest()


def _ed25519_message(image: McubootImage) -> bytes:
    """What Ed25519 signs: the image's hash, or (SIG_PURE) the whole that the hash would cover."""
    if image.pure:
        return image.hashed
    claimed = image.hash_tlv
    return _signed_digest(image, claimed[0] if claimed else "sha512")


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
