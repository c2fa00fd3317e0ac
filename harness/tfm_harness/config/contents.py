"""What stands in the files that a build names: a key is a key, an ELF file one for Arm, a model a model.

Judged before any board is touched, so that a mistaken path is the configuration's fault and never the product's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tfm_harness.config.build import Build
from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.files import KEY_LIMIT, open_file, read_file

__all__ = ["image_words", "wrong_contents"]

Place = tuple[str | int, ...]

_HEAD: Final = 20  # bytes: as far as an ELF file's e_machine
_ELF: Final = b"\x7fELF"
_CLASS_32_LITTLE: Final = b"\x01\x01"
_EM_ARM: Final = (40).to_bytes(2, "little")  # ELF for the Arm Architecture, s.5.2
_UNSAID: Final = b"\0\0"
_TFLITE: Final = b"TFL3"  # the schema's file_identifier


def wrong_contents(build: Build) -> Iterator[tuple[Place, str]]:
    """Each file of `build` that is not what its place asks for: the place in the YAML, and words.

    The files exist and are readable.
    """
    for index, image in enumerate(build.images):
        words = image_words(image.kind, image.file)
        if words:
            yield ("images", index, "file"), words
        if image.key is not None:
            yield from _key(("images", index, "key"), image.key, image=True)
        for number, path in enumerate(image.keys):
            yield from _key(("images", index, "keys", number), path, image=True)
    for name, model in build.models.items():
        if model.file is not None and _head(model.file)[4:8] != _TFLITE:
            yield ("models", name, "file"), f"not a TFLite model (no file identifier TFL3): {model.file}"
    for role in ("iak", "results", "client", "images", "models"):
        path = getattr(build.trust, role)
        # A key that a command is to fetch is not there yet; else its absence was said before.
        if isinstance(path, Path) and path.exists():
            yield from _key(("trust", role), path, image=role in {"images", "models"})
    if build.results is not None:
        yield from _profile(build)


def _head(path: Path) -> bytes:
    with open_file(path) as stream:
        return stream.read(_HEAD)


def image_words(kind: str, path: Path) -> str:
    """What is wrong with an image file of that kind, in words; empty when nothing is."""
    head = _head(path)
    if kind == "elf" and not head.startswith(_ELF):
        return f"not an ELF file: {path}"
    # Zeros say nothing (ELFCLASSNONE, EM_NONE): what loads the file judges it.
    said = {head[4:6] or _UNSAID, head[18:20] or _UNSAID} - {_UNSAID}
    if kind == "elf" and len(head) == _HEAD and not said <= {_CLASS_32_LITTLE, _EM_ARM}:
        return f"an ELF file for another processor than a 32-bit little-endian Arm: {path}"
    if kind == "ihex" and not head.lstrip().startswith(b":"):
        return f"not an Intel hex file: {path}"
    return ""


def _profile(build: Build) -> Iterator[tuple[Place, str]]:
    from tfm_harness.config.result_profile import build_result_profile

    try:
        build_result_profile(build)
    except ConfigError as error:
        more = [error.where, error.hint, f"known: {error.expected}" if error.expected else ""]
        yield ("results", "profile"), "; ".join([error.message, *(part for part in more if part)])


def _key(place: Place, path: Path, *, image: bool) -> Iterator[tuple[Place, str]]:
    from tfm_harness.verify.keyfiles import parse_image_key, parse_key

    parsers: Mapping[bool, Callable[[bytes], object]] = {True: parse_image_key, False: parse_key}
    try:
        parsers[image](read_file(path, KEY_LIMIT))
    except HarnessError as error:
        yield place, f"no usable public key: {error.message}: {path}"
