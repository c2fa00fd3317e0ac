"""Firmware under test: the configuration model of ``fw_builds/*/build.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from tfm_harness.config.console_suite import ConsoleSuiteConfig
from tfm_harness.config.fields import ConfigPath, ExtensionName, HexBytes, Name, Seconds, Strict
from tfm_harness.config.imported import ImportedFacts
from tfm_harness.config.latency import LatencyConfig
from tfm_harness.config.memory_map import MemoryMap, ServiceConfig
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.config.parity import ParityConfig
from tfm_harness.config.positions import Document
from tfm_harness.config.provisioning import ProvisioningConfig
from tfm_harness.errors import ConfigError
from tfm_harness.findings import RENAMED_POLICIES, Policy, Waiver

if TYPE_CHECKING:
    from tfm_harness.parity.quantise import QuantisationRule
from tfm_harness.config.image import Image
from tfm_harness.config.model import ModelConfig

__all__ = ["AttestationConfig", "BootConfig", "Build", "ResultsConfig", "TrustConfig", "WaiverConfig"]


KeySource = Annotated[Literal["provisioned"] | ConfigPath, Field(union_mode="left_to_right")]


class TrustConfig(Strict):
    """The keys that must have signed what.

    ``provisioned``: the harness made the board's identity and derives the public key from it. Otherwise a
    file: PEM, DER or COSE_Key, public part only.
    """

    iak: KeySource | None = Field(default=None, description="initial attestation key")
    results: KeySource | None = Field(default=None, description="key that signs inference results")
    client: KeySource | None = Field(default=None, description="the device's TLS client key")
    images: ConfigPath | None = Field(default=None, description="key that signs the non-secure image")
    models: ConfigPath | None = Field(default=None, description="key that signs model images; `images` when absent")

    @property
    def model_key(self) -> Path | None:
        """The key that signs model images."""
        return self.models or self.images

    @property
    def takes_any_board(self) -> bool:
        """Whether any virtual board will do: no key of a particular device is given as a file."""
        return all(said in {None, "provisioned"} for said in (self.iak, self.results, self.client))


class AttestationConfig(Strict):
    """What the firmware's attestation tokens claim to be."""

    profile: str | None = Field(default=None, min_length=1, description="eat_profile expected in tokens")
    verification_service: str | None = Field(default=None, max_length=60)
    certification_reference: str | None = Field(default=None, pattern=r"^[0-9]{13}(-[0-9]{5})?$")
    implementation_id: HexBytes | None = Field(default=None, min_length=32, max_length=32)
    max_token_size: int | None = Field(
        default=None, ge=1, le=65536, description="the firmware's PSA_INITIAL_ATTEST_MAX_TOKEN_SIZE, in bytes"
    )


class ResultsConfig(Strict):
    """How signed results look."""

    profile: str = Field(default="tfm-harness-reference", min_length=1, description="result profile name or file")


class BootConfig(Strict):
    """How the firmware shows that it has started."""

    timeout: Seconds | None = Field(default=None, description="seconds; the target's when absent")
    pattern: str | None = Field(default=None, min_length=1, description="regular expression that the console prints")
    console: Name | None = Field(default=None, description="where `pattern` appears; the build's console when absent")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile((pattern or "").encode())
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern


class WaiverConfig(Strict):
    """A named, reasoned exception."""

    finding: str = Field(min_length=3, pattern=r"^[a-z][a-z0-9.*?\[\]-]*$")
    at: str = Field(default="", description="pattern for the finding's place (its `where`); without it, every place")
    reason: str = Field(min_length=10, description="why, in words a reviewer accepts")


