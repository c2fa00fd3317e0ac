"""Field types that several configuration models share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from tfm_harness.extensions import POINTS, names

__all__ = [
    "NAME_PATTERN",
    "Address",
    "ConfigPath",
    "ExtensionName",
    "HexBytes",
    "Name",
    "Seconds",
    "Size",
    "Strict",
]


class Strict(BaseModel):
    """Base of every configuration model: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=False)


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _size(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,12})\s*([KMG]?)(?:iB|B)?", value)
        if not match:
            raise ValueError("expected a size such as 4096, 256K, 4M or 2G")
        return int(match[1]) * _UNITS[match[2]]
    return value


def _hex(value: object) -> object:
    if isinstance(value, str):
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise ValueError("expected hexadecimal digits in pairs, in quotes") from None
    if isinstance(value, int):
        raise ValueError("expected hexadecimal digits in quotes, not a number")  # noqa: TRY004 - pydantic wants ValueError
    return value


def resolve(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    if base is None:
        return path
    try:
        return (Path(base) / path.expanduser()).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links raises RuntimeError before Python 3.13; so does ~nobody
        raise ValueError(f"not a path that leads to a file: {error}") from None


Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(ge=0, le=1 << 40),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+\s*[KMG]?(iB|B)?$"}]}
    ),
]
"""Bytes: an integer, or text with K, M or G (1024-based)."""

Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
"""A 32-bit address as the secure side sees it."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
"""A time limit in seconds."""

HexBytes = Annotated[bytes, BeforeValidator(_hex), WithJsonSchema({"type": "string", "pattern": "^([0-9a-fA-F]{2})*$"})]
"""Bytes written as hexadecimal text."""

ConfigPath = Annotated[Path, AfterValidator(resolve)]
"""A path; a relative path is relative to the folder of the file that names it."""

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that can stand in file names, test ids and lock names."""


@dataclass(frozen=True, slots=True)
class ExtensionName:
    """For ``Annotated[str, ExtensionName("protocols")]``: a built-in name, or a name that an installed package adds.

    Attributes:
        point: a key of `tfm_harness.extensions.POINTS`.
        without: built-in names that are not allowed here.
    """

    point: str
    without: tuple[str, ...] = ()

    def _check(self, name: str) -> str:
        offered = [each for each in names(self.point) if each not in self.without]
        if name in offered:
            return name
        from tfm_harness.config.nearest import nearest

        near = nearest(name, offered)
        guess = f"did you mean {near!r}?" if near else f"known: {', '.join(offered)}"
        raise ValueError(f"no {POINTS[self.point].thing} is called {name!r}; {guess}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's signature
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        offered = [each for each in POINTS[self.point].built_in if each not in self.without]
        return {"anyOf": [{"enum": offered}, {"type": "string", "pattern": NAME_PATTERN}]}
