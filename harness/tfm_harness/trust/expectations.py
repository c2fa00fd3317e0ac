"""The expectations of the evidence that a build's firmware must give, from the build's files.

This module lies between files and `tfm_harness.verify`: it reads images, keys and models of a build and turns
them into expectations.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from tfm_harness.boards.base import Identity
from tfm_harness.config.build import Build
from tfm_harness.config.image import Image
from tfm_harness.errors import ConfigError
from tfm_harness.files import IMAGE_LIMIT, read_file
from tfm_harness.findings import Report
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.elf import ElfError, measure
from tfm_harness.verify.forms import UnknownFormError, decode
from tfm_harness.verify.image_files import split_images
from tfm_harness.verify.images import expected_components, verify_mcuboot
from tfm_harness.verify.keyfiles import parse_image_key, parse_key
from tfm_harness.verify.keys import ImageKey, KeyFormatError, VerificationKey
from tfm_harness.verify.mcuboot import ImageFormatError, McubootImage, begins_image
from tfm_harness.verify.token import PSA_PROFILES, TokenExpectations

__all__ = [
    "board_token_expectations",
    "build_components",
    "build_token_expectations",
    "check_build_images",
    "is_mcuboot",
    "read_image_key",
    "read_images",
    "read_key",
]


def _read(path: Path, what: str) -> bytes:
    try:
        return read_file(path, IMAGE_LIMIT)
    except OSError as error:
        raise ConfigError(f"cannot read the {what}: {error.strerror}", kind="unreadable", where=str(path)) from error


def read_key(path: Path) -> VerificationKey:
    """The key in a file, for tokens and results.

    Raises:
        ConfigError: unreadable, or no such key.
    """
    try:
        return parse_key(_read(path, "key"))
    except KeyFormatError as error:
        raise ConfigError(
            f"no usable key: {error.message}", kind="key-file", seen=error.seen, where=str(path), hint=error.hint
        ) from error


def read_image_key(path: Path) -> ImageKey:
    """The key in a file, for images.

    Raises:
        ConfigError: unreadable, or no such key.
    """
    try:
        return parse_image_key(_read(path, "image key"))
    except KeyFormatError as error:
        raise ConfigError(
            f"no usable image key: {error.message}", kind="key-file", seen=error.seen, where=str(path), hint=error.hint
        ) from error


def _image_bytes(path: Path) -> bytes:
    """The bytes that the file loads: Intel HEX is decoded; a broken HEX file is returned as it is, and is no image."""
    data = _read(path, "image")
    if path.suffix.lower() != ".hex":
        return data
    try:
        return decode(data, what="image", where=str(path)).data
    except UnknownFormError:
        return data


def read_images(path: Path) -> list[McubootImage]:
    """The MCUboot images in a file.

    Raises:
        ConfigError: ``image-format``: there is none; ``unreadable``.
    """
    try:
        return split_images(_image_bytes(path))
    except ImageFormatError as error:
        raise ConfigError(
            f"not a MCUboot image: {error.message}", kind="image-format", expected=error.expected, seen=error.seen,
            where=f"{path}, {error.where}",
        ) from error  # fmt: skip


def is_mcuboot(path: Path) -> bool:
    """Whether a file begins as a MCUboot image does."""
    return begins_image(_image_bytes(path))


def build_components(build: Build, *, model: str | None = None) -> tuple[ExpectedComponent, ...]:
    """The software components a token of this build must have.

    An ELF image that names its `component` is measured over its loadable segments; its signer is the
    key that signs the build's images. Of the model images only that of `model`, the active one, counts.

    Raises:
        ConfigError: an image that cannot be read or parsed.
    """
    components: list[ExpectedComponent] = []
    for image in build.images:
        if image.world in {"model", "data"}:
            continue
        components += _image_components(image, build)
    if model is not None:
        chosen = build.models[model]
        if chosen.image is not None:
            components += expected_components({"MODEL": read_images(chosen.image)[0]})
    return tuple(components)


def _image_components(image: Image, build: Build) -> tuple[ExpectedComponent, ...]:
    if image.kind == "elf":
        if image.component is None:
            return ()
        try:
            measurement = measure(_read(image.file, "image"))
        except ElfError as error:
            raise ConfigError(error.message, kind="elf", where=f"{image.file}, {error.where}") from error
        signers = frozenset[bytes]()
        if build.trust.images is not None:
            signers = frozenset({hashlib.sha256(read_image_key(build.trust.images).spki).digest()})
        return (
            ExpectedComponent(type=image.component, measurement=measurement, signer_ids=signers, name=image.component),
        )
    if image.kind not in {"bin", "ihex"} or not is_mcuboot(image.file):
        return ()
    parsed = read_images(image.file)
    if image.component is not None:
        return expected_components({image.component: parsed[0]})
    return expected_components(parsed)


def build_token_expectations(
    build: Build, *, caller: str | None = "non-secure", model: str | None = None, compare_images: bool = True
) -> TokenExpectations:
    """The claims that every token of a build must have, as far as the build's files determine them.

    Args:
        build: the build.
        caller: who asks for the token; None when not known.
        model: the active model's name.
        compare_images: whether to compare the software components with the files.

    Raises:
        ConfigError: an image that cannot be read or parsed.
    """
    claims = build.attestation
    components = build_components(build, model=model) if compare_images else None
    return TokenExpectations(
        profiles=frozenset({claims.profile}) if claims and claims.profile else PSA_PROFILES,
        implementation_id=claims.implementation_id if claims else None,
        certification_reference=claims.certification_reference if claims else None,
        verification_service=claims.verification_service if claims else None,
        caller=caller,
        components=components or None,
        max_size=claims.max_token_size if claims else None,
    )


def board_token_expectations(
    build: Build,
    identity: Identity,
    *,
    instance_id: frozenset[bytes] | None,
    components: tuple[ExpectedComponent, ...],
    boot_seed: bytes | None = None,
) -> TokenExpectations:
    """The claims that the next token of one board must have: `build_token_expectations`, and the board's own facts.

    Args:
        build: the build that runs.
        identity: the facts that are known about the board; they take precedence over the build's claims.
        instance_id: the ids that are derived from the trusted attestation key.
        components: the images that run.
        boot_seed: the seed of this boot.
    """
    said = build_token_expectations(build, compare_images=False)
    return replace(
        said,
        implementation_id=identity.implementation_id or said.implementation_id,
        instance_id=instance_id,
        certification_reference=identity.certification_reference or said.certification_reference,
        verification_service=identity.verification_service or said.verification_service,
        lifecycle=frozenset({identity.lifecycle}) if identity.lifecycle is not None else None,
        boot_seed=boot_seed,
        components=components or None,
    )


def check_build_images(build: Build, report: Report) -> dict[Path, tuple[McubootImage, ...]]:
    """Judge every MCUboot image of a build with the keys that the build trusts; returns the images by file.

    Raises:
        ConfigError: there is an image to judge and no key for it, or a file that cannot be read.
    """
    found: dict[Path, tuple[McubootImage, ...]] = {}
    work = [
        (image.file, image.key or build.trust.images, image.keys)
        for image in build.images
        if image.world not in {"model", "data"}
    ]
    work += [(i.file, i.key or build.trust.model_key, i.keys) for i in build.images if i.world == "model"]
    work += [(model.image, build.trust.model_key, ()) for model in build.models.values() if model.image is not None]
    for path, key_file, further in work:
        if path.suffix.lower() in {".elf", ".axf"} or path in found or not is_mcuboot(path):
            continue
        if key_file is None:
            raise ConfigError(
                "a signed image and no key to judge it with", kind="no-key", where=str(path),
                hint="name the public key under `trust: {images: ...}` of the build",
            )  # fmt: skip
        key = [read_image_key(named) for named in (key_file, *further)]
        images = read_images(path)
        for index, image in enumerate(images):
            verify_mcuboot(image, key, report, subject=path.name if len(images) == 1 else f"{path.name} #{index}")
        found[path] = tuple(images)
    return found
