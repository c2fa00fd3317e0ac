"""YAML with positions: plain data, and the line and column of each value.

Stricter than YAML 1.1 on purpose: ``on``, ``off``, ``yes`` and ``no`` are words, keys are text,
duplicate keys are refused, tags are refused, and size, depth and the number of values after
aliases are bounded, so that a small hostile file cannot grow large in memory.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from tfm_harness.errors import ConfigError
from tfm_harness.files import open_file, resolved

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "Document", "Position", "parse", "read"]

MAX_BYTES: Final = 1 << 20
"""Largest configuration file, bytes."""
MAX_DEPTH: Final = 32
"""Deepest nesting."""
MAX_VALUES: Final = 50_000
"""Most values in a file; each use of an alias counts as if written out."""

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its data, and the position of each key and value; `file` is its name for people."""

    file: str
    data: Any
    keys: Mapping[Path_, Position] = field(default_factory=dict)
    values: Mapping[Path_, Position] = field(default_factory=dict)
    path: Path | None = None

    def where(self, path: Path_ = (), *, key: bool = False) -> str:
        """``file:line`` of the value (or of its key) at `path`, or of the nearest value around it."""
        position = self.position(path, key=key)
        return f"{self.file}:{position.line}" if position else self.file

    def position(self, path: Path_, *, key: bool = False) -> Position | None:
        """The position of `path`, or of the longest beginning of `path` that is in the file."""
        for length in range(len(path), -1, -1):
            first, second = (self.keys, self.values) if key else (self.values, self.keys)
            found = first.get(path[:length]) or second.get(path[:length])
            if found:
                return found
        return None


class _Mark(Protocol):
    """The attributes that PyYAML's C and Python marks have in common."""

    line: int
    column: int


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _refuse(file: str, mark: _Mark | None, message: str, **more: str) -> ConfigError:
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark is not None else file
    return ConfigError(message, kind="yaml", where=where, **more)


class _Composer(_Loader):
    """Composes nodes of events that are parsed already: reading text takes most of the time."""

    def __init__(self, events: Iterable[yaml.Event]) -> None:
        super().__init__("")
        self._events = deque(events)

    def check_event(self, *choices: Any) -> bool:  # noqa: ANN401 - PyYAML's own signature
        return bool(self._events) and (not choices or isinstance(self._events[0], choices))

    def peek_event(self) -> yaml.Event | None:
        return self._events[0] if self._events else None

    def get_event(self) -> yaml.Event | None:
        return self._events.popleft() if self._events else None


def _well_shaped(text: str, file: str) -> Iterator[yaml.Event]:
    """The event stream, checked without recursion, so that nothing deep or tagged is ever composed."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _refuse(file, event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise _refuse(file, event.start_mark, f"YAML tags are not used here: {tag}", hint="remove the tag")
        yield event


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.keys: dict[Path_, Position] = {}
        self.values: dict[Path_, Position] = {}
        self.count = 0
        self.open: list[yaml.Node] = []

    def build(self, node: yaml.Node, path: Path_) -> object:
        self.count += 1
        if self.count > MAX_VALUES:
            raise _refuse(self.file, node.start_mark, f"more than {MAX_VALUES} values once aliases are written out")
        if any(node is parent for parent in self.open):
            raise _refuse(self.file, node.start_mark, "an alias refers to a value that contains it")
        self.values[path] = _position(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self.open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self.open.pop()

    def _mapping(self, node: yaml.Node, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or not key_node.tag.endswith(":str"):
                scalar = isinstance(key_node, yaml.ScalarNode)
                seen = key_node.value if scalar else "a list or a mapping"
                raise _refuse(
                    self.file,
                    key_node.start_mark,
                    "a key must be text",
                    seen=str(seen)[:80],
                    hint="put it in quotes, or a space behind the colon" if scalar else "use a plain word",
                )
            key = str(key_node.value)
            if key == "<<":
                raise _refuse(self.file, key_node.start_mark, "merge keys (<<) are not used here")
            if key in result:
                first = self.keys[(*path, key)].line
                raise _refuse(
                    self.file,
                    key_node.start_mark,
                    f"the key {key!r} appears twice",
                    seen=f"first on line {first}",
                    hint="remove one of them",
                )
            self.keys[(*path, key)] = _position(key_node)
            result[key] = self.build(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text = str(node.value)
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                if len(text) > 40:
                    raise _refuse(self.file, node.start_mark, "a number longer than 40 digits")
                return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
            case "float":
                try:
                    number = float(text)
                except ValueError:  # YAML spells these .inf and .nan
                    number = math.nan
                if not math.isfinite(number):
                    raise _refuse(self.file, node.start_mark, "a number must be finite", seen=text)
                return number
            case _:
                return text


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def parse(text: str, file: str = "<text>") -> Document:
    """Parse one YAML document.

    Args:
        text: at most `MAX_BYTES` long in UTF-8.
        file: the file's name in errors.

    Raises:
        ConfigError: kind ``yaml``: bad syntax, duplicate or non-text keys, tags, too large, too deep.
    """
    if len(text.encode()) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes", kind="yaml", where=file)
    try:
        node = _Composer(_well_shaped(text, file)).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = "; ".join(part for part in (error.context, error.problem) if part)
        more = {"hint": "indent with spaces: YAML knows no tabs there"} if r"'\t'" in said else {}
        raise _refuse(file, mark, f"not valid YAML: {said}", **more) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {' '.join(str(error).split())}", kind="yaml", where=file) from error
    if node is None:
        raise ConfigError("the file is empty", kind="yaml", where=file, expected="a mapping of keys to values")
    builder = _Builder(file)
    data = builder.build(node, ())
    if not isinstance(data, dict):
        raise _refuse(file, node.start_mark, "the file must be a mapping of keys to values")
    return Document(file=file, data=data, keys=builder.keys, values=builder.values)


def read(path: Path) -> Document:
    """Read and parse a file.

    Raises:
        ConfigError: kind ``yaml`` as `parse`, ``file-missing``, or ``file-unreadable``.
    """
    shown = _short(path)
    try:
        with open_file(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError("no such file", kind="file-missing", where=shown) from error
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", kind="file-unreadable", where=shown) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes", kind="yaml", where=shown)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            "not UTF-8 text",
            kind="yaml",
            where=f"{shown}:{line}",
            seen=f"byte 0x{raw[error.start]:02x} at offset {error.start}",
        ) from error
    return replace(parse(text, shown), path=resolved(path))


def _short(path: Path) -> str:
    try:
        return str(resolved(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
