"""``tfm-harness init``: a project of one's own that runs at once, on QEMU with the reference firmware."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from tfm_harness.bundled import bundled
from tfm_harness.cli.output import say
from tfm_harness.errors import ConfigError
from tfm_harness.files import IMAGE_LIMIT, read_file, resolved

__all__ = ["add_parser", "project_files", "run"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

PYTEST_INI = """\
[pytest]
# `pytest` and `tfm-harness run` take these where the command line names no others.
tfm_target = {target}
tfm_build = {build}
addopts = --strict-markers --import-mode=importlib
testpaths = suites
"""

TARGET_HEAD = """\
# yaml-language-server: $schema=../schemas/target.schema.json
#
# Your board. This is the emulated one, as a beginning: `tfm-harness docs writing-a-target` tells what other kinds take.
"""

BUILD_HEAD = """\
# yaml-language-server: $schema=../../schemas/build.schema.json
#
# Your firmware. This is the harness's reference firmware, as a beginning: replace the images, models and keys by yours;
# `tfm-harness docs writing-a-build` tells what each line means.
"""

SUITE_README = """\
# {suite}

The device answers with results that are signed, fresh, and what the reference interpreter says.

| check | what it proves | asked for by |
|---|---|---|
| `result.*`, `cose.*` | results are signed, fresh, and about what was played | our specification, s.1 |
| `parity.*` | the numbers are the reference interpreter's | our specification, s.1 |
| `mine.played-temperature` | the secure side was given the temperature that is played | our specification, s.1 |

Needs: `infer`, `signed-result`, and a target with a stimulus.
"""

SUITE = '''\
"""A first suite: what the board signs is true."""

from __future__ import annotations

import pytest
from tfm_harness.findings import Check

pytestmark = pytest.mark.needs("infer", "signed-result", "sensor", "stimulus")

IN_RANGE = Check(
    id="mine.played-temperature",
    title="the secure side was given the temperature that this test plays",
    requirement="our product specification, section 1",
)


def test_result_is_signed_and_right(device, stimulus, verifier, reference):
    stimulus.set("temp", 25.0)
    inference = device.infer_window()
    verifier.result(inference)  # envelope, signature, nonce, board, boot, model, samples
    reference.matches(inference)  # the numbers, bit for bit


def test_my_own_check(device, stimulus, checks):
    stimulus.set("temp", 40.0)
    device.fill_window()
    last = stimulus.expected_samples(1)[0]
    checks(IN_RANGE, last.t / 16 == 40.0, expected="40.0 degC", seen=last.t / 16)
'''

GITIGNORE = "runs/\n__pycache__/\n.pytest_cache/\n"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "init",
        help="begin a project: target, build and suite that run on QEMU",
        description="Write a target, a build (a copy of the reference firmware), a suite, JSON Schemas and pytest.ini."
        " Nothing that exists is overwritten.",
        epilog="examples:\n  tfm-harness init my-project\n  tfm-harness init . --target my-board --build my-firmware",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where (default: here)")
    parser.add_argument("--target", default="my-board", metavar="NAME", help="the target's name (default: my-board)")
    parser.add_argument(
        "--build", default="my-firmware", metavar="NAME", help="the build's name (default: my-firmware)"
    )
    parser.add_argument("--suite", default="my_suite", metavar="NAME", help="the suite's name (default: my_suite)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        ConfigError: a name that no file can have, a file that exists with other contents, no right to write.
    """
    for option in ("target", "build", "suite"):
        if not _NAME.fullmatch(getattr(args, option)):
            raise ConfigError(
                f"--{option} {getattr(args, option)!r} is no name",
                kind="init-name",
                expected="letters, digits, - and _",
            )
    files = project_files(args.target, args.build, args.suite)
    taken = [name for name, data in files.items() if _differs(args.folder / name, data)]
    if taken:
        raise ConfigError(
            f"{args.folder} has files of these names already",
            kind="init-exists",
            seen=", ".join(taken),
            hint="choose another folder, or other names with --target, --build and --suite",
        )
    for name, data in files.items():
        path = args.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written", kind="init-write", seen=str(error)) from error
    _say(args)
    return 0


def project_files(target: str, build: str, suite: str) -> dict[str, bytes]:
    """Every file of a new project: path below its folder to contents.

    Raises:
        ConfigError: kind ``image-missing``: the reference firmware has not been built.
    """
    import json

    from tfm_harness.config.loading import load_build
    from tfm_harness.config.schema import build_schema, target_schema

    source = bundled("fw_builds/reference")
    described = load_build(source / "build.yaml")
    text = (source / "build.yaml").read_text(encoding="utf-8")
    # The copy has no sources: it is named after its folder, and nothing builds it.
    text = "".join(line for line in text.splitlines(keepends=True) if not re.match(r"#|name:|make:", line))
    files = {
        "pytest.ini": PYTEST_INI.format(target=target, build=build).encode(),
        ".gitignore": GITIGNORE.encode(),
        f"targets/{target}.yaml": (TARGET_HEAD + _without_head(bundled("targets/qemu-an547.yaml"))).encode(),
        f"fw_builds/{build}/build.yaml": (BUILD_HEAD + text).encode(),
        f"suites/{suite}/README.md": SUITE_README.format(suite=suite).encode(),
        f"suites/{suite}/test_first.py": SUITE.encode(),
        "schemas/target.schema.json": (json.dumps(target_schema(), indent=1, sort_keys=True) + "\n").encode(),
        "schemas/build.schema.json": (json.dumps(build_schema(), indent=1, sort_keys=True) + "\n").encode(),
    }
    for path in described.all_files().values():
        files[f"fw_builds/{build}/{path.relative_to(source)}"] = path.read_bytes()
    licence = source / "build" / "bearssl" / "LICENSE.txt"
    if licence.is_file():
        files[f"fw_builds/{build}/LICENSE.BearSSL.txt"] = licence.read_bytes()
    return files


def _without_head(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        del lines[0]
    return "".join(lines)


def _differs(path: Path, data: bytes) -> bool:
    """Whether something else is there."""
    try:
        return read_file(path, IMAGE_LIMIT) != data
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"  {left:{width}}   {right}" for left, right in rows.items())


def _say(args: argparse.Namespace) -> None:
    files = {
        f"targets/{args.target}.yaml": "your board; now the emulated MPS3 AN547",
        f"fw_builds/{args.build}/build.yaml": "your firmware; now a copy of the reference firmware",
        f"suites/{args.suite}/test_first.py": "your tests",
    }
    commands = {
        f"tfm-harness run {args.suite}": "your tests",
        "tfm-harness run --quick": "a quick selection of the suites that came with the harness, too",
        "tfm-harness run": "all of them",
    }
    cd = "" if args.folder == Path() else f"  cd {args.folder}\n"
    say(
        f"A project is in {resolved(args.folder)}.\n"
        f"{_table(files)}\n"
        "Next:\n"
        f"{cd}  tfm-harness check targets/{args.target}.yaml fw_builds/{args.build}\n"
        f"{_table(commands)}"
    )
