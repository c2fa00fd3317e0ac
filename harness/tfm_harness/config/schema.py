"""JSON Schemas of target, build and farm files, for editors: ``python -m tfm_harness.config.schema FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tfm_harness.config.build import Build
from tfm_harness.config.farm import Farm
from tfm_harness.config.kinds import BUILT_IN, config_model, kinds

__all__ = ["build_schema", "export", "farm_schema", "target_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _optional_name(schema: dict[str, Any]) -> dict[str, Any]:
    """`name` has a default that comes from the file's name."""
    schema["required"] = [key for key in schema.get("required", []) if key != "name"]
    return schema


def build_schema() -> dict[str, Any]:
    """The schema of ``build.yaml``."""
    return {"$schema": _DIALECT, **_optional_name(Build.model_json_schema())}


def farm_schema() -> dict[str, Any]:
    """The schema of farm files."""
    return {"$schema": _DIALECT, **_optional_name(Farm.model_json_schema())}


def target_schema(*, only_built_in: bool = False) -> dict[str, Any]:
    """The schema of ``targets/*.yaml``: one branch for each board kind."""
    definitions: dict[str, Any] = {}
    branches: dict[str, str] = {}
    for kind in sorted(BUILT_IN if only_built_in else kinds()):
        schema = _optional_name(config_model(kind).model_json_schema(ref_template="#/$defs/{model}"))
        definitions.update(schema.pop("$defs", {}))
        definitions[f"target-{kind}"] = schema
        branches[kind] = f"#/$defs/target-{kind}"
    return {
        "$schema": _DIALECT,
        "title": "tfm-harness target",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": sorted(branches)}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"$ref": reference}}
            for kind, reference in branches.items()
        ],
        "$defs": definitions,
    }


def export(folder: Path) -> list[Path]:
    """Write ``target.schema.json`` (built-in kinds), ``build.schema.json`` and ``farm.schema.json`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    made = {"target": target_schema(only_built_in=True), "build": build_schema(), "farm": farm_schema()}
    for name, schema in made.items():
        path = folder / f"{name}.schema.json"
        path.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    export(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas"))
