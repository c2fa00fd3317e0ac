"""What tells the right outputs where that is not the file on the device: the model of ``models.NAME.reference``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tfm_harness.config.fields import ConfigPath, Strict

__all__ = ["ReferenceConfig", "ReferenceKind"]

ReferenceKind = Literal["table", "native", "tflite"]


class ReferenceConfig(Strict):
    """One of: the model before Vela, a recorded table of values, a native library for this host (built from C).

    All but the table are run in a process of its own, with limits on time and memory. A path alone is a ``tflite``.
    """

    tflite: ConfigPath | None = Field(default=None, description="the model before Vela compiled it for an Ethos-U")
    table: ConfigPath | None = Field(
        default=None, description="text file: each line an input (decimal) and its output (float32, 8 hex digits)"
    )
    native: ConfigPath | None = Field(default=None, description="shared library (.so) for this host")
    function: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
        description="the library's function: int32_t f(in, out)",
    )
    interface: Literal["structs", "pointers"] = Field(
        default="structs",
        description="in and out are structs of one pointer to a float (TVM's C interface), or pointers to a float",
    )

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"tflite": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> ReferenceConfig:
        if sum(path is not None for path in (self.tflite, self.table, self.native)) != 1:
            raise ValueError("a reference is one of `tflite`, `table` and `native`")
        if (self.native is None) != (self.function is None):
            raise ValueError("`function` names what to call in the `native` library: both or none")
        return self

    @property
    def kind(self) -> ReferenceKind:
        """Which of them."""
        if self.tflite is not None:
            return "tflite"
        return "native" if self.table is None else "table"

    @property
    def tells_values(self) -> bool:
        """Whether it tells one number for one number, and no tensors."""
        return self.kind in {"table", "native"}

    @property
    def source(self) -> Path:
        """The file."""
        found = getattr(self, self.kind)
        assert isinstance(found, Path)  # noqa: S101 - held by the validator
        return found
