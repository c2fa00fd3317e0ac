"""Turns pydantic's errors into lines that help: file:line, the key, the nearest known key."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from tfm_harness.config.fields import NAME_PATTERN
from tfm_harness.config.nearest import nearest
from tfm_harness.config.open_union import OpenUnion
from tfm_harness.config.positions import Document
from tfm_harness.errors import ConfigError

__all__ = ["Problem", "fail", "nearest", "problems_of"]

Loc = tuple[str | int, ...]
Problem = tuple[str, str]
"""``file:line`` and what is wrong there."""

_MAX_SHOWN = 20
_PLAINER = (("Value error, ", ""), ("Input should be ", "should be "), ("String should ", "should "))
_PATTERNS = {
    NAME_PATTERN: "should be letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63",
    r"^uart[0-9]$": "should be uart0 to uart9",
}


def fail(kind: str, what: str, problems: Sequence[Problem], hint: str | None = None) -> ConfigError:
    """One `ConfigError` for all problems of a file; `where` is the first problem's line."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{where}: {text}" for where, text in problems[:_MAX_SHOWN]]
    if len(problems) > _MAX_SHOWN:
        lines.append(f"... and {len(problems) - _MAX_SHOWN} more")
    return ConfigError(f"{what}: {count}", kind=kind, seen="\n".join(lines), where=problems[0][0], hint=hint)


def problems_of(error: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """Every error with its line, in the file's order."""
    found: list[tuple[int, Problem]] = []
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and _long_enough(item["input"], item["ctx"]["min_length"]):
            continue  # pydantic counts only valid items; the errors of the others are reported
        path = _in_document(item["loc"], document)
        unknown = item["type"] == "extra_forbidden"
        where = document.where(path, key=unknown)
        position = document.position(path, key=unknown)
        text = _unknown_key(path, item["loc"], model) if unknown else _said(dict(item), path)
        found.append((position.line if position else 0, (where, text)))
    unique = dict.fromkeys(problem for _, problem in sorted(found, key=lambda pair: pair[0]))
    return list(unique)


def _long_enough(value: object, least: int) -> bool:
    return isinstance(value, Sequence | Mapping) and len(value) >= least


def _in_document(loc: Loc, document: Document) -> Loc:
    """`loc` without the parts that pydantic adds for union members; a missing key stays as the last part."""
    path: Loc = ()
    for index, part in enumerate(loc):
        if (*path, part) in document.values:
            path = (*path, part)
        elif index == len(loc) - 1:
            return (*path, part)
    return path


def _unknown_key(path: Loc, loc: Loc, model: type[BaseModel]) -> str:
    known = sorted({key for found in _models_at(model, loc[:-1]) for key in found.model_fields})
    key = str(path[-1])
    near = nearest(key, known)
    guess = f"did you mean {near!r}?" if near else f"known here: {', '.join(known)}" if known else ""
    return f"unknown key {_dotted(path)!r}" + (f"; {guess}" if guess else "")


def _said(item: dict[str, Any], path: Loc) -> str:
    message = str(item["msg"])
    for prefix, instead in _PLAINER:
        if message.startswith(prefix):
            message = instead + message.removeprefix(prefix)
    if item["type"] == "string_pattern_mismatch":
        pattern = item["ctx"]["pattern"]
        message = _PATTERNS.get(pattern, f"should match {pattern}")
    elif item["type"] == "too_short":
        message = f"should have at least {item['ctx']['min_length']}, has {item['ctx']['actual_length']}"
    if path and path[-1] == "[key]":
        path, message = path[:-1], f"as a name, {message}"
    name = _dotted(path)
    if item["type"] == "missing":
        return f"{name!r} is missing"
    if item["type"] == "union_tag_invalid":
        return _unknown_tag(item, name)
    if item["type"] == "union_tag_not_found":
        return f"'{name}.{str(item['ctx']['discriminator']).strip(chr(39))}' is missing"
    seen = item.get("input")
    shown = "" if isinstance(seen, dict | list) or item["type"] == "value_error" else f" (is {_clip(seen)})"
    return f"{name}: {message}{shown}" if name else message


def _unknown_tag(item: dict[str, Any], name: str) -> str:
    context = item["ctx"]
    known = [word.strip("' ") for word in str(context["expected_tags"]).split(",")]
    key, tag = str(context["discriminator"]).strip("'"), str(context["tag"])
    near = nearest(tag, known)
    guess = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
    return f"{name}.{key}: unknown {key} {tag!r}; {guess}"


def _clip(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(path: Loc) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _models_at(model: type[BaseModel], loc: Loc) -> Iterator[type[BaseModel]]:
    """The models that may stand at `loc`, following fields, containers and unions."""
    candidates: list[Any] = [model]
    for part in loc:
        following: list[Any] = []
        for found in [m for c in candidates for m in _members(c)]:
            if isinstance(part, str) and part in found.model_fields:
                following.append(found.model_fields[part].annotation)
            elif part in _tags(found) or part == found.__name__:
                following.append(found)
        # A container's index or key, or a union's tag: the candidate models stay the same.
        candidates = following or candidates
    for candidate in candidates:
        yield from _members(candidate)


def _members(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, OpenUnion):
        annotation = annotation.built_in
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _members(argument)


def _tags(model: type[BaseModel]) -> set[object]:
    return {
        value
        for key in ("kind", "model")
        if key in model.model_fields
        for value in typing.get_args(model.model_fields[key].annotation)
    }
