"""``run.json``: written whole or not at all, read strictly.

The file's ``schema`` names its version. The version before is read too (`tfm_harness.report.older`); any other is
refused with the version that would read it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import read_file, whole_file
from tfm_harness.report.harmless import Harmless, harmless, needs_cleaning
from tfm_harness.report.older import FIRST_SCHEMA, from_first
from tfm_harness.report.record import SCHEMA, RunRecord, TestEntry

__all__ = [
    "MAX_FILE",
    "dump",
    "load",
    "load_run",
    "parse_run",
    "plain",
    "read_run",
    "run_schema",
    "save_run",
    "schema_of",
    "write_text",
]

MAX_FILE = 1 << 30
"""Most bytes of a record."""

T = TypeVar("T")
_SCHEMA_WORD = re.compile(rb'^\s*\{\s*"schema"\s*:\s*"([^"\\]{1,64})"')


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def dump(value: object, *, indent: int | None = None) -> str:
    """An entry as JSON text, without fields that have their default."""
    return _adapter(cast("Hashable", type(value))).dump_json(value, exclude_defaults=True, indent=indent).decode()


def load(kind: type[T], text: str | bytes) -> T:
    """Read an entry that `dump` wrote.

    Raises:
        pydantic.ValidationError: not such an entry.
    """
    found: T = _adapter(cast("Hashable", kind)).validate_json(text)
    return found


def plain(kind: type[T], data: object) -> T:
    """An entry from plain data.

    Raises:
        pydantic.ValidationError: not such an entry.
    """
    found: T = _adapter(cast("Hashable", kind)).validate_python(data, strict=False)
    return found


def run_schema() -> dict[str, Any]:
    """The JSON Schema of ``run.json``."""
    return schema_of(RunRecord, SCHEMA)


def schema_of(kind: Hashable, word: str) -> dict[str, Any]:
    """The JSON Schema of a record whose file names its version as ``schema``.

    Args:
        kind: the record's class.
        word: the version.
    """
    schema = _adapter(kind).json_schema()
    schema["properties"] = {"schema": {"const": word}, **schema["properties"]}
    schema["required"] = ["schema", *schema["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def save_run(run: RunRecord | Harmless[RunRecord], path: Path) -> None:
    """Write ``run.json``, whole or not at all: everything else first, then a line for each test.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    write_text(path, _lines(harmless(run).record))


def _lines(run: RunRecord) -> Iterator[str]:
    head = dump(replace(run, tests=()))
    yield f'{{"schema": "{SCHEMA}",\n{head[1:-1]}'
    tests = _adapter(TestEntry)
    for number, test in enumerate(run.tests):
        start = ",\n" if number else ',\n"tests": [\n'
        yield start + tests.dump_json(test, exclude_defaults=True).decode()
    yield "\n]}\n" if run.tests else "}\n"


def load_run(path: Path) -> RunRecord:
    """Read ``run.json``, or the one in a run's folder.

    Raises:
        ConfigError: kind ``run-file``: the file cannot be read, is damaged, or is of an unknown version.
    """
    return read_run(path)[0]


def read_run(path: Path) -> tuple[RunRecord, bytes]:
    """Like `load_run`; also returns the file's bytes."""
    file = path / "run.json" if path.is_dir() else path
    try:
        data = read_file(file, MAX_FILE)
    except OSError as exc:
        raise _refused(file, f"{type(exc).__name__}: {exc}") from exc
    return parse_run(file, data), data


def parse_run(file: Path, data: bytes) -> RunRecord:
    """The record in the bytes of ``run.json``.

    Args:
        file: its name in errors.
        data: its bytes.

    Raises:
        ConfigError: as `load_run`.
    """
    found = _SCHEMA_WORD.match(data)
    try:
        if found is None or found[1] != SCHEMA.encode():
            return harmless(_other_version(file, data)).record
        record: RunRecord = _adapter(RunRecord).validate_json(b"{" + data[found.end() :].lstrip().removeprefix(b","))
    except ValidationError as exc:
        raise _refused(file, _first_error(exc)) from exc
    return harmless(record).record if needs_cleaning(data) else record


def _other_version(file: Path, data: bytes) -> RunRecord:
    try:
        known = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise _refused(file, f"{type(exc).__name__}: {exc}") from exc
    schema = known.pop("schema", None) if isinstance(known, dict) else None
    if schema == FIRST_SCHEMA:
        try:
            known = from_first(known)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise _refused(file, f"schema {schema}, {type(exc).__name__}: {exc}") from exc
    elif schema != SCHEMA:
        raise _refused(
            file,
            f"schema {schema!r}" if isinstance(known, dict) else f"a JSON {type(known).__name__}",
            hint="a file of a later schema needs the version of tfm-harness that wrote it",
        )
    record: RunRecord = _adapter(RunRecord).validate_json(json.dumps(known))
    return record


def _first_error(exc: ValidationError) -> str:
    errors = exc.errors(include_url=False, include_context=False)
    where = ".".join(str(part) for part in errors[0]["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where or 'the file'}: {errors[0]['msg']}{more}"


def _refused(file: Path, seen: str, *, hint: str | None = None) -> ConfigError:
    return ConfigError(
        "not a run's record",
        kind="run-file",
        expected=f"run.json of schema {SCHEMA} or {FIRST_SCHEMA}, or a run's folder",
        seen=seen,
        where=str(file),
        hint=hint,
    )


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a file, whole or not at all; if `text` is an iterable, only one piece at a time is in memory.

    Raises:
        InfrastructureError: kind ``report-write``: the disk is full or the folder cannot be written.
    """
    try:
        with whole_file(path, ".report-") as out:
            out.writelines(
                each.encode("utf-8", "backslashreplace") for each in ([text] if isinstance(text, str) else text)
            )
    except OSError as exc:
        raise InfrastructureError(
            "the run's report cannot be written", kind="report-write", seen=str(exc), where=str(path)
        ) from exc
