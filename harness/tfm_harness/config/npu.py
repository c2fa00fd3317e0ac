"""The NPU of a target, and how models were compiled for it: the keys ``npu`` and ``models.NAME.vela``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tfm_harness.config.fields import Strict

__all__ = ["NpuConfig", "VelaConfig"]

_MACS = {"ethos-u55": (32, 64, 128, 256), "ethos-u65": (256, 512), "ethos-u85": (128, 256, 512, 1024, 2048)}
_OURS = ("--accelerator-config", "--output-dir", "--output-format")


class NpuConfig(Strict):
    """An Arm Ethos-U."""

    accelerator: Literal["ethos-u55", "ethos-u65", "ethos-u85"]
    macs: int = Field(description="multiply-accumulates a cycle, as Vela's --accelerator-config has it")

    @model_validator(mode="after")
    def _made(self) -> NpuConfig:
        if self.macs not in _MACS[self.accelerator]:
            offered = ", ".join(map(str, _MACS[self.accelerator]))
            raise ValueError(f"an {self.accelerator} has {offered} MACs a cycle, not {self.macs}")
        return self

    def __str__(self) -> str:
        return f"{self.accelerator}-{self.macs}"


class VelaConfig(Strict):
    """How Vela compiled a model. If both keys are given, the harness's own Vela must produce the same commands."""

    version: str = Field(default="", pattern=r"^(\d{1,3}(\.\w{1,12}){1,4})?$", description="`vela --version`")
    options: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] | None = Field(
        default=None, description="options beside the accelerator: [--system-config, NAME, --optimise, Size]"
    )

    @field_validator("options")
    @classmethod
    def _not_ours(cls, options: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for word in options or ():
            if word.split("=")[0] in _OURS:
                raise ValueError(f"{word}: the harness sets this option itself")
        return options
