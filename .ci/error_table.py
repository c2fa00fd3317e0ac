"""Writes docs/errors.md from harness/tfm_harness/error_kinds.yaml and the sources: ``python .ci/error_table.py``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
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
names the package and its entry point (`extension`). [api.md](api.md) has the classes.

The words below are promised: a kind keeps its meaning, and is removed only as [versions.md](versions.md) says. A
package that extends the harness raises the same classes. Its own kinds begin with the package's word and a dot
(`acme.cable-gone`), so that they cannot be taken for one of these.
"""


@cache
def raised() -> dict[str, set[str]]:
    """Kinds that the sources give, with the responsibilities of the classes that carry them.

    A kind is a literal of an error's constructor, of a function that hands its parameter on to one (`fail`, ...), of a
    worker's own failure, or an f-string whose only variable is one of `WORDS`.
    """
    trees = [
        (path, ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(PACKAGE.rglob("*.py"))
        if "simulators" not in path.parts and "device" not in path.parts
    ]
    classes = {name: name for name in RESPONSIBILITY} | OTHERS
    makers = _makers([tree for _, tree in trees], classes)
    found: dict[str, set[str]] = {}
    for path, tree in trees:
        for name, kind in [*_calls(tree, classes, makers), *_of_workers(path, tree)]:
            found.setdefault(kind, set()).add(RESPONSIBILITY[name])
    return found


WORDS = ("target", "build")
"""What stands in the f-strings of `tfm_harness.config.loading`."""

Maker = tuple[str, int | None, str]
"""Of a function that raises or returns an error: the parameter with the kind, its place, the error's class."""


def _makers(trees: list[ast.Module], classes: Mapping[str, str]) -> dict[str, Maker]:
    """Functions that hand one of their parameters on as an error's kind."""
    found: dict[str, Maker] = {}
    functions = [
        (node, [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)])
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    while True:
        before = len(found)
        for function, calls in functions:
            places = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            names = {*places, *(argument.arg for argument in function.args.kwonlyargs)}
            method = places[:1] in (["self"], ["cls"])
            for call in calls:
                value, name = _kind_of(call, classes, found)
                if isinstance(value, ast.Name) and value.id in names and function.name not in classes:
                    place = places.index(value.id) - method if value.id in places else None
                    found.setdefault(function.name, (value.id, place, name))
        if len(found) == before:
            return found


def _kind_of(call: ast.Call, classes: Mapping[str, str], makers: Mapping[str, Maker]) -> tuple[ast.expr | None, str]:
    """What a call gives as an error's kind, and the error's class; None when it makes no error."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    parameter, place, made = ("kind", None, classes[name]) if name in classes else makers.get(name, ("", None, ""))
    for keyword in call.keywords:
        if keyword.arg == parameter:
            return keyword.value, made
    return (call.args[place] if place is not None and place < len(call.args) else None), made


def _calls(tree: ast.AST, classes: Mapping[str, str], makers: Mapping[str, Maker]) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            value, name = _kind_of(node, classes, makers)
            for each in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
                yield from ((name, kind) for kind in _literals(each))
        elif isinstance(node, ast.ClassDef) and node.name in OTHERS:  # a class with one kind gives it to its base
            for call in ast.walk(ast.Module(node.body, [])):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "__init__":
                    kinds = [keyword.value for keyword in call.keywords if keyword.arg == "kind"]
                    yield from ((OTHERS[node.name], kind) for value in kinds for kind in _literals(value))


def _literals(value: ast.expr | None) -> list[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return [value.value]
    if isinstance(value, ast.JoinedStr) and isinstance(value.values[0], ast.FormattedValue):
        tail = value.values[-1]
        return [word + str(tail.value) for word in WORDS] if isinstance(tail, ast.Constant) else []
    return []


def _of_workers(path: Path, tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Processes that cannot import the harness say a kind as text; the FVP's last words are a table."""
    if path.parts[-2:] not in {("labgrid", "worker.py"), ("probe", "worker.py"), ("fvp", "model.py")}:
        return
    for node in ast.walk(tree):
        said: list[ast.expr] = []
        if isinstance(node, ast.Dict):
            said = [value for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and key.value == "error"]  # fmt: skip
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"Problem", "_RefusedError"}
        ):
            said = node.args[:1]
        elif isinstance(node, ast.Tuple) and len(node.elts) == 4 and path.parts[-2] == "fvp":
            said = node.elts[1:2]
        yield from (("InfrastructureError", kind) for value in said for kind in _literals(value))


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
