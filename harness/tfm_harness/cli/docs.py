"""``tfm-harness docs`` and ``schema``: the documentation and the JSON Schemas that came with this version."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path

from tfm_harness.bundled import bundled
from tfm_harness.cli.output import say, write_exactly
from tfm_harness.errors import ConfigError

__all__ = ["add_parser", "pages", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    docs = subparsers.add_parser(
        "docs",
        help="the documentation of this version",
        description="List the pages; with a page's name: show it.",
        epilog="examples:\n  tfm-harness docs\n  tfm-harness docs tutorial | less\n  tfm-harness docs suites/boot\n"
        "  tfm-harness docs --search waiver",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    docs.add_argument("page", nargs="?", help="a page's name as the list has it")
    docs.add_argument("--search", metavar="TEXT", help="lines of all pages that have this text, with their page")
    docs.add_argument("--path", action="store_true", help="say where the page's file (or all of them) is")
    docs.set_defaults(run=run)
    schema = subparsers.add_parser(
        "schema",
        help="JSON Schemas of target, build and farm files, for editors, of run.json, night.json and of evidence",
        description="Print the JSON Schema of target files, build files, farm files, run.json, night.json, or the"
        " predicate of signed evidence; --output writes the first three.",
        epilog="examples:\n  tfm-harness schema target > target.schema.json\n  tfm-harness schema --output schemas\n"
        "An editor with a YAML language server then takes, as the first line of a target file:\n"
        "  # yaml-language-server: $schema=../schemas/target.schema.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    schema.add_argument(
        "what", nargs="?", choices=("target", "build", "farm", "run", "night", "evidence"), help="which schema to print"
    )
    schema.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write target.schema.json, build.schema.json and farm.schema.json there",
    )
    schema.set_defaults(run=run_schema)


def pages() -> dict[str, Path]:
    """Every page by the name that a user gives it: ``tutorial``, ``boards/serial``, ``suites/boot``."""
    found: dict[str, Path] = {}
    docs = bundled("docs")
    for path in [bundled("README.md"), *sorted(docs.glob("*.md")), *sorted(docs.glob("boards/*.md"))]:
        name = path.relative_to(docs) if path.is_relative_to(docs) else path.relative_to(docs.parent)
        found[str(name.with_suffix(""))] = path
    for folder in ("suites", "fw_builds"):
        for path in sorted(bundled(folder).glob("*/README.md")):
            found[f"{folder}/{path.parent.name}"] = path
    return {name: path for name, path in found.items() if path.is_file()}


def title(path: Path) -> str:
    """A page's first heading."""
    heading = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1].replace("`", "") if heading else ""


def run(args: argparse.Namespace) -> int:
    """Run ``docs``."""
    found = pages()
    if args.search:
        return _search(args.search, found)
    if args.page is None:
        if args.path:
            say(bundled("docs"))
            return 0
        width = max(map(len, found))
        for name, path in found.items():
            say(f"{name:<{width}}  {title(path)}")
        return 0
    name = os.path.normpath(args.page).removeprefix("docs/").removesuffix(".md").removesuffix("/README") or "README"
    if name not in found:
        from tfm_harness.config.nearest import nearest

        near = nearest(name, found)
        raise ConfigError(
            f"no page is called {args.page!r}" + (f"; did you mean {near!r}?" if near else ""),
            kind="page-unknown",
            expected="one of " + ", ".join(found),
            hint="tfm-harness docs lists the pages, tfm-harness docs --search TEXT looks into them",
        )
    if args.path:
        say(found[name])
    else:
        write_exactly(found[name].read_text(encoding="utf-8"))
    return 0


def _search(text: str, found: dict[str, Path]) -> int:
    hits = 0
    for name, path in found.items():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if text.lower() in line.lower():
                say(f"{name}:{number}: {line.strip()}")
                hits += 1
    if not hits:
        say(f"no page has {text!r}")
    return 0 if hits else 5


def run_schema(args: argparse.Namespace) -> int:
    """Run ``schema``.

    Raises:
        ConfigError: neither a schema nor a folder is named, or the folder cannot be written.
    """
    from tfm_harness.config.schema import build_schema, export, farm_schema, target_schema

    if args.output is None and args.what is None:
        raise ConfigError(
            "which schema?",
            kind="schema-unnamed",
            expected="tfm-harness schema target, schema build, schema farm, schema run, schema night, schema evidence,"
            " or --output DIR for the first three",
        )
    if args.output is not None:
        try:
            written = export(args.output)
        except OSError as error:
            raise ConfigError(
                f"schemas cannot be written into {args.output}", kind="schema-output", seen=str(error)
            ) from error
        for path in written:
            say(path)
    if args.what is not None:
        if args.what == "run":
            from tfm_harness.report.storage import run_schema as make
        elif args.what == "night":
            from tfm_harness.farm.storage import night_schema as make
        elif args.what == "evidence":
            from tfm_harness.evidence.predicate import predicate_schema as make
        else:
            make = {"target": target_schema, "build": build_schema, "farm": farm_schema}[args.what]
        say(json.dumps(make(), indent=1, sort_keys=True))
    return 0
