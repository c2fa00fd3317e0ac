"""Files with one or several MCUboot images, and the bytes that may follow an image in its slot."""

from __future__ import annotations

import re
from dataclasses import replace

from tfm_harness.verify.mcuboot import MAGIC, ImageFormatError, McubootImage, parse_mcuboot

__all__ = ["BOOT_MAGICS", "split_images", "trailing_problem"]

MAX_IMAGES = 16
"""The most images in one file. TF-M has two. The limit bounds memory: each parsed image copies what follows it."""
BOOT_MAGICS = (
    bytes.fromhex("77c295f360d2ef7f3552500f2cb67980"),
    bytes.fromhex("2de15d29410b8d77679c110f1f8a"),  # follows the two bytes of the write alignment
)
"""The magic that ends an image trailer: the classic one, and the one with an explicit alignment."""
ERASED = (b"\xff", b"\x00")
"""The byte that erased flash reads as: nearly always 0xFF, 0x00 on some parts (imgtool's ``--erased-val``)."""
TRAILER = 160
"""The most bytes that the image trailer takes at the end of a slot, without the swap status."""


def trailing_problem(trailing: bytes) -> str:
    """What follows the TLVs and is neither erased flash nor an image trailer; empty when there is nothing else."""
    for erased in ERASED:
        if not trailing.strip(erased):
            return ""
    for magic in BOOT_MAGICS:
        if trailing.endswith(magic):
            # Trailer, from the end: magic (16 bytes), image_ok, copy_done, swap info, swap size; each
            # is erased or a small number in a field of up to 32 bytes.
            head, fields = trailing[:-TRAILER], trailing[-TRAILER:-16]
            if all(head.strip(erased) for erased in ERASED):
                break
            odd = sum(1 for byte in fields if byte not in {0x00, 0x01, 0x02, 0x03, 0x04, 0xFF})
            return "" if not odd else f"{odd} unexpected byte(s) in the image trailer"
    stripped = trailing.rstrip(b"\xff")
    lead = len(stripped) - len(stripped.lstrip(b"\xff"))
    return f"{len(stripped) - lead} byte(s) from {lead} bytes after the TLVs: {stripped[lead : lead + 8].hex()}.."


def split_images(blob: bytes) -> list[McubootImage]:
    """The images of a combined file, one after another (``tfm_s_ns_signed.bin``).

    After each image, the next header is looked for past erased flash and the boot magic.
    The `trailing` of each image ends where the next begins.

    Raises:
        ImageFormatError: the first image, or a later one whose header was found, is not well-formed.
    """
    images: list[McubootImage] = []
    start = 0
    while start >= 0:
        if len(images) == MAX_IMAGES:
            raise ImageFormatError("header", start, f"more than {MAX_IMAGES} images in one file")
        image = parse_mcuboot(blob, start=start)
        following = _next_header(blob, image.end)
        stop = following if following >= 0 else len(blob)
        images.append(replace(image, trailing=blob[image.end : stop]))
        start = following
    return images


def _next_header(blob: bytes, position: int) -> int:
    """Where the next image begins, after at most one run of erased flash and an image trailer; -1: there is none."""
    magic = MAGIC.to_bytes(4, "little")
    for erased in ERASED:
        run = re.compile(re.escape(erased) + b"*").match(blob, position)
        begin = run.end() if run else position
        found = blob.find(magic, begin, begin + TRAILER + len(magic))
        while found >= 0:
            if found % 1024 == 0 and not trailing_problem(blob[position:found]):
                return found
            found = blob.find(magic, found + 1, begin + TRAILER + len(magic))
    return -1