class Build(Strict):
    """Firmware images with everything needed to judge them.

    `name` defaults to the folder's name (or the file's, when it is not ``build.yaml``).
    """

    name: Name
    description: str = ""
    images: tuple[Image, ...] = ()
    protocol: Annotated[str, ExtensionName("protocols")] = Field(
        default="none", description="smp, zephyr-shell, mlperf-tiny, none, or one that a package adds"
    )
    console: Name = Field(default="ns", description="the console on which the protocol is spoken")
    uart_bursts: bool = Field(
        default=False,
        description="the firmware takes bytes that follow each other without a pause (its UART driver clears the "
        "interrupt before it reads the data register); QEMU then hands them over at half the cost",
    )
    models: Mapping[Name, ModelConfig] = Field(default_factory=dict)
    trust: TrustConfig = TrustConfig()
    attestation: AttestationConfig | None = None
    results: ResultsConfig | None = None
    memory_map: MemoryMap | None = Field(
        default=None, description="what lies where, and to whom it belongs; the target's when absent"
    )
    services: Mapping[Name, ServiceConfig] = Field(
        default_factory=dict, description="services that non-secure clients may call; the target's when absent"
    )
    provisioning: ProvisioningConfig | None = Field(
        default=None, description="the bootstrap server to ask for certificates; the target's when absent"
    )
    policy: Policy | None = Field(default=None, description="how strict, unless the command line says otherwise")
    waivers: tuple[WaiverConfig, ...] = ()
    boot: BootConfig = BootConfig()
    parity: ParityConfig = ParityConfig()
    latency: LatencyConfig = LatencyConfig()
    console_suites: tuple[ConsoleSuiteConfig, ...] = ()
    files: Mapping[Name, ConfigPath] = Field(
        default_factory=dict, description="further files that suites ask for by name (update images, ...)"
    )
    imported: ImportedFacts | None = None
    make: str | None = Field(default=None, description="the command that builds the images, for error texts")

    _document: Document | None = PrivateAttr(default=None)

    @field_validator("policy", mode="before")
    @classmethod
    def _no_old_policy(cls, value: object) -> object:
        if isinstance(value, str) and value in RENAMED_POLICIES:
            raise ValueError(f"the policy {value!r} is now called {RENAMED_POLICIES[value]!r}")
        return value

    @field_validator("images")
    @classmethod
    def _one_kernel(cls, images: tuple[Image, ...]) -> tuple[Image, ...]:
        kernels = [image.file.name for image in images if image.load == "kernel"]
        if len(kernels) > 1:
            raise ValueError(f"only one image can be the kernel, not {', '.join(kernels)}")
        return images

    @model_validator(mode="after")
    def _distinct(self) -> Build:
        slots: dict[int, str] = {}
        placed = [(image.slot, image.file.name) for image in self.images]
        placed += [(model.slot, name) for name, model in self.models.items()]
        for slot, what in placed:
            if slot is not None and slots.setdefault(slot, what) != what:
                raise ValueError(f"model slot {slot} is used by both {slots[slot]!r} and {what!r}")
        return self

    @model_validator(mode="after")
    def _one_rule(self) -> Build:
        for name, said in self.parity.quantisation.items():
            model = self.models.get(name)
            if model is not None and model.quantisation not in (None, said):
                raise ValueError(
                    f"model {name!r} quantises by {model.quantisation!r} and parity.quantisation says {said!r}"
                )
        return self

    @model_validator(mode="after")
    def _models_known(self) -> Build:
        """Refuse settings for a model that the build does not declare: they would have no effect."""
        problems: dict[str, str] = {}  # the problem in words, and the unknown name
        for key in ("quantisation", "inputs", "traces"):
            unknown = [name for name in getattr(self.parity, key) if name not in self.models]
            problems |= {f"parity.{key} speaks of model {name!r}": name for name in unknown}
        for where, pattern in (
            *((f"tolerance {t.name!r}", t.model) for t in self.parity.tolerances),
            *((f"the budget of {b.ms:g} ms", b.model) for b in self.latency.budgets),
        ):
            if not any(fnmatchcase(name, pattern) for name in self.models):
                problems[f"{where} speaks of models like {pattern!r}"] = pattern
        if problems:
            declared = ", ".join(self.models) or "none"
            near = next(filter(None, (did_you_mean(name, self.models) for name in problems.values())), "")
            raise ValueError(f"{'; '.join(problems)}, and the build declares no such model ({declared}){near}")
        return self

    def quantisation(self, model: str) -> QuantisationRule:
        """How the firmware quantises real inputs of a model: part of the model's declaration."""
        declared = self.models.get(model)
        return self.parity.rule(model, declared.quantisation if declared else None)

    def model_file(self, name: str) -> Path:
        """The .tflite file of a model that is on the device.

        Raises:
            ConfigError: ``no-model``: the build does not declare it, or declares a reference of another kind.
        """
        declared = self.models.get(name)
        deployed = declared.deployed if declared is not None else None
        if deployed is None:
            known = ", ".join(key for key, model in self.models.items() if model.deployed is not None)
            raise ConfigError(
                f"the build names no .tflite file for model {name!r}", kind="no-model",
                expected=f"one of {known or 'none'}", where=str(self.path or ""),
            )  # fmt: skip
        return deployed

    @property
    def document(self) -> Document | None:
        """The file this build was read from, with positions; None when made in code."""
        return self._document

    @property
    def path(self) -> Path | None:
        """The file this build was read from."""
        return self._document.path if self._document else None

    @property
    def kernel(self) -> Image | None:
        """The image from which the CPU starts: the one with `kernel`, else the first secure ELF."""
        said = [image for image in self.images if image.load == "kernel"]
        return next(iter(said + [i for i in self.images if i.world == "secure" and i.kind == "elf"]), None)

    def granted(self) -> tuple[Waiver, ...]:
        """The waivers, each with the ``file:line`` that granted it."""
        document = self._document
        return tuple(
            Waiver(
                finding=waiver.finding,
                at=waiver.at,
                reason=waiver.reason,
                where=document.where(("waivers", index)) if document else "",
            )
            for index, waiver in enumerate(self.waivers)
        )

    def _path_alone(self, place: tuple[str, ...]) -> bool:
        """Whether the YAML has only a path at the parent of `place`."""
        found: object = self._document.data if self._document else {}
        for key in place[:-1]:
            found = found.get(key) if isinstance(found, Mapping) else None
        return isinstance(found, str)

    def all_files(self) -> dict[tuple[str | int, ...], Path]:
        """Every file the build names, by its place in the YAML (parity inputs may be folders: not here)."""
        files: dict[tuple[str | int, ...], Path] = {}
        for index, image in enumerate(self.images):
            files["images", index, "file"] = image.file
            if image.key is not None:
                files["images", index, "key"] = image.key
            files |= {("images", index, "keys", number): path for number, path in enumerate(image.keys)}
        for name, model in self.models.items():
            if model.file is not None:
                files["models", name, "file"] = model.file
            if model.compiled is not None:
                files["models", name, "compiled"] = model.compiled
            if model.reference is not None:
                place = ("models", name, "reference", model.reference.kind)
                files[place[:3] if self._path_alone(place) else place] = model.reference.source
            if model.image is not None:
                files["models", name, "image"] = model.image
        for key in ("iak", "results", "client", "images", "models"):
            value = getattr(self.trust, key)
            if isinstance(value, Path):
                files["trust", key] = value
        if self.provisioning is not None:
            for key in ("ca", "certificate", "key"):
                files["provisioning", key] = getattr(self.provisioning, key)
        files.update({("files", name): path for name, path in self.files.items()})
        return files
