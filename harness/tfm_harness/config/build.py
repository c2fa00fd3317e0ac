"""Firmware under test: the model of ``fw_builds/*/build.yaml``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from tfm_harness.config.console_suite import ConsoleSuiteConfig
from tfm_harness.config.dataset import DatasetConfig
from tfm_harness.config.fields import Address, ConfigPath, ExtensionName, HexBytes, Name, Seconds, Strict
from tfm_harness.config.imported import ImportedFacts
from tfm_harness.config.latency import LatencyConfig
from tfm_harness.config.memory_map import MemoryMap, ServiceConfig
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.config.npu import VelaConfig
from tfm_harness.config.parity import ParityConfig, Quantisation
from tfm_harness.config.positions import Document
from tfm_harness.config.provisioning import ProvisioningConfig
from tfm_harness.config.reference import ReferenceConfig
from tfm_harness.errors import ConfigError
from tfm_harness.findings import RENAMED_POLICIES, Policy, Waiver

if TYPE_CHECKING:
    from tfm_harness.parity.quantise import QuantisationRule

__all__ = [
    "AttestationConfig",
    "BootConfig",
    "Build",
    "Image",
    "ImageFormat",
    "ModelConfig",
    "ResultsConfig",
    "TrustConfig",
    "WaiverConfig",
]

ImageFormat = Literal["elf", "ihex", "bin"]

_SUFFIXES: Mapping[str, ImageFormat] = {".elf": "elf", ".axf": "elf", ".out": "elf", ".hex": "ihex", ".ihex": "ihex"}


class Image(Strict):
    """One file that is put on the board.

    The format follows from the suffix (``.elf``, ``.axf``, ``.hex``; anything else is raw) unless it is said.
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
        """The format, said or by suffix."""
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


class ModelConfig(Strict):
    """One model inside the firmware.

    `file` is on the device, and the reference interpreter runs it; `compiled` is on the device, and Vela made it of
    `reference`; `reference` alone says what tells the right values of models that no interpreter runs (microTVM);
    `image` is the signed file that carries it, when it is loaded on its own; `slot` is its factory slot.
    """

    file: ConfigPath | None = None
    compiled: ConfigPath | None = Field(
        default=None, description="what is on the device, made of `reference`: by Vela for an Ethos-U, or of ONNX"
    )
    reference: ReferenceConfig | None = Field(
        default=None, description="what tells the right outputs, in place of `file`: a path is the model before Vela"
    )
    vela: VelaConfig | None = Field(default=None, description="with which version and options `compiled` was made")
    input_factor: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None,
        description="what the firmware multiplies the number it is given with, once, in single precision"
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
        description="of a stateful model: the device resets its state for each inference, or keeps it over a sequence",
    )
    signature: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="of a model with several signatures: the key of the one that the device runs",
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
        default=None, description="labelled inputs, and how right the model must be on them"
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
        """What the firmware multiplies degrees with before they are quantised: `input_factor`, else pi / 180."""
        return self.input_factor or math.pi / 180

    @property
    def deployed(self) -> Path | None:
        """The file on the device: its SHA-256 is the model id of signed results."""
        return self.file or self.compiled

    @property
    def for_npu(self) -> bool:
        """Whether Vela made it for an Ethos-U."""
        return self.compiled is not None and self.reference is not None and self.reference.kind == "tflite"

    @property
    def judged_by(self) -> Path | None:
        """The model that the reference runs: a .tflite or an .onnx file."""
        reference = self.reference
        return self.file if reference is None or reference.tells_values else reference.source


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
        """Whether one virtual board is as good as another: no device's key is named by its file."""
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
    """How the firmware tells that it is up."""

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
        """What is said about a model that the build does not declare would never be judged."""
        problems: dict[str, str] = {}  # in words, and the name that stands there
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
        """The image the CPU starts from: the one that says so, else the first secure ELF."""
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
        """Whether the YAML has a path where `place` would be a key below it."""
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
