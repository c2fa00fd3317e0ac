"""``tfm-harness import-build PATH...``: a TF-M build tree becomes a build description."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from pathlib import Path

from tfm_harness.cli.output import warn, write
from tfm_harness.errors import ConfigError

__all__ = ["add_parser", "run"]

_EPILOG = """\
PATH is a TF-M build's folder, its api_ns, or its bin; with TF-M v2.1 and newer name the SPE build and the NS build.
It reads spe_config.cmake, CMakeCache.txt, tfm_version.h, and the signed images' headers and TLVs.
Nothing is copied. Private signing keys in the tree are named, never read further. Files that come from different
builds are refused.

exit status: 0  written
             2  wrong usage
             4  nothing to import, contradictions, unreadable files
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "import-build",
        help="write a build description from a TF-M build tree",
        description="Write a build.yaml from what a TF-M build (v1.8, v2.1 or newer) left behind.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="build folders")
    parser.add_argument(
        "-o",
        "--output",
        default="build.yaml",
        metavar="FILE",
        help="where to write (default: ./build.yaml; '-': print)",
    )
    parser.add_argument("--name", help="the build's name (default: from platform and version)")
    parser.add_argument(
        "--platform", metavar="NAME", help="an547, an552, fvp, an521 or a TFM_PLATFORM, where the tree does not say it"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Import, write, check what was written; returns the exit status.

    Raises:
        ConfigError: see `tfm_harness.importer.import_tree`; ``import-exists`` when the file is there already.
    """
    from tfm_harness.config.loading import load_build
    from tfm_harness.importer import import_tree, render

    result = import_tree(args.paths, platform=args.platform, name=args.name)
    if args.output == "-":
        write(render(result, Path.cwd()))
        where = "standard output"
    else:
        output = Path(args.output)
        if output.is_dir():
            output /= "build.yaml"
        if output.exists() and not args.force:
            raise ConfigError("the file is there already", kind="import-exists", where=str(output), hint="give --force")
        text = render(result, output.absolute().parent)
        _write(output, text)
        load_build(output)  # what was written must be a valid build
        where = str(output)
    out = [f"imported TF-M {result.version.value or '(version unknown)'} into {where}"]
    out += [f"  {entry.file.name}: {entry.about}" for entry in result.images]
    if result.private_keys:
        out.append(f"private keys in the tree, neither used nor copied: {len(result.private_keys)}")
        out += [f"  {path}" for path in result.private_keys]
    out.append("what the build does not say:")
    out += [f"  - {line}" for line in result.unknown]
    out += [f"note: {note}" for note in result.notes]
    warn("\n".join(out))
    return 0


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise ConfigError(
            f"the build description cannot be written: {error.strerror}", kind="import-write", where=str(path)
        ) from error
