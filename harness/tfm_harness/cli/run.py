"""``tfm-harness run``: suites by name, through pytest."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from tfm_harness.bundled import bundled
from tfm_harness.cli.output import say
from tfm_harness.coverage.suite_words import claim
from tfm_harness.errors import ConfigError
from tfm_harness.extensions import Extension, broken, find, installed, wrong_type
from tfm_harness.plugin.options import OPTIONS

__all__ = ["add_parser", "run", "suite_paths", "suites"]

_CONFIGS = ("pytest.toml", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "run",
        help="run suites on a target with a build",
        description="Run suites through pytest. Without a name: all of them.",
        epilog="examples:\n"
        "  tfm-harness run --target qemu-an547 --build reference\n"
        "  tfm-harness run results sensor --target qemu-an547 --build reference -- -k replay -x\n"
        "  tfm-harness run --list\n"
        "What stands behind -- goes to pytest as it is. With pytest itself the options begin with --tfm-.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suite", nargs="*", help="a suite's name, or a path with tests")
    for option in OPTIONS:
        flag, key = f"--{option.name}", option.name.replace("-", "_")
        if option.kind == "flag":
            parser.add_argument(flag, dest=key, action="store_true", help=option.help)
        elif option.kind == "list":
            parser.add_argument(flag, dest=key, action="append", metavar=option.metavar, help=option.help)
        else:
            parser.add_argument(flag, dest=key, metavar=option.metavar, help=option.help)
    parser.add_argument("--junitxml", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--list", action="store_true", help="list the suites and end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if not args.list:
        become_pytest(pytest_arguments(args))
    for name, path in suites().items():
        say(f"{name:<20} {claim(path / 'README.md')}")
    return 0


def pytest_arguments(args: argparse.Namespace) -> list[str]:
    """What pytest is told.

    Raises:
        ConfigError: no such suite.
    """
    paths = suite_paths(args.suite)
    command = [*map(str, paths), "--import-mode=importlib", f"--rootdir={Path.cwd()}"]
    config = next((path for name in _CONFIGS if (path := Path.cwd() / name).is_file()), None)
    if config is not None:
        command.append(f"--config-file={config}")
    if Path.cwd() == bundled("suites").parent:
        # The checkout's own setting is for its unit tests. A suite's waits have deadlines of their own, and on a slow
        # host a dump of all threads in the middle of a run would only look like a failure.
        command += ["-o", "faulthandler_timeout=0"]
    for option in OPTIONS:
        value = getattr(args, option.name.replace("-", "_"))
        # In one word: pytest looks for its rootdir near paths that stand alone.
        if option.kind == "flag":
            command += [option.flag] * bool(value)
        else:
            command += [f"{option.flag}={item}" for item in (value if option.kind == "list" else [value]) or () if item]
    if args.count not in {None, "1"} and not any(word.startswith(("-n", "--numprocesses")) for word in args.rest):
        command += ["-n", args.count]  # a test process for each
    if args.junitxml:
        command.append(f"--junitxml={args.junitxml}")
    return [*command, *args.rest]


def become_pytest(arguments: list[str]) -> NoReturn:
    """Pytest takes this process's place: it must be the first to import the harness, and signals must reach it."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606 - no shell is wanted


def suites() -> dict[str, Path]:
    """Suites by name: those of ./suites, those that came with the harness, then those of installed packages.

    Raises:
        ExtensionError: a package's suite cannot be used.
    """
    own = {path.name: path for path in _folders(bundled("suites"))}
    added = {}
    for extension in installed("suites"):
        find("suites", extension.name, own)
        added[extension.name] = _folder_of(extension)
    local = {path.name: path for path in _folders(Path.cwd() / "suites")}
    return {**local, **{name: path for name, path in {**own, **added}.items() if name not in local}}


def _folders(place: Path) -> list[Path]:
    return [path for path in sorted(place.glob("*/")) if any(path.glob("test_*.py"))]


def _folder_of(extension: Extension) -> Path:
    """The folder of the package that a suite's entry point names; its test modules are not imported."""
    try:
        spec = importlib.util.find_spec(extension.value)
    except Exception as error:
        raise broken(extension, error) from error
    if spec is None:
        raise broken(extension, ModuleNotFoundError(f"No module named {extension.value!r}"))
    for place in spec.submodule_search_locations or ():
        if any(Path(place).glob("test_*.py")):
            return Path(place)
    raise wrong_type(extension, "no package with test_*.py")


def suite_paths(names: list[str]) -> list[Path]:
    """Folders of the suites named; all of them when none is.

    Raises:
        ConfigError: no such suite.
    """
    known = suites()
    if not names:
        if not known:
            raise ConfigError("there are no suites here", kind="suite-unknown", where=str(Path.cwd()))
        return list(known.values())
    paths = []
    for name in names:
        path = known.get(name) or Path(name.partition("::")[0])
        if not path.exists():
            from tfm_harness.config.problems import nearest

            near = nearest(name, known)
            raise ConfigError(
                f"no suite is called {name!r}" + (f"; did you mean {near!r}?" if near else ""),
                kind="suite-unknown",
                expected=f"one of {', '.join(known)}, or a path",
            )
        paths.append(known.get(name) or Path(name))
    return paths
