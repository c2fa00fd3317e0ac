"""MCUboot images, parsed strictly (MCUboot design document, "Image Format").

Layout: a header of 32 bytes within ``header_size``, the payload, optionally a protected TLV
area, then the TLV area; then erased flash (0xFF) up to the slot's end, where a trailer with the
boot magic may stand. Everything here is bytes in, values out; signatures are judged in
`tfm_harness.verify.images`.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from tfm_harness.errors import ProductError

__all__ = [
    "ImageFormatError",
    "McubootImage",
    "Tlv",
    "TlvType",
    "begins_image",
    "parse_mcuboot",
]

MAGIC = 0x96F3B83D
HEADER = struct.Struct("<IIHHIIBBHII")
TLV_INFO = struct.Struct("<HH")
TLV_MAGIC = 0x6907
PROTECTED_MAGIC = 0x6908
MAX_IMAGE = 64 << 20
"""Largest file in bytes."""
MAX_TLVS = 64
ENCRYPTED_FLAGS = 0x4 | 0x8
"""IMAGE_F_ENCRYPTED_AES128 and IMAGE_F_ENCRYPTED_AES256."""


NON_BOOTABLE_FLAG = 0x10
"""IMAGE_F_NON_BOOTABLE."""
COMPRESSED_FLAGS = 0x200 | 0x400 | 0x800
"""IMAGE_F_COMPRESSED_LZMA1, _LZMA2 and _ARM_THUMB_FLT."""


class TlvType:
    """TLV types (bootutil/image.h)."""

    KEYHASH = 0x01
    PUBKEY = 0x02
    SHA256 = 0x10
    SHA384 = 0x11
    SHA512 = 0x12
    RSA2048_PSS = 0x20
    ECDSA_SIG = 0x22
    RSA3072_PSS = 0x23
    ED25519 = 0x24
    SIG_PURE = 0x25
    SIGNATURES = frozenset({0x20, 0x21, 0x22, 0x23, 0x24})
    DEPENDENCY = 0x40
    SEC_CNT = 0x50
    BOOT_RECORD = 0x60
    DECOMP_SIZE = 0x70
    DECOMP_SHA = 0x71
    DECOMP_SIGNATURE = 0x72


HASHES = {TlvType.SHA256: "sha256", TlvType.SHA384: "sha384", TlvType.SHA512: "sha512"}


class ImageFormatError(ProductError):
    """The bytes are no well-formed MCUboot image.

    Attributes:
        part: ``header``, ``tlvs`` or ``protected-sizes``: the suffix of the check id ``image.<part>``.
        offset: byte offset in the file.
    """

    def __init__(self, part: str, offset: int, message: str, *, expected: str = "", seen: str = "") -> None:
        super().__init__(
            message, kind=f"image-{part}", expected=expected or None, seen=seen or None, where=f"byte {offset:#x}"
        )
        self.part = part
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Tlv:
    """One type-length-value: its type, bytes, offset in the file, and whether the hash covers it."""

    type: int
    value: bytes
    offset: int
    protected: bool


@dataclass(frozen=True, slots=True)
class McubootImage:
    """A parsed image; sizes in bytes.

    Attributes:
        load_address: the address at which it must run; 0 when not used.
        header_size: the size of the header with its padding.
        payload: the code that runs.
        flags: IMAGE_F_*.
        version: major, minor, revision, build.
        tlvs: all TLVs, protected ones first.
        hashed: the bytes that the hash covers: header, payload and protected TLVs.
        end: offset of the first byte after the TLVs.
        trailing: the bytes after the TLVs in the file.
        start: offset of the header in the file.
    """

    load_address: int
    header_size: int
    payload: bytes = field(repr=False)
    flags: int
    version: tuple[int, int, int, int]
    tlvs: tuple[Tlv, ...] = field(repr=False)
    hashed: bytes = field(repr=False)
    end: int
    trailing: bytes = field(repr=False)
    start: int = 0

    def all(self, kind: int) -> list[Tlv]:
        """The TLVs of a type, in order."""
        return [tlv for tlv in self.tlvs if tlv.type == kind]

    def first(self, kind: int) -> bytes | None:
        """The value of the first TLV of a type."""
        return next((tlv.value for tlv in self.tlvs if tlv.type == kind), None)

    @property
    def version_text(self) -> str:
        """``major.minor.revision``, as boot records and reference tokens have it."""
        return ".".join(map(str, self.version[:3]))

    @property
    def hash_tlv(self) -> tuple[str, bytes] | None:
        """Name of the hash and the value that the image claims; the strongest one present."""
        for kind in (TlvType.SHA512, TlvType.SHA384, TlvType.SHA256):
            value = self.first(kind)
            if value is not None:
                return HASHES[kind], value
        return None

    @property
    def computed_hash(self) -> bytes | None:
        """The hash of `hashed`, by the algorithm of the hash TLV."""
        claimed = self.hash_tlv
        return hashlib.new(claimed[0], self.hashed).digest() if claimed else None

    @property
    def security_counter(self) -> int | None:
        """The security counter; None when the protected area holds no well-formed one."""
        for tlv in self.all(TlvType.SEC_CNT):
            if tlv.protected and len(tlv.value) == 4:
                return int.from_bytes(tlv.value, "little")
        return None

    @property
    def encrypted(self) -> bool:
        """Whether the payload is encrypted."""
        return bool(self.flags & ENCRYPTED_FLAGS)

    @property
    def pure(self) -> bool:
        """Whether the signature is over the image itself, not over its hash (SIG_PURE)."""
        return any(tlv.value == b"\x01" for tlv in self.all(TlvType.SIG_PURE))

    @property
    def bootable(self) -> bool:
        """Whether the boot loader would start the image: IMAGE_F_NON_BOOTABLE is not set."""
        return not self.flags & NON_BOOTABLE_FLAG

    @property
    def compressed(self) -> bool:
        """Whether the payload is compressed; the decompressed code then runs and is measured."""
        return bool(self.flags & COMPRESSED_FLAGS)

    @property
    def signer_ids(self) -> frozenset[bytes]:
        """The signer ids that a token may have: the key hash of the image, in either form."""
        found = {tlv.value for tlv in self.all(TlvType.KEYHASH) if tlv.value}
        for whole in (tlv.value for tlv in self.all(TlvType.PUBKEY) if tlv.value):
            found |= {hashlib.new(name, whole).digest() for name in ("sha256", "sha384", "sha512")}
        return frozenset(found)


def begins_image(data: bytes) -> bool:
    """Whether bytes begin as an MCUboot image does (MCUboot design.md: ``IMAGE_MAGIC``)."""
    return data.startswith(MAGIC.to_bytes(4, "little"))


def parse_mcuboot(image: bytes, *, start: int = 0) -> McubootImage:
    """Parse the image whose header is at `start`.

    Raises:
        ImageFormatError: with the part that is wrong and the byte offset.
    """
    if len(image) > MAX_IMAGE:
        raise ImageFormatError("header", start, "the file is too large", seen=f"{len(image)} bytes")
    if len(image) - start < HEADER.size:
        raise ImageFormatError(
            "header", start, "the file ends inside the header", expected="32 bytes", seen=f"{len(image) - start} bytes"
        )
    magic, load, header_size, protected_size, size, flags, major, minor, revision, build, pad = HEADER.unpack_from(
        image, start
    )
    if magic == int.from_bytes(MAGIC.to_bytes(4, "little"), "big"):
        raise ImageFormatError(
            "header", start, "a big endian image (imgtool --endian big): Cortex-M is little endian",
            expected=f"{MAGIC:#010x}", seen=f"{magic:#010x}",
        )  # fmt: skip
    if magic != MAGIC:
        later = _later_header(image, start)
        more = f"; an image begins at byte {later:#x}: give it alone, without what stands in front" if later else ""
        raise ImageFormatError(
            "header", start, "no MCUboot magic", expected=f"{MAGIC:#010x}", seen=f"{magic:#010x}{more}"
        )
    if header_size < HEADER.size or start + header_size + size > len(image):
        raise ImageFormatError(
            "header",
            start + 8,
            "header and payload do not fit the file",
            expected=f"{len(image) - start} bytes or less",
            seen=f"header {header_size}, payload {size}",
        )
    if pad != 0:
        raise ImageFormatError("header", start + 28, "the header's padding is not zero", expected="0", seen=hex(pad))
    position = start + header_size + size
    tlvs: list[Tlv] = []
    protected_end = position
    if protected_size:
        protected_end = _read_area(image, position, PROTECTED_MAGIC, tlvs)
        if protected_end - position != protected_size:
            raise ImageFormatError(
                "protected-sizes", position + 2, "header and protected TLV area disagree on its size",
                expected=f"{protected_size} bytes (header)", seen=f"{protected_end - position} bytes (area)",
            )  # fmt: skip
    elif image[position : position + 2] == TLV_INFO.pack(PROTECTED_MAGIC, 0)[:2]:
        raise ImageFormatError(
            "protected-sizes", position, "a protected TLV area that the header does not announce, so no hash covers it",
            expected="0 bytes (header)",
        )  # fmt: skip
    end = _read_area(image, protected_end, TLV_MAGIC, tlvs)
    return McubootImage(
        load, header_size, image[start + header_size : start + header_size + size], flags,
        (major, minor, revision, build), tuple(tlvs), image[start:protected_end], end, image[end:], start,
    )  # fmt: skip


def _later_header(image: bytes, start: int) -> int:
    """The offset of a header that follows other content, a boot loader for instance; 0 when there is none."""
    magic, found = MAGIC.to_bytes(4, "little"), start
    while (found := image.find(magic, found + 1)) > 0:
        if found % 256 == 0 and len(image) - found >= HEADER.size:
            header_size, size = struct.unpack_from("<H2xI", image, found + 8)
            if HEADER.size <= header_size and found + header_size + size <= len(image):
                return found
    return 0


def _read_area(image: bytes, start: int, magic: int, tlvs: list[Tlv]) -> int:
    """Read one TLV area into `tlvs`; returns its end."""
    if len(image) - start < TLV_INFO.size:
        raise ImageFormatError("tlvs", start, "the file ends where a TLV area should begin")
    seen: int
    total: int
    seen, total = TLV_INFO.unpack_from(image, start)
    if seen != magic:
        raise ImageFormatError("tlvs", start, "no TLV area", expected=f"magic {magic:#06x}", seen=f"{seen:#06x}")
    end = start + total
    if total < TLV_INFO.size or end > len(image):
        raise ImageFormatError(
            "tlvs", start + 2, "the TLV area does not fit the file", seen=f"{total} bytes, {len(image) - start} left"
        )
    position = start + TLV_INFO.size
    count = 0
    while position < end:
        count += 1
        if count > MAX_TLVS:
            raise ImageFormatError("tlvs", position, f"more than {MAX_TLVS} TLVs")
        if end - position < 4:
            raise ImageFormatError("tlvs", position, "the area ends inside a TLV's head")
        kind, length = TLV_INFO.unpack_from(image, position)
        if position + 4 + length > end:
            raise ImageFormatError(
                "tlvs",
                position + 2,
                f"TLV {kind:#x} does not fit its area",
                seen=f"{length} bytes, {end - position - 4} left",
            )
        value = image[position + 4 : position + 4 + length]
        tlvs.append(Tlv(kind, value, position, magic == PROTECTED_MAGIC))
        position += 4 + length
    return end
