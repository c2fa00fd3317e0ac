"""The board kinds: built in, or from the entry-point group ``tfm_harness.boards``.

A kind is imported only when it is needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tfm_harness.config.nearest import nearest
from tfm_harness.errors import ConfigError
from tfm_harness.extensions import POINTS, find, installed, load, wrong_type

if TYPE_CHECKING:
    from tfm_harness.config.target import TargetBase

__all__ = ["BUILT_IN", "GROUP", "board_class", "config_model", "kinds"]

GROUP: Final = POINTS["boards"].group
"""Entry-point group; ``name = "package.module:Class"``."""

BUILT_IN: Final[Mapping[str, str]] = {
    "attach": "tfm_harness.boards.attach.board:AttachBoard",
    "fvp": "tfm_harness.boards.fvp.board:FvpBoard",
    "labgrid": "tfm_harness.boards.labgrid.board:LabgridBoard",
    "mps3": "tfm_harness.boards.mps3.board:Mps3Board",
    "probe": "tfm_harness.boards.probe.board:ProbeBoard",
    "qemu": "tfm_harness.boards.qemu.board:QemuBoard",
}
"""Each built-in kind with the ``module:Class`` of its `tfm_harness.boards.base.Board`."""


def kinds() -> dict[str, str]:
    """All kinds, each with ``module:Class``; built-in ones cannot be replaced."""
    return {**{extension.name: extension.value for extension in installed("boards")}, **BUILT_IN}


def board_class(kind: str, where: str | None = None) -> type[Any]:
    """The `Board` class of `kind`.

    Args:
        kind: as a target's YAML has it.
        where: file and line of the target's `kind`, for the error.

    Raises:
        ConfigError: kind ``unknown-kind``.
        ExtensionError: ``extension-broken``, ``extension-type``, ``extension-clash``, ``extension-api``.
    """
    extension = find("boards", kind, BUILT_IN)
    if extension is not None:
        loaded = load(extension)
        if not isinstance(loaded, type) or not isinstance(getattr(loaded, "config_model", None), type):
            raise wrong_type(extension, loaded)
        return loaded
    if kind not in BUILT_IN:
        known = kinds()
        near = nearest(kind, known)
        raise ConfigError(
            f"unknown board kind {kind!r}" + (f"; did you mean {near!r}?" if near else ""),
            kind="unknown-kind",
            expected=f"one of {', '.join(sorted(known))}",
            where=where,
            hint="other kinds come with packages that register in the entry-point group tfm_harness.boards;"
            " tfm-harness extensions lists what is installed",
        )
    module, _, name = BUILT_IN[kind].partition(":")
    built_in: type[Any] = getattr(importlib.import_module(module), name)
    return built_in


def config_model(kind: str, where: str | None = None) -> type[TargetBase]:
    """The configuration model of `kind`. Raises `ConfigError` as `board_class`."""
    model: type[TargetBase] = board_class(kind, where).config_model
    return model
