"""The facts of a TF-M build, from its CMake configurations, its cache and its version header.

TF-M v2.1 and newer install ``api_ns/cmake/spe_config.cmake`` and ``api_ns/config/config_ns_test.cmake``; v1.8
leaves ``CMakeCache.txt``. The version header of v1.7 and older has its
numbers as text, that of v1.8 and newer has plain numbers and makes the text by a macro.
Several files may hold the same fact; if their values differ, the tree is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfm_harness.errors import ConfigError
from tfm_harness.files import read_file
from tfm_harness.importer.scan import Found

__all__ = ["Fact", "Facts", "read_facts", "version_of"]

_MAX_CONFIG = 8 << 20
_SET = re.compile(r"^\s*set\(\s*(?P<key>\w+)\s+(?P<value>\"[^\"]*\"|[^\s\")]+)?(?=[\s)])", re.IGNORECASE)
_CACHE = re.compile(r"^(?P<key>[A-Za-z_][\w.-]*):(?P<type>[A-Z]+)=(?P<value>.*)$")
_DEFINE = re.compile(r"^\s*#\s*define\s+(?P<key>(?:TFM_)?VERSION(?:_\w+)?)\s+(?P<value>.+?)\s*$")
_MACRO = re.compile(r"\w+\((?P<name>\w+)\)")
_TFM_PROJECT = "Trusted Firmware M"
_VERSION = re.compile(r"(?:TF-M ?)?v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?(?:\+(\d{1,9}))?(?:[-+].*)?")

# More than one file holds these facts; the files must agree.
_SHARED = (
    "TFM_PLATFORM", "TFM_ISOLATION_LEVEL", "CONFIG_TFM_SPM_BACKEND", "TFM_VERSION", "MCUBOOT_IMAGE_VERSION_S",
    "MCUBOOT_IMAGE_NUMBER", "BL2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A value and its origin (``file:line``)."""

    value: str
    where: str
    path: Path

    @property
    def on(self) -> bool:
        """Whether CMake takes the value as true."""
        return self.value.upper() in {"1", "ON", "TRUE", "YES", "Y"}


_NOTHING = Fact("", "", Path())


class Facts(Mapping[str, Fact]):
    """All facts by CMake variable name; ``TFM_VERSION`` may come from the version header."""

    def __init__(self) -> None:
        self._facts: dict[str, list[Fact]] = {}

    def add(self, key: str, fact: Fact) -> None:
        """Add a fact from a file; the first file that holds it is quoted as its origin."""
        self._facts.setdefault(key, []).append(fact)

    def __getitem__(self, key: str) -> Fact:
        return self._facts[key][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def all(self, key: str) -> list[Fact]:
        """All facts about `key`."""
        return list(self._facts.get(key, ()))

    def partitions(self) -> list[Fact]:
        """The partitions that are built in: facts of ``TFM_PARTITION_*`` that are on; the value is the name."""
        found: dict[str, Fact] = {}
        for key in sorted(self._facts):
            match = re.fullmatch(r"TFM_PARTITION_([A-Z0-9_]+)", key)
            if match and self[key].on and not key.endswith(("_LOG_LEVEL", "_STACK_SIZE")):
                found[match[1]] = Fact(match[1].lower(), self[key].where, self[key].path)
        return list(found.values())


def read_facts(found: Found, label: Mapping[Path, str]) -> Facts:
    """Read every configuration file of a tree.

    Args:
        found: the scanned tree.
        label: gives a file's name for ``where``.

    Raises:
        ConfigError: kind ``import-contradiction`` when files disagree, ``import-unreadable``.
    """
    facts = Facts()
    forms = {
        "spe_config.cmake": _SET, "config_ns_test.cmake": _SET, "tfm_version.h": _DEFINE, "CMakeCache.txt": _CACHE,
    }  # fmt: skip
    for name, form in forms.items():
        for path in found.config.get(name, ()):
            said = dict(_read(path, form, label.get(path, path.name)))
            if name == "CMakeCache.txt" and "TFM_PLATFORM" not in said:
                continue  # the cache of a library that is built together with TF-M
            if name == "tfm_version.h":
                version = _header_version(said)
                if version is not None:
                    facts.add("TFM_VERSION", version)
                continue
            for key, fact in said.items():
                facts.add(key, fact)
            # Up to v1.7 no other file has TF-M's version; the version of an image is the vendor's own.
            project = said.get("CMAKE_PROJECT_NAME", _NOTHING).value
            if project == _TFM_PROJECT and version_of(said.get("CMAKE_PROJECT_VERSION", _NOTHING).value):
                facts.add("TFM_VERSION", said["CMAKE_PROJECT_VERSION"])
    _agree(facts)
    return facts


def _header_version(said: Mapping[str, Fact]) -> Fact | None:
    """TF-M's version from its header's definitions, with its text macros resolved."""
    for key in ("VERSION_FULLSTR", "TFM_VERSION_FULL", "VERSION_STR", "TFM_VERSION"):
        fact, seen = said.get(key), set[str]()
        while fact is not None and (macro := _MACRO.fullmatch(fact.value)) and macro["name"] not in seen:
            seen.add(macro["name"])
            fact = said.get(macro["name"])
        if fact is not None and version_of(fact.value):
            return fact
    return None


def version_of(text: str) -> tuple[int, int, int] | None:
    """``2.1.4``, ``v2.1.4``, ``TF-Mv2.1.4``, ``2.1.4+0``, ``2.1.4-rc1`` as numbers; None for anything else."""
    match = _VERSION.fullmatch(text.strip())
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _read(path: Path, form: re.Pattern[str], label: str) -> Iterator[tuple[str, Fact]]:
    try:
        if path.stat().st_size > _MAX_CONFIG:
            raise ConfigError("a configuration file is too large", kind="import-unreadable", where=str(path))
        text = read_file(path, _MAX_CONFIG).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(
            f"a configuration file cannot be read: {error.strerror}", kind="import-unreadable", where=str(path)
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        match = form.match(line)
        if match is None:
            continue
        value = (match["value"] or "").strip().strip('"')
        if form is _DEFINE and not _MACRO.fullmatch(value):
            value = value.strip("()").strip('"')
        if value and not (value.startswith("@") and value.endswith("@")):
            yield match["key"], Fact(value, f"{label}:{number}", path)


def _agree(facts: Facts) -> None:
    for key in _SHARED:
        said = facts.all(key)
        values = {_comparable(key, fact.value) for fact in said}
        if len(values) > 1:
            first = said[0]
            other = next(f for f in said if _comparable(key, f.value) != _comparable(key, first.value))
            raise ConfigError(
                f"two files of this tree disagree on {key}",
                kind="import-contradiction",
                expected=f"{first.value}  ({first.where})",
                seen=f"{other.value}  ({other.where})",
                where=other.where,
                hint="these files come from different builds: build again from scratch, or name one build's folders",
            )


def _comparable(key: str, value: str) -> str:
    if "VERSION" in key:
        version = version_of(value)
        return ".".join(map(str, version)) if version else value
    if key == "TFM_PLATFORM":
        return value.replace("\\", "/").rstrip("/").split("platform/ext/target/")[-1]
    return value.upper()
