"""``night.json``: written whole or not at all, read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tfm_harness.errors import ConfigError
from tfm_harness.farm.record import SCHEMA, NightRecord
from tfm_harness.files import read_file
from tfm_harness.report.harmless import harmless
from tfm_harness.report.storage import MAX_FILE, dump, load, schema_of, write_text

__all__ = ["load_night", "night_schema", "save_night"]


def save_night(record: NightRecord, path: Path) -> None:
    """Write ``night.json``.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    write_text(path, [f'{{\n "schema": "{SCHEMA}",{dump(harmless(record).record, indent=1)[1:]}\n'])


def load_night(path: Path) -> NightRecord:
    """Read ``night.json``, or the one in a night's folder.

    Raises:
        ConfigError: kind ``night-file``: the file cannot be read, is damaged, or is of an unknown version.
    """
    file = path / "night.json" if path.is_dir() else path
    try:
        known = json.loads(read_file(file, MAX_FILE))
        schema = known.pop("schema", None) if isinstance(known, dict) else None
        if schema != SCHEMA:
            raise _refused(file, f"schema {schema!r}")
        # Convert back to JSON: only from JSON does strict validation accept lists for tuples.
        return harmless(load(NightRecord, json.dumps(known))).record
    except (OSError, ValidationError, ValueError, RecursionError) as error:
        raise _refused(file, f"{type(error).__name__}: {str(error).splitlines()[0]}") from error


def _refused(file: Path, seen: str) -> ConfigError:
    return ConfigError(
        "this is no record of a night", kind="night-file", expected=f"a night.json of schema {SCHEMA}", seen=seen,
        where=str(file), hint="`tfm-harness night` writes it into the night's folder when the night ends",
    )  # fmt: skip


def night_schema() -> dict[str, Any]:
    """The JSON Schema of ``night.json``."""
    return schema_of(NightRecord, SCHEMA)
