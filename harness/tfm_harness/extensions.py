"""Extensions from other packages: found by entry point, checked, and loaded when they are first used.

An *extension point* is a kind of thing that packages can add, for instance a board kind. Each has its own entry-point
group. The table `POINTS` lists them all; ``docs/extending.md`` has an example of each.

    [project.entry-points."tfm_harness.boards"]
    my-rig = "my_rig.board:MyRigBoard"

    [project.entry-points."tfm_harness.api"]
    extension = "v1"

The group ``tfm_harness.api`` says which versions of the extension API a package was written for: one entry for each
version, the entry's name is free. A package without such an entry counts as written for version 1.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tfm_harness.errors import ExtensionError, HarnessError
from tfm_harness.version import __version__

__all__ = [
    "API_GROUP",
    "API_VERSION",
    "POINTS",
    "Extension",
    "ExtensionPoint",
    "find",
    "installed",
    "load",
    "load_class",
    "names",
    "problem_of",
]

API_VERSION: Final = 1
"""Version of the extension API. It is raised when working extensions must be changed to continue to work."""

API_GROUP: Final = "tfm_harness.api"
"""Entry-point group in which a package names the versions of the extension API that it was written for."""


@dataclass(frozen=True, slots=True)
class ExtensionPoint:
    """A kind of thing that packages can add.

    Attributes:
        group: the entry-point group.
        thing: what an entry provides, in words.
        provides: the kind of object that the entry's value must name.
        built_in: names that come with the harness; an extension cannot take one of them.
    """

    group: str
    thing: str
    provides: str
    built_in: tuple[str, ...] = ()


POINTS: Final[Mapping[str, ExtensionPoint]] = MappingProxyType({
    point.group.removeprefix("tfm_harness."): point
    for point in (
        ExtensionPoint(
            "tfm_harness.boards", "board kind", "a class derived from tfm_harness.Board",
            ("attach", "fvp", "labgrid", "mps3", "probe", "qemu"),
        ),
        ExtensionPoint(
            "tfm_harness.protocols", "protocol", "a class derived from tfm_harness.PseudoDriver",
            ("mlperf-tiny", "none", "smp", "zephyr-shell"),
        ),
        ExtensionPoint(
            "tfm_harness.sensors", "sensor model", "a class derived from tfm_harness.SensorModel",
            ("lsm303dlhc", "tmp105"),
        ),
        ExtensionPoint(
            "tfm_harness.stimuli", "stimulus back end", "a class derived from tfm_harness.StimulusBackend",
            ("ft4222", "pico"),
        ),
        ExtensionPoint(
            "tfm_harness.engines", "reference engine", "a class with the methods of tfm_harness.parity.EngineAdapter",
            ("ai-edge-litert", "ai-edge-litert-default", "native", "numpy-reference", "onnx-reference", "onnxruntime",
             "tflite-micro", "tflite-runtime", "tflite-runtime-default"),
        ),
        ExtensionPoint(
            "tfm_harness.frontends", "sensor front-end",
            "a function: array of raw counts (windows, samples, channels) to array of input tensors", ("reference",),
        ),
        ExtensionPoint(
            "tfm_harness.console_suites", "console suite",
            "a class derived from tfm_harness.console_suites.SuiteMachine",
            ("psa-arch-tests", "tf-m", "ztest"),
        ),
        ExtensionPoint(
            "tfm_harness.result_profiles", "result profile", "a mapping, or the path of a YAML file",
            ("linaro-cai", "linaro-cai-token", "tfm-harness-reference"),
        ),
        ExtensionPoint("tfm_harness.suites", "suite", "a package whose folder holds README.md and test_*.py"),
    )
})  # fmt: skip
"""Every extension point by its short name (the group without ``tfm_harness.``)."""


@dataclass(frozen=True, slots=True)
class Extension:
    """One entry of an installed package.

    Attributes:
        point: the extension point to which it adds.
        name: the name by which YAML files and options call it.
        value: ``module:object``.
        distribution: the package's name and version, for instance ``my-rig 1.2``.
        root: the folder that the package was found in.
    """

    point: ExtensionPoint
    name: str
    value: str
    distribution: str
    root: Path | None = None

    def __str__(self) -> str:
        return f'{self.distribution}, entry point [{self.point.group}] {self.name} = "{self.value}"'


def installed(point: str) -> tuple[Extension, ...]:
    """The extensions that installed packages add at an extension point, by name. Nothing is imported.

    Args:
        point: a key of `POINTS`.
    """
    return _entries(POINTS[point].group, tuple(sys.path))[0]


def names(point: str, built_in: Collection[str] | None = None) -> tuple[str, ...]:
    """Names that can be used at an extension point: the built-in ones first.

    Args:
        point: a key of `POINTS`.
        built_in: built-in names to use instead of the table's.
    """
    own = tuple(POINTS[point].built_in if built_in is None else built_in)
    return (*own, *sorted({extension.name for extension in installed(point)} - set(own)))


def find(point: str, name: str, built_in: Collection[str] | None = None) -> Extension | None:
    """The extension of that name; None when the name is built in, or no package adds it. Nothing is imported.

    Args:
        point: a key of `POINTS`.
        name: as YAML files and options give it.
        built_in: names that no package may take, instead of the table's.

    Raises:
        ExtensionError: ``extension-clash``: two packages add this name, or one adds a built-in name;
            ``extension-api``: the package was written for another version.
    """
    own = POINTS[point].built_in if built_in is None else built_in
    found = [extension for extension in installed(point) if extension.name == name]
    if not found:
        return None
    first = found[0]
    if name in own:
        raise ExtensionError(
            f"a package adds the {first.point.thing} {name!r}, which comes with tfm-harness",
            kind="extension-clash",
            expected="a name that tfm-harness does not use",
            seen=str(first),
            hint=f"uninstall it (pip uninstall {_pip_name(first)}), or let its author choose another name",
            extension=str(first),
        )
    if len(found) > 1:
        raise ExtensionError(
            f"{len(found)} packages add a {first.point.thing} called {name!r}",
            kind="extension-clash",
            expected="one",
            seen="\n".join(map(str, found)),
            hint=f"uninstall all but one of them: pip uninstall {_pip_name(found[-1])}",
            extension=str(first),
        )
    _check_version(first)
    return first


def load(extension: Extension) -> object:
    """The object that the entry names.

    Raises:
        ExtensionError: ``extension-broken``: it cannot be imported, for any reason.
    """
    try:
        return EntryPoint(name=extension.name, value=extension.value, group=extension.point.group).load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise broken(extension, error) from error


def load_class(extension: Extension, base: type) -> type:
    """The class that the entry names.

    Args:
        extension: see `find`.
        base: what it must derive from.

    Raises:
        ExtensionError: ``extension-broken``, or ``extension-type``: it is something else.
    """
    loaded = load(extension)
    if isinstance(loaded, type) and issubclass(loaded, base):
        return loaded
    raise wrong_type(extension, loaded)


@contextlib.contextmanager
def blamed(extension: Extension | None) -> Iterator[None]:
    """In the block, an extension's own exception becomes an error that names the package; errors of the harness pass.

    Args:
        extension: whose code runs in the block; None for the harness's own code, whose exceptions pass unchanged, too.

    Raises:
        ExtensionError: ``extension-broken``.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        if extension is None:
            raise
        raise broken(extension, error) from error


