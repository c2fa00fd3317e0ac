"""Checks, before any board is touched, that a build's images are whole and signed with the keys that the build names.

A broken hash or another key most often means a wrong path in the build's file, or an image that was damaged after it
was signed, so it is a configuration error here. The suite `boot` makes findings of the rest (`check_build_images`).
"""

from __future__ import annotations

from pathlib import Path

from tfm_harness.config.build import Build
from tfm_harness.config.problems import fail
from tfm_harness.findings import Report
from tfm_harness.trust.expectations import is_mcuboot, read_image_key, read_images
from tfm_harness.verify.checks import image as check
from tfm_harness.verify.images import verify_mcuboot
from tfm_harness.verify.keys import ImageKey
from tfm_harness.verify.mcuboot import McubootImage

__all__ = ["check_signers", "refuse_other_signers"]

Place = tuple[str | int, ...]


def check_signers(build: Build, *, without_key: bool = True) -> list[tuple[Place, str]]:
    """The images that are broken, or must be signed but are not by any of their keys: place in the YAML, and problem.

    Args:
        build: images, models and the keys that it trusts.
        without_key: whether a signed image for which the build names no key is a problem, too.

    Raises:
        ConfigError: a file that cannot be read.
    """
    problems: list[tuple[Place, str]] = []
    must = _must_be_signed(build)
    for place, path, role, key, further in _signed(build):
        if path.suffix.lower() in {".elf", ".axf"}:
            continue
        if not is_mcuboot(path):
            if place in must:
                problems.append(
                    (place, f"no signed image (it does not begin as a MCUboot image): {must[place]}: {path}")
                )
            continue
        if key is None:
            if without_key:
                problems.append((place, f"a signed image, and no key to judge it with; name one as {role}: {path}"))
            continue
        keys = [read_image_key(named) for named in (key, *further)]
        images = read_images(path)
        wrong = next((words for image in images if (words := _not_signed(image, keys))), None)
        if wrong is None:
            continue
        near = next((name for name, other in _others(build, key) if _all_signed(images, other)), None)
        kinds = ", ".join(f"{str(one)[:60]}" for one in keys)
        problems.append(
            (place, f"not signed by {role} ({key}: {kinds}): {wrong}: {path}"
             + (f"; it is signed by {near}: did you mean that one?" if near else ""))
        )  # fmt: skip
    return problems


def refuse_other_signers(build: Build, *, without_key: bool = True) -> None:
    """Refuse a build whose signed images are broken, or not signed by the keys it names.

    Args:
        build: the build.
        without_key: as for `check_signers`.

    Raises:
        ConfigError: ``image-signer``; or a file cannot be read.
    """
    document = build.document
    problems = [
        (document.where(place) if document else "", f"{'.'.join(map(str, place))}: {words}")
        for place, words in check_signers(build, without_key=without_key)
    ]
    if problems:
        hint = "name the public key that signs these images, or sign them with the one that is named"
        raise fail(
            "image-signer", f"build {build.name!r} names images and keys that do not belong together", problems, hint
        )


def _signed(build: Build) -> list[tuple[Place, Path, str, Path | None, tuple[Path, ...]]]:
    """For each image that may be signed: place, file, the name of the key's place, the key, and further keys."""
    found: list[tuple[Place, Path, str, Path | None, tuple[Path, ...]]] = []
    models = "trust.models" if build.trust.models else "trust.images"
    for index, image in enumerate(build.images):
        if image.world == "data":
            continue
        role, key = (models, build.trust.model_key) if image.world == "model" else ("trust.images", build.trust.images)
        if image.key is not None:
            role, key = f"images.{index}.key", image.key
        found.append((("images", index, "file"), image.file, role, key, image.keys))
    for name, model in build.models.items():
        if model.image is not None:
            found.append((("models", name, "image"), model.image, models, build.trust.model_key, ()))
    return found


def _must_be_signed(build: Build) -> dict[Place, str]:
    """The places of images that must be signed, each with the reason.

    A raw secure image may have no signature (the boot code itself), and a hex file may merge several images.
    """
    must: dict[Place, str] = {}
    for index, image in enumerate(build.images):
        if image.kind != "bin" or image.world == "data":
            continue
        place = ("images", index, "file")
        if image.key is not None or image.keys:
            must[place] = f"images.{index} names the key that signs it"
        elif image.world == "nonsecure" and build.trust.images is not None:
            must[place] = "trust.images names the key that signs the non-secure image"
        elif image.world == "model" and build.trust.models is not None:
            must[place] = "trust.models names the key that signs models"
    for name, model in build.models.items():
        if model.image is not None:
            must["models", name, "image"] = "`image` is the signed file that carries the model"
    return must


def _not_signed(image: McubootImage, keys: list[ImageKey]) -> str | None:
    report = Report()
    verify_mcuboot(image, keys, report)
    telling = (check.HASH, check.KEY_HASH, check.SIGNATURE)
    return next((f.seen or "the signature does not verify" for f in report.findings
                 if not f.passed and f.check in telling), None)  # fmt: skip


def _all_signed(images: list[McubootImage], key: Path) -> bool:
    keys = [read_image_key(key)]
    return not any(_not_signed(image, keys) for image in images)


def _others(build: Build, key: Path) -> list[tuple[str, Path]]:
    """The other image keys that the build names."""
    named = {
        "trust.images": build.trust.images,
        "trust.models": build.trust.models,
        **{f"images.{n}.key": image.key for n, image in enumerate(build.images)},
    }
    return [(name, path) for name, path in named.items() if path is not None and path != key]
