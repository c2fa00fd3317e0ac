"""Prepares the start of a virtual board: OTP with the build's key hashes, and images that must not change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.boards.base import Identity
from tfm_harness.boards.otp_layout import make_otp
from tfm_harness.boards.virtual import Burned
from tfm_harness.config.virtual import ModelSlots
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import IMAGE_LIMIT, KEY_LIMIT, read_file

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["check_unchanged", "digest_images", "key_hash", "loads", "otp_for"]


def key_hash(path: Path | None) -> bytes:
    """SHA-256 of a public key file's DER SubjectPublicKeyInfo, as in MCUboot's KEYHASH; zeros if there is no file.

    Raises:
        ConfigError: kind ``key-invalid``.
    """
    if path is None:
        return bytes(32)
    from cryptography.hazmat.primitives import serialization

    data = read_file(path, KEY_LIMIT)
    try:
        load = serialization.load_pem_public_key if data.startswith(b"-----") else serialization.load_der_public_key
        key = load(data)
    except ValueError as error:
        raise ConfigError(
            "not a public key", kind="key-invalid", expected="PEM or DER SubjectPublicKeyInfo", where=str(path)
        ) from error
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()


def otp_for(build: Build, identity: Identity, burned: Burned) -> bytes | None:
    """The OTP area of a virtual board that shall run `build`; None for a board without a hardware unique key."""
    if identity.huk is None:
        return None
    if burned.otp is not None:
        return burned.otp
    return make_otp(
        huk=identity.huk,
        lifecycle=identity.lifecycle or 0,
        implementation_id=identity.implementation_id or bytes(32),
        certification_reference=identity.certification_reference,
        verification_service=identity.verification_service,
        image_key_hash=burned.image_key_hash or key_hash(build.trust.images),
        model_key_hash=burned.model_key_hash or key_hash(build.trust.model_key),
    )


def loads(build: Build, slots: ModelSlots | None) -> list[tuple[Path, int]]:
    """Raw files and their load addresses: images, and models that are not listed as images."""
    found: list[tuple[Path, int]] = []
    used = set()
    for image in build.images:
        if image.slot is not None and slots is not None:
            found.append((image.file, slots.address(image.slot)))
            used.add(image.slot)
        elif image.at is not None:
            found.append((image.file, image.at))
    found.extend(
        (model.image, slots.address(model.slot))
        for model in build.models.values()
        if model.slot is not None and model.image is not None and slots is not None and model.slot not in used
    )
    return found


def digest_images(build: Build) -> dict[Path, bytes]:
    """SHA-256 of every image file. Raises `InfrastructureError` kind ``image-changed`` if a file has vanished."""
    files = [image.file for image in build.images]
    files += [model.image for model in build.models.values() if model.image is not None]
    try:
        return {file: hashlib.sha256(read_file(file, IMAGE_LIMIT)).digest() for file in files}
    except OSError as error:
        raise InfrastructureError(
            f"an image vanished: {error.strerror}", kind="image-changed", where=str(error.filename)
        ) from error


def check_unchanged(build: Build, digests: Mapping[Path, bytes]) -> None:
    """Check that the image files are still those that were flashed: a cold start reads them again.

    Raises:
        InfrastructureError: kind ``image-changed``.
    """
    now = digest_images(build)
    for file, digest in digests.items():
        if now.get(file) != digest:
            raise InfrastructureError(
                f"{file.name} has changed since it was flashed",
                kind="image-changed",
                where=str(file),
                hint="do not build while tests run, or build into another folder",
            )
