"""What gives the right outputs if not the file on the device: the configuration model of ``models.NAME.reference``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from tfm_harness.config.fields import ConfigPath, Strict

__all__ = ["ReferenceConfig", "ReferenceKind", "TensorConfig"]

ReferenceKind = Literal["table", "native", "onnx", "tflite"]


def _list(value: object) -> object:
    # After the validator of `ReferenceConfig`, pydantic no longer knows that a list came from JSON.
    return tuple(value) if isinstance(value, list) else value


class TensorConfig(Strict):
    """An input or output of the device that differs from the ONNX model's."""

    dtype: Literal["float32", "int8", "uint8", "int16", "int32", "int64", "bool"] | None = Field(
        default=None, description="the device's type (default: the model's; float32 for any float)"
    )
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="of integers that stand for floats: real = scale * (integer - zero_point)"
    )
    zero_point: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] = 0
    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=1 << 24)], ...], BeforeValidator(_list)] = Field(
        default=(), description="the ONNX tensor's shape, where the model leaves it open"
    )
    permute: Annotated[tuple[Annotated[int, Field(ge=0, le=15)], ...], BeforeValidator(_list)] = Field(
        default=(),
        description="the device's axes, each by its number in the ONNX tensor: [0, 2, 3, 1] is channels last",
    )
    round: Literal["round", "round-even", "truncate", "floor"] = Field(
        default="round-even", description="how the device rounds an output to an integer (QuantizeLinear: half to even)"
    )

    @model_validator(mode="after")
    def _fits(self) -> TensorConfig:
        if self.scale is None and self.zero_point:
            raise ValueError("`zero_point` goes with a `scale`")
        if self.scale is not None and self.dtype in {None, "float32", "bool", "int64"}:
            raise ValueError("`scale` is for integers: say the device's `dtype` (int8, uint8, int16, int32)")
        return self


class ReferenceConfig(Strict):
    """One of: the model before Vela, an ONNX model, a recorded table of values, a native library for this host.

    All but the table run in a process of their own, with limits on time and memory. A path alone means ``tflite``.
    """

    tflite: ConfigPath | None = Field(default=None, description="the model before Vela compiled it for an Ethos-U")
    onnx: ConfigPath | None = Field(default=None, description="an ONNX model: the specification's evaluator runs it")
    inputs: Mapping[str, TensorConfig] = Field(
        default_factory=dict, description="by name in the ONNX model: inputs of the device that are not as the model's"
    )
    outputs: Mapping[str, TensorConfig] = Field(default_factory=dict, description="the same for outputs")
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
        if sum(path is not None for path in (self.tflite, self.onnx, self.table, self.native)) != 1:
            raise ValueError("a reference is one of `tflite`, `onnx`, `table` and `native`")
        if self.onnx is None and (self.inputs or self.outputs):
            raise ValueError("`inputs` and `outputs` describe the device's tensors for an `onnx` reference")
        if (self.native is None) != (self.function is None):
            raise ValueError("`function` names what to call in the `native` library: both or none")
        return self

    @property
    def kind(self) -> ReferenceKind:
        """Which kind of reference is given."""
        if self.tflite is not None:
            return "tflite"
        if self.onnx is not None:
            return "onnx"
        return "native" if self.table is None else "table"

    @property
    def tells_values(self) -> bool:
        """Whether it gives one number for one number instead of tensors."""
        return self.kind in {"table", "native"}

    @property
    def source(self) -> Path:
        """The file."""
        found = getattr(self, self.kind)
        assert isinstance(found, Path)  # noqa: S101 - held by the validator
        return found
