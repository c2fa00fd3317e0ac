"""What tells the right outputs of a model that no interpreter runs: the model of ``models.NAME.reference``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tfm_harness.config.fields import ConfigPath, Strict

__all__ = ["ReferenceConfig"]


class ReferenceConfig(Strict):
    """Either a recorded table of values, or a native library for this host, built from the generated C.

    The library is run in a process of its own, with limits on time and memory.
    """

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

    @model_validator(mode="after")
    def _one(self) -> ReferenceConfig:
        if (self.table is None) == (self.native is None):
            raise ValueError("a reference is either a `table` or a `native` library")
        if (self.native is None) != (self.function is None):
            raise ValueError("`function` names what to call in the `native` library: both or none")
        return self

    @property
    def kind(self) -> Literal["table", "native"]:
        """Which of the two."""
        return "native" if self.table is None else "table"

    @property
    def source(self) -> Path:
        """The table or the library."""
        found = self.native if self.table is None else self.table
        assert found is not None  # noqa: S101 - held by the validator
        return found
