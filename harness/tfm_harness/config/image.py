"""One firmware image of a build: its file, where it loads, who must have signed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfm_harness.config.fields import Address, ConfigPath, Strict

__all__ = ["Image", "ImageFormat"]

ImageFormat = Literal["elf", "ihex", "bin"]
_SUFFIXES: Mapping[str, ImageFormat] = {".elf": "elf", ".axf": "elf", ".out": "elf", ".hex": "ihex", ".ihex": "ihex"}


class Image(Strict):
    """One file that is put on the board.

    The format follows from the suffix (``.elf``, ``.axf``, ``.hex``; anything else is raw) unless it is given.
    A raw file needs `at`; an ELF or Intel hex file carries its addresses.
    """

    file: ConfigPath
    world: Literal["secure", "nonsecure", "model", "data"]
    at: Address | None = Field(default=None, description="load address of a raw file (as the secure side sees it)")
    slot: Annotated[int, Field(ge=0, le=63)] | None = Field(
        default=None, description="factory model slot of the target's layout, instead of an address"
    )
    format: ImageFormat | None = None
    load: Literal["kernel", "loader"] | None = Field(
        default=None, description="emulators: the image the CPU starts from (kernel); the first secure ELF by default"
    )
    component: str | None = Field(
        default=None, description="the software component's name in attestation tokens (SPE, NSPE, MODEL, ...)"
    )
    key: ConfigPath | None = Field(
        default=None, description="public key that must have signed this image; the build's trust when absent"
    )
    keys: tuple[ConfigPath, ...] = Field(
        default=(), description="further public keys: each image of a combined file is signed by one of them or `key`"
    )

    @property
    def kind(self) -> ImageFormat:
        """The format, as given or by suffix."""
        return self.format or _SUFFIXES.get(self.file.suffix.lower(), "bin")

    @model_validator(mode="after")
    def _placed(self) -> Image:
        if self.kind == "bin":
            if (self.at is None) == (self.slot is None):
                raise ValueError(f"a raw image needs either `at` or `slot` ({self.file.name})")
        elif self.at is not None or self.slot is not None:
            raise ValueError(f"an {self.kind} image carries its addresses; remove `at` or `slot` ({self.file.name})")
        if self.load == "kernel" and self.kind != "elf":
            raise ValueError("`load: kernel` needs an ELF image")
        return self
