"""Checks the contents of the files that a build names: keys, ELF files for Arm, models.

They are judged before any board is touched, so that the configuration is responsible for a mistaken path, and never the
product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from tfm_harness.config.build import Build
from tfm_harness.config.model import ModelConfig
from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.files import IMAGE_LIMIT, KEY_LIMIT, MODEL_LIMIT, open_file, read_file

__all__ = ["image_words", "wrong_contents"]

Place = tuple[str | int, ...]

_HEAD: Final = 20  # bytes: as far as an ELF file's e_machine
_ELF: Final = b"\x7fELF"
_CLASS_32_LITTLE: Final = b"\x01\x01"
_EM_ARM: Final = (40).to_bytes(2, "little")  # ELF for the Arm Architecture, s.5.2
_BESIDE: Final = 64  # most files that are searched for a model
_UNSAID: Final = b"\0\0"
_TFLITE: Final = b"TFL3"  # the schema's file_identifier


def wrong_contents(build: Build) -> Iterator[tuple[Place, str]]:
    """Each file of `build` that has the wrong contents for its place: the place in the YAML, and the problem in words.

    The files exist and are readable.
    """
    models = {model.image: name for name, model in build.models.items() if model.image is not None}
    for index, image in enumerate(build.images):
        words = image_words(image.kind, image.file)
        if image.world in {"secure", "nonsecure"} and not words:
            words = next((f"the signed image of model {name!r}: {image.file}" for path, name in models.items()
                          if _same(image.file, path) and _carried(path) is not None), "")  # fmt: skip
        if words:
            yield ("images", index, "file"), words
        if image.key is not None:
            yield from _key(("images", index, "key"), image.key, image=True)
        for number, path in enumerate(image.keys):
            yield from _key(("images", index, "keys", number), path, image=True)
    for name, model in build.models.items():
        if model.reference is not None and model.reference.kind == "onnx":
            yield from _onnx(("models", name), model)
        elif model.deployed is not None:
            key = "file" if model.compiled is None else "compiled"
            words = _model_words(model.deployed, compiled=key == "compiled")
            words = words or _not_in_image(build, model.deployed, model.image)
            if words:
                yield ("models", name, key), words
            elif model.signature is not None:
                yield from _signature(("models", name, "signature"), model.deployed, model.signature)
        if model.for_npu and model.compiled is not None and model.judged_by is not None:
            words = _model_words(model.judged_by, compiled=False)
            if words:
                yield ("models", name, "reference"), words
            for problem in () if words else _not_together(model.compiled, model.judged_by):
                yield ("models", name, "compiled"), problem
    for role in ("iak", "results", "client", "images", "models"):
        path = getattr(build.trust, role)
        # A key that a command will fetch does not exist yet; any other missing key was reported before.
        if isinstance(path, Path) and path.exists():
            yield from _key(("trust", role), path, image=role in {"images", "models"})
    if build.results is not None:
        yield from _profile(build)


def _same(one: Path, other: Path) -> bool:
    """Whether two files have the same contents."""
    sizes = one.stat().st_size, other.stat().st_size
    return sizes[0] == sizes[1] and read_file(one, IMAGE_LIMIT) == read_file(other, IMAGE_LIMIT)


def _head(path: Path) -> bytes:
    with open_file(path) as stream:
        return stream.read(_HEAD)


def _signature(place: Place, path: Path, key: str) -> Iterator[tuple[Place, str]]:
    """The problem, in words, if the model has no such signature."""
    from tfm_harness.parity.model_rewriting import select_signature

    try:
        select_signature(read_file(path, MODEL_LIMIT), key, name=path.name)
    except ConfigError as error:
        yield place, f"{error.message}; expected {error.expected}"


def _onnx(place: Place, model: ModelConfig) -> Iterator[tuple[Place, str]]:
    """The problem, in words, if an ONNX file is clearly something else; this works without the `onnx` package."""
    from tfm_harness.parity.compiled import is_compiled
    from tfm_harness.parity.foreign_files import what_it_is
    from tfm_harness.parity.model_parser import parse_model

    if model.reference is not None:
        path = model.reference.source
        head = read_file(path, MODEL_LIMIT)
        words = "a TFLite model" if head[4:8] == _TFLITE else what_it_is(head)
        if words:
            yield (*place, "reference", "onnx"), f"not an ONNX model ({words.removeprefix('the file is ')}): {path}"
    if model.compiled is not None and _head(model.compiled)[4:8] == _TFLITE:
        try:
            npu = is_compiled(parse_model(read_file(model.compiled, MODEL_LIMIT), name=model.compiled.name))
        except ConfigError:
            return  # a file that cannot be parsed here may still be a model
        if npu:
            yield (
                (*place, "compiled"),
                f"compiled by Vela: its `reference` is the .tflite before Vela: {model.compiled}",
            )


def _not_together(compiled: Path, before: Path) -> Iterator[str]:
    """Why Vela cannot have made one model from the other, in words."""
    from tfm_harness.parity.compiled import mismatches, read_compiled
    from tfm_harness.parity.model_parser import parse_model

    data, reference = read_file(compiled, MODEL_LIMIT), read_file(before, MODEL_LIMIT)
    try:
        found, info = read_compiled(data, name=compiled.name), parse_model(reference, name=before.name)
        words = list(mismatches(found, info, data, reference))
    except ConfigError:
        return  # reported before
    for each in words:
        yield f"not compiled from {before.name}: {each}: {compiled}"


def _model_words(path: Path, *, compiled: bool) -> str:
    """What is wrong with a model's file, in words; empty when nothing is."""
    if _head(path)[4:8] != _TFLITE:
        return f"not a TFLite model (no file identifier TFL3): {path}"
    from tfm_harness.parity.compiled import is_compiled, read_compiled
    from tfm_harness.parity.model_parser import parse_model

    data = read_file(path, MODEL_LIMIT)
    try:
        info = parse_model(data, name=path.name)
        if compiled:
            read_compiled(data, name=path.name)
        elif is_compiled(info):
            return (
                "compiled for an Ethos-U, and no interpreter runs it: name it under `compiled`, and the model before"
                f" Vela under `reference`: {path}"
            )
    except ConfigError as error:
        # A file that the harness cannot judge may still be a model.
        wrong = error.kind in {"model-malformed", "model-not-compiled"}
        return f"{error.message} ({error.seen}): {path}" if wrong else ""
    return ""


