"""What an import amounts to: values, each with where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfm_harness.importer.facts import Fact
from tfm_harness.importer.images import SignedImage

__all__ = ["Import", "ImportedImageEntry", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """A value for the description and where it came from."""

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
    wrong: str = ""  # why the file cannot be what its name says; it is left as a remark then

    @property
    def carries_addresses(self) -> bool:
        """Whether the file itself says where it is loaded."""
        return self.file.suffix.lower() in {".axf", ".elf", ".hex"}


@dataclass(slots=True)
class Import:
    """All that an import found; `tfm_harness.importer.render` writes it.

    Attributes:
        unknown: what the files do not say and a person must supply.
        notes: what was noticed on the way.
        private_keys: private keys that lie in the tree; none was read beyond its heading or copied.
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
    console_areas: list[Value] = field(default_factory=list)  # of TF-M's regression tests: what must be seen
    machine: str | None = None
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    private_keys: list[Path] = field(default_factory=list)
