"""Who signed a MCUboot image: key TLVs and signatures in pairs, against the keys that are trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tfm_harness.verify import published_image_keys
from tfm_harness.verify.checks import image as check
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import Ed25519Key, ImageKey, PublicKey, RsaKey
from tfm_harness.verify.mcuboot import McubootImage, Tlv, TlvType

__all__ = ["PUBLISHED_KEY_HASHES", "check_key", "check_signature", "key_hashes", "signers"]

_PSS_SIZES = {TlvType.RSA2048_PSS: 2048, TlvType.RSA3072_PSS: 3072}
PUBLISHED_KEY_HASHES = {
    line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in published_image_keys.TABLE.splitlines() if line
}
"""Hashes, in every form of KEYHASH, of public keys whose private halves are published, with algorithm and sources."""


def key_hashes(key: ImageKey) -> dict[str, bytes]:
    """The values that a KEYHASH TLV may have for a key, by the form that is hashed.

    The form is the SubjectPublicKeyInfo, or PKCS#1 for an RSA key; the hash is that of the image itself.
    """
    found = {"SubjectPublicKeyInfo": hashlib.sha256(key.spki).digest()}
    if isinstance(key, PublicKey) and key.curve.size == 48:
        found["SubjectPublicKeyInfo, SHA-384"] = hashlib.sha384(key.spki).digest()
    if isinstance(key, Ed25519Key):
        found["SubjectPublicKeyInfo, SHA-512"] = hashlib.sha512(key.spki).digest()
    if isinstance(key, RsaKey):
        found["PKCS#1"] = hashlib.sha256(key.pkcs1).digest()
    return found


def signers(image: McubootImage) -> list[tuple[Tlv | None, list[Tlv]]]:
    """The image's signatures, grouped with the key TLV before them (None when no key TLV precedes them)."""
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


def check_key(image: McubootImage, keys: Sequence[ImageKey], judge: Judge) -> None:
    """Judge whether the image names a trusted key, and whether that key is published."""
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


def check_signature(image: McubootImage, keys: Sequence[ImageKey], judge: Judge) -> None:
    """Judge every signature that a trusted key must have made; there must be one."""
    groups = signers(image)
    wanted = " or ".join(f"a signature TLV {_signature_type(key):#x} for {key}" for key in keys)
    others = sorted({hex(t.type) for t in image.tlvs if t.type in TlvType.SIGNATURES})
    mine = [
        (key, tlv)
        for named, group in groups
        for key in keys
        # If no key TLV of the image names a trusted key, every signature is tried with every key.
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
    # Older imgtool versions pad short ECDSA signatures with zeros after the DER; MCUboot accepts that.
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
    """The digest that is signed: the hash of the file's content; for an encrypted image, the hash in its hash TLV."""
    claimed = image.hash_tlv
    if image.encrypted and claimed is not None and claimed[0] == name:
        return claimed[1]
    return hashlib.new(name, image.hashed).digest()


def _ed25519_message(image: McubootImage) -> bytes:
    """The bytes that Ed25519 signs: the image's hash, or (SIG_PURE) all bytes that the hash would cover."""
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