def _not_in_image(build: Build, path: Path, image: Path | None) -> str:
    """The problem, in words, if the signed image contains another model than the file; else empty."""
    if image is None:
        return ""
    carried = _carried(image)
    if carried is None or carried == read_file(path, MODEL_LIMIT):
        return ""
    named = {f"the file of model {key!r}": model.deployed for key, model in build.models.items() if model.deployed}
    beside = {f"the file {file.name!r}": file for file in islice(sorted(path.parent.glob("*.tflite")), _BESIDE)}
    for words, file in (named | beside).items():
        if file.is_file() and file.stat().st_size == len(carried) and read_file(file, MODEL_LIMIT) == carried:
            return f"not the model that its signed image carries ({image}): {path}; did you mean {words}?"
    return f"not the model that its signed image carries ({image}): {path}"


def _carried(image: Path) -> bytes | None:
    """The TFLite model in a signed image; None if there is none, or not in plain form."""
    from tfm_harness.verify.image_files import split_images

    try:
        payload = split_images(read_file(image, IMAGE_LIMIT))[0].payload
    except HarnessError:
        return None
    return payload if payload[4:8] == _TFLITE else None


def image_words(kind: str, path: Path) -> str:
    """What is wrong with an image file of that kind, in words; empty when nothing is."""
    head = _head(path)
    if kind == "elf" and not head.startswith(_ELF):
        return f"not an ELF file: {path}"
    # Zeros say nothing (ELFCLASSNONE, EM_NONE): the loader judges the file.
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
    from tfm_harness.verify.keyfiles import holds_private_key, parse_image_key, parse_key

    data = read_file(path, KEY_LIMIT)
    if holds_private_key(data):
        public = "openssl pkey -in FILE -pubout -out PUBLIC.pem"
        yield place, f"a private key: {path}; the harness wants the public half alone, and keeps no secret ({public})"
        return
    parsers: Mapping[bool, Callable[[bytes], object]] = {True: parse_image_key, False: parse_key}
    try:
        parsers[image](data)
    except HarnessError as error:
        yield place, f"no usable public key: {error.message}: {path}"
