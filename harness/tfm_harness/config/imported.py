"""Facts that a build importer wrote down: the configuration model of a build's ``imported`` key."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from tfm_harness.config.fields import Name, Strict

__all__ = ["ImportedFacts", "ImportedImage"]


class ImportedImage(Strict):
    """Facts that a signed image contained when it was imported."""

    version: str = Field(description="image header: major.minor.revision+build")
    hash: str = Field(pattern=r"^[0-9a-f]{64,128}$", description="the image's own hash TLV, hex")
    security_counter: int | None = Field(default=None, ge=0, le=0xFFFF_FFFF)


class ImportedFacts(Strict):
    """Where an imported build came from, and the facts that its files do not contain."""

    source: str = Field(default="", description="the source of the import: tf-m, ...")
    version: str = Field(default="", description="version of that source, as its build says it")
    platform: str = Field(default="", description="TFM_PLATFORM")
    isolation_level: int | None = Field(default=None, ge=1, le=3)
    spm_backend: str | None = Field(default=None, description="SFN or IPC")
    partitions: tuple[str, ...] = ()
    images: Mapping[Name, ImportedImage] = Field(default_factory=dict)
    unknown: tuple[str, ...] = Field(
        default=(), description="facts that the build does not contain and a person must supply"
    )
