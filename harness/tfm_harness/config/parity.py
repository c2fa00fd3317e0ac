"""How closely a device's numbers must match the reference: the model of a build's ``parity`` key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, model_validator

from tfm_harness.config.fields import ConfigPath, ExtensionName, Name, Strict

if TYPE_CHECKING:
    from tfm_harness.config.positions import Document
    from tfm_harness.parity.quantise import QuantisationRule
    from tfm_harness.parity.tolerance import Tolerance

__all__ = ["ParityConfig", "Quantisation", "ToleranceConfig"]

Quantisation = Literal["round", "round-even", "truncate", "floor"]
"""The rounding from real numbers to integers: half away from zero, half to even, toward zero, down."""


NOT_CHOSEN: Final = ("ai-edge-litert-default", "native", "onnx-reference", "onnxruntime", "tflite-runtime-default")
"""Engines that a build cannot choose: optimised kernels of the harness's tests, those of `models.NAME.reference`."""


class ToleranceConfig(Strict):
    """One named exception from bit-exactness, by the operator class that makes an output.

    Integer outputs take `max_lsb` and `max_share`, floats `abs`, `rel` and `of_largest`
    (|device - reference| <= abs + rel * |reference| + of_largest * the vector's largest |reference|).
    """

    name: Name
    reason: str = Field(min_length=10, description="why, in words a reviewer accepts")
    model: str = Field(default="*", min_length=1, description="model name or pattern")
    op: str = Field(
        default="*",
        pattern=r"^[A-Za-z0-9_*?]+$",
        description="TFLite or ONNX operator, for instance SOFTMAX or Softmax",
    )
    dtype: Literal["int8", "uint8", "int16", "int32", "float32"] = "int8"
    max_lsb: Annotated[int, Field(ge=1, le=65_535)] | None = None
    max_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="largest share of differing elements, 0 to 1"
    )
    abs: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    rel: Annotated[float, Field(ge=0, le=1)] | None = None
    of_largest: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="floats: a share of the largest value of the same vector"
    )
    measured: bool = Field(
        default=False, description="the limits that were measured between two evaluators, for the ONNX operator `op`"
    )

    @model_validator(mode="after")
    def _limits_fit(self) -> ToleranceConfig:
        integer, real = (self.max_lsb, self.max_share), (self.abs, self.rel, self.of_largest)
        if self.measured:
            from tfm_harness.parity.tolerance import MEASURED

            if any(v is not None for v in (*integer, *real)):
                raise ValueError("`measured: true` brings its own limits: leave the others out")
            if self.op not in MEASURED:
                raise ValueError(f"nothing was measured for operator {self.op!r}; known: {', '.join(sorted(MEASURED))}")
            return self
        if self.dtype == "float32":
            if any(v is not None for v in integer):
                raise ValueError(
                    "a float32 tolerance takes `abs`, `rel` and `of_largest`, not `max_lsb` and `max_share`"
                )
            if all(v is None for v in real):
                raise ValueError("a float32 tolerance needs `abs`, `rel` or `of_largest`")
        else:
            if any(v is not None for v in real):
                raise ValueError(
                    f"an {self.dtype} tolerance takes `max_lsb` and `max_share`, not `abs`, `rel` or `of_largest`"
                )
            if self.max_lsb is None:
                raise ValueError(f"an {self.dtype} tolerance needs `max_lsb`")
        return self


class ParityConfig(Strict):
    """How outputs are compared: they must be bit-exact unless this declares a tolerance."""

    quantisation: Mapping[Name, Quantisation] = Field(
        default_factory=dict,
        description="by model: how the firmware quantises real inputs, where `models` does not say it (default: round)",
    )
    tolerances: tuple[ToleranceConfig, ...] = ()
    inputs: Mapping[Name, tuple[ConfigPath, ...]] = Field(
        default_factory=dict, description="by model: input files (.npz, .csv, folder of .npy) instead of generated ones"
    )
    traces: Mapping[Name, tuple[str, ...]] = Field(
        default_factory=dict,
        description="by sensor model: recorded traces whose windows are among the inputs (default: the bundled ones)",
    )
    vectors: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1000, description="vectors for each model; without this key fewer where the wire is slow"
    )
    edges: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=32,
        description="vectors of an int8 model whose way through its arithmetic is measured, and widened; 0: none",
    )
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(default=1, description="seed of generated vectors")
    min_distinct: Annotated[int, Field(ge=1)] = Field(default=16, description="fewer distinct outputs are a finding")
    max_saturated: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="a larger share of saturated output vectors is a finding"
    )
    engine: Annotated[str, ExtensionName("engines", without=NOT_CHOSEN)] | None = Field(
        default=None, description="reference engine, built in or from a package (default: the first that proves itself)"
    )
    time_limit: Annotated[float, Field(gt=0, le=3600)] = Field(default=60.0, description="seconds for one engine call")

    @model_validator(mode="after")
    def _distinct_names(self) -> ParityConfig:
        names = [t.name for t in self.tolerances]
        if len(set(names)) != len(names):
            raise ValueError("two tolerances share a name")
        return self

    def rule(self, model: str, declared: Quantisation | None = None) -> QuantisationRule:
        """The quantisation rule of a model; `declared` is the rule in the model's own declaration."""
        from tfm_harness.parity.quantise import QuantisationRule

        return QuantisationRule(declared or self.quantisation.get(model, "round"))

    def granted(self, document: Document | None = None) -> tuple[Tolerance, ...]:
        """The tolerances as `tfm_harness.parity.compare` takes them, with file and line."""
        from tfm_harness.parity.tolerance import MEASURED, MEASURED_LSB, Tolerance

        return tuple(
            Tolerance(
                name=t.name,
                reason=t.reason,
                model=t.model,
                op=t.op,
                dtype=t.dtype,
                max_lsb=MEASURED_LSB[0] if t.measured else t.max_lsb or 0,
                max_share=MEASURED_LSB[1] if t.measured else 1.0 if t.max_share is None else t.max_share,
                abs=t.abs or 0.0,
                rel=t.rel or 0.0,
                of_largest=MEASURED[t.op] if t.measured else t.of_largest or 0.0,
                where=document.where(("parity", "tolerances", i)) if document else "",
            )
            for i, t in enumerate(self.tolerances)
        )
