"""Result profiles: a description, as data, of the contents of a signed result.

A profile is a mapping (from YAML) with these keys:

``name``, ``title``
    texts.
``algorithms``
    COSE algorithm names allowed, ``ES256`` for instance.
``deterministic``
    whether the device promises RFC 6979 signatures.
``headers``
    optional: the labels of all COSE header parameters that the device sends, in both buckets together.
``encoding``
    optional: ``deterministic`` where the device promises the heads and the key order of RFC 8949 s.4.2.1.
``claims``
    a list of claims, each with ``label`` (integer or text), ``name``, ``type``, and optionally
    ``role`` (what the harness compares; see `ROLES`), ``optional``, ``size`` (bytes, or
    ``[smallest, largest]``), ``min``, ``max``, ``values`` (number to name), ``pattern``
    (regular expression of the whole text).

Types: ``bytes``, ``text``, ``uint``, ``int``, ``float``, ``text-bytes`` (text carried as a byte
string), ``le-uint32`` and ``le-float32`` (little endian, in a byte string of 4), ``tensors``
(array of [data, type, shape, scale, zero point]).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from importlib import resources

from tfm_harness.errors import ConfigError
from tfm_harness.verify.algorithms import ALGORITHMS

__all__ = ["ROLES", "TYPES", "ClaimRule", "ResultProfile", "builtin_profiles", "load_profile"]

TYPES = frozenset(
    {"bytes", "text", "uint", "int", "float", "text-bytes", "le-uint32", "le-float32", "tensors"}
)  # fmt: skip
ROLES = frozenset({
    "nonce", "instance_id", "boot_seed", "model_id", "input_source", "input_digest", "outputs", "value", "counter",
    "counter_high", "start_ticks", "end_ticks", "tick_hz",
})  # fmt: skip
"""Roles that have a meaning for the harness; claims with other roles are only passed on."""

_ENCODINGS = {None: False, "deterministic": True}
_ROLE_TYPES = {
    "nonce": {"bytes"}, "instance_id": {"bytes"}, "boot_seed": {"bytes"}, "model_id": {"bytes"},
    "input_digest": {"bytes"}, "outputs": {"tensors"}, "input_source": {"uint", "int"},
    "counter": {"uint", "le-uint32"}, "counter_high": {"uint", "le-uint32"}, "start_ticks": {"uint"},
    "end_ticks": {"uint"}, "tick_hz": {"uint"},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRule:
    """One claim of a result profile; sizes are in bytes, ``low`` and ``high`` bound numbers."""

    label: int | str
    name: str
    type: str
    role: str | None = None
    optional: bool = False
    size: tuple[int, int] | None = None
    low: int | None = None
    high: int | None = None
    values: Mapping[int, str] | None = None
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, kw_only=True)
class ResultProfile:
    """A signed result's contents; see the module's documentation for the YAML form."""

    name: str
    title: str
    algorithms: frozenset[int]
    deterministic: bool
    claims: tuple[ClaimRule, ...]
    headers: frozenset[int | str] | None = None
    deterministic_encoding: bool = False

    def rule(self, role: str) -> ClaimRule | None:
        """The claim with that role."""
        return self._by_role.get(role)

    @cached_property
    def _by_role(self) -> dict[str | None, ClaimRule]:
        return {rule.role: rule for rule in reversed(self.claims)}  # the first of two counts

    @cached_property
    def labels(self) -> frozenset[int | str]:
        """The labels of all claims."""
        return frozenset(rule.label for rule in self.claims)

    @cached_property
    def required(self) -> frozenset[int | str]:
        """The labels of the claims that are not optional."""
        return frozenset(rule.label for rule in self.claims if not rule.optional)

    @cached_property
    def types(self) -> frozenset[str]:
        """The types of all claims."""
        return frozenset(rule.type for rule in self.claims)


def builtin_profiles() -> list[str]:
    """Names of the profiles that come with the harness."""
    return list(_builtin_names())


@cache
def _builtin_names() -> tuple[str, ...]:
    files = resources.files("tfm_harness.verify.profiles").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load_profile(source: str | Mapping[str, object]) -> ResultProfile:
    """A built-in profile by name, or a vendor's own from its mapping.

    Raises:
        ConfigError: no such name, or a mapping that breaks the form.
    """
    return _builtin(source) if isinstance(source, str) else _parse(source)


@cache
def _builtin(name: str) -> ResultProfile:
    names = builtin_profiles()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        raise ConfigError(
            f"there is no result profile {name!r}",
            kind="result-profile",
            expected=", ".join(names),
            seen=name,
            hint=f"did you mean {near[0]!r}?" if near else "name one of these, or give your own as YAML",
        )
    import yaml

    text = resources.files("tfm_harness.verify.profiles").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return _parse(yaml.safe_load(text))


def _error(message: str, *, where: str, expected: str | None = None, seen: object = None) -> ConfigError:
    return ConfigError(
        message, kind="result-profile", where=where, expected=expected, seen=None if seen is None else f"{seen!r}"[:120]
    )


def _check_keys(mapping: Mapping[str, object], known: set[str], required: set[str], where: str) -> None:
    for key in mapping:
        if key not in known:
            near = get_close_matches(str(key), sorted(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else None
            error = _error(f"unknown key {key!r}", where=where, expected=", ".join(sorted(known)))
            error.hint = hint
            raise error
    missing = required - set(mapping)
    if missing:
        raise _error(f"without {', '.join(sorted(missing))}", where=where)


def _parse(source: object) -> ResultProfile:
    if not isinstance(source, Mapping):
        raise _error("a result profile is a mapping", where="profile", seen=source)
    name = str(source.get("name", "?"))
    where = f"result profile {name!r}"
    _check_keys(
        source,
        {"name", "title", "algorithms", "deterministic", "headers", "encoding", "claims"},
        {"name", "algorithms", "claims"},
        where,
    )
    numbers = {algorithm.name: number for number, algorithm in ALGORITHMS.items()}
    algorithms = source["algorithms"]
    if not isinstance(algorithms, list) or not algorithms or not set(map(str, algorithms)) <= set(numbers):
        raise _error("algorithms not known", where=where, expected=", ".join(numbers), seen=algorithms)
    headers = source.get("headers")
    if headers is not None and not (
        isinstance(headers, list) and all(type(label) is int or isinstance(label, str) for label in headers)
    ):
        raise _error("headers is a list of integers and texts", where=where, seen=headers)
    encoding = source.get("encoding")
    if not (encoding is None or isinstance(encoding, str)) or encoding not in _ENCODINGS:
        raise _error("encoding not known", where=where, expected="deterministic, or none", seen=encoding)
    claims = source["claims"]
    if not isinstance(claims, list) or not claims:
        raise _error("claims is a list and not empty", where=where, seen=claims)
    rules = tuple(_parse_claim(claim, f"{where}, claim {index}") for index, claim in enumerate(claims))
    for what, values in (("label", [r.label for r in rules]), ("role", [r.role for r in rules if r.role])):
        twice = {str(value) for value in values if values.count(value) > 1}  # type: ignore[arg-type]  # one list each
        if twice:
            raise _error(f"{what} {', '.join(sorted(twice))} appears twice", where=where)
    return ResultProfile(
        name=name,
        title=str(source.get("title", name)),
        algorithms=frozenset(numbers[str(a)] for a in algorithms),
        deterministic=source.get("deterministic") is True,
        claims=rules,
        headers=None if headers is None else frozenset(headers),
        deterministic_encoding=_ENCODINGS[encoding],
    )


def _parse_claim(claim: object, where: str) -> ClaimRule:
    if not isinstance(claim, Mapping):
        raise _error("a claim is a mapping", where=where, seen=claim)
    known = {"label", "name", "type", "role", "optional", "size", "min", "max", "values", "pattern"}
    _check_keys(claim, known, {"label", "name", "type"}, where)
    label, kind, role = claim["label"], claim["type"], claim.get("role")
    if type(label) is not int and not isinstance(label, str):
        raise _error("a label is an integer or a text", where=where, seen=label)
    if kind not in TYPES:
        raise _error("type not known", where=where, expected=", ".join(sorted(TYPES)), seen=kind)
    if role is not None and not isinstance(role, str):
        raise _error("a role is a text", where=where, seen=role)
    if role in _ROLE_TYPES and kind not in _ROLE_TYPES[role]:
        raise _error(f"role {role} has another type", where=where, expected=" or ".join(_ROLE_TYPES[role]), seen=kind)
    values = claim.get("values")
    if values is not None and not (isinstance(values, Mapping) and all(type(v) is int for v in values)):
        raise _error("values maps integers to names", where=where, seen=values)
    pattern = claim.get("pattern")
    try:
        compiled = re.compile(pattern, re.ASCII) if isinstance(pattern, str) else None
    except re.error as error:
        raise _error(f"pattern is no regular expression: {error}", where=where, seen=pattern) from None
    return ClaimRule(
        label=label,
        name=str(claim["name"]),
        type=str(kind),
        role=role,
        optional=claim.get("optional") is True,
        size=_parse_size(claim.get("size"), where),
        low=_parse_bound(claim.get("min"), where),
        high=_parse_bound(claim.get("max"), where),
        values={k: str(v) for k, v in values.items()} if values is not None else None,
        pattern=compiled,
    )


def _parse_bound(value: object, where: str) -> int | None:
    if value is not None and type(value) is not int:
        raise _error("min and max are integers", where=where, seen=value)
    return value


def _parse_size(value: object, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = [value, value] if type(value) is int else value
    if isinstance(pair, list) and len(pair) == 2:
        low, high = pair
        if type(low) is int and type(high) is int and 0 <= low <= high:
            return low, high
    raise _error("size is a number of bytes, or [smallest, largest]", where=where, seen=value)
