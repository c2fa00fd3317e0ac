"""Images of any format as bytes at addresses, for boards that take only raw files."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.errors import ConfigError
from tfm_harness.files import IMAGE_LIMIT, read_file

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.config.image import Image

__all__ = ["segments", "whole_build"]

_LIMIT = 64 << 20  # larger than any memory that an image can fill


def segments(path: Path, kind: str, at: int | None) -> list[tuple[int, bytes]]:
    """The file's contents by load (physical) address, in ascending order.

    Args:
        path: the file.
        kind: ``elf``, ``ihex`` or ``bin``.
        at: load address of a raw file.

    Raises:
        ConfigError: kind ``image-invalid``.
    """
    try:
        if kind == "bin":
            if at is None:
                raise ValueError("a raw image without an address")  # noqa: TRY301 - one place words the error
            return [(at, read_file(path, IMAGE_LIMIT))]
        found = _elf(path) if kind == "elf" else _ihex(path)
    except OSError as error:
        raise _invalid(path, kind, error.strerror or str(error)) from error
    except Exception as error:  # the libraries raise errors of any class for a broken file
        raise _invalid(path, kind, f"{type(error).__name__}: {error}") from error
    if not found:
        raise _invalid(path, kind, "nothing to load in it")
    return found


def _invalid(path: Path, kind: str, seen: str) -> ConfigError:
    return ConfigError(
        f"{path.name} is not a loadable image",
        kind="image-invalid",
        expected=f"a {kind} file with something to load",
        seen=seen[:300],
        where=str(path),
        hint="build it again, or correct `format` in build.yaml",
    )


def _elf(path: Path) -> list[tuple[int, bytes]]:
    from elftools.elf.elffile import ELFFile

    image = ELFFile(io.BytesIO(read_file(path, IMAGE_LIMIT)))
    return sorted(
        (int(segment["p_paddr"]), bytes(segment.data()))
        for segment in image.iter_segments("PT_LOAD")
        if 0 < segment["p_filesz"] <= _LIMIT
    )


def _ihex(path: Path) -> list[tuple[int, bytes]]:
    from intelhex import IntelHex

    image = IntelHex(str(path))
    return [(start, bytes(image.tobinarray(start=start, size=stop - start))) for start, stop in image.segments()]


def whole_build(build: Build) -> list[tuple[Image, int, bytes]]:
    """Every segment of every image of a build: the image, the load address, the bytes.

    Raises:
        ConfigError: kind ``image-invalid``, or ``image-overlap`` when two images want the same bytes.
    """
    found = [
        (image, address, content)
        for image in build.images
        for address, content in segments(image.file, image.kind, image.at)
    ]
    ordered = sorted(found, key=lambda item: item[1])
    for (first, start, content), (second, begin, _) in pairwise(ordered):
        if begin < start + len(content):
            raise ConfigError(
                f"{first.file.name} and {second.file.name} overlap",
                kind="image-overlap",
                expected="images apart from each other",
                seen=f"0x{start:08x}..0x{start + len(content) - 1:08x} and 0x{begin:08x}",
                where=str(build.path or build.name),
                hint="correct the load addresses (`at`) in build.yaml",
            )
    return found
