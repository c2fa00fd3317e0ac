"""The result of an import: values, each with its origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfm_harness.importer.facts import Fact
from tfm_harness.importer.images import SignedImage

__all__ = ["Import", "ImportedImageEntry", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """A value for the description, and its origin."""

    value: str | int | None
    where: str


@dataclass(frozen=True, slots=True)
class ImportedImageEntry:
    """One entry of ``images``."""

    file: Path
    world: str
    about: str
    at: Value | None = None
    load: str | None = None
    component: Value | None = None
    key: Path | None = None
    signed: SignedImage | None = None
    wrong: str = ""  # the reason why the content does not fit the file's name; the entry is then a remark

    @property
    def carries_addresses(self) -> bool:
        """Whether the file itself contains its load address."""
        return self.file.suffix.lower() in {".axf", ".elf", ".hex"}


@dataclass(slots=True)
class Import:
    """The complete result of an import; `tfm_harness.importer.render` writes it.

    Attributes:
        unknown: facts that the files do not hold and a person must add.
        notes: remarks about the files.
        private_keys: files with private keys in the tree; only their headings were read, and none was copied.
    """

    name: str
    version: Value
    platform: Value
    isolation_level: Value
    spm_backend: Value
    partitions: list[Fact] = field(default_factory=list)
    images: list[ImportedImageEntry] = field(default_factory=list)
    image_key: Path | None = None
    profile: Value | None = None
    console_suites: list[Value] = field(default_factory=list)
    console_areas: list[Value] = field(default_factory=list)  # for TF-M's regression tests: the lines that must appear
    machine: str | None = None
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    private_keys: list[Path] = field(default_factory=list)
