"""``tfm-harness check``, ``targets``, ``builds``: configuration, looked at without touching a board."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import say, warn
from tfm_harness.errors import ConfigError
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.config.target import TargetBase

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    check = subparsers.add_parser(
        "check",
        help="check target and build files",
        description="Read and validate target and build files. "
        "With one target and one build: also check that they fit together.",
        epilog="examples:\n  tfm-harness check targets/my-board.yaml fw_builds/mine\n"
        "  tfm-harness check --no-files targets/*.yaml fw_builds/*/build.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("file", nargs="+", type=Path, help="a target's or a build's YAML file, or a build's folder")
    check.add_argument("--no-files", action="store_true", help="images that are not built yet are no error")
    check.add_argument(
        "--combinations",
        action="store_true",
        help="also check that each build fits each target, as one run needs it",
    )
    check.add_argument("--pairs", action="store_true", help=argparse.SUPPRESS)
    check.set_defaults(run=run)
    for what in ("targets", "builds"):
        listing = subparsers.add_parser(what, help=f"list the {what} that can be named")
        listing.add_argument("--json", action="store_true", help="print JSON")
        listing.set_defaults(run=run_list, what=what)


def run(args: argparse.Namespace) -> int:
    """Check files; every problem of every file is said."""
    from tfm_harness.config.loading import (
        check_combination,
        check_targets,
        load_build,
        load_target,
        refuse_vain_waivers,
    )
    from tfm_harness.trust.signers import refuse_other_signers

    if args.pairs:
        raise ConfigError("the option --pairs is now called --combinations", kind="option-renamed")
    targets: list[TargetBase] = []
    builds: list[Build] = []
    problems = 0
    of_suites = functools.cache(suite_checks)
    for path in args.file:
        try:
            if is_target(path):
                targets.append(load_target(path))
                refuse_unknown_machine(targets[-1])
            else:
                builds.append(load_build(path, require_files=not args.no_files))
                known = of_suites()
                refuse_vain_waivers(builds[-1], builds[-1].document, known)
                refuse_misspelt_waivers(builds[-1], known)
                if not args.no_files:
                    refuse_other_signers(builds[-1])
                    refuse_onnx_models(builds[-1])
            say(f"{path}: valid")
        except ConfigError as error:
            problems += 1
            warn(error)
    judges: list[Callable[[], None]] = []
    if args.combinations or (len(targets), len(builds)) == (1, 1):
        judges = [functools.partial(check_combination, target, build) for target in targets for build in builds]
        judges.append(functools.partial(check_targets, targets))
    for judge in judges:
        try:
            judge()
        except ConfigError as error:
            problems += 1
            warn(error)
    return 4 if problems else 0


def suite_checks() -> dict[str, bool]:
    """Whether each check that a suite declares, or a helper of suites makes, can be waived, by its id."""
    from tfm_harness.cli.run import suites
    from tfm_harness.coverage.helper_checks import ALL
    from tfm_harness.coverage.suites import declared_checks

    declared = {check: waivable for folder in suites().values() for check, waivable in declared_checks(folder).items()}
    return declared | {check.id: check.waivable for check in ALL}


def refuse_unknown_machine(target: TargetBase) -> None:
    """Refuse an emulated board that this host's QEMU does not have; without a QEMU nothing is said.

    Raises:
        ConfigError: ``machine-unknown``.
    """
    from tfm_harness.config.qemu import QemuTarget

    if isinstance(target, QemuTarget):
        from tfm_harness.boards.qemu.known_machines import machine_error

        error = machine_error(target)
        if error is not None:
            raise error


def refuse_misspelt_waivers(build: Build, suites: Mapping[str, bool]) -> None:
    """Refuse a waiver whose id no known check has, and one has almost.

    A check of tests that are no suite is not known here: an id that is like no other is let pass.

    Raises:
        ConfigError: ``build-invalid``.
    """
    from fnmatch import fnmatchcase

    from tfm_harness.config.loading import harness_checks
    from tfm_harness.config.nearest import did_you_mean
    from tfm_harness.config.problems import fail

    known = harness_checks().keys() | suites.keys()
    problems = []
    for index, waiver in enumerate(build.waivers):
        if any(fnmatchcase(check, waiver.finding) for check in known):
            continue
        near = did_you_mean(waiver.finding, known, cutoff=0.9)
        if near:
            where = build.document.where(("waivers", index, "finding")) if build.document else ""
            problems.append((where, f"no check is called {waiver.finding!r}{near}"))
    if problems:
        raise fail("build-invalid", f"build {build.name!r} waives what does not exist", problems)


def refuse_onnx_models(build: Build) -> None:
    """Refuse an ONNX model that cannot be judged, or whose declared formats do not fit; where onnx is installed.

    Raises:
        ConfigError: ``onnx-model``.
    """
    from importlib.util import find_spec

    from tfm_harness.bench.reference import onnx_blob
    from tfm_harness.config.problems import Problem, fail

    declared = {name: model.reference for name, model in build.models.items() if model.reference is not None}
    declared = {name: reference for name, reference in declared.items() if reference.kind == "onnx"}
    if not declared or find_spec("onnx") is None:
        return
    from tfm_harness.parity.onnx import get_onnx_engine

    problems: list[Problem] = []
    with get_onnx_engine(time_limit=build.parity.time_limit) as engine:
        for name, reference in declared.items():
            try:
                engine.info(onnx_blob(reference), reference.source.name)
            except ConfigError as error:
                place = build.document.where(("models", name, "reference")) if build.document else ""
                problems.append((place, f"models.{name}.reference: {error.message}: {error.seen}"))
    if problems:
        raise fail("onnx-model", f"build {build.name!r} names ONNX models that cannot be judged", problems)


def is_target(path: Path) -> bool:
    """Whether a file describes a target: it names a kind, or its keys are rather a target's than a build's.

    Raises:
        ConfigError: it cannot be read.
    """
    from tfm_harness.config.build import Build
    from tfm_harness.config.positions import read
    from tfm_harness.config.qemu import QemuTarget

    if path.is_dir():
        return False
    if not path.is_file():
        said = "no regular file" if path.exists() else "no such file"
        raise ConfigError(f"{said}: {path}", kind="file-missing")
    keys = set(read(path).data)
    return "kind" in keys or len(keys & set(QemuTarget.model_fields)) > len(keys & set(Build.model_fields))


def run_list(args: argparse.Namespace) -> int:
    """List targets or builds."""
    from tfm_harness.config.loading import build_names, load_build, load_target, target_names

    names = target_names() if args.what == "targets" else build_names()
    rows = []
    for name, path in names.items():
        try:
            loaded: TargetBase | Build
            if args.what == "targets":
                loaded = load_target(path)
                kind = loaded.kind
            else:
                loaded = load_build(path, require_files=False)
                kind = loaded.protocol
            rows.append({"name": name, "kind": kind, "description": loaded.description, "file": str(path)})
        except ConfigError as error:
            rows.append({"name": name, "kind": "wrong", "description": error.message, "file": str(path)})
    if args.json:
        say(safe_json(rows))
        return 0
    for row in rows:
        say(f"{row['name']:<24} {row['kind']:<14} {row['description']}\n{'':<24} {row['file']}")
    if not rows:
        warn(f"no {args.what} found; see docs/writing-a-{args.what[:-1]}.md")
    return 0
