"""The configuration model of a farm file: what a night runs, on which boards, in which order, within which limits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from tfm_harness.config.fields import ConfigPath, Name, Strict, resolve
from tfm_harness.config.loading import validate
from tfm_harness.config.positions import Document, read
from tfm_harness.files import resolved
from tfm_harness.findings import Policy

__all__ = ["SCHEDULER", "BuildSource", "Duration", "EngineConfig", "Farm", "FarmPool", "Golden", "Limits", "load_farm"]

SCHEDULER: Final = r"tls://[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}"
"""The pattern of a scheduler's address."""
_UNITS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def _duration(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?)\s*(s|m|min|h|d)?", value)
        if not match:
            raise ValueError("expected a time such as 90, 90s, 15m, 8h or 1d")
        return float(match[1]) * _UNITS[match[2] or ""]
    return value


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    Field(ge=0, le=30 * 86_400),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(s|m|min|h|d)?$"}]}
    ),
]
"""Seconds: a number, or text with a unit."""


def _named(value: object, info: ValidationInfo) -> object:
    """Resolve a path relative to the farm file's folder. A bare name stays; it is looked up as `run` does it."""
    if isinstance(value, str) and (os.sep in value or value.endswith((".yaml", ".yml"))):
        return str(resolve(Path(value), info)) if (info.context or {}).get("base") is not None else value
    return value


NameOrFile = Annotated[str, BeforeValidator(_named), Field(min_length=1)]
"""A target or a build: a name, or a file."""


class BuildSource(Strict):
    """A build, or a folder in which builds appear. Text alone means a build."""

    build: NameOrFile | None = Field(default=None, description="a build's name, its file, or its folder")
    folder: ConfigPath | None = Field(default=None, description="each build.yaml in it and one level below is a build")
    newest: int | None = Field(
        default=None, ge=1, le=1000, description="with `folder`: the number of builds, those with the newest build.yaml"
    )

    @model_validator(mode="before")
    @classmethod
    def _text_is_a_build(cls, value: object) -> object:
        return {"build": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> BuildSource:
        if self.newest is not None and self.folder is None:
            raise ValueError("`newest` is for `folder`")
        if (self.build is None) == (self.folder is None):
            raise ValueError("either a build, or `folder`")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


class Golden(Strict):
    """The check of a bench before it gets a build under test."""

    build: NameOrFile = Field(default="reference", description="a build that is known to be good")
    suites: tuple[str, ...] = Field(default=("boot",), min_length=1, description="what must pass on it")
    quick: bool = Field(default=True, description="leave out the tests marked `thorough`")
    every: Duration = Field(
        default=0.0, description="how long a board that passed is not checked again; 0: it is checked each night"
    )
    loops: int = Field(
        default=10, ge=1, le=10_000, description="how often a board of health `Looping` is checked in a night"
    )


class FarmPool(Strict):
    """Boards that can replace each other."""

    targets: tuple[NameOrFile, ...] = Field(min_length=1)
    each: bool = Field(default=False, description="each build runs on each board, not on one of them")
    builds: tuple[str, ...] | None = Field(default=None, min_length=1, description="only these builds, by their names")
    suites: tuple[str, ...] | None = Field(default=None, min_length=1, description="other suites than the night's")
    golden: Golden | None = Field(default=None, description="another golden build than the night's")


class Limits(Strict):
    """The limits of a night: its end, and how long it waits."""

    night: Duration = Field(default=12 * 3600.0, gt=0, description="after this time no further session is started")
    session: Duration = Field(default=2 * 3600.0, gt=0, description="a session that takes longer is ended")
    tries: int = Field(
        default=3, ge=1, le=10, description="how often one test may run in total; 1: no test is run again"
    )
    at_once: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="most sessions at a time; default: one for each CPU here, with an engine one for each board",
    )


class EngineConfig(Strict):
    """A Dask scheduler that distributes the sessions over bench hosts."""

    scheduler: str = Field(pattern=f"^{SCHEDULER}$", description="tls://HOST:PORT")
    ca: ConfigPath = Field(description="certificate of the authority that has signed all of the farm's certificates")
    certificate: ConfigPath = Field(description="this host's certificate (PEM)")
    key: ConfigPath = Field(description="its private key (PEM)")


class Farm(Strict):
    """A farm file."""

    name: Name
    description: str = ""
    builds: tuple[BuildSource, ...] = Field(min_length=1, description="builds under test; the first ones run first")
    targets: tuple[NameOrFile, ...] = Field(
        default=(), description="each build runs on each of them, on all boards where a target has a `count`"
    )
    pools: Mapping[Name, FarmPool] = Field(default_factory=dict, description="boards that can replace each other")
    suites: tuple[str, ...] = Field(default=(), description="suites by name, or folders; none: all suites")
    golden: Golden = Golden()
    policy: Policy | None = Field(default=None, description="how strictly findings are judged; default: the build's")
    quick: bool = Field(default=False, description="leave out the tests marked `thorough`")
    deterministic: bool = Field(
        default=False,
        description="emulators count instructions, so that latency can be compared over the nights; slower",
    )
    order: Literal["builds", "boards", "longest"] = Field(
        default="builds",
        description="`builds`: the first build everywhere, then the next; `boards`: one board after the other;"
        " `longest`: what takes longest first",
    )
    flaky: Literal["fails", "noted"] = Field(
        default="fails", description="whether a test that failed and then passed makes the night fail"
    )
    limits: Limits = Limits()
    results: ConfigPath = Field(default=Path("nights"), description="folder in which each night has its folder")
    store: str | None = Field(default=None, min_length=1, description="the store of runs: a path or a database URL")
    state_dir: ConfigPath | None = Field(default=None, description="where locks and identities live")
    engine: EngineConfig | None = Field(default=None, description="run the sessions on other hosts")

    _document: Document | None = PrivateAttr(default=None)

    @field_validator("policy", mode="before")
    @classmethod
    def _policy_words(cls, value: object) -> object:
        words = [str(each) for each in Policy]
        if isinstance(value, str) and value not in words:
            from tfm_harness.config.nearest import did_you_mean

            raise ValueError(f"no policy is called {value!r}; one of {', '.join(words)}" + did_you_mean(value, words))
        return value

    @model_validator(mode="after")
    def _boards_somewhere(self) -> Farm:
        if not self.targets and not self.pools:
            raise ValueError("no board: name `targets` or `pools`")
        return self

    @property
    def document(self) -> Document | None:
        """The file this was read from, with positions; None when made in code."""
        return self._document


def load_farm(path: Path) -> Farm:
    """Read a farm file. The targets, builds and files that it names are not read yet.

    Raises:
        ConfigError: kind ``farm-invalid``, each problem with ``file:line`` and the nearest known key; ``yaml``,
            ``file-missing`` or ``file-unreadable``.
    """
    document = read(path)
    farm = validate(
        Farm, {"name": path.stem, "results": "nights", **document.data}, document, resolved(path).parent,
        kind="farm-invalid", what="farm file",
    )  # fmt: skip
    farm._document = document  # noqa: SLF001 - the loader is the model's other half
    return farm
