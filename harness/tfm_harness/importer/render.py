"""Writes a build description, with the origin beside each value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from tfm_harness.files import resolved
from tfm_harness.importer.model import Import, ImportedImageEntry, Value

__all__ = ["render"]

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*")
_NOT_TEXT = re.compile(r"[0-9.+-]*|0x[0-9A-Fa-f]+|[0-9.]+e[0-9]+|true|false|null|yes|no|on|off|y|n|~", re.IGNORECASE)


def render(result: Import, folder: Path) -> str:
    """The YAML text.

    Args:
        result: the import.
        folder: the folder of the file: paths are written relative to it.
    """
    return "\n".join(_lines(result, resolved(folder))) + "\n"


def _lines(result: Import, folder: Path) -> Iterator[str]:
    yield "# Written by `tfm-harness import-build` from a TF-M build. Beside each value: where it came from."
    yield "# What the build does not say stands under imported.unknown; no private key was read or copied."
    yield f"name: {_text(result.name)}  # from platform and version, unless --name said so"
    about = " ".join(str(v.value) for v in (result.version, result.platform) if v.value)
    yield f"description: {_text(f'TF-M {about}'.strip())}  # version and platform, see imported below"
    yield "protocol: none  # a TF-M build does not say what its non-secure application speaks"
    yield "console: ns  # the harness's default; a TF-M build does not name its UARTs"
    yield "images:"
    for entry in result.images:
        yield from _image(entry, folder, known_at=entry.at is not None)
    if result.image_key is not None:
        yield "trust:"
        yield f"  images: {_path(result.image_key, folder)}  # installed beside the images; signs the non-secure image"
    if result.profile is not None:
        yield "attestation:"
        yield f"  profile: {_text(str(result.profile.value))}  # {result.profile.where}"
    if result.console_suites:
        yield "console_suites:"
        for suite in result.console_suites:
            yield f"  - suite: {suite.value}  # {suite.where}"
            if suite.value == "tf-m":
                yield "    expect:  # these areas must be seen"
                yield from (f"      - {area.value}  # {area.where}" for area in result.console_areas)
    yield from _imported(result)
    for note in result.notes:
        yield f"# note: {note}"
    if result.machine:
        yield f"# QEMU has a machine for this platform: {result.machine}; see docs/other-firmware.md for its limits."


def _image(entry: ImportedImageEntry, folder: Path, *, known_at: bool) -> Iterator[str]:
    raw = not entry.carries_addresses
    lead = "  "
    if raw and not known_at:
        yield f"  # {entry.about}: its load address is not known; add `at:` and remove the marks"
        lead = "  # "
    if entry.wrong:
        yield f"  # {entry.about}: {entry.wrong}; put the right file there and remove the marks"
        lead = "  # "
    yield f"{lead}- file: {_path(entry.file, folder)}  # {entry.about}"
    yield f"{lead}  world: {entry.world}  # by the file's name"
    if entry.load:
        yield f"{lead}  load: {entry.load}  # emulators start from this image"
    if entry.at is not None:
        yield f"{lead}  at: {int(entry.at.value or 0):#010x}  # {entry.at.where}"
    if entry.component is not None:
        yield f"{lead}  component: {_text(str(entry.component.value))}  # {entry.component.where}"
    if entry.key is not None:
        yield f"{lead}  key: {_path(entry.key, folder)}  # installed beside the images; the signature verifies with it"


def _imported(result: Import) -> Iterator[str]:
    yield "imported:"
    yield "  source: tf-m  # by the files found"
    for key, value in (
        ("version", result.version),
        ("platform", result.platform),
        ("isolation_level", result.isolation_level),
        ("spm_backend", result.spm_backend),
    ):
        if value.value is not None:
            yield _scalar(key, value)
    if result.partitions:
        yield "  partitions:"
        for fact in result.partitions:
            yield f"    - {_text(fact.value)}  # {fact.where}"
    signed = [entry for entry in result.images if entry.signed is not None]
    if signed:
        yield "  images:"
    for entry in signed:
        image = entry.signed.image if entry.signed else None
        if image is None or entry.signed is None:
            continue
        yield f"    {entry.world}:  # {entry.file.name}"
        yield f"      version: {_text('{}.{}.{}+{}'.format(*image.version))}  # image header"
        yield f"      hash: {_text(entry.signed.hash.hex())}  # hash TLV; equals the hash of the content"
        if image.security_counter is not None:
            yield f"      security_counter: {image.security_counter}  # protected TLV"
    yield "  unknown:"
    for line in result.unknown:
        yield f"    - {_text(line)}"


def _scalar(key: str, value: Value) -> str:
    text = str(value.value)
    shown = text if key == "isolation_level" and text.isdigit() else _text(text)
    return f"  {key}: {shown}  # {value.where}"


def _path(path: Path, folder: Path) -> str:
    return _text(os.path.relpath(path, folder))


def _text(text: str) -> str:
    """A YAML scalar that is always read as text."""
    if _PLAIN.fullmatch(text) and not _NOT_TEXT.fullmatch(text):
        return text
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"'}.get(c, c) if c.isprintable() else f"\\u{min(ord(c), 0xFFFD):04x}" for c in text
    )
    return f'"{escaped}"'
