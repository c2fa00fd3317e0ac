"""The files that decide what a run flashes and how it judges: their digests when the run begins."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.config.build import Build
from tfm_harness.files import open_file, resolved
from tfm_harness.report.record import FileEntry

__all__ = ["build_files", "combination_files"]

_BLOCK = 1 << 20

Role = Literal["target", "build", "image", "model", "key", "file"]


def combination_files(combination: TargetBuild) -> tuple[FileEntry, ...]:
    """Target, build, images, models, public keys and further files; one that cannot be read now is left out.

    What cannot be read is an error for the code that needs it later. Private keys and certificates of provisioning
    servers are not listed.
    """
    target = combination.target
    found: list[tuple[Role, str, Path]] = [("target", "target", target.path)] if target.path is not None else []
    found += _of_build(combination.build)
    entries = (_entry(*file) for file in found)
    return tuple(entry for entry in entries if entry is not None)


def build_files(build: Build) -> dict[str, str]:
    """Digest (hex) of each file of a build, by the name that `combination_files` gives it."""
    entries = (_entry(*file) for file in _of_build(build))
    return {entry.name: entry.sha256 for entry in entries if entry is not None}


def _of_build(build: Build) -> list[tuple[Role, str, Path]]:
    found: list[tuple[Role, str, Path]] = [("build", "build", build.path)] if build.path is not None else []
    for place, path in build.all_files().items():
        if place[0] == "provisioning":
            continue
        found.append((_role(place), ".".join(map(str, place)), path))
    for name, inputs in build.parity.inputs.items():
        found += [("file", f"parity.inputs.{name}", path) for path in inputs if path.is_file()]
    return found


def _role(place: tuple[str | int, ...]) -> Role:
    if place[-1] == "key" or "keys" in place or place[0] == "trust":
        return "key"
    if place[0] == "images" or place[-1] == "image":
        return "image"
    return "model" if place[0] == "models" else "file"


def _entry(role: Role, name: str, path: Path) -> FileEntry | None:
    digest, size = hashlib.sha256(), 0
    try:
        with open_file(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError:
        return None
    whole = resolved(path)
    shown = whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole
    return FileEntry(role=role, name=name, path=str(shown), sha256=digest.hexdigest(), bytes=size)
