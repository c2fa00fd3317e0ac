"""Finding, reading and validating targets and builds, all before any board is touched."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from tfm_harness.config.build import Build
from tfm_harness.config.contents import wrong_contents
from tfm_harness.config.fields import Strict
from tfm_harness.config.kinds import config_model, kinds
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.config.positions import Document, read
from tfm_harness.config.problems import Problem, fail, nearest, problems_of
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import ConfigError
from tfm_harness.files import IMAGE_LIMIT, KEY_LIMIT, expanded, home, resolved

__all__ = [
    "build_names",
    "check_combination",
    "check_targets",
    "load_build",
    "load_target",
    "refuse_vain_waivers",
    "target_names",
    "user_config_dir",
    "validate",
]

_M = TypeVar("_M", bound=Strict)
_PACKAGE: Final = Path(__file__).resolve().parent.parent


def user_config_dir() -> Path:
    """``$XDG_CONFIG_HOME/tfm-harness``, by default ``~/.config/tfm-harness``.

    Raises:
        ConfigError: the user has no home.
    """
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else home() / ".config") / "tfm-harness"  # noqa: PTH117 - "" allowed


def _places(folder: str, search: Sequence[Path]) -> list[Path]:
    bundled = [_PACKAGE / "_bundled" / folder, _PACKAGE.parents[1] / folder]
    own: list[Path] = []
    with contextlib.suppress(ConfigError):  # no home: the user has no files of their own
        own = [user_config_dir() / folder]
    places = [Path.cwd() / folder, *search, *own, *bundled]
    return list(dict.fromkeys(resolved(place) for place in places))


def target_names(search: Sequence[Path] = ()) -> dict[str, Path]:
    """Every target that can be named, with its file; the first place that has a name is used.

    Places: ``./targets``, `search`, the user's ``targets``, those that came with the harness.
    """
    found: dict[str, Path] = {}
    for place in _places("targets", search):
        for path in sorted(place.glob("*.y*ml")):
            if path.suffix in {".yaml", ".yml"}:
                found.setdefault(path.stem, path)
    return found


def build_names(search: Sequence[Path] = ()) -> dict[str, Path]:
    """Every build that can be named: ``NAME/build.yaml`` or ``NAME.yaml`` in a ``fw_builds`` folder."""
    found: dict[str, Path] = {}
    for place in _places("fw_builds", search):
        for path in sorted(place.glob("*/build.yaml")):
            found.setdefault(path.parent.name, path)
        for path in sorted(place.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def _find(what: str, wanted: str | Path, names: Mapping[str, Path]) -> Path:
    text = str(wanted)
    path = expanded(Path(wanted))
    if path.is_dir() and (path / "build.yaml").is_file() and what == "build":
        return path / "build.yaml"
    if isinstance(wanted, Path) or os.sep in text or path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        near = nearest(path.stem, names)
        raise ConfigError(
            _not_a_file(what, path, text),
            kind=f"{what}-missing",
            hint=f"did you mean the {what} {near!r} ({names[near]})?" if near else None,
        )
    if text in names:
        return names[text]
    near = nearest(text, names)
    places = ", ".join(_shown(place) for place in _places("targets" if what == "target" else "fw_builds", ()))
    raise ConfigError(
        f"unknown {what} {text!r}" + (f"; did you mean {near!r}?" if near else ""),
        kind=f"{what}-unknown",
        expected=f"one of {', '.join(sorted(names))}" if names else f"any {what} description",
        where=f"searched {places}",
        hint=f"give the path of a {what} file, or put one into ./{'targets' if what == 'target' else 'fw_builds'}",
    )


def _not_a_file(what: str, path: Path, text: str) -> str:
    if path.is_dir():
        return f"{text} is a folder" + (" without a build.yaml" if what == "build" else f", not a {what}'s YAML file")
    return f"{text} is no regular file" if path.exists() else f"no such {what} file: {text}"


def _shown(path: Path) -> str:
    try:
        return "./" + str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def validate(model: type[_M], data: Mapping[str, Any], document: Document, base: Path, *, kind: str, what: str) -> _M:
    """Validate a file's data.

    Args:
        model: the file's configuration model.
        data: the file's data, with the defaults that depend on the file.
        document: the file.
        base: the folder for relative paths.
        kind: the error's kind.
        what: the file in words.

    Raises:
        ConfigError: of that kind; each problem with ``file:line``.
    """
    try:
        # As strict JSON: text does not become a number, and a number does not become a truth value.
        return model.model_validate_json(json.dumps(data), strict=True, context={"base": base})
    except ValidationError as error:
        raise fail(kind, f"{document.file} is not a valid {what}", problems_of(error, model, document)) from error


def load_target(wanted: str | Path, *, search: Sequence[Path] = ()) -> TargetBase:
    """Load the target of that name or path, as its kind's configuration model.

    Raises:
        ConfigError: kind ``target-unknown``, ``target-missing``, ``target-invalid``, ``unknown-kind`` or ``yaml``;
            each problem with ``file:line`` and the nearest known key.
    """
    path = _find("target", wanted, target_names(search))
    document = read(path)
    kind = document.data.get("kind")
    if not isinstance(kind, str):
        near = nearest("kind", [key for key in document.data if key != "kind"]) if kind is None else None
        problem = "'kind' is missing" if kind is None else "kind: should be text"
        if near:
            problem += f" ({near!r} stands on line {document.keys[(near,)].line})"
        where = document.where(("kind",)) if "kind" in document.data else f"{document.file}:1"
        raise fail("target-invalid", f"{document.file} is not a valid target", [(where, problem)],
                   hint=f"kinds: {', '.join(sorted(kinds()))}")  # fmt: skip
    model = config_model(kind, document.where(("kind",)))
    target = validate(
        model, {"name": path.stem, **document.data}, document, resolved(path).parent,
        kind="target-invalid", what="target",
    )  # fmt: skip
    target._document = document  # noqa: SLF001 - the loader is the model's other half
    return target


def load_build(
    wanted: str | Path, *, search: Sequence[Path] = (), require_files: bool = True, require_keys: bool = True
) -> Build:
    """Load the build of that name or path, with absolute paths.

    Args:
        wanted: a name, a file, or a folder with a ``build.yaml``.
        search: further places for names.
        require_files: whether every file that is named must exist and be readable.
        require_keys: whether this includes the keys of `trust`; False for a command that fetches them.

    Raises:
        ConfigError: kind ``build-unknown``, ``build-missing``, ``build-invalid``, ``image-missing``, ``file-contents``
            (a file, or a result profile, has other contents) or ``yaml``.
    """
    path = _find("build", wanted, build_names(search))
    document = read(path)
    stem = resolved(path).parent.name if path.name == "build.yaml" else path.stem
    build = validate(
        Build, {"name": stem, **document.data}, document, resolved(path).parent, kind="build-invalid", what="build"
    )
    build._document = document  # noqa: SLF001 - the loader is the model's other half
    refuse_vain_waivers(build, document, harness_checks())
    if require_files:
        _require_files(build, document, keys=require_keys)
    return build


def harness_checks() -> dict[str, bool]:
    """Whether each check of the harness itself can be waived, by its id."""
    from tfm_harness.parity.accuracy_catalogue import ALL as ACCURACY
    from tfm_harness.parity.catalogue import ALL as PARITY
    from tfm_harness.verify.catalogue import ALL as VERIFY

    return {check.id: check.waivable for check in (*VERIFY, *PARITY, *ACCURACY)}


def refuse_vain_waivers(build: Build, document: Document | None, known: Mapping[str, bool]) -> None:
    """Refuse waivers of a build that can never excuse a finding.

    Args:
        known: whether each known check can be waived, by its id.

    Raises:
        ConfigError: kind ``build-invalid``: no check that the waiver matches can be waived.
    """
    problems = []
    for index, waiver in enumerate(build.waivers):
        named = {check: waivable for check, waivable in known.items() if fnmatchcase(check, waiver.finding)}
        if named and not any(named.values()):
            where = document.where(("waivers", index, "finding")) if document else ""
            only = "" if waiver.finding in named else f" (it names {', '.join(sorted(named))} only)"
            problems.append((where, f"{waiver.finding}: a finding that cannot be waived{only}"))
    if problems:
        hint = "remove the waiver: without this check, evidence would be none (docs/verification.md, column waivable)"
        raise fail("build-invalid", f"build {build.name!r} waives what cannot be waived", problems, hint=hint)


_KEY_PLACES: Final = {"key", "keys", "trust", "provisioning"}
_KINDS = {"folder": "folder", "labels": "file"}


def _require_files(build: Build, document: Document, *, keys: bool) -> None:
    problems: list[Problem] = []
    missing_keys = 0
    for place, file in build.all_files().items():
        key = place[0] == "trust" and place[1] in {"iak", "results", "client"}
        if key and not keys and not file.exists():
            continue
        words = None
        if not file.exists():
            words = "no such file"
        elif not file.is_file():
            words = "not a file"
        elif not os.access(file, os.R_OK):
            words = "not readable"
        elif file.stat().st_size == 0:
            words = "the file is empty"
        elif file.stat().st_size > (KEY_LIMIT if _KEY_PLACES & set(place) else IMAGE_LIMIT):
            words = "too large to be what it should be"
        if words:
            missing_keys += key
            dotted = ".".join(str(part) for part in place)
            near = "" if file.exists() else _file_meant(file, ("provisioned",) if key else ())
            problems.append((document.where(place), f"{dotted}: {words}: {_shown(file)}{near}"))
    for model, inputs in build.parity.inputs.items():
        for index, file in enumerate(inputs):
            readable = os.access(file, os.R_OK)
            if not readable or not (file.is_file() or file.is_dir()):
                where = document.where(("parity", "inputs", model, index))
                words = "no such file or folder"
                if file.exists():
                    words = "not a file" if readable else "not readable"
                near = "" if file.exists() else _file_meant(file)
                problems.append((where, f"parity.inputs.{model}: {words}: {_shown(file)}{near}"))
    for name, declared in build.models.items():
        if declared.dataset is None:
            continue
        for part, there, file in (
            ("folder", declared.dataset.folder.is_dir(), declared.dataset.folder),
            ("labels", declared.dataset.labels_file.is_file(), declared.dataset.labels_file),
        ):
            if not there:
                where = document.where(("models", name, "dataset", part)) or document.where(("models", name, "dataset"))
                problems.append((where, f"models.{name}.dataset.{part}: no such {_KINDS[part]}: {_shown(file)}"))
                break
    if problems:
        hint = "take the device's public keys with `tfm-harness keys collect`, or get them from its owner"
        if missing_keys < len(problems):
            made = (
                f"build the firmware first: {build.make}"
                if build.make
                else "build the firmware first, or mend the path"
            )
            hint = f"{made}; for keys, {hint}" if missing_keys else made
        raise fail("image-missing", f"build {build.name!r} names files that cannot be used", problems, hint=hint)
    wrong = [
        (document.where(place), f"{'.'.join(str(part) for part in place)}: {words}")
        for place, words in wrong_contents(build)
    ]
    if wrong:
        raise fail("file-contents", f"build {build.name!r} names files that are something else", wrong)


def _file_meant(missing: Path, words: Iterable[str] = ()) -> str:
    """The suggestion for a missing file: a file beside it with a similar name, or one of the allowed words."""
    try:
        beside = [entry.name for entry in os.scandir(missing.parent)]
    except OSError:
        beside = []
    return did_you_mean(missing.name, [*words, *beside], cutoff=0.8)


def check_combination(target: TargetBase, build: Build) -> None:
    """Refuse a build that cannot run on a target.

    Raises:
        ConfigError: kind ``combination-invalid`` with every reason.
    """
    problems = target.check_build(build)
    if problems:
        where = f"{target.path or target.name} with {build.path or build.name}"
        raise fail(
            "combination-invalid",
            f"build {build.name!r} does not fit target {target.name!r}",
            [(where, p) for p in problems],
        )


def check_targets(targets: Iterable[TargetBase]) -> None:
    """Refuse targets of one run that share a name or a physical resource (a port, a probe).

    Raises:
        ConfigError: kind ``target-conflict``.
    """
    owners: dict[str, TargetBase] = {}
    names: dict[str, TargetBase] = {}
    problems: list[Problem] = []
    for target in targets:
        where = str(target.path or target.name)
        other = names.setdefault(target.name, target)
        if other is not target:
            if other.path != target.path:
                problems.append((where, f"the name {target.name!r} is also that of {other.path or 'another target'}"))
            continue
        for resource in target.resources():
            holder = owners.setdefault(resource, target)
            if holder is not target:
                problems.append((where, f"{resource} is also used by target {holder.name!r}"))
            elif target.count > 1:
                problems.append((where, f"{resource} exists once, but `count` is {target.count}"))
    if problems:
        raise fail("target-conflict", "targets get into each other's way", problems)
