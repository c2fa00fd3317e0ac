"""Writes docs/errors.md from harness/tfm_harness/error_kinds.yaml and the sources: ``python .ci/error_table.py``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "harness" / "tfm_harness"
TABLE = PACKAGE / "error_kinds.yaml"
PAGE = ROOT / "docs" / "errors.md"
RESPONSIBILITY = {"ConfigError": "configuration", "InfrastructureError": "infrastructure", "ProductError": "product"}
OTHERS = {
    "QmpRefusedError": "InfrastructureError",
    "PicoRefusedError": "InfrastructureError",
    "UnknownFormError": "ConfigError",
    "ExtensionError": "ConfigError",
    "CorimError": "ConfigError",
}
"""Classes that are one of the three."""

HEAD = """# Errors

Each error of the harness says whose responsibility it is, and carries a *kind*: a word that does not change, which
JUnit has as property `harness.kind` and JSON as `kind`. Scripts may match the kinds below. The class is what a test
catches; the exit code is what a CI system sees when nothing worse happened.

| class | responsibility | exit code |
|---|---|---|
| `ProductError` | product | 1 |
| `HarnessBug` | harness: please report it with the whole output | 3 |
| `ConfigError` | configuration | 4 |
| `ExtensionError`, a `ConfigError` | configuration: an installed package cannot be used | 4 |
| `InfrastructureError` | infrastructure | 10 |

All of them are `HarnessError`, with `message`, `kind`, `expected`, `seen`, `where` and `hint`. An `ExtensionError` also
names the package and its entry point (`extension`). The class is part of the public API.

The words below are promised: a kind keeps its meaning, and is removed only with a deprecation. A
package that extends the harness raises the same classes. Its own kinds begin with the package's word and a dot
(`acme.cable-gone`), so that they cannot be taken for one of these.
"""


def raised() -> dict[str, set[str]]:
    """Kinds that the sources give as a literal, with the responsibilities of the classes that carry them."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulators" in path.parts or "device" in path.parts:
            continue
        for name, kind in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            responsibility = RESPONSIBILITY.get(OTHERS.get(name, name))
            if responsibility:
                found.setdefault(kind, set()).add(responsibility)
    return found


def _calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            for keyword in node.keywords:
                if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant):
                    yield name, str(keyword.value.value)
        elif isinstance(node, ast.ClassDef) and node.name in OTHERS:  # a class with one kind gives it to its base
            yield from ((node.name, kind) for name, kind in _calls(ast.Module(node.body, [])) if name == "__init__")


def table() -> Mapping[str, Mapping[str, str]]:
    """The promised kinds."""
    loaded: Mapping[str, Mapping[str, str]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return loaded


def page() -> str:
    """The page's text."""
    kinds, seen = table(), raised()
    parts = [HEAD]
    for responsibility in RESPONSIBILITY.values():
        parts.append(f"\n## {responsibility.capitalize()}\n\n| kind | cause | what to do |\n|---|---|---|\n")
        for kind in sorted(kinds):
            if responsibility in seen.get(kind, set()):
                row = kinds[kind]
                parts.append(f"| `{kind}` | {row['cause']} | {row['remedy']} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(table())} kinds\n")
