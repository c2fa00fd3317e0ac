"""Finds a TF-M build's files in the folders that a user names, with limits and without following links."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfm_harness.errors import ConfigError
from tfm_harness.files import open_file, resolved

__all__ = ["MAX_FILE", "Found", "digest", "scan"]

MAX_FILE = 64 << 20
"""The largest image file that is read, in bytes."""

_MAX_ENTRIES = 400_000
_MAX_DEPTH = 8
_SKIP = {".git", "CMakeFiles", "_deps", "node_modules", "__pycache__", "lib", "docs", ".venv"}

_IMAGES = {
    "bl2": ("bl2.axf", "bl2.elf"),
    "bl2-raw": ("bl2.bin",),
    "secure": ("tfm_s_signed.bin", "tfm_s_signed.hex"),
    "nonsecure": ("tfm_ns_signed.bin", "zephyr_ns_signed.bin", "tfm_ns_signed.hex", "zephyr_ns_signed.hex"),
    "combined": ("tfm_s_ns_signed.bin", "tfm_s_ns_signed.hex"),
    # Zephyr merges all flashed content into one file.
    "merged": ("tfm_merged.hex",),
    # The files of a build without BL2: images without a signature.
    "secure-elf": ("tfm_s.axf", "tfm_s.elf"),
    "nonsecure-elf": ("tfm_ns.axf", "tfm_ns.elf"),
}
_CONFIG = ("spe_config.cmake", "config_ns_test.cmake", "CMakeCache.txt", "tfm_version.h")
_PUBLIC = {
    "secure": ("image_s_signing_public_key.pem",),
    "nonsecure": ("image_ns_signing_public_key.pem",),
}


@dataclass(slots=True)
class Found:
    """The files of a scan, by role; each list is ordered: installed files (``api_ns``) first, then by depth.

    Attributes:
        images: by role (``bl2``, ``bl2-raw``, ``secure``, ``nonsecure``, ``combined``, ``merged``,
            ``secure-elf``, ``nonsecure-elf``).
        config: configuration files, by file name.
        public_keys: PEM public keys, by what they sign.
        private_keys: files that hold a private key: they are reported, never read further, never copied.
        roots: the scanned folders.
    """

    roots: tuple[Path, ...] = ()
    images: dict[str, list[Path]] = field(default_factory=dict)
    config: dict[str, list[Path]] = field(default_factory=dict)
    public_keys: dict[str, list[Path]] = field(default_factory=dict)
    private_keys: list[Path] = field(default_factory=list)


def scan(roots: Sequence[Path]) -> Found:
    """Walk `roots`.

    Raises:
        ConfigError: kind ``import-path`` (not a readable folder) or ``import-too-large``.
    """
    found = Found(roots=tuple(resolved(root) for root in roots))
    seen: set[Path] = set()
    for root in found.roots:
        if not root.is_dir():
            raise ConfigError(
                "a TF-M build tree is a folder",
                kind="import-path",
                expected="the build folder, its api_ns or its bin",
                seen="no such file or folder" if not root.exists() else "a file",
                where=str(root),
            )
        for path in _walk(root):
            if path not in seen:
                seen.add(path)
                _sort(path, found)
    for table in (found.images, found.config, found.public_keys):
        for paths in table.values():
            paths.sort(key=lambda path: ("api_ns" not in path.parts, len(path.parts), str(path)))
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(root: Path) -> Iterable[Path]:
    entries = 0
    for folder, folders, files in os.walk(root, followlinks=False, onerror=_unreadable):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(name for name in folders if name not in _SKIP) if depth < _MAX_DEPTH else []
        entries += len(files) + len(folders)
        if entries > _MAX_ENTRIES:
            raise ConfigError(
                f"more than {_MAX_ENTRIES} files: this does not look like one build tree",
                kind="import-too-large",
                where=str(root),
                hint="name the build's own folder",
            )
        for name in files:
            yield Path(folder) / name


def _unreadable(error: OSError) -> None:
    raise ConfigError(
        f"a folder cannot be read: {error.strerror}", kind="import-path", where=str(error.filename)
    ) from error


def _sort(path: Path, found: Found) -> None:
    for role, names in _IMAGES.items():
        if path.name in names:
            found.images.setdefault(role, []).append(_regular(path))
    if path.name in _CONFIG:
        found.config.setdefault(path.name, []).append(_regular(path))
    if path.suffix in {".pem", ".der", ".key"} and path.is_file():
        if _is_private(path):
            found.private_keys.append(path)
            return
        for role, names in _PUBLIC.items():
            if path.name in names:
                found.public_keys.setdefault(role, []).append(path)


def _regular(path: Path) -> Path:
    """Whether the path is a regular file: reading a pipe could wait for ever, and a broken link has no content."""
    if path.is_file():
        return path
    raise ConfigError(
        "this tree holds something that is no file under a name that a build gives to files",
        kind="import-unreadable",
        expected="a file",
        seen="a link to nothing" if path.is_symlink() and not path.exists() else "a pipe, device or socket",
        where=str(path),
        hint="remove it, or name the folder that counts",
    )


def _is_private(path: Path) -> bool:
    try:
        with open_file(path) as file:
            head = file.read(4096)
    except OSError:
        return False
    return b"PRIVATE KEY" in head