def broken(extension: Extension, error: BaseException) -> ExtensionError:
    """The error for an extension whose own code fails while the harness loads or makes it."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f", {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return ExtensionError(
        f"the {extension.point.thing} {extension.name!r} of an installed package cannot be used",
        kind="extension-broken",
        expected=extension.point.provides,
        seen=f"{type(error).__name__}: {error}{at}",
        where=str(extension),
        hint=f"report it to the package's author, update it, or pip uninstall {_pip_name(extension)}",
        extension=str(extension),
    )


def wrong_type(extension: Extension, seen: object) -> ExtensionError:
    """The error for an entry that names another kind of object than its extension point requires."""
    return ExtensionError(
        f"the {extension.point.thing} {extension.name!r} of an installed package is something else",
        kind="extension-type",
        expected=extension.point.provides,
        seen=f"{seen!r:.200}",
        where=str(extension),
        hint="correct the entry point's value in the package's pyproject.toml, and install it again",
        extension=str(extension),
    )


def problem_of(extension: Extension, built_in: Collection[str] | None = None) -> ExtensionError | None:
    """The error that prevents the use of an installed extension; None when it can be imported."""
    point = extension.point.group.removeprefix("tfm_harness.")
    try:
        find(point, extension.name, built_in)
        load(extension)
    except ExtensionError as error:
        return error
    return None


@lru_cache(maxsize=4)
def _all_entries(_path: tuple[str, ...]) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Entries by group. One search of the import path, which takes long, finds all groups."""
    found = entry_points()
    return {group: tuple(found.select(group=group)) for group in (API_GROUP, *(p.group for p in POINTS.values()))}


@lru_cache(maxsize=64)
def _entries(group: str, path: tuple[str, ...]) -> tuple[tuple[Extension, ...], Mapping[str, Distribution]]:
    """The entries of a group, and the distributions that have them; read once for each import path."""
    point = next((each for each in POINTS.values() if each.group == group), ExtensionPoint(group, "", ""))
    found, owners = [], {}
    for entry in _all_entries(path)[group]:
        owner = entry.dist
        if owner is None:
            continue
        label = f"{owner.metadata['Name']} {owner.version}"
        owners[label] = owner
        found.append(Extension(point, entry.name, entry.value, label, Path(str(owner.locate_file("")))))
    return tuple(sorted(found, key=lambda each: (each.name, each.distribution, each.value))), owners


def _check_version(extension: Extension) -> None:
    """Refuse a package that was written for another version of the API, or of the harness."""
    path = tuple(sys.path)
    said = [each.value for each in _entries(API_GROUP, path)[0] if each.distribution == extension.distribution]
    if said and f"v{API_VERSION}" not in said:
        raise _other_version(extension, f"extension API v{API_VERSION}", ", ".join(said))
    owner = _entries(extension.point.group, path)[1][extension.distribution]
    for wanted in _own_requirements(owner.requires or ()):
        raise _other_version(extension, f"tfm-harness {wanted}", f"tfm-harness {__version__}")


def _own_requirements(requirements: Iterable[str]) -> Iterable[str]:
    """Version specifiers for tfm-harness that this version does not meet."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    for text in requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        ours = applies and canonicalize_name(wanted.name) == "tfm-harness"
        if ours and not wanted.specifier.contains(__version__, prereleases=True):
            yield str(wanted.specifier)


def _other_version(extension: Extension, expected: str, seen: str) -> ExtensionError:
    return ExtensionError(
        f"the {extension.point.thing} {extension.name!r} was written for another version of tfm-harness",
        kind="extension-api",
        expected=expected,
        seen=seen,
        where=str(extension),
        hint="install a version of the package that fits this tfm-harness",
        extension=str(extension),
    )


def _pip_name(extension: Extension) -> str:
    return extension.distribution.partition(" ")[0]
