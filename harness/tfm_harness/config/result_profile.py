"""Result profiles: which claims a signed result has, by a built-in name or from a vendor's YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.errors import ConfigError
from tfm_harness.extensions import Extension, broken, find, load, wrong_type
from tfm_harness.files import IMAGE_LIMIT, read_file
from tfm_harness.verify.result_profile import ResultProfile, builtin_profiles, load_profile

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["build_result_profile", "read_result_profile"]


def read_result_profile(name: str, *, base: Path | None = None) -> ResultProfile:
    """A result profile by name, built in or from a package, or a vendor's own by the path of its YAML file.

    Packages add theirs in the entry-point group ``tfm_harness.result_profiles``.

    Raises:
        ConfigError: no such profile, or the file has the wrong form.
        ExtensionError: the package that adds it cannot be used, or its profile has the wrong form.
    """
    path = Path(name) if base is None else base / name
    if path.suffix not in {".yaml", ".yml"}:
        extension = find("result_profiles", name, builtin_profiles())
        return load_profile(name) if extension is None else _added(extension)
    return _from_file(path)


def _added(extension: Extension) -> ResultProfile:
    """The profile of an installed package: a mapping, or the path of a YAML file."""
    loaded = load(extension)
    if isinstance(loaded, Mapping):
        try:
            return load_profile(loaded)
        except ConfigError as error:
            raise broken(extension, error) from error
    if isinstance(loaded, str | Path):
        try:
            return _from_file(Path(loaded))
        except ConfigError as error:
            raise broken(extension, error) from error
    raise wrong_type(extension, loaded)


def _from_file(path: Path) -> ResultProfile:
    import yaml

    from tfm_harness.config.plain_yaml import PlainLoader

    try:
        mapping = yaml.load(_read(path).decode(), Loader=PlainLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where is not None else ""
        raise ConfigError("no YAML", kind="result-profile", where=f"{path}{line}") from error
    if not isinstance(mapping, dict):
        raise ConfigError("a result profile is a mapping", kind="result-profile", where=str(path))
    try:
        return load_profile(mapping)
    except ConfigError as error:
        error.where = f"{path}: {error.where}"
        raise


def build_result_profile(build: Build) -> ResultProfile:
    """The result profile a build names, by default the reference firmware's."""
    name = build.results.profile if build.results else "tfm-harness-reference"
    return read_result_profile(name, base=build.path.parent if build.path else None)


def _read(path: Path) -> bytes:
    try:
        return read_file(path, IMAGE_LIMIT)
    except OSError as error:
        raise ConfigError(
            f"cannot read the result profile: {error.strerror}", kind="unreadable", where=str(path)
        ) from error
