"""The keys of every target description: the configuration model of ``targets/*.yaml``.

Each board kind extends `TargetBase` with its own keys and names the extension in
`Board.config_model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PrivateAttr, field_validator

from tfm_harness.config.fields import Name, Seconds, Size, Strict
from tfm_harness.config.memory_map import MemoryMap, ServiceConfig
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.config.npu import NpuConfig
from tfm_harness.config.positions import Document
from tfm_harness.config.power import PowerConfig, RecoveryConfig
from tfm_harness.config.provisioning import ProvisioningConfig
from tfm_harness.config.sensors import SensorConfig
from tfm_harness.errors import HarnessError
from tfm_harness.files import MODEL_LIMIT, read_file

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["ClockConfig", "TargetBase", "TargetLimits", "TargetTimeouts"]


class ClockConfig(Strict):
    """The counter that the firmware's ticks come from."""

    source: Literal["sse-counter", "dwt-cyccnt", "systick", "pmu", "timer"] = Field(
        description="what counts: the SSE system counter, the core's cycle counter, ..."
    )
    hz: int = Field(ge=1, le=10_000_000_000, description="its frequency, in Hz")
    bits: int = Field(default=64, ge=16, le=64, description="width; it wraps at 2 to the power of this")


class TargetTimeouts(Strict):
    """Limits in seconds."""

    acquire: float = Field(default=0.0, ge=0, le=86_400, description="how long to wait for a board that is in use")
    flash: Seconds = 120.0
    boot: Seconds = 20.0


class TargetLimits(Strict):
    """Limits in bytes."""

    transcript: Size = Field(
        default=2 << 30,
        ge=1 << 16,
        description="most bytes that one console may print in a run; a console that prints more is closed, and the"
        " firmware is to blame",
    )


class TargetBase(Strict):
    """The keys of every kind of target.

    `name` defaults to the file's name. `consoles` maps logical names to the kind's description of a UART; each kind
    narrows its type.
    """

    name: Name
    kind: Name
    description: str = ""
    consoles: Mapping[str, object] = Field(min_length=1)
    clock: ClockConfig | None = None
    sensors: Mapping[Name, SensorConfig] = Field(default_factory=dict)
    memory_map: MemoryMap | None = Field(default=None, description="what lies where, and to whom it belongs")
    services: Mapping[Name, ServiceConfig] = Field(
        default_factory=dict, description="services that non-secure clients may call, where the build names none"
    )
    provisioning: ProvisioningConfig | None = Field(
        default=None, description="the installation's bootstrap server, where the build names none"
    )
    power: PowerConfig | None = None
    recovery: RecoveryConfig = RecoveryConfig()
    timeouts: TargetTimeouts = TargetTimeouts()
    limits: TargetLimits = TargetLimits()
    npu: NpuConfig | None = Field(default=None, description="the board's Ethos-U, for models that Vela compiled")
    count: int = Field(default=1, ge=1, le=64, description="how many boards like this one the pool may start")

    _document: Document | None = PrivateAttr(default=None)

    @field_validator("sensors")
    @classmethod
    def _no_shared_address(cls, sensors: Mapping[str, SensorConfig]) -> Mapping[str, SensorConfig]:
        seen: dict[tuple[str | None, int], str] = {}
        for name, sensor in sensors.items():
            other = seen.setdefault((sensor.bus, sensor.address), name)
            if other != name:
                raise ValueError(f"sensors {other!r} and {name!r} share the I2C address 0x{sensor.address:02x}")
        return sensors

    @property
    def document(self) -> Document | None:
        """The file this target was read from, with positions; None when made in code."""
        return self._document

    @property
    def path(self) -> Path | None:
        """The file this target was read from."""
        return self._document.path if self._document else None

    def resources(self) -> tuple[str, ...]:
        """Names of the physical things that only one session may use at a time: probe serials, ports, places.

        Two targets of one run that share one are a configuration error. Virtual boards share nothing.
        """
        return ()

    def known_by(self) -> tuple[str, ...]:
        """The resources that distinguish this board from others of its name, for locks and kept data."""
        return self.resources()

    def _slots_are_addresses(self, build: Build, board: str) -> list[str]:
        """Problems of a build with slots: the harness fills no slots of real boards, so files would be missing."""
        loaded = {image.file for image in build.images if image.at is not None}
        problems = []
        if any(image.slot is not None for image in build.images):
            problems.append(f"build {build.name!r} places images in slots; {board} needs addresses (`at`)")
        lost = [name for name, model in build.models.items() if model.slot is not None and model.image not in loaded]
        if lost:
            problems.append(
                f"build {build.name!r} places model {lost[0]!r} in a slot; {board} needs it among `images` with `at`"
            )
        return problems

    def _npu(self) -> NpuConfig | None:
        """The NPU that models are compiled for."""
        return self.npu

    def _npu_problems(self, build: Build) -> list[str]:
        """Problems of models compiled for another NPU: they would not run, or would compute wrong values."""
        from tfm_harness.parity.compiled import read_compiled

        problems, npu = [], self._npu()
        for name, model in build.models.items():
            path = model.compiled
            if path is None or not model.for_npu or (npu is not None and not path.is_file()):
                continue
            wanted = ""
            if path.is_file():
                try:
                    wanted = read_compiled(read_file(path, MODEL_LIMIT), name=path.name).accelerator
                except HarnessError:
                    continue  # reading the build has already reported what is wrong with the file
            if npu is None:
                says = f"for {wanted}" if wanted else "for an Ethos-U"
                problems.append(f"model {name!r} is compiled {says}; target {self.name!r} declares no NPU (`npu`)")
            elif wanted and wanted != str(npu):
                problems.append(f"model {name!r} is compiled for {wanted}; target {self.name!r} has {npu}")
        return problems

    def check_build(self, build: Build) -> list[str]:
        """The reasons why `build` cannot be used on this target, in words; empty when it can."""
        problems = []
        known = ", ".join(self.consoles)
        if build.console not in self.consoles and build.protocol != "none":
            near = did_you_mean(build.console, self.consoles)
            problems.append(f"build {build.name!r} speaks on console {build.console!r}; target has {known}{near}")
        boot = build.boot.console
        if boot is not None and boot not in self.consoles:
            near = did_you_mean(boot, self.consoles)
            problems.append(f"boot.console is {boot!r}; target has {known}{near}")
        problems += [
            f"console suite {suite.suite!r} prints on console {suite.console!r}; target has {known}"
            + did_you_mean(suite.console, self.consoles)
            for suite in build.console_suites
            if suite.console not in self.consoles
        ]
        needs_sensor = [name for name, model in build.models.items() if model.input == "sensor"]
        if needs_sensor and not self.sensors:
            problems.append(f"model {needs_sensor[0]!r} reads the sensor; target {self.name!r} declares none")
        return problems + self._npu_problems(build)
