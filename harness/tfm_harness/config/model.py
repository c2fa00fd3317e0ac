"""One model of a build: its file, its slot, how it is deployed and compared."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfm_harness.config.dataset import DatasetConfig
from tfm_harness.config.fields import ConfigPath, ExtensionName, Strict
from tfm_harness.config.npu import VelaConfig
from tfm_harness.config.parity import Quantisation
from tfm_harness.config.reference import ReferenceConfig

__all__ = ["ModelConfig"]


class ModelConfig(Strict):
    """One model inside the firmware.

    `file` is on the device, and the reference interpreter runs it. `compiled` is on the device, and Vela made it from
    `reference`. `reference` alone names what gives the right values of models that no interpreter runs (microTVM).
    `image` is the signed file that contains the model, when it is loaded on its own. `slot` is its factory slot.
    """

    file: ConfigPath | None = None
    compiled: ConfigPath | None = Field(
        default=None, description="the file on the device, made from `reference`: by Vela for an Ethos-U, or from ONNX"
    )
    reference: ReferenceConfig | None = Field(
        default=None, description="what gives the right outputs, instead of `file`: a path is the model before Vela"
    )
    vela: VelaConfig | None = Field(default=None, description="the version and options of Vela that made `compiled`")
    input_factor: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None,
        description="the factor by which the firmware multiplies the given number, once, in single precision"
        " (degrees to radians: 0.017453292)",
    )
    image: ConfigPath | None = None
    slot: Annotated[int, Field(ge=0, le=63)] | None = None
    input: Literal["sensor", "host"] = "host"
    frontend: Annotated[str, ExtensionName("frontends")] | None = Field(
        default=None, description="how sensor samples become the input tensor: reference, or one that a package adds"
    )
    trace: str | None = Field(default=None, description="a recorded trace that makes sense as input, for demos")
    state: Literal["per-vector", "sequence"] | None = Field(
        default=None,
        description="for a stateful model: the device resets its state for each inference, or keeps it over a sequence",
    )
    signature: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="for a model with several signatures: the key of the one that the device runs",
    )
    quantisation: Quantisation | None = Field(
        default=None, description="how the firmware quantises real inputs (default: round, half away from zero)"
    )

    takes: Literal["tensor", "uint8", "float32"] = Field(
        default="tensor",
        description="what the firmware takes from the host: the input tensor's bytes, unsigned bytes of which it"
        " subtracts 128, or single-precision numbers, which it quantises",
    )
    gives: Literal["outputs", "reconstruction-error"] = Field(
        default="outputs",
        description="what the firmware prints: the outputs, or the mean squared difference of output and input",
    )
    dataset: DatasetConfig | None = Field(
        default=None, description="labelled inputs, and the accuracy that the model must reach on them"
    )

    @model_validator(mode="after")
    def _together(self) -> ModelConfig:
        if (self.file is None) == (self.reference is None):
            raise ValueError(
                "a model has either `file` (a .tflite) or `reference` (the model before Vela with `compiled`, an ONNX"
                " model, a table, or a native library)"
            )
        before_vela = self.reference is not None and self.reference.kind == "tflite"
        if before_vela and self.compiled is None:
            raise ValueError("`reference` is the model before Vela: name what Vela made of it under `compiled`")
        onnx = self.reference is not None and self.reference.kind == "onnx"
        if self.compiled is not None and not before_vela and not onnx:
            raise ValueError("`compiled` wants the model before Vela under `reference`, or an ONNX one, and no `file`")
        if self.vela is not None and (self.compiled is None or not before_vela):
            raise ValueError("`vela` says how `compiled` was made of the model before Vela, but there is no `compiled`")
        if self.deployed is None and (self.slot is not None or self.frontend or self.quantisation):
            raise ValueError("`slot`, `frontend` and `quantisation` belong to models with a `file` or `compiled`")
        if self.signature is not None and self.file is None:
            raise ValueError("`signature` belongs to models with a `file`")
        if self.slot is not None and self.image is None:
            raise ValueError("`slot` says where the signed `image` goes, but there is no `image`")
        if self.frontend is not None and self.input != "sensor":
            raise ValueError("`frontend` belongs to models with `input: sensor`")
        if self.gives == "reconstruction-error" and self.takes != "float32":
            raise ValueError("`gives: reconstruction-error` compares with real inputs: it wants `takes: float32`")
        if self.dataset is not None and self.judged_by is None:
            raise ValueError("a `dataset` wants a model that the reference can run: a `file`, `compiled` or ONNX")
        return self

    @property
    def degrees_factor(self) -> float:
        """The factor that the firmware applies to degrees before it quantises them: `input_factor`, else pi / 180."""
        return self.input_factor or math.pi / 180

    @property
    def deployed(self) -> Path | None:
        """The file on the device: its SHA-256 is the model id of signed results."""
        return self.file or self.compiled

    @property
    def for_npu(self) -> bool:
        """Whether Vela compiled it for an Ethos-U."""
        return self.compiled is not None and self.reference is not None and self.reference.kind == "tflite"

    @property
    def judged_by(self) -> Path | None:
        """The model that the reference runs: a .tflite or an .onnx file."""
        reference = self.reference
        return self.file if reference is None or reference.tells_values else reference.source
