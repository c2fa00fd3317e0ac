"""``kind: fvp``: the target model of Arm's Fixed Virtual Platforms (Corstone-300, -310, -315)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from tfm_harness.config.emulated import EmulatedTarget
from tfm_harness.config.fields import ConfigPath, Name, Seconds, Strict
from tfm_harness.config.npu import NpuConfig
from tfm_harness.config.virtual import VirtualConfig

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["FvpTarget", "IrisConfig", "VsiConfig"]

MACS: Final = "ethosu.num_macs"
"""The FVPs' parameter for the size of the NPU."""

_OF_SUBSYSTEM: Final = {"SSE-300": "55", "SSE-310": "55", "SSE-315": "65", "SSE-320": "85"}
"""The Ethos-U of the FVPs whose name does not contain it, by subsystem."""

Terminal = Annotated[str, Field(pattern=r"^telnetterminal[0125]$")]
Parameter = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.\-]*$")]


class VsiConfig(Strict):
    """The sensor is played through a Virtual Streaming Interface."""

    instance: int = Field(default=0, ge=0, le=7)


class IrisConfig(Strict):
    """Warm reset through the model's Iris debug server."""

    python_path: ConfigPath = Field(description="the folder `Iris/Python` of the FVP's installation")


class FvpTarget(EmulatedTarget):
    """An FVP of the MPS3 family."""

    kind: Literal["fvp"]
    binary: str = Field(default="FVP_Corstone_SSE-300_Ethos-U55", min_length=1, description="program name or path")
    board: Name = Field(default="mps3_board", description="prefix of the board's parameters (mps4_board for -315)")
    core: Name = "cpu0"
    minimum_version: str = Field(default="11.22", pattern=r"^\d+\.\d+(\.\d+)?$")
    consoles: Mapping[Name, Terminal] = Field(
        min_length=1, description="logical name to terminal: {ns: telnetterminal0, secure: telnetterminal1}"
    )
    parameters: Mapping[Parameter, str | int | bool] = Field(
        default_factory=dict, description="-C parameters, checked against --list-params of the binary in use"
    )
    simulated_limit: Seconds = Field(default=900.0, description="--simlimit: simulated seconds")
    wall_limit: Seconds = Field(default=3600.0, description="--timelimit: host seconds")
    vsi: VsiConfig | None = None
    iris: IrisConfig | None = None

    @field_validator("consoles")
    @classmethod
    def _distinct(cls, consoles: Mapping[str, str]) -> Mapping[str, str]:
        seen: dict[str, str] = {}
        for name, terminal in consoles.items():
            if seen.setdefault(terminal, name) != name:
                raise ValueError(f"consoles {seen[terminal]!r} and {name!r} are the same {terminal}")
        return consoles

    @field_validator("parameters")
    @classmethod
    def _terminals_stay_ours(cls, parameters: Mapping[str, str | int | bool]) -> Mapping[str, str | int | bool]:
        for name, value in parameters.items():
            if re.search(r"telnetterminal\d+\.start_telnet$", name) and str(value).lower() not in {"0", "false"}:
                raise ValueError(f"{name}: a window of its own would take the terminal away from the harness")
        return parameters

    @field_validator("virtual")
    @classmethod
    def _no_nv(cls, virtual: VirtualConfig) -> VirtualConfig:
        if virtual.nv is not None:
            raise ValueError("the FVP keeps no memory between processes; remove `virtual.nv`")
        return virtual

    @model_validator(mode="after")
    def _one_npu(self) -> FvpTarget:
        said, found = self._said_macs(), self._npu_by_parameters()
        if self.npu is not None and said and said != str(self.npu.macs):
            raise ValueError(f"`npu` has {self.npu.macs} MACs a cycle, and the parameter ...{MACS} says {said}")
        if self.npu is not None and found is not None and found.accelerator != self.npu.accelerator:
            raise ValueError(f"`npu` is an {self.npu.accelerator}, and {self.binary} has an {found.accelerator}")
        return self

    def _said_macs(self) -> str:
        """The NPU's size in the parameters; empty when no parameter gives it."""
        return next((str(value) for name, value in self.parameters.items() if f".{name}".endswith(f".{MACS}")), "")

    def _npu_by_parameters(self) -> NpuConfig | None:
        """The NPU by the parameter and the program's name; None if one of them does not give it."""
        said = self._said_macs()
        match = re.search(r"Ethos-?U(55|65|85)", self.binary, re.IGNORECASE)
        number = match[1] if match else next((n for name, n in _OF_SUBSYSTEM.items() if name in self.binary), "")
        if not said or not number:
            return None
        return NpuConfig.model_validate({"accelerator": f"ethos-u{number}", "macs": said})

    def _npu(self) -> NpuConfig | None:
        return self.npu or self._npu_by_parameters()

    @property
    def all_parameters(self) -> Mapping[str, str | int | bool]:
        """The parameters, including the NPU's."""
        if self.npu is None or self._said_macs():
            return self.parameters
        # On an MPS4 the NPU is a part of the subsystem's component.
        prefix = "" if self.board.startswith("mps3") else f"{self.board}.subsystem."
        return {f"{prefix}{MACS}": self.npu.macs, **self.parameters}

    def check_build(self, build: Build) -> list[str]:
        """Check an FVP's needs, too: an image to start from, and no Intel hex file at an address."""
        problems = super().check_build(build)
        if not any(image.kind != "bin" for image in build.images):
            problems.append(f"build {build.name!r} has no ELF or hex image, which an FVP starts from")
        return problems
