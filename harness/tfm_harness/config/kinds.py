"""Which board kinds there are: built in, or from the entry-point group ``tfm_harness.boards``.

Nothing is imported until a kind is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final

from tfm_harness.config.nearest import nearest
from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    from tfm_harness.config.target import TargetBase

__all__ = ["BUILT_IN", "GROUP", "board_class", "config_model", "kinds"]

GROUP: Final = "tfm_harness.boards"
"""Entry-point group; ``name = "package.module:Class"``."""

BUILT_IN: Final[Mapping[str, str]] = {
    "attach": "tfm_harness.boards.attach.board:AttachBoard",
    "fvp": "tfm_harness.boards.fvp.board:FvpBoard",
    "labgrid": "tfm_harness.boards.labgrid.board:LabgridBoard",
    "mps3": "tfm_harness.boards.mps3.board:Mps3Board",
    "probe": "tfm_harness.boards.probe.board:ProbeBoard",
    "qemu": "tfm_harness.boards.qemu.board:QemuBoard",
}
"""Kind to ``module:Class`` of a `tfm_harness.boards.base.Board`."""


def kinds() -> dict[str, str]:
    """All kinds, each with ``module:Class``; built-in ones cannot be replaced."""
    found = {point.name: point.value for point in entry_points(group=GROUP)}
    return {**found, **BUILT_IN}


def board_class(kind: str, where: str | None = None) -> type[Any]:
    """The `Board` class of `kind`.

    Raises:
        ConfigError: kind ``unknown-kind`` or ``broken-kind`` (its module does not import).
    """
    known = kinds()
    if kind not in known:
        near = nearest(kind, known)
        raise ConfigError(
            f"unknown board kind {kind!r}" + (f"; did you mean {near!r}?" if near else ""),
            kind="unknown-kind",
            expected=f"one of {', '.join(sorted(known))}",
            where=where,
            hint="other kinds come with packages that register in the entry-point group tfm_harness.boards",
        )
    value = known[kind]
    try:
        if kind in BUILT_IN:
            module, _, name = value.partition(":")
            loaded = getattr(importlib.import_module(module), name)
        else:
            loaded = EntryPoint(name=kind, value=value, group=GROUP).load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"board kind {kind!r} cannot be loaded", kind="broken-kind", seen=str(error), where=value
        ) from error
    if not isinstance(loaded, type):
        raise ConfigError(f"board kind {kind!r} is not a class", kind="broken-kind", where=value)
    return loaded


def config_model(kind: str, where: str | None = None) -> type[TargetBase]:
    """The configuration model of `kind`. Raises `ConfigError` as `board_class`."""
    model: type[TargetBase] = board_class(kind, where).config_model
    return model
