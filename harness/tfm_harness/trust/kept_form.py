"""Expectations and keys as JSON and back, for raw evidence that is kept (`tfm_harness.trust.kept`).

Only the types that are listed here can be written or read: the file holds no code, and an unknown name is refused.
Shared secrets are never written.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.keys import KeyFormatError, PublicKey, SymmetricKey
from tfm_harness.verify.result_profile import ClaimRule, ResultProfile
from tfm_harness.verify.results import ResultExpectations, TensorSpec
from tfm_harness.verify.token import TokenExpectations

__all__ = ["from_plain", "to_plain"]

_CLASSES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (ClaimRule, ExpectedComponent, ResultExpectations, ResultProfile, TensorSpec, TokenExpectations)
}


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """A value as JSON data.

    Raises:
        TypeError: values of this type are not kept, for instance a shared secret.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, PublicKey):
        return {"point": value.point.hex()}
    if isinstance(value, SymmetricKey):
        raise TypeError("a shared secret is not kept")
    if isinstance(value, re.Pattern):
        return {"pattern": value.pattern}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, frozenset):
        return {"set": sorted((to_plain(item) for item in value), key=repr)}
    if isinstance(value, Mapping):
        return {"map": [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    name = type(value).__name__
    if _CLASSES.get(name) is not type(value):
        raise TypeError(f"a {name} is not kept")
    said = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}  # type: ignore[arg-type]
    return {"is": name, "with": {field: to_plain(item) for field, item in said.items() if item is not None}}


def from_plain(data: object) -> Any:  # noqa: ANN401 - what was kept
    """The value that `to_plain` turned into `plain`.

    Raises:
        ValueError: no such form.
    """
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, list):
        return tuple(from_plain(item) for item in data)
    if not isinstance(data, dict):
        raise ValueError(f"a {type(data).__name__}")  # noqa: TRY004 - one error for every wrong form
    try:
        if data.keys() == {"is", "with"}:
            kind = _CLASSES.get(data["is"])
            if kind is None:
                raise ValueError(f"an unknown class {data['is']!r}")
            return kind(**{str(name): from_plain(item) for name, item in data["with"].items()})
        ((form, value),) = data.items()
        match form:
            case "bytes":
                return bytes.fromhex(value)
            case "point":
                return PublicKey.from_point(bytes.fromhex(value))
            case "pattern":
                return re.compile(value, re.ASCII)
            case "set":
                return frozenset(from_plain(item) for item in value)
            case "map":
                return {from_plain(key): from_plain(item) for key, item in value}
    except (TypeError, AttributeError, KeyFormatError, re.error) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    raise ValueError(f"an unknown form {form!r}")
