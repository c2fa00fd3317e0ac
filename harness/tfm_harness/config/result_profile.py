"""Result profiles: which claims a signed result has, by a built-in name or from a vendor's YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.errors import ConfigError
from tfm_harness.files import IMAGE_LIMIT, read_file
from tfm_harness.verify.result_profile import ResultProfile, load_profile

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["build_result_profile", "read_result_profile"]


def read_result_profile(name: str, *, base: Path | None = None) -> ResultProfile:
    """A built-in result profile by name, or a vendor's own by the path of its YAML file.

    Raises:
        ConfigError: no such profile, or a file that breaks the form.
    """
    path = Path(name) if base is None else base / name
    if path.suffix not in {".yaml", ".yml"}:
        return load_profile(name)
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
