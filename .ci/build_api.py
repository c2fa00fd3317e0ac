"""Writes docs/api.md from the docstrings of the public names: ``python .ci/build_api.py`` (``make docs`` does it, too).

The sources are read, not imported, so that every Python makes the same page.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "harness"
PAGE = ROOT / "docs" / "api.md"

PUBLIC = (
    "tfm_harness",
    "tfm_harness.console_suites",
    "tfm_harness.extensions",
    "tfm_harness.latency",
    "tfm_harness.parity",
    "tfm_harness.protocol.mlperf_tiny",
    "tfm_harness.protocol.smp",
    "tfm_harness.protocol.zephyr_shell",
    "tfm_harness.provisioning",
    "tfm_harness.testing",
    "tfm_harness.verify",
)
"""Public packages; what stands in their ``__all__`` keeps its meaning as docs/versions.md says."""

HEAD = """# Public API

What suites and extensions may import, made from the docstrings. [versions.md](versions.md) says how long a name keeps
its meaning; [extending.md](extending.md) shows what extensions look like. Everything that is not here may change in
any version.

Errors form a tree. The class says whose responsibility an error is, its `kind` says which error it is:
[errors.md](errors.md) has all kinds.

```text
HarnessError
├── ProductError            the product under test
│   └── Refused             the firmware's own refusal, with its status
├── InfrastructureError     a tool, cable, probe, emulator, lock or disk
├── ConfigError             files, options, environment
│   └── ExtensionError      an installed package that extends the harness
└── HarnessBug              the harness itself: please report it
```

"""
SECTIONS = {"Args", "Attributes", "Returns", "Raises", "Yields"}


def module_file(name: str) -> Path:
    """The source file of a module or package."""
    path = SOURCE.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def parse(name: str) -> ast.Module:
    """A module's tree."""
    return ast.parse(module_file(name).read_text(encoding="utf-8"))


def exported(package: str) -> dict[str, str]:
    """Public names of a package, each with the module that it comes from."""
    tree = parse(package)
    homes: dict[str, str] = {}
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            homes |= {alias.asname or alias.name: node.module for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names = list(ast.literal_eval(node.value))
    return {name: homes.get(name, package) for name in sorted(names, key=str.lower)}


def find(module: str, name: str) -> tuple[ast.stmt | None, ast.stmt | None]:
    """Where a name is defined: the statement and the one after it (re-exports are followed)."""
    tree = parse(module)
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node, following
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == name for target in node.targets):
            return node, following
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == name:
            return node, following
    for node in ast.walk(tree):
        named = isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names)
        if isinstance(node, ast.ImportFrom) and named and node.module and node.module != module:
            return find(node.module, name)
    if module_file(f"{module}.{name}").exists():
        return ast.Expr(ast.Constant(ast.get_docstring(parse(f"{module}.{name}")) or "")), None
    return None, None


def signature(node: ast.FunctionDef) -> str:
    """A function's arguments and result, as the source has them."""
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^self(, )?|^cls(, )?", "", arguments)
    return f"({arguments})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def prose(text: str) -> str:
    """A docstring as Markdown: sections become lists."""
    lines: list[str] = []
    section = False
    for line in text.splitlines():
        bare = line.strip()
        if bare.removesuffix(":") in SECTIONS and bare.endswith(":") and not line.startswith(" "):
            section = True
            lines += ["", f"**{bare}**", ""]
        elif section and line.startswith("    ") and not line.startswith("     "):
            item = re.match(r"([\w*, .`]+?): (.*)", bare)
            lines.append(f"* `{item[1].strip('`')}`: {item[2]}" if item else f"* {bare}")
        elif section and line.startswith("     "):
            lines.append(f"  {bare}")
        else:
            section = section and not bare
            lines.append(line.rstrip())
    return re.sub(r"``([^`]+)``", r"`\1`", re.sub(r"\n{3,}", "\n\n", "\n".join(lines))).strip()


def members(node: ast.ClassDef) -> Iterator[str]:
    """Public methods and properties, each with its first sentence."""
    for item in node.body:
        if not isinstance(item, ast.FunctionDef) or item.name.startswith("_"):
            continue
        marks = {ast.unparse(each).rpartition(".")[2] for each in item.decorator_list}
        if "overload" in marks or "setter" in marks:
            continue
        said = prose((ast.get_docstring(item) or "").split("\n\n")[0].replace("\n", " "))
        if said.startswith("See `"):
            continue
        shown = item.name if marks & {"property", "cached_property"} else f"{item.name}{signature(item)}"
        yield f"* `{shown}`" + (" (abstract)" if "abstractmethod" in marks else "") + (f": {said}" if said else "")


def fields(node: ast.ClassDef) -> Iterator[str]:
    """Values of an enumeration."""
    if not any("Enum" in ast.unparse(base) for base in node.bases):
        return
    for item in node.body:
        if isinstance(item, ast.Assign):
            yield f"* `{ast.unparse(item.targets[0])} = {ast.unparse(item.value)}`"


def entry(name: str, home: str, package: str) -> str:
    """One name's part of the page."""
    node, following = find(home, name)
    parts = [f"### {package}.{name}"]
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        made = next((i for i in node.body if isinstance(i, ast.FunctionDef) and i.name == "__init__"), None)
        parts.append(f"`class {name}({bases})`" if bases else f"`class {name}`")
        if made is not None:
            parts.append(f"`{name}{signature(made).removesuffix(' -> None')}`")
        parts += [prose(ast.get_docstring(node) or ""), "\n".join([*fields(node), *members(node)])]
    elif isinstance(node, ast.FunctionDef):
        parts += [f"`{name}{signature(node)}`", prose(ast.get_docstring(node) or "")]
    elif isinstance(node, ast.Expr):
        parts += ["A module.", prose(str(getattr(node.value, "value", "")).split("\n\n")[0])]
    elif node is not None:
        value = following.value if isinstance(following, ast.Expr) else None
        said = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
        kind = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
        parts += [f"`{name}{kind}`", prose(said)]
    return "\n\n".join(part for part in parts if part)


def page() -> str:
    """The page's text."""
    parts = [HEAD.rstrip()]
    parts.append("\n".join(f"* [{package}](#{package.replace('.', '').replace('_', '_')})" for package in PUBLIC))
    for package in PUBLIC:
        names = exported(package)
        parts += [f"## {package}", prose(ast.get_docstring(parse(package)) or "")]
        parts += [entry(name, home, package) for name, home in names.items()]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    text = page()
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {text.count(chr(10) + '### ')} names\n")


if __name__ == "__main__":
    main()
