"""Catalogues of requirements: the checks that prove each item, and the parts that no test can show.

The catalogues of the harness are in ``coverage/catalogues``; users may name files of the same form:

    name: my-catalogue
    title: what it is
    source: document and version
    items:
      - {id: R1, title: what is asked for, checks: [boot.lifecycle, image.*], cannot: what no test can show}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfm_harness.errors import ConfigError
from tfm_harness.files import TEXT_LIMIT, read_file

__all__ = ["Catalogue", "Item", "JudgedItem", "catalogue_names", "judge_items", "load_catalogue"]

State = Literal["proven", "partly", "excused", "failed", "not run", "no test"]

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)
_FOLDER: Final = "tfm_harness.coverage.catalogues"


class Item(BaseModel):
    """One item of a catalogue; `checks` are ids or patterns, `cannot` names the part of it that no test can show."""

    model_config = _STRICT

    id: Annotated[str, Field(min_length=1, max_length=80)]
    title: Annotated[str, Field(min_length=1, max_length=300)]
    checks: tuple[str, ...] = ()
    cannot: str = ""


class Catalogue(BaseModel):
    """A named list of requirements."""

    model_config = _STRICT

    name: str
    title: str
    source: str
    items: Annotated[tuple[Item, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedItem:
    """An item and its state.

    Attributes:
        state: ``proven``: each of its checks ran and held; ``partly``: some did not run; ``excused``: a waiver or the
            policy let one pass; ``failed``; ``not run``: none ran; ``no test``: it has no checks.
        missing: checks that did not run.
        failing: checks that failed.
    """

    item: Item
    state: State
    missing: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()


def catalogue_names() -> tuple[str, ...]:
    """Names of the catalogues that come with the harness."""
    files = resources.files(_FOLDER).iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load_catalogue(name: str) -> Catalogue:
    """A catalogue by name, or from a YAML file.

    Raises:
        ConfigError: kind ``catalogue``: no such catalogue, or a file that breaks the form.
    """
    import yaml

    if name.endswith((".yaml", ".yml")):
        try:
            text = read_file(Path(name), TEXT_LIMIT).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("this catalogue cannot be read", kind="catalogue", seen=str(error), where=name) from None
    elif name in catalogue_names():
        text = resources.files(_FOLDER).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise ConfigError(
            f"there is no catalogue {name!r}", kind="catalogue",
            expected=f"one of {', '.join(catalogue_names())}, or a YAML file", seen=name,
        )  # fmt: skip
    try:
        loaded = Catalogue.model_validate(yaml.safe_load(text) if len(text) < 1 << 20 else None)
    except (yaml.YAMLError, ValidationError, RecursionError) as error:
        detail = error.errors()[0] if isinstance(error, ValidationError) else None
        seen = f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" if detail else str(error).splitlines()[0]
        raise ConfigError("this catalogue breaks the form", kind="catalogue", seen=seen, where=name) from None
    twice = {name for name, count in Counter(item.id for item in loaded.items).items() if count > 1}
    if twice:
        raise ConfigError("an item appears twice", kind="catalogue", seen=", ".join(sorted(twice)), where=name)
    return loaded


def judge_items(catalogue: Catalogue, made: Mapping[str, Iterable[str]]) -> Sequence[JudgedItem]:
    """Judge each item by the findings of a run.

    Args:
        catalogue: the items.
        made: statuses (``passed``, ``noted``, ``waived``, ``failed``) of each check that ran.
    """
    found = {name: set(statuses) for name, statuses in made.items()}
    return [_judge(item, found) for item in catalogue.items]


def _judge(item: Item, made: Mapping[str, set[str]]) -> JudgedItem:
    if not item.checks:
        return JudgedItem(item=item, state="no test")
    missing, failing, statuses = [], [], set[str]()
    for pattern in item.checks:
        matching = {name: seen for name, seen in made.items() if fnmatchcase(name, pattern)}
        if not matching:
            missing.append(pattern)
        failing += [name for name, seen in matching.items() if "failed" in seen]
        statuses = statuses.union(*matching.values())
    state: State
    if failing:
        state = "failed"
    elif not statuses:
        state = "not run"
    elif statuses & {"waived", "noted"}:
        state = "excused"
    else:
        state = "partly" if missing else "proven"
    return JudgedItem(item=item, state=state, missing=tuple(missing), failing=tuple(failing))
